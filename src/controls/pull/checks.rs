//! What `pull` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `pull.account`
pub(super) const ACCOUNT: &CheckMeta = &CHECKS[0];
/// `pull.store`
pub(super) const STORE: &CheckMeta = &CHECKS[1];
/// `pull.config`
pub(super) const CONFIG: &CheckMeta = &CHECKS[2];
/// `pull.keys`
pub(super) const KEYS: &CheckMeta = &CHECKS[3];
/// `pull.effective`
pub(super) const EFFECTIVE: &CheckMeta = &CHECKS[4];
/// `pull.path`
pub(super) const PATH: &CheckMeta = &CHECKS[5];
/// `pull.session`
pub(super) const SESSION: &CheckMeta = &CHECKS[6];

const PRACTICES: &[&str] = &["db.daily-backup", "access.least-privilege"];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "pull.account",
        title: "the account that fetches backups has no shell, no password, no other group and no uid of another's",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: PRACTICES,
        why: "Its key lies on another host. Whoever gets hold of that host must get what the account is for and \
              nothing else: no shell, no other group's files, no other account's processes.",
        source: "sshd_config(5), ForceCommand and ChrootDirectory; passwd(5); shadow(5)",
        fix: "holdfast apply makes an account that is missing. One that was changed: usermod -s /usr/sbin/nologin -L \
              -G '' holdfast-pull",
    },
    CheckMeta {
        id: "pull.store",
        title: "the folder that is served is one sshd locks an account into, and only finished files are in it",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: PRACTICES,
        why: "sshd refuses the login where anybody but root could write to a folder on the way. And what lies in the \
              served folder is read from outside: a file that somebody put there leaves this host with the next pull.",
        source: "sshd_config(5), ChrootDirectory",
        fix: "holdfast apply makes the folders and sets their modes. What does not belong there, move away by hand.",
    },
    CheckMeta {
        id: "pull.config",
        title: "sshd's drop-in for the account is in place and sshd_config includes it",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: PRACTICES,
        why: "It is what makes of a key a way to fetch backups and to do nothing else. It is read before every other \
              drop-in, because sshd keeps the first value it meets.",
        source: "sshd_config(5), Match",
        fix: "holdfast apply. Where sshd_config has no Include, put `Include /etc/ssh/sshd_config.d/*.conf` in its \
              first line: holdfast does not edit that file.",
    },
    CheckMeta {
        id: "pull.keys",
        title: "the keys that fetch backups are the profile's, from the profile's networks",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: PRACTICES,
        why: "A key too many reads every backup from now on and nobody notices; a key too few, and no backup leaves \
              this host any more.",
        source: "sshd(8), AUTHORIZED_KEYS FILE FORMAT",
        fix: "holdfast apply writes /etc/ssh/holdfast-pull.keys again",
    },
    CheckMeta {
        id: "pull.effective",
        title: "sshd would let the account list and read finished backups, and nothing else",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: PRACTICES,
        why: "A file says what somebody wanted. A `Match` that sshd reads earlier, or a list of those who may not log \
              in, decides otherwise; so sshd is asked what it would do with this very account.",
        source: "sshd(8), -T and -C; sshd_config(5)",
        fix: "`sshd -T -C user=holdfast-pull,host=ADDR,addr=ADDR,laddr=ADDR,lport=22` shows the same; take what \
              overrides it out of /etc/ssh/sshd_config",
    },
    CheckMeta {
        id: "pull.path",
        title: "the profile's firewall lets those who fetch reach sshd",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: &["db.daily-backup"],
        why: "A section that names who fetches opens no port: where no entry of firewall.allow does, or a block lists them, \
              no backup leaves this host.",
        source: "holdfast's own rule: nothing but [firewall] opens a port",
        fix: "Name the sources of pull.from in an entry of [[firewall.allow]] for sshd's port, then: holdfast apply.",
    },
    CheckMeta {
        id: "pull.session",
        title: "whoever fetches backups has logged in within the time that the profile allows",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: &["db.daily-backup"],
        why: "A timer on another host that stopped, or a key that it lost, is noticed on neither side until the backups \
              are needed. Here it can only be seen that nobody came; that all of it arrived is seen there.",
        source: "sd-messages(3), SD_MESSAGE_SESSION_START: systemd-logind notes each login in the journal",
        fix: "On the host that fetches: systemctl list-timers; then what its service says. `journalctl \
              USER_ID=holdfast-pull` here shows the logins. It takes libpam-systemd.",
    },
];
