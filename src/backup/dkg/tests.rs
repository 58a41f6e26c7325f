//! Rows of the tests' own generator, whole and with every fault planted that a row can have.

use std::sync::LazyLock;

use holdfast_test_dkg::{Group, Round, Status as Made, seal};
use prost::Message as _;
use zeroize::Zeroizing;

use super::*;
use crate::{
    backup::{chain::Status, curve::PublicKey},
    engine::check,
};

pub(super) const SIGNER: usize = 2;

/// Spoils a row.
type Plant<'a> = &'a dyn Fn(&mut holdfast_test_dkg::Row);

/// Made once: points are dear in a build that is not optimised.
pub(super) static ROUND: LazyLock<Round> = LazyLock::new(|| group().round(1));

/// This signer's row of it.
pub(super) static ROW: LazyLock<holdfast_test_dkg::Row> = LazyLock::new(|| ROUND.row(SIGNER));

pub(super) fn group() -> Group {
    Group::new("a", 5, 3)
}

/// What PostgreSQL would answer for a row.
pub(crate) fn row(made: &holdfast_test_dkg::Row) -> Row {
    Row::from_lines(&made.json()).unwrap().remove(0)
}

pub(super) fn key(group: &Group, signer: usize) -> SignerKey {
    SignerKey::from_bytes(Zeroizing::new(group.private_key(signer))).unwrap()
}

pub(super) fn open(row: &Row, key: &SignerKey) -> Result<(), Flaw> {
    row.check()?.open(key)
}

/// A row whose share was altered before it was encrypted.
fn altered(alter: impl Fn(&mut holdfast_test_dkg::SignerState)) -> Row {
    let mut state = ROUND.state(SIGNER);
    alter(&mut state);
    resealed(&state.encode_to_vec())
}

/// This signer's row with another text encrypted in it.
pub(super) fn resealed(plain: &[u8]) -> Row {
    let mut made = ROW.clone();
    made.encrypted_private_shares = seal(&group().private_key(SIGNER), &[7; 32], plain);
    row(&made)
}

#[test]
fn every_signers_row_opens_under_its_own_key_and_under_no_other() {
    for (signers, threshold) in [(1, 1), (2, 2), (5, 3), (14, 10)] {
        let group = Group::new("sizes", signers, threshold);
        let round = group.round(1);
        for signer in 0..signers as usize {
            let row = row(&round.row(signer));
            let own = key(&group, signer);
            assert_eq!(open(&row, &own), Ok(()), "{signer} of {signers}");
            let other = key(&group, (signer + 1) % signers as usize);
            if signers > 1 {
                assert_eq!(open(&row, &other), Err(Flaw::DoesNotOpen(other.public())));
            }
        }
    }
}

#[test]
fn keys_with_either_sign_are_proven() {
    let rounds: Vec<_> = (0..12).map(|number| group().round(number)).collect();
    for parity in [2, 3] {
        let rounds = rounds.iter().filter(|round| round.aggregate_key()[0] == parity);
        assert!(rounds.clone().count() > 0);
        for round in rounds {
            assert_eq!(open(&row(&round.row(SIGNER)), &key(&group(), SIGNER)), Ok(()));
        }
    }
}

#[test]
fn public_data_alone_do_not_tell_a_group_s_signers_apart_and_the_key_does() {
    let round = group().round(1);
    let theirs = row(&round.row(0));
    let own = key(&group(), SIGNER);
    let by_public = prove(std::slice::from_ref(&theirs), By::PublicKeys(&[own.public()]));
    assert_eq!(by_public, [Verdict::Whole { signer: own.public() }]);
    let by_key = prove(&[theirs], By::Keys(std::slice::from_ref(&own)));
    assert_eq!(by_key, [Verdict::Flawed(Flaw::DoesNotOpen(own.public()))]);
    assert!(by_key[0].to_string().ends_with("it is another signer's row, or damaged"));
}

#[test]
fn each_planted_fault_has_its_own_words() {
    let (good, other) = (&*ROW, group().round(2).row(SIGNER));
    let own = key(&group(), SIGNER);
    let stranger = Group::new("b", 5, 3);
    let cases: [(Plant<'_>, &str); 17] = [
        (
            &|row| row.aggregate_key.truncate(32),
            "its aggregate key is no key: it has 32 bytes and not 33",
        ),
        (
            &|row| row.aggregate_key[0] = 4,
            "its aggregate key is no key: it begins with 04 and not with 02 or 03",
        ),
        (
            &|row| row.script_pubkey.clone_from(&other.script_pubkey),
            "its script is not the taproot output of its aggregate key",
        ),
        (
            &|row| row.script_pubkey.truncate(33),
            "its script is not the taproot output of its aggregate key",
        ),
        (
            &|row| row.public_shares.clone_from(&other.public_shares),
            "its public shares do not add up to its aggregate key",
        ),
        (
            &|row| row.public_shares.clear(),
            "its public shares cannot be read: DkgPublicShares has 0 entries where it cannot have so many, or so few",
        ),
        (
            &|row| row.public_shares.truncate(100),
            "its public shares cannot be read: DkgPublicShares ends in the middle of a field",
        ),
        (
            &|row| row.public_shares.extend([0x12, 0]),
            "its public shares cannot be read: DkgPublicShares has a field 2 that this version does not know: it is damaged, or a newer signer's",
        ),
        (
            &|row| row.public_shares.extend_from_within(..),
            "its public shares cannot be read: DkgPublicShares has 6 entries where it cannot have so many, or so few",
        ),
        (
            &|row| row.signer_set_public_keys.reverse(),
            "its signer set is not sorted, or has a signer twice",
        ),
        (
            &|row| row.signer_set_public_keys[1].clear(),
            "signer 1 of its signer set is no key: it has 0 bytes and not 33",
        ),
        (
            &|row| row.signature_share_threshold = 2,
            "the polynomial of signer 0 has 3 coefficients, and the threshold is 2",
        ),
        (
            &|row| row.signature_share_threshold = -1,
            "its threshold is -1, and its signer set has 5",
        ),
        (&|row| row.signature_share_threshold = 6, "its threshold is 6, and its signer set has 5"),
        (
            &|row| row.encrypted_private_shares.truncate(27),
            "its encrypted share has 27 bytes, too few for any",
        ),
        (
            &|row| row.encrypted_private_shares.truncate(28),
            "it does not open under the key of OWN: it is another signer's row, or damaged",
        ),
        (
            &|row| *row = stranger.round(1).row(SIGNER),
            "the signer OWN is not in its signer set: it is a row of another group",
        ),
    ];
    for (plant, told) in cases {
        let mut made = good.clone();
        plant(&mut made);
        let flaw = open(&row(&made), &own).unwrap_err();
        assert_eq!(flaw.to_string(), told.replace("OWN", &own.public().to_string()));
    }
}

#[test]
fn a_share_that_opens_and_does_not_fit_is_found() {
    let round = &*ROUND;
    let own = key(&group(), SIGNER);
    let told = |row: &Row| open(row, &own).unwrap_err().to_string();
    let theirs = round.state(0).parties.remove(0);
    let later = group().round(2).state(SIGNER);

    let share = altered(|state| {
        let mut private = theirs.private_keys.clone();
        private[0].key_id = state.key_ids[0];
        state.parties[0].private_keys = private;
    });
    assert_eq!(
        told(&share),
        "it opens, and its share 3 does not fit the public shares: nobody could sign with it"
    );
    let whole_round = resealed(&later.encode_to_vec());
    assert!(told(&whole_round).starts_with("it opens, and its share is for the key 0"));
    let threshold = altered(|state| state.threshold = 4);
    assert_eq!(
        told(&threshold),
        "it opens, and its share is of a round with threshold 4, where the row has 3"
    );
    let of_another = altered(|state| state.id = 0);
    assert!(told(&of_another).contains("signer number 0, where the row has 2"));
    for row in [
        altered(|state| state.parties[0].private_keys.clear()),
        altered(|state| state.key_ids.clear()),
        altered(|state| state.key_ids = vec![1]),
        altered(|state| state.num_parties = 4),
        altered(|state| state.num_keys = 6),
        altered(|state| state.parties[0].private_keys[0].key_id = 1),
    ] {
        assert!(told(&row).starts_with("it opens, and its share is of a round with "));
    }
    for row in [
        altered(|state| state.parties.clear()),
        altered(|state| state.group_key = None),
        altered(|state| state.parties[0].private_keys[0].private_key = None),
        resealed(b""),
        resealed(&[0xff; 40]),
    ] {
        assert!(told(&row).starts_with("it opens, and its share cannot be read: "));
    }
}

#[test]
fn generations_of_the_key_open_the_rows_made_under_them() {
    let (old, new) = (Group::new("old", 3, 2), Group::new("new", 4, 3));
    let rows = [row(&old.round(1).row(0)), row(&new.round(2).row(1))];
    let keys = [key(&new, 1), key(&old, 0)];
    let under = |row: usize| Verdict::Opens { under: keys[1 - row].public() };
    assert_eq!(prove(&rows, By::Keys(&keys)), [under(0), under(1)]);
    let alone = prove(&rows, By::Keys(&keys[..1]));
    assert_eq!(alone[0], Verdict::Flawed(Flaw::NotInSet(keys[0].public())));
    assert_eq!(alone[1], under(1));
    // The key that is of the group tells more than the one that is not, whichever comes first.
    let (stranger, wrong) = (key(&new, 0), key(&old, 1));
    for keys in [[stranger, wrong], [key(&old, 1), key(&new, 0)]] {
        let verdicts = prove(&rows[..1], By::Keys(&keys));
        assert_eq!(verdicts, [Verdict::Flawed(Flaw::DoesNotOpen(key(&old, 1).public()))]);
    }
}

#[test]
fn no_key_is_no_proof_and_a_failed_round_is_no_fault() {
    let rows = [row(&group().round(1).row(SIGNER))];
    for by in [By::PublicKeys(&[]), By::Keys(&[])] {
        let verdict = prove(&rows, by).remove(0);
        assert!(matches!(verdict.judged(Status::Verified), check::Verdict::Unknown { .. }));
    }
    let stranger = key(&Group::new("b", 5, 3), 0);
    let flawed = prove(&rows, By::Keys(&[stranger])).remove(0);
    assert!(matches!(flawed.judged(Status::Verified), check::Verdict::Differs { .. }));
    assert!(matches!(flawed.judged(Status::Unverified), check::Verdict::Differs { .. }));
    assert!(matches!(flawed.judged(Status::Failed), check::Verdict::NotApplicable { .. }));
}

#[test]
fn rows_come_as_lines_and_go_back_as_they_came() {
    let mut made = group().round(1).row(SIGNER);
    made.status = Made::Unverified;
    let text = format!("{}\n{}\n", made.json(), group().round(2).row(0).json());
    let rows = Row::from_lines(&text).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].dkg_shares_status, Status::Unverified);
    assert_eq!(rows[0].encrypted_private_shares, made.encrypted_private_shares);
    assert_eq!(rows[0].created_at.to_string(), "2026-10-01T01:00:00.123456Z");
    assert_eq!(rows[0].key_row().unwrap().aggregate_key.bytes()[..], made.aggregate_key[..]);
    let again = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n");
    assert_eq!(Row::from_lines(&again.collect::<String>()).unwrap(), rows);
    assert!(Row::from_lines("").unwrap().is_empty());
}

#[test]
fn a_line_that_is_no_row_is_named_and_not_quoted() {
    let good = ROW.json();
    let share = good.split("\"encrypted_private_shares\" : \"").nth(1).unwrap()[..16].to_owned();
    for bad in [
        good.replace("verified", "void"),
        good.replacen('"', "'", 1),
        good.replace("\"aggregate_key\"", "\"key\""),
        good.replace(&share, &format!("{share}xx")),
        good.replace(": \"51", ": \"5g"),
        good[..good.len() - 9].to_owned(),
        "null".to_owned(),
    ] {
        let fault = Row::from_lines(&format!("{good}\n{bad}\n")).unwrap_err();
        assert_eq!(fault.to_string(), "row 2 of dkg_shares is not what was asked for");
        let cause = std::error::Error::source(&fault).unwrap().to_string();
        assert!(cause.len() < 500 && !cause.contains(&share), "{cause}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let round = group().round(1);
    let row = row(&round.row(SIGNER));
    let key = key(&group(), SIGNER);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let secrets = [hex(&group().private_key(SIGNER)), hex(&row.encrypted_private_shares)];
    let verdict = prove(std::slice::from_ref(&row), By::Keys(std::slice::from_ref(&key)));
    let printed = format!("{row:?} {key:?} {:?} {verdict:?}", row.check().unwrap());
    for secret in secrets {
        assert!(!printed.contains(&secret[..16]) && !printed.contains(&secret[32..48]));
    }
}

/// The keys of a group are those that a signer would derive.
#[test]
fn the_generator_and_holdfast_agree_on_public_keys() {
    for signer in 0..5 {
        let public = PublicKey::from_bytes(&group().public_key(signer)).unwrap();
        assert_eq!(key(&group(), signer).public(), public);
    }
}
