//! What `services` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `services.enabled/<unit>`
pub(super) const ENABLED: &CheckMeta = &CHECKS[0];
/// `services.disabled/<unit>`
pub(super) const DISABLED: &CheckMeta = &CHECKS[1];
/// `services.masked/<unit>`
pub(super) const MASKED: &CheckMeta = &CHECKS[2];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "services.enabled",
        title: "this unit starts at boot and is running",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: &["updates.prompt", "db.daily-backup"],
        why: "Updates, backups, time and logs each hang on a unit. One that was stopped, masked, or enabled only until \
              the next reboot fails silently, and is missed on the day it is needed.",
        source: "systemctl(1), is-enabled",
        fix: "systemctl unmask UNIT; systemctl enable --now UNIT; if it does not stay up: systemctl status UNIT",
    },
    CheckMeta {
        id: "services.disabled",
        title: "this unit neither starts at boot nor runs",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: &["net.default-deny", "access.least-privilege"],
        why: "Every daemon that runs is one more thing that can be attacked from beside the key. A disabled one can \
              still be started by its socket or timer, which is said where it is so.",
        source: "systemctl(1), is-enabled; ANSSI BP-028 R62",
        fix: "systemctl disable --now UNIT; where other units pull it in, list it under `masked` instead",
    },
    CheckMeta {
        id: "services.masked",
        title: "nothing can start this unit",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: &["net.default-deny", "access.least-privilege"],
        why: "A disabled unit comes back when its socket is touched, another unit asks for it, or its package is \
              upgraded. A masked one does not.",
        source: "systemctl(1), mask",
        fix: "systemctl mask --now UNIT; a unit file of its own in /etc/systemd/system has to be moved away first",
    },
];
