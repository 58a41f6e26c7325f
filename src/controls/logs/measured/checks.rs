//! What can be reported of what is measured.

use crate::engine::check::{CheckMeta, Evidence, Severity};

const LOGS: &[&str] = &["logs.90-days"];

/// `logs.kept`, of the whole journal, and `logs.kept/<source>`
pub(in crate::controls::logs) const KEPT: CheckMeta = CheckMeta {
    id: "logs.kept",
    title: "entries as old as the retention are really there",
    severity: Severity::High,
    evidence: Evidence::Behavioural,
    practices: LOGS,
    why: "Settings promise nothing: journald deletes by size long before it deletes by age, and a file system that fills \
          up shortens every retention. The oldest entry of a source is what proves how long its logs are kept. A source \
          younger than its retention cannot prove it yet, and the day from which it can is said.",
    source: "the published practice: \"retain at least 90 days of logs\"; journald.conf(5)",
    fix: "Give the journal more room or more files ([logs] budget, [journal]); entries that are gone cannot be had back, \
          so the check passes when the retention has gone by since. Where they are kept elsewhere, waive it until then",
};

/// `logs.gaps`, of the whole journal, and `logs.gaps/<source>`
pub(in crate::controls::logs) const GAPS: CheckMeta = CheckMeta {
    id: "logs.gaps",
    title: "no silence is longer than allowed",
    severity: Severity::Medium,
    evidence: Evidence::Behavioural,
    practices: LOGS,
    why: "A signer that writes nothing for days has stopped, or its log has. Where everybody was silent at once, the host \
          was off or a part of the journal is gone. Either way these are the days that nobody can look into afterwards.",
    source: "the published practice: \"retain at least 90 days of logs\"",
    fix: "Find out what happened then. Where silence is usual for this source, set max_gap; where it is explained, waive \
          the check until the gap is older than the retention",
};

/// `logs.lost/<source>`
pub(in crate::controls::logs) const LOST: CheckMeta = CheckMeta {
    id: "logs.lost",
    title: "journald has thrown none of this source's messages away",
    severity: Severity::Medium,
    evidence: Evidence::Behavioural,
    practices: LOGS,
    why: "journald takes so many messages of one service in so much time (10,000 in 30 s, more where there is much room), \
          and drops the rest. All containers whose output goes to the journal share what docker.service may write.",
    source: "journald.conf(5), RateLimitIntervalSec=; moby/moby#35653",
    fix: "Raise rate_limit_burst or set rate_limit_interval = \"0s\" in [journal]; what was dropped cannot be had back",
};

/// `logs.forecast`
pub(in crate::controls::logs) const FORECAST: CheckMeta = CheckMeta {
    id: "logs.forecast",
    title: "what is written today will still be there when its retention ends",
    severity: Severity::High,
    evidence: Evidence::Behavioural,
    practices: LOGS,
    why: "At the rate observed the journal reaches a limit on a certain day: what it may use, how many files it may have, or \
          what others leave of the file system. From then on the oldest entries go. A chain that grows on the same file \
          system takes the logs' room without a word.",
    source: "journald.conf(5), SystemMaxUse=, SystemKeepFree=, SystemMaxFiles=",
    fix: "Before that day: give the journal more room, put /var/log/journal or the chain on a file system of its own, or \
          make whatever writes too much say less",
};

/// `logs.files`
pub(in crate::controls::logs) const FILES: CheckMeta = CheckMeta {
    id: "logs.files",
    title: "the journal is on disk, no file of it is missing, and all can be read",
    severity: Severity::High,
    evidence: Evidence::Behavioural,
    practices: LOGS,
    why: "What is in a damaged journal file may be lost, and a journal in memory is gone at the next boot. journald \
          numbers its entries: where numbers are missing between two files, somebody has removed one. Entries from the \
          future tell of a clock that was wrong: nothing can be said of when they were written.",
    source: "systemd.io/JOURNAL_FILE_FORMAT; systemd-journald.service(8)",
    fix: "journalctl --verify --file=FILE says more; copy what journalctl --file=FILE still prints, then move the file \
          away. Look into the disk's health. Find out who removed a file that is missing, and waive the check until that is \
          older than the retention. A file from the future goes on being one: move it away once it has been looked at. For a \
          journal in memory: [journal] storage = \"persistent\"",
};
