//! What is checked, and why.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// A new SSH connection gets in.
pub(super) const PATH: &CheckMeta = &CHECKS[0];
/// And will next week.
pub(super) const LASTING: &CheckMeta = &CHECKS[1];

/// Every check of the control.
pub(super) static CHECKS: [CheckMeta; 2] = [
    CheckMeta {
        id: "login.path",
        title: "A new SSH connection from where administrators come gets in",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: &["net.default-deny", "ops.redundancy"],
        why: "A firewall that drops everything by default and an sshd that takes keys only shut out their owner by one \
              wrong network, port or missing key, and the session that was open all the while does not show it. So \
              before anything is changed holdfast works out, for each source of login.from and for the address of the \
              session that is typing, whether a new connection would come past the blocklists and by an entry of \
              firewall.allow to a port on which sshd listens, and whether sshd would let an account in that has a shell \
              and a usable key or password. An apply after which none of them gets in is refused.",
        source: "Junos OS, commit confirmed; dev-sec/ansible-collection-hardening issue 187 and ansible-lockdown/UBUNTU22-CIS \
                 issue 65 (owners locked out by hardening); sshd_config(5), sshd(8) AUTHORIZED_KEYS FILE FORMAT",
        fix: "The finding names the piece that is missing: a source in an entry of [[firewall.allow]], the port sshd listens \
              on, a name in ssh.allow_users, a key in an account's authorized_keys. To go on in spite of it: holdfast apply \
              --despite login.path. That is right when you get in by a way that holdfast cannot see: the console of the \
              machine or its provider, accounts or keys from LDAP or a certificate authority, a VPN whose addresses are \
              not those of login.from. It is wrong when SSH is your only way; the roll-back of an unconfirmed apply is \
              then all that is left.",
    },
    CheckMeta {
        id: "login.lasting",
        title: "The way in does not end by itself within a week",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: &["net.default-deny", "ops.redundancy"],
        why: "An entry of firewall.allow with an `until` ends in the kernel, without anybody near. Where it is the only one \
              that lets an administrator in, that is a lock-out which no confirmation shortly after the change can show.",
        source: "holdfast's own rule: nothing that lets administrators in may end unannounced",
        fix: "Add an entry for the source that does not end, or put `until` off: edit the profile, then run: holdfast apply.",
    },
];
