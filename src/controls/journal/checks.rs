//! What `journal` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `journal.config`
pub(super) const CONFIG: &CheckMeta = &CHECKS[0];
/// `journal.effective/<Key>`
pub(super) const EFFECTIVE: &CheckMeta = &CHECKS[1];
/// `journal.running`
pub(super) const RUNNING: &CheckMeta = &CHECKS[2];
/// `journal.persistent`
pub(super) const PERSISTENT: &CheckMeta = &CHECKS[3];

const LOGS: &[&str] = &["logs.90-days"];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "journal.config",
        title: "holdfast's drop-in for journald is in place, unchanged",
        severity: Severity::Medium,
        evidence: Evidence::Configured,
        practices: LOGS,
        why: "The drop-in is where the profile's journald settings are kept. If it is changed, removed or writable by \
              others, journald starts with other limits at the next boot and deletes logs sooner than it should.",
        source: "journald.conf(5)",
        fix: "holdfast apply writes /etc/systemd/journald.conf.d/zz-holdfast.conf again and restarts journald",
    },
    CheckMeta {
        id: "journal.effective",
        title: "journald's configuration files together amount to this value",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: LOGS,
        why: "journald merges its main file with the drop-ins of four folders, and the last assignment wins. A \
              hardening role that ships SystemMaxUse=10M in a later drop-in leaves days of logs where 90 are needed, \
              though the right value is still there to be read in another file.",
        source: "journald.conf(5); ansible-lockdown DEBIAN12-CIS ships SystemMaxUse=10M in journald.conf.d",
        fix: "Remove the assignment at the file and line shown, then: systemctl restart systemd-journald. holdfast \
              apply moves a later drop-in in /etc/systemd/journald.conf.d aside; one in /run or /usr/lib is left to \
              you",
    },
    CheckMeta {
        id: "journal.running",
        title: "journald was started after its configuration last changed",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: LOGS,
        why: "journald reads its configuration when it starts and at no other time, so a corrected file changes \
              nothing until journald is restarted.",
        source: "systemd-journald.service(8)",
        fix: "systemctl restart systemd-journald (services keep their connection to it; no message is lost)",
    },
    CheckMeta {
        id: "journal.persistent",
        title: "journald is seen to write to the disk",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: LOGS,
        why: "With Storage=persistent and a full, missing or read-only /var/log/journal, or before the journal was \
              flushed, journald quietly writes to memory, and the logs are gone after a reboot. This reads the head \
              of the journal file itself.",
        source: "systemd-journald.service(8); systemd.io/JOURNAL_FILE_FORMAT",
        fix: "Look for a full or read-only file system with df /var/log/journal, then: systemctl restart \
              systemd-journald && journalctl --flush",
    },
];
