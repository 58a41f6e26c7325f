//! What is checked, and why.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// The live table is the desired one.
pub(super) const RULESET: &CheckMeta = &CHECKS[0];
/// The kernel puts packets to it.
pub(super) const IN_PATH: &CheckMeta = &CHECKS[1];

/// It is known by which interfaces strangers come.
pub(super) const OUTSIDE: &CheckMeta = &CHECKS[4];
/// The configuration that an allow takes its ports from can be read.
pub(super) const FROM_CONFIG: &CheckMeta = &CHECKS[2];
/// Nothing can be reached that the profile does not declare.
pub(super) const EXPOSURE: &CheckMeta = &CHECKS[3];

/// It will be there after the next boot.
pub(super) const BOOT: &CheckMeta = &CHECKS[5];

/// Nobody has opened the host.
pub(super) const BREAK_GLASS: &CheckMeta = &CHECKS[6];

/// No other firewall is at work.
pub(super) const NEIGHBOURS: &CheckMeta = &CHECKS[7];

/// Nothing leads around the table.
pub(super) const BYPASS: &CheckMeta = &CHECKS[8];

/// The lists of blocked networks can be read.
pub(super) const BLOCKLISTS: &CheckMeta = &CHECKS[9];

/// Every check of the control.
pub(super) static CHECKS: [CheckMeta; 10] = [
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
        id: "firewall.from-config",
        title: "The ports that a service's own configuration names are known",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: &["net.p2p", "net.default-deny"],
        why: "An allow with from_config opens what the service's own configuration says. While that cannot be read nothing \
              is opened, so that peers may not reach the service; the rest of the firewall stands. What the configuration \
              newly says is opened by a person's apply only: whoever can write that file could otherwise open any port.",
        source: "sBTC signer best practices (listen_on is reachable, nothing else is)",
        fix: "Put right what is named (holdfast never writes that file), then run: holdfast plan, and holdfast apply. Where \
              the configuration is somewhere else, say config_file, env_file, unit or container in the allow; where it cannot be \
              read at all, say the ports under tcp and udp instead of from_config.",
    },
    CheckMeta {
        id: "firewall.exposure",
        title: "Nothing can be reached from outside that the profile does not declare",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: &["net.default-deny", "net.p2p"],
        why: "The rules say what may be let in; this says what is there to be reached: every listening socket and every \
              published container port, held against the rules that are in force now. While they are not provably in \
              force, everything that listens is open. `firewall.exposure/unfiltered` is about what no rule of this host \
              stands before: published ports where forwarded packets are not judged, and containers with an address of \
              their own (macvlan, ipvlan).",
        source: "sBTC signer best practices (only listen_on reachable, everything else denied); docs.docker.com, Packet \
                 filtering and firewalls (published ports bypass a firewall on the host)",
        fix: "Run: holdfast exposure. Where the firewall is not in force, run: holdfast apply. What should be reachable is \
              named in the profile, under [[firewall.allow]]; what should not is stopped or bound to 127.0.0.1. A container \
              with its own address is filtered in front of this host, or moved to a bridge network.",
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
        id: "firewall.boot",
        title: "The firewall is loaded at boot, before there is a network",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: &["net.default-deny"],
        why: "Rules live in the kernel and are gone after a reboot. A host that comes up without them is open from its \
              first packet on, at the very moment when nobody looks.",
        source: "systemd.special(7), network-pre.target; hardening guides of ANSSI (BP-028 R50 and R60) and CIS (nftables \
                 rules are permanent)",
        fix: "Run: holdfast apply. If the unit failed, journalctl -u holdfast-firewall.service says why; until then only \
              SSH is let in after a boot.",
    },
    CheckMeta {
        id: "firewall.break-glass",
        title: "Nobody has opened the host past its firewall",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: &["net.default-deny"],
        why: "While the host is open, everything that listens on it is offered to the whole Internet. A person may need \
              that for some minutes; an intruder would like it for longer.",
        source: "NIST SP 800-41 Rev. 1 (temporary rules are to end by themselves)",
        fix: "Run: holdfast firewall close. What holdfast itself opened ends when it says; what somebody else put into \
              the set is taken out by holdfast correct, and journalctl says who was logged in.",
    },
    CheckMeta {
        id: "firewall.neighbours",
        title: "No other firewall takes holdfast's rules away or decides beside them",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: &["net.default-deny"],
        why: "Debian's nftables.service flushes every table whenever it is started, stopped or reloaded; firewalld and ufw \
              load and delete rules of their own. Whoever acts last wins, and that may be a package upgrade at night.",
        source: "nftables(8) and Debian's nftables.service (ExecStop=nft flush ruleset); NixOS/nixpkgs issue 207058; \
                 firewalld issue 742",
        fix: "Move the rules to [firewall] in the profile, then mask the unit. Do not stop nftables.service first: \
              stopping it flushes every table, the containers' too.",
    },
    CheckMeta {
        id: "firewall.bypass",
        title: "No rule of another table leads packets around the firewall",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: &["net.default-deny"],
        why: "A rule in an earlier hook can send what was meant for a closed port to an open one, or hide it from \
              connection tracking; one in a later hook can rewrite what was let in already, answer in this host's stead, or hand it \
              to a program: each table then looks right, and a port answers that nobody declared.",
        source: "nft(8), hooks, NAT STATEMENTS, NOTRACK STATEMENT, SYNPROXY STATEMENT, QUEUE STATEMENT, CONNTRACK STATEMENT \
                 (ct helper), PAYLOAD EXPRESSION assignment",
        fix: "holdfast firewall tables shows whose each table is. If nobody needs the rule, find who loaded it (nft \
              monitor, journalctl) and delete it: nft delete rule FAMILY TABLE CHAIN handle N. If somebody does, say so \
              in a [[waiver]] with an end.",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_that_of_its_check() {
        let names = [
            (RULESET, "ruleset"),
            (IN_PATH, "in-path"),
            (OUTSIDE, "outside"),
            (FROM_CONFIG, "from-config"),
            (EXPOSURE, "exposure"),
            (BOOT, "boot"),
            (BREAK_GLASS, "break-glass"),
            (NEIGHBOURS, "neighbours"),
            (BYPASS, "bypass"),
            (BLOCKLISTS, "blocklists"),
        ];
        assert_eq!(names.len(), CHECKS.len());
        for (meta, name) in names {
            assert_eq!(meta.id, format!("firewall.{name}"));
        }
    }
}
