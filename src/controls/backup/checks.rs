//! What `backup` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `backup.age/<name>`
pub(super) const AGE: &CheckMeta = &CHECKS[0];
/// `backup.proof/<name>`
pub(super) const PROOF: &CheckMeta = &CHECKS[1];
/// `backup.drill/<name>`
pub(super) const DRILL: &CheckMeta = &CHECKS[2];
/// `backup.shelf/<name>`
pub(super) const SHELF: &CheckMeta = &CHECKS[3];
/// `backup.dkg/<name>`
pub(super) const DKG: &CheckMeta = &CHECKS[4];
/// `backup.chain/<name>`
pub(super) const CHAIN: &CheckMeta = &CHECKS[5];
/// `backup.units/<name>`
pub(super) const UNITS: &CheckMeta = &CHECKS[6];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "backup.age",
        title: "the newest proven backup is young enough",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: &["db.daily-backup"],
        why: "A backup job that stopped weeks ago looks like one that works until the day it is needed. What counts is \
              how old the newest file is that was opened, restored and judged, not how a job ended.",
        source: "Best practices for running a sBTC signer: daily backup of the signer's PostgreSQL",
        fix: "holdfast backup run NAME; if it fails, it says why; systemctl list-timers 'holdfast-backup@*'",
    },
    CheckMeta {
        id: "backup.proof",
        title: "nothing was found against the newest backup",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: &["db.verify-restore"],
        why: "A dump can be whole and worth nothing: of the schema alone, of another signer, of a database that has lost \
              its DKG rows, or one that the server it is of does not take. Each is restored and judged as it is made; the newest one tells of the database as it is now.",
        source: "Best practices for running a sBTC signer: verify backups by restoring them",
        fix: "holdfast backup list NAME, and mend in the database what the failed check names; older backups are kept. Of one \
              that does not come back into its own server: apt-get install postgresql-client-N, N as that server's, from \
              apt.postgresql.org where Debian has none; holdfast backup run NAME",
    },
    CheckMeta {
        id: "backup.drill",
        title: "all of a backup was restored and checked lately",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: &["db.verify-restore"],
        why: "Only a whole restore builds every index and key, and tells how long recovery takes. The quick proof of every \
              day does neither.",
        source: "Best practices for running a sBTC signer: verify backups by restoring them; PostgreSQL's documentation of pg_amcheck",
        fix: "holdfast backup run --drill NAME; systemctl list-timers 'holdfast-backup-drill@*'",
    },
    CheckMeta {
        id: "backup.shelf",
        title: "no backup is missing, altered or in another's place",
        severity: Severity::Critical,
        evidence: Evidence::Configured,
        practices: &["db.daily-backup", "db.verify-restore"],
        why: "age does not say who made a file, and files can be deleted. Each manifest is signed by this host and names \
              the one before it, so that whoever removes or replaces one leaves a gap.",
        source: "https://words.filippo.io/dispatches/age-authentication/",
        fix: "holdfast backup list NAME; fetch the file from where the backups are copied to, and find out who did it; what is gone for good: holdfast \
              backup forget NAME ID --reason TEXT (first with --dry-run)",
    },
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
    CheckMeta {
        id: "backup.units",
        title: "what makes the backups is installed, unaltered, and did not fail",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: &["db.daily-backup"],
        why: "A unit file in /etc, or a drop-in that sets more than who is told, limits and credentials, makes backups something \
              else without touching the package. A run that failed made none, and shows in the ages only a day later.",
        source: "systemd.unit(5), \"Unit File Load Path\"",
        fix: "systemctl cat UNIT; remove what is in the way; systemctl daemon-reload; systemctl start holdfast-backup@NAME",
    },
];
