//! Every verdict, and what no arrangement of rows may come to.

use k256::{ProjectivePoint, Scalar};
use proptest::prelude::*;

use super::*;

/// A key like any other: `n` times the generator.
fn key(n: u64) -> PublicKey {
    PublicKey::of(&(ProjectivePoint::GENERATOR * Scalar::from(n))).unwrap()
}

fn row(n: u64, status: Status, second: i64) -> KeyRow {
    let created = Timestamp::from_second(1_780_000_000 + second).unwrap();
    KeyRow { aggregate_key: key(n), status, created }
}

fn verdict(rows: &[KeyRow], on_chain: u64) -> Verdict {
    compare(rows, OnChain::Key(key(on_chain)), None)
}

use Status::{Failed, Unverified, Verified};

#[test]
fn the_newest_verified_key_is_the_one_that_counts() {
    let rows = [row(2, Verified, 2), row(1, Verified, 1), row(3, Failed, 3)];
    assert_eq!(verdict(&rows, 2), Verdict::Equal { key: key(2), unverified: None });
    assert_eq!(verdict(&rows, 1), Verdict::RotationPending { on_chain: key(1), newest: key(2) });
    assert_eq!(verdict(&rows, 3), Verdict::NotVerified { on_chain: key(3), status: Failed });
    assert_eq!(verdict(&rows, 4), Verdict::Absent { on_chain: key(4), rows: 3 });
}

#[test]
fn a_round_under_way_is_told_and_is_no_fault() {
    let rows = [row(1, Verified, 1), row(2, Unverified, 2)];
    let equal = verdict(&rows, 1);
    assert_eq!(equal, Verdict::Equal { key: key(1), unverified: Some(key(2)) });
    assert!(equal.to_string().ends_with("is not verified yet: back up again when it is"));
    // Once the chain has it, that backup restores to a row that a signer gives up.
    assert_eq!(verdict(&rows, 2), Verdict::NotVerified { on_chain: key(2), status: Unverified });
    // An older one that never was verified is of no interest.
    let rows = [row(1, Unverified, 1), row(2, Verified, 2)];
    assert_eq!(verdict(&rows, 2), Verdict::Equal { key: key(2), unverified: None });
}

#[test]
fn rows_that_are_no_use_need_no_node() {
    let judge = |rows: &[KeyRow]| compare(rows, OnChain::Key(key(1)), Some(Doubt::NotSynced));
    assert_eq!(judge(&[]), Verdict::NoRows);
    let none = [row(1, Unverified, 1), row(2, Failed, 2), row(3, Failed, 3)];
    assert_eq!(judge(&none), Verdict::NoneVerified { unverified: 1, failed: 2 });
    assert_eq!(verdict(&none[1..], 1), Verdict::NoneVerified { unverified: 0, failed: 2 });
    assert_eq!(verdict(&none, 1), Verdict::NotVerified { on_chain: key(1), status: Unverified });
}

#[test]
fn a_node_that_lags_is_not_believed_even_when_it_agrees() {
    let rows = [row(1, Verified, 1)];
    for on_chain in [OnChain::Key(key(1)), OnChain::Key(key(2)), OnChain::NotBootstrapped] {
        let verdict = compare(&rows, on_chain, Some(Doubt::Behind(100_000)));
        assert_eq!(verdict, Verdict::StaleNode(Doubt::Behind(100_000)));
        assert!(matches!(verdict.judged(), check::Verdict::Unknown { .. }));
    }
}

#[test]
fn no_key_on_chain_is_another_deployer() {
    let rows = [row(1, Verified, 1)];
    let verdict = compare(&rows, OnChain::NotBootstrapped, None);
    assert_eq!(verdict, Verdict::NotBootstrapped);
    assert!(matches!(verdict.judged(), check::Verdict::Differs { .. }));
}

fn rows() -> impl Strategy<Value = Vec<KeyRow>> {
    let status = prop::sample::select(vec![Unverified, Verified, Failed]);
    let parts = prop::collection::vec((status, 0i64..5), 0..6);
    parts.prop_map(|parts| {
        let rows = parts.into_iter().zip(1..);
        rows.map(|((status, second), n)| row(n, status, second)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// It holds when the key of the newest verified row is on chain and the node is to be believed, and never else.
    #[test]
    fn it_holds_for_one_reason_only(rows in rows(), on_chain in 1u64..8, synced in any::<bool>()) {
        let doubt = (!synced).then_some(Doubt::NotSynced);
        let verdict = compare(&rows, OnChain::Key(key(on_chain)), doubt);
        let holds = matches!(verdict.judged(), check::Verdict::Holds { .. });
        let verified = || rows.iter().filter(|row| row.status == Verified);
        let newest = verified().max_by_key(|row| (row.created, row.aggregate_key));
        let is_on_chain = newest.is_some_and(|row| row.aggregate_key == key(on_chain));
        prop_assert_eq!(holds, synced && is_on_chain, "{:?}", verdict);
    }

    /// The order in which a database gives its rows does not count.
    #[test]
    fn the_order_of_the_rows_does_not_count(rows in rows(), on_chain in 1u64..8) {
        let mut turned = rows.clone();
        turned.reverse();
        prop_assert_eq!(verdict(&rows, on_chain), verdict(&turned, on_chain));
    }
}
