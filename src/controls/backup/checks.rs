//! What `backup` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `backup.dkg/<name>`
pub(super) const DKG: &CheckMeta = &CHECKS[0];
/// `backup.chain/<name>`
pub(super) const CHAIN: &CheckMeta = &CHECKS[1];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "backup.dkg",
        title: "every DKG row of the signer is in a backup that was proven",
        severity: Severity::Critical,
        evidence: Evidence::Behavioural,
        practices: &["db.daily-backup", "db.verify-restore"],
        why: "A share that is lost cannot be made again, by nobody: the group has to run a new round. A row appears within \
              minutes of a rotation, and a daily backup is up to a day too late for it. A row that is altered or gone is \
              no work of a signer's.",
        source: "stacks-sbtc/sbtc signer/migrations/0003 and 0012; issues 1746 and 1832",
        fix: "systemctl start holdfast-backup-watch@NAME; see what it says: holdfast backup watch NAME",
    },
    CheckMeta {
        id: "backup.chain",
        title: "the aggregate key on chain is the newest verified one of a proven backup",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: &["db.verify-restore"],
        why: "A backup that is older than the last rotation, or of another database, restores without an error and cannot \
              sign for the funds.",
        source: "\"Best practices for running a sBTC signer\"; stacks-sbtc/sbtc contracts/contracts/sbtc-registry.clar \
                 (get-current-aggregate-pubkey)",
        fix: "holdfast backup run NAME; if no row has the key, this signer took no part in the last round",
    },
];
