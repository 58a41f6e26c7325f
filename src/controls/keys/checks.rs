//! What `keys` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `keys.export/<name>`
pub(super) const EXPORT: &CheckMeta = &CHECKS[0];
/// `keys.drill/<name>`
pub(super) const DRILL: &CheckMeta = &CHECKS[1];
/// `keys.copies/<name>`
pub(super) const COPIES: &CheckMeta = &CHECKS[2];
/// `keys.proof/<name>`
pub(super) const PROOF: &CheckMeta = &CHECKS[3];

const PRACTICES: &[&str] = &["key.cold-backup"];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "keys.export",
        title: "the key was exported into cold storage, and both signed the record of it",
        severity: Severity::Critical,
        evidence: Evidence::Behavioural,
        practices: PRACTICES,
        why: "A key that is on this host alone is gone with its disk, and so is what it signs for. That a copy was meant to be \
              made is no copy: what counts is a ceremony whose every medium was read back and opened, with a record that \
              two people signed and nobody altered.",
        source: "\"Best practices for running a sBTC signer\": keep an offline, secure backup of your private key",
        fix: "docs/key-ceremony.md; holdfast key inspect shows what there is. One that was interrupted, given up or made by strangers \
              has left copies: find and destroy them, then holdfast key retire. Who signed one and has left stays in [[people]], \
              with `until`. A record that is damaged is looked at by people; only then its folder is moved out of \
              /var/lib/holdfast/ceremonies",
    },
    CheckMeta {
        id: "keys.drill",
        title: "the key was opened from cold storage lately",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: PRACTICES,
        why: "A copy is worth what came of opening it the last time. Sticks forget, paper fades, people move and lose \
              identities; each shows in a drill, and without one on the day when the key is needed.",
        source: "\"Best practices for running a sBTC signer\": keep an offline, secure backup of your private key; NIST SP \
                 800-57 Part 1 Rev. 5, 6.2.2.3 (availability of backed up keys)",
        fix: "holdfast key drill CEREMONY --medium DIR --identity FILE; an export that counts no more: holdfast key retire",
    },
    CheckMeta {
        id: "keys.copies",
        title: "each copy was seen to be good, and none failed when it was last tried",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: PRACTICES,
        why: "That one copy opens says nothing of the others. One that failed stays failed until this very copy opens, and \
              paper that nobody has read again may never have been printed well.",
        source: "oxidecomputer/offline-keystore, issue 77: the first shares that were printed for real were mangled, and it was \
                 found out later",
        fix: "holdfast key drill CEREMONY with that medium or --paper; if it stays bad, another ceremony, and holdfast key retire \
              for this one. Of an altered medium read and run nothing: what is beside the envelopes is for the worst of days",
    },
    CheckMeta {
        id: "keys.proof",
        title: "each custodian has shown lately that they can open",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: PRACTICES,
        why: "An envelope for somebody who has lost their identity, or never had it, is no copy. Who could open is known only \
              of those who did.",
        source: "hashicorp/vault, issue 8278: every holder, and not just enough of them, should prove that they can decrypt",
        fix: "holdfast key prove CEREMONY CUSTODIAN; for one without an ssh_key in the plan, a drill of their copy",
    },
];
