//! Every judgement, from what is kept alone.

use holdfast_test_dkg::Group;

use super::*;
use crate::backup::{
    chain::{clarity::OnChain as Value, node::Node},
    dkg::Row,
    rows::print,
};

const NOW: i64 = 1_790_000_000;
const DEPLOYER: &str = "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4";

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds_ago).unwrap()
}

fn rows(count: u32) -> Vec<Print> {
    let group = Group::new("control", 3, 2);
    let lines: Vec<_> = (1..=count).map(|n| group.round(n).row(0).json()).collect();
    let rows = Row::from_lines(&lines.join("\n")).unwrap();
    rows.iter().map(Print::of).collect()
}

fn file(seconds_ago: i64, rows: &[Print]) -> Saved {
    Saved { id: format!("made-{seconds_ago}"), made: at(seconds_ago), rows: rows.to_vec() }
}

fn answer(key: Option<&Print>) -> Answer {
    let said = Node {
        network_id: 1,
        synced: Some(true),
        tip: 1,
        burn_height: 900_000,
        version: String::new(),
        behind: None,
        alone: false,
    };
    let value =
        key.map_or(Value::NotBootstrapped, |key| Value::Key(key.key_row().unwrap().aggregate_key));
    Answer::new(at(60), ("http://127.0.0.1/".into(), DEPLOYER.into()), said, value, None)
}

fn seen(saved: Vec<Saved>, now: &[Print]) -> Seen {
    let note = Note {
        at: at(60),
        rows: now.to_vec(),
        height: Some(900_000),
        heightless: None,
        unsaved: vec![],
        chain: None,
    };
    let (now, up, within) = (at(0), TimeSpan::from_secs(60), TimeSpan::from_secs(900));
    let asked_every = Some(TimeSpan::from_secs(600));
    Seen { saved: Ok(saved), note: Some(note), now, up, within, asked_every }
}

fn asked(saved: Vec<Saved>, answer: Answer) -> Seen {
    let mut seen = seen(saved, &[]);
    let asked = Asked { at: at(60), answer: Some(answer), fault: None };
    seen.note.as_mut().unwrap().chain = Some(asked);
    seen
}

fn differs(verdict: &Verdict, words: &str) {
    assert!(
        matches!(verdict, Verdict::Differs { observed } if observed.contains(words)),
        "{verdict:?}"
    );
}

fn unknown(verdict: &Verdict, words: &str) {
    assert!(matches!(verdict, Verdict::Unknown { why } if why.contains(words)), "{verdict:?}");
}

#[test]
fn rows_are_in_backups_or_not() {
    let all = rows(2);
    let one = || file(300, &all[..1]);
    assert!(matches!(seen(vec![file(300, &all)], &all).dkg(), Verdict::Holds { .. }));
    assert!(matches!(seen(vec![one(), file(200, &all[1..])], &all).dkg(), Verdict::Holds { .. }));
    differs(&seen(vec![one()], &all).dkg(), &format!("not in any proven backup: {}", all[1].key));
    let mut failed = all.clone();
    failed[1].status = Status::Failed;
    differs(&seen(vec![file(300, &all)], &failed).dkg(), "(failed)");
    let mut migrated = seen(vec![file(300, &all)], &all);
    migrated.note.as_mut().unwrap().unsaved = vec!["epoch".into()];
    differs(&migrated.dkg(), "columns that no backup of rows has: epoch");
    differs(&seen(vec![file(300, &all)], &all[..1]).dkg(), "no signer deletes one");
    let mut altered = all.clone();
    altered[1].digest = "other".into();
    let both = vec![file(300, &all), file(200, &altered)];
    differs(&seen(both, &altered).dkg(), "no signer alters one");
    assert!(matches!(seen(Vec::new(), &[]).dkg(), Verdict::NotApplicable { .. }));
}

#[test]
fn who_has_not_looked_knows_nothing() {
    let all = rows(1);
    let mut late = seen(vec![file(300, &all)], &all);
    late.note.as_mut().unwrap().at = at(901);
    differs(&late.dkg(), "nobody has looked for new rows for");
    late.note.as_mut().unwrap().at = at(-5);
    unknown(&late.dkg(), "set back");
    late.note = None;
    unknown(&late.dkg(), "nobody has looked for rows since");
    late.up = TimeSpan::from_secs(901);
    differs(&late.dkg(), "nobody has looked for rows since");
    unknown(&late.chain(TimeSpan::from_secs(600)), "no node has been asked");
    late.saved = Err("no folder".into());
    unknown(&late.dkg(), "no folder");
    unknown(&late.chain(TimeSpan::from_secs(600)), "no folder");
}

#[test]
fn the_key_on_chain_is_in_a_proven_backup_or_not() {
    let every = TimeSpan::from_secs(600);
    let all = rows(3);
    let saved = || vec![file(300, &all[..1]), file(200, &all[..2])];
    assert!(matches!(asked(saved(), answer(Some(&all[1]))).chain(every), Verdict::Holds { .. }));
    differs(&asked(saved(), answer(Some(&all[2]))).chain(every), "none of the 2 rows has");
    unknown(&asked(saved(), answer(Some(&all[0]))).chain(every), "a rotation is pending");
    differs(&asked(saved(), answer(None)).chain(every), "has no key yet");
    differs(&asked(Vec::new(), answer(Some(&all[0]))).chain(every), "there are no DKG rows");
    // The newest backup's word on a row counts.
    let mut failed = all[..2].to_vec();
    failed[1].status = Status::Failed;
    let mut files = saved();
    files.push(file(100, &failed));
    differs(&asked(files, answer(Some(&all[1]))).chain(every), "whose row is failed");
    // An old answer proves no more that the key is the newest; what it lacks, is lacking still.
    let mut old = asked(saved(), answer(Some(&all[1])));
    old.now = at(-1800);
    unknown(&old.chain(every), "nobody has looked since");
    let mut old = asked(saved(), answer(Some(&all[2])));
    old.now = at(-1800);
    differs(&old.chain(every), "none of the 2 rows has");
    let mut stale = answer(Some(&all[1]));
    stale.said.burn_height = 1;
    unknown(&asked(saved(), stale).chain(every), "the node's word does not count");
    // Behind the signer or not, when that cannot be asked, is no pass; a table that a database does not have says nothing.
    let mut blind = asked(saved(), answer(Some(&all[1])));
    let note = blind.note.as_mut().unwrap();
    (note.height, note.heightless) = (None, Some("somebody holds a lock".into()));
    unknown(&blind.chain(every), "newest Bitcoin block is not: somebody holds a lock");
    blind.note.as_mut().unwrap().heightless = None;
    assert!(matches!(blind.chain(every), Verdict::Holds { .. }));
    let mut blind = asked(saved(), answer(Some(&all[2])));
    blind.note.as_mut().unwrap().heightless = Some("somebody holds a lock".into());
    differs(&blind.chain(every), "none of the 2 rows has");
}

#[test]
fn of_a_file_only_the_rows_count_against_which_nothing_was_found() {
    let all = rows(2);
    let check = |name: String, outcome| Check { name, outcome, text: String::new() };
    let held = check("dkg.rows".into(), Outcome::Pass);
    let flawed = check(format!("dkg.row/{}", all[0].key), Outcome::Fail);
    assert_eq!(good(&all, &[held.clone(), flawed.clone()]), all[1..]);
    assert_eq!(good(&all, &[held]), all);
    assert_eq!(good(&all, &[check("dkg.rows".into(), Outcome::Fail)]), []);
    assert_eq!(good(&all, &[check("dkg.columns".into(), Outcome::Fail)]), []);
    assert_eq!(print::changes(&all, &all), []);
}
