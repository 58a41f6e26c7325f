//! What the word of the process that has the keys makes of the checks of a proof.

use super::talk::{Judged, KeyWord, RowWord};
use crate::{
    backup::{
        chain::Status,
        dkg::Row,
        manifest::{Check, Outcome},
    },
    profile::schema::Backup,
};

/// The check of the keys themselves.
const KEYS: &str = "dkg.keys";

/// The checks of a proof by public data, with what the keys say of each row in the place of what nobody could say without.
pub fn joint(
    mut checks: Vec<Check>,
    rows: &[Row],
    rules: &Backup,
    judged: Result<Judged, String>,
) -> Vec<Check> {
    let name = KEYS.to_owned();
    let Judged { keys, rows: words } = match judged {
        Ok(judged) => judged,
        Err(text) => {
            checks.push(Check { name, outcome: Outcome::CannotCheck, text });
            return checks;
        }
    };
    for (row, word) in rows.iter().zip(words) {
        let name = format!("dkg.row/{}", row.name());
        if let Some(check) = checks.iter_mut().find(|check| check.name == name) {
            (check.outcome, check.text) = of_row(check, row.dkg_shares_status, word);
        }
    }
    let (outcome, text) = of_keys(&keys, rules);
    checks.push(Check { name, outcome, text });
    checks
}

/// `public` is what is known of the row without a key.
fn of_row(public: &Check, status: Status, word: RowWord) -> (Outcome, String) {
    match word {
        RowWord::Opens(text) => (Outcome::Pass, text),
        RowWord::Flawed(why) if status == Status::Failed => {
            (Outcome::NotApplicable, format!("its round failed, and {why}"))
        }
        RowWord::Flawed(why) => (Outcome::Fail, why),
        RowWord::NoKey => {
            let none = "none of the keys in key_files is of its signer set";
            match public.outcome {
                // The profile knows a key of its set, which is kept elsewhere.
                Outcome::Pass => (Outcome::CannotCheck, format!("{}; {none}", public.text)),
                Outcome::NotApplicable if status != Status::Failed => (
                    Outcome::Fail,
                    format!(
                        "{none}: it is another signer's row, or of an earlier key, which signer_keys can name"
                    ),
                ),
                outcome => (outcome, public.text.clone()),
            }
        }
    }
}

fn of_keys(keys: &[KeyWord], rules: &Backup) -> (Outcome, String) {
    let (mut outcome, mut texts) = (Outcome::Pass, Vec::new());
    let known: Option<Vec<_>> = rules
        .signer_keys
        .as_ref()
        .map(|keys| keys.iter().map(|key| key.key().to_string()).collect());
    for KeyWord { file, public } in keys {
        texts.push(match public {
            Err(why) => {
                if outcome == Outcome::Pass {
                    outcome = Outcome::CannotCheck;
                }
                format!("{file}: {why}")
            }
            Ok(public) if known.as_ref().is_some_and(|known| !known.contains(public)) => {
                outcome = Outcome::Fail;
                format!("{file} has the key of {public}, which is none of signer_keys")
            }
            Ok(public) => format!("{file} has the key of {public}"),
        });
    }
    (outcome, texts.join("; "))
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;
    use crate::backup::judge::each_row;

    fn rules(more: &str) -> Backup {
        toml::from_str(&format!("database = \"signer\"\nto = [\"alice\"]\n{more}")).unwrap()
    }

    fn group() -> Group {
        Group::new("joint", 3, 2)
    }

    fn row(status: Status) -> Row {
        let mut row = Row::from_lines(&group().round(1).row(0).json()).unwrap().remove(0);
        row.dkg_shares_status = status;
        row
    }

    fn public() -> String {
        group().public_key(0).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What comes of one row with this word, and of the keys.
    fn judged(rules: &Backup, row: Row, word: RowWord, key: Result<String, String>) -> [Check; 2] {
        let rows = [row];
        let keys = vec![KeyWord { file: "/k".into(), public: key }];
        let answer = Ok(Judged { keys, rows: vec![word] });
        joint(each_row(&rows, rules), &rows, rules, answer).try_into().unwrap()
    }

    #[test]
    fn the_key_has_the_last_word_on_a_row() {
        let key = || Ok(public());
        let (plain, named) = (rules(""), rules(&format!("signer_keys = [\"{}\"]", public())));
        let verified = || row(Status::Verified);
        let opens = || RowWord::Opens("it opens".into());
        let flawed = || RowWord::Flawed("it does not".into());
        for rules in [&plain, &named] {
            let [row, keys] = judged(rules, verified(), opens(), key());
            assert_eq!((row.outcome, row.text.as_str()), (Outcome::Pass, "it opens"));
            assert_eq!(keys.outcome, Outcome::Pass, "{}", keys.text);
            assert_eq!(judged(rules, verified(), flawed(), key())[0].outcome, Outcome::Fail);
            let failed = judged(rules, row_of_failed(), flawed(), key());
            assert_eq!(failed[0].outcome, Outcome::NotApplicable);
        }
        // Of a generation whose key is elsewhere: known by the profile, or by nobody.
        let [row, _] = judged(&named, verified(), RowWord::NoKey, key());
        assert_eq!(row.outcome, Outcome::CannotCheck, "{}", row.text);
        let [row, _] = judged(&plain, verified(), RowWord::NoKey, key());
        assert!(row.outcome == Outcome::Fail && row.text.contains("another signer's row"));
    }

    fn row_of_failed() -> Row {
        row(Status::Failed)
    }

    #[test]
    fn keys_that_are_not_there_or_are_others_are_said() {
        let other = rules(
            "signer_keys = [\"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\"]",
        );
        let opens = || RowWord::Opens("it opens".into());
        let [row, keys] = judged(&other, row(Status::Verified), opens(), Ok(public()));
        assert_eq!((row.outcome, keys.outcome), (Outcome::Pass, Outcome::Fail));
        assert!(keys.text.contains("none of signer_keys"), "{}", keys.text);
        let gone = Err("it is not there".to_owned());
        let [_, keys] = judged(&rules(""), row_of_failed(), RowWord::NoKey, gone);
        assert_eq!(
            (keys.outcome, keys.text.as_str()),
            (Outcome::CannotCheck, "/k: it is not there")
        );
        let checks = joint(Vec::new(), &[], &rules(""), Err("no process".into()));
        assert_eq!((checks[0].name.as_str(), checks[0].outcome), (KEYS, Outcome::CannotCheck));
    }
}
