//! What is checked, and why.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// The live table is the desired one.
pub(super) const RULESET: &CheckMeta = &CHECKS[0];
/// The kernel puts packets to it.
pub(super) const IN_PATH: &CheckMeta = &CHECKS[1];

/// It is known by which interfaces strangers come.
pub(super) const OUTSIDE: &CheckMeta = &CHECKS[2];

/// The lists of blocked networks can be read.
pub(super) const BLOCKLISTS: &CheckMeta = &CHECKS[3];

/// Every check of the control.
pub(super) static CHECKS: [CheckMeta; 4] = [
    CheckMeta {
        id: "firewall.ruleset",
        title: "The kernel's firewall rules are exactly those of the profile",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: &["net.default-deny", "net.p2p"],
        why: "Whatever listens on a port that is open is offered to the whole Internet: PostgreSQL, a node's RPC, a \
              forgotten test server. One rule added by hand, by a package or by an intruder is enough, and one rule \
              missing cuts the signer off from its peers, or you from the host.",
        source: "sBTC signer best practices (only listen_on reachable, everything else denied); NIST SP 800-41 Rev. 1 \
                 (block what is not expressly permitted); RFC 4890 section 4.4 (the ICMPv6 a host needs)",
        fix: "See who changed it (nft -a list table inet holdfast; nft monitor; journalctl), then run: holdfast apply. A \
              port that should be open is named in the profile, under [[firewall.allow]].",
    },
    CheckMeta {
        id: "firewall.in-path",
        title: "Packets to this host are put to the firewall",
        severity: Severity::Critical,
        evidence: Evidence::Behavioural,
        practices: &["net.default-deny"],
        why: "Rules that are listed are not yet rules that decide: a table that is dormant, in another network namespace \
              or behind something that takes packets away before it, lists just as well. holdfast sends itself \
              a packet over loopback and looks whether the table's own counter has seen it.",
        source: "nft(8), COUNTER STATEMENT and table flag dormant",
        fix: "Run: holdfast apply. If the count stays at 0 while the host has traffic, look for what takes packets away \
              first: nft list ruleset (hooks ingress and prerouting), and whether holdfast runs in the host's own network \
              namespace.",
    },
    CheckMeta {
        id: "firewall.outside",
        title: "It is known which interfaces lead outside",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: &["net.default-deny"],
        why: "What a container publishes is judged only where it enters by an interface that leads outside: what \
              containers send to each other and to the world must pass. Without a name for the outside, every published \
              port is open, whatever the profile says.",
        source: "nft(8), meta iifname; Docker: Packet filtering and firewalls (published ports do not meet the input chain)",
        fix: "Name the interface, as `ip route get 192.0.2.1` shows it: outside = [\"eth0\"] under [firewall]. Then run: \
              holdfast apply.",
    },
    CheckMeta {
        id: "firewall.blocklists",
        title: "The lists of blocked networks can be read",
        severity: Severity::Medium,
        evidence: Evidence::Configured,
        practices: &["net.default-deny"],
        why: "A list that is half read blocks half of those it names, and nobody notices. So one broken line is one too \
              many: nothing is changed until the list is whole.",
        source: "nft(8), SETS",
        fix: "Each broken line is named with file, line and column: mend it, or drop the entry of [[firewall.block]].",
    },
];
