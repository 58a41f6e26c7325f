//! What `logs` can report.

use super::measured;
use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `logs.config/<source>`
pub(super) const CONFIG: &CheckMeta = &CHECKS[0];
/// `logs.effective/<source>`
pub(super) const EFFECTIVE: &CheckMeta = &CHECKS[1];
/// `logs.space`
pub(super) const SPACE: &CheckMeta = &CHECKS[2];
/// `logs.copy`
pub(super) const COPY: &CheckMeta = &CHECKS[3];
/// `logs.sealed`
pub(super) const SEALED: &CheckMeta = &CHECKS[4];

const LOGS: &[&str] = &["logs.90-days"];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "logs.config",
        title: "what holdfast sets up to keep this source's log is in place",
        severity: Severity::Medium,
        evidence: Evidence::Configured,
        practices: LOGS,
        why: "A file that its program writes grows until the disk is full unless it is rotated, and a rotation that \
              copies and truncates loses lines. A journal namespace has limits of its own, which are journald's \
              defaults unless they are set.",
        source: "logrotate(8); systemd-journald@.service(8); bitcoin/bitcoin src/init.cpp (HandleSIGHUP)",
        fix: "holdfast apply writes /etc/logrotate.d/holdfast-SOURCE or /etc/systemd/journald@NAMESPACE.conf.d again",
    },
    CheckMeta {
        id: "logs.effective",
        title: "this source's output really goes where it is kept",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: LOGS,
        why: "A container keeps the log driver it was made with, whatever daemon.json says since; fluentd and its like \
              leave nothing on the host. tee without -a empties its file at each start. bitcoind cuts its debug.log \
              to 10 MB at each start unless shrinkdebugfile=0.",
        source: "docs.docker.com, \"Configure logging drivers\"; bitcoin/bitcoin src/logging.cpp (ShrinkDebugFile); \
                 systemd.exec(5), StandardOutput=",
        fix: "Make the container anew with the journald driver; have units log to the journal; give tee -a; set \
              shrinkdebugfile=0 in bitcoin.conf and restart bitcoind",
    },
    CheckMeta {
        id: "logs.space",
        title: "the file system of the journal can hold what is to be kept",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: LOGS,
        why: "journald deletes by size before anything else. On a file system that is too small for the budget and \
              what is left free, or a budget too small for what is written in a day, logs are gone before their time \
              whatever else is configured. Limits lower than what a journal takes now would have journald delete the \
              rest as soon as they are applied, and no roll-back brings that back.",
        source: "journald.conf(5), SystemMaxUse= and SystemKeepFree=",
        fix: "Give /var/log a file system of the size that is named, or change logs.budget, or have less logged; where the \
              oldest entries may go, holdfast apply --despite logs.space",
    },
    CheckMeta {
        id: "logs.copy",
        title: "whether a syslog daemon keeps a second copy is known",
        severity: Severity::Low,
        evidence: Evidence::Configured,
        practices: LOGS,
        why: "rsyslog's files are a second copy with a retention of its own, four weeks as Debian has it. They are \
              neither the 90 days nor gone when the journal is cut.",
        source: "Debian's /etc/logrotate.d/rsyslog",
        fix: "Nothing need be done; apt-get purge rsyslog where one copy is enough",
    },
    CheckMeta {
        id: "logs.sealed",
        title: "journald has a key to seal its files with",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: LOGS,
        why: "Seal=yes is journald's default and does nothing without a key. With one, what was written more than a \
              sealing interval (15 minutes) ago cannot be changed unnoticed, not even by root.",
        source: "journald.conf(5), Seal=; journalctl(1), --setup-keys",
        fix: "journalctl --setup-keys, and keep the verification key that it prints away from this host",
    },
    measured::KEPT,
    measured::GAPS,
    measured::LOST,
    measured::FORECAST,
    measured::FILES,
];
