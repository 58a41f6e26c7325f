//! The fixed part of every check of this control: what `holdfast explain` prints.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// Whoever gets in reaches everything else, the key included.
const PRACTICES: &[&str] = &["access.hardware-2fa", "access.least-privilege", "key.access"];

/// All of them, in the order in which they are judged.
pub(super) static CHECKS: [CheckMeta; 5] = [
    CheckMeta {
        id: "ssh.config",
        title: "holdfast's sshd drop-in is in place and sshd_config includes it",
        severity: Severity::High,
        evidence: Evidence::Configured,
        practices: PRACTICES,
        why: "sshd keeps the first value it meets. cloud-init writes 50-cloud-init.conf with \
              `PasswordAuthentication yes`, and hosts whose own setting came later in the alphabet were broken into \
              with guessed passwords. 00-holdfast.conf is read before it.",
        source: "sshd_config(5): \"the first obtained value will be used\"; \
                 https://github.com/hetzneronline/community-content/issues/1177",
        fix: "holdfast apply. Where sshd_config has no Include, put `Include /etc/ssh/sshd_config.d/*.conf` in its \
              first line: holdfast does not edit that file.",
    },
    CheckMeta {
        id: "ssh.valid",
        title: "sshd accepts the configuration on the disk",
        severity: Severity::Critical,
        evidence: Evidence::Effective,
        practices: PRACTICES,
        why: "A running sshd keeps the configuration it has read, so a broken file is not felt until the next restart \
              or reboot, and then nobody gets in any more.",
        source: "sshd(8), -t; https://github.com/ansible-lockdown/UBUNTU22-CIS/issues/170",
        fix: "Run `sshd -t`: it names the file and line. Put that right, then `holdfast apply`. holdfast never reloads \
              sshd into a configuration that fails this.",
    },
    CheckMeta {
        id: "ssh.effective",
        title: "sshd would use the profile's value for this keyword, for every login that is tried",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: PRACTICES,
        why: "A file says what somebody wanted; another file, read earlier, or a `Match` block decides otherwise. A \
              `Match` is invisible to a plain `sshd -T`, so sshd is asked for each admitted user and source.",
        source: "sshd_config(5), Match; sshd(8), -T and -C; CIS Debian 12 Benchmark, 5.1",
        fix: "`sshd -T -C user=NAME,host=ADDR,addr=ADDR,laddr=ADDR,lport=22 | grep KEYWORD` shows the same. `holdfast \
              apply` sets aside a drop-in that overrides the profile; what /etc/ssh/sshd_config itself overrides, \
              take out of it by hand.",
    },
    CheckMeta {
        id: "ssh.running",
        title: "The running sshd has read the configuration on the disk",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: PRACTICES,
        why: "Files can be right while the sshd that answers still uses what it read before, or was started with \
              options (`-o`, `-f`) that override every file.",
        source: "sshd(8): SIGHUP and command-line options; systemd's ExecMainStartTimestamp and ExecReload of ssh.service",
        fix: "`systemctl reload ssh` keeps open sessions. Options come from /etc/default/ssh or a unit drop-in \
              (`systemctl cat ssh`): take them out and `systemctl restart ssh`.",
    },
    CheckMeta {
        id: "ssh.wire",
        title: "ssh.service's sshd answers on this port and offers only the profile's algorithms",
        severity: Severity::High,
        evidence: Evidence::Behavioural,
        practices: PRACTICES,
        why: "What answers on the port is what counts: another program there, or a server that offers other \
              algorithms than its files say, is seen only by talking to it. One connection per port and run, from \
              127.104.102.x; sshd logs it as closed before authentication.",
        source: "RFC 4253, sections 4.2 and 7.1",
        fix: "`ss -ltnp` says who listens. `ssh -vv -p PORT localhost` prints what is offered (\"peer server KEXINIT \
              proposal\").",
    },
];

pub(super) static CONFIG: &CheckMeta = &CHECKS[0];
pub(super) static VALID: &CheckMeta = &CHECKS[1];
pub(super) static EFFECTIVE: &CheckMeta = &CHECKS[2];
pub(super) static RUNNING: &CheckMeta = &CHECKS[3];
pub(super) static WIRE: &CheckMeta = &CHECKS[4];
