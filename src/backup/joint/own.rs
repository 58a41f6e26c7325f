//! Whose rows they are by the public half of the key that the signer is configured with: pure.

use crate::{
    backup::{
        chain::Status,
        dkg::{By, Flaw, Row, Verdict, prove},
        manifest::{Check, Outcome},
    },
    profile::{schema::Backup, types::SignerPublicKey},
};

/// The check of that key.
const OWN: &str = "dkg.own";

/// Whether that key is what rows are told by: where the profile names neither keys nor files that have them.
pub fn tells(rules: &Backup) -> bool {
    rules.signer_keys.is_none() && rules.key_files.as_deref().unwrap_or_default().is_empty()
}

/// The checks of a proof by public data, with what that key says of each row in the place of what nobody could say without.
/// `public` is none where nothing on this host configures a signer with a key; or why that cannot be told.
pub fn own(
    mut checks: Vec<Check>,
    rows: &[Row],
    rules: &Backup,
    public: &Result<Option<String>, String>,
) -> Vec<Check> {
    let parse = |text: &String| text.parse::<SignerPublicKey>().map_err(|fault| fault.to_string());
    let key = match public {
        _ if !tells(rules) => return checks,
        Ok(None) => return checks,
        Ok(Some(text)) => parse(text),
        Err(why) => Err(why.clone()),
    };
    let key = match key {
        Ok(key) => key.key(),
        Err(text) => {
            checks.push(Check { name: OWN.to_owned(), outcome: Outcome::CannotCheck, text });
            return checks;
        }
    };
    let verified = rows.iter().filter(|row| row.dkg_shares_status == Status::Verified);
    let newest = verified.max_by_key(|row| (row.created_at, &row.aggregate_key)).map(Row::name);
    for (row, verdict) in rows.iter().zip(prove(rows, By::PublicKeys(&[key]))) {
        let name = format!("dkg.row/{}", row.name());
        let Some(check) = checks.iter_mut().find(|check| check.name == name) else { continue };
        let configured = "the key that the signer is configured with is not in its set";
        (check.outcome, check.text) = match verdict {
            Verdict::Whole { .. } => (Outcome::Pass, verdict.to_string()),
            Verdict::Flawed(Flaw::NotInSet(_)) if newest.as_ref() == Some(&row.name()) => (
                Outcome::Fail,
                format!(
                    "{configured}, and it is the newest verified row: it is another signer's, or the key has changed and signer_keys does not name the one before"
                ),
            ),
            Verdict::Flawed(Flaw::NotInSet(_)) => (
                Outcome::NotApplicable,
                format!(
                    "{configured}: it is of an earlier key, which signer_keys can name, or another signer's"
                ),
            ),
            // Judged as it is whoever's it is.
            _ => continue,
        };
    }
    checks
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;
    use crate::backup::judge::each_row;

    fn rules(more: &str) -> Backup {
        toml::from_str(&format!("database = \"signer\"\nto = [\"alice\"]\n{more}")).unwrap()
    }

    fn public(group: &Group) -> String {
        group.public_key(0).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Outcomes of an older row of `before` and a newer one of `now`, and of what else is checked.
    fn judged(
        rules: &Backup,
        [before, now]: [&Group; 2],
        key: &Result<Option<String>, String>,
    ) -> Vec<(Outcome, String)> {
        let lines = [before.round(1).row(0).json(), now.round(2).row(0).json()].join("\n");
        let mut rows = Row::from_lines(&lines).unwrap();
        let [older, newer] = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"];
        for (row, made) in rows.iter_mut().zip([older, newer]) {
            row.created_at = made.parse().unwrap();
            row.dkg_shares_status = Status::Verified;
        }
        let checks = own(each_row(&rows, rules), &rows, rules, key);
        checks.into_iter().map(|check| (check.outcome, check.text)).collect()
    }

    #[test]
    fn the_newest_verified_row_must_have_the_key_and_older_ones_may() {
        let (before, now) = (Group::new("before", 3, 2), Group::new("now", 3, 2));
        let outcomes = |groups, key: &Group| {
            let found = judged(&rules(""), groups, &Ok(Some(public(key))));
            found.into_iter().map(|(outcome, _)| outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes([&now, &now], &now), [Outcome::Pass; 2]);
        assert_eq!(outcomes([&before, &now], &now), [Outcome::NotApplicable, Outcome::Pass]);
        assert_eq!(outcomes([&before, &now], &before), [Outcome::Pass, Outcome::Fail]);
    }

    #[test]
    fn where_others_tell_or_nobody_does_nothing_is_said() {
        let group = Group::new("now", 3, 2);
        let groups = [&group, &group];
        let unknown = judged(&rules(""), groups, &Ok(None));
        assert!(unknown.len() == 2 && unknown.iter().all(|(it, _)| *it == Outcome::NotApplicable));
        let unread = judged(&rules(""), groups, &Err("it is no TOML".into()));
        assert_eq!(unread[2], (Outcome::CannotCheck, "it is no TOML".to_owned()));
        let other = Group::new("other", 3, 2);
        let named = rules(&format!("signer_keys = [\"{}\"]", public(&group)));
        let found = judged(&named, groups, &Ok(Some(public(&other))));
        assert!(found.iter().all(|(outcome, _)| *outcome == Outcome::Pass));
    }
}
