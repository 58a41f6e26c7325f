//! What `sysctl` can report.

use crate::engine::check::{CheckMeta, Evidence, Severity};

/// `sysctl.config`
pub(super) const CONFIG: &CheckMeta = &CHECKS[0];
/// `sysctl.boot/<key>`
pub(super) const BOOT: &CheckMeta = &CHECKS[1];
/// `sysctl.live/<key>`
pub(super) const LIVE: &CheckMeta = &CHECKS[2];
/// `sysctl.interfaces/<key>`
pub(super) const INTERFACES: &CheckMeta = &CHECKS[3];

const KEY: &[&str] = &["key.access"];

pub(super) static CHECKS: &[CheckMeta] = &[
    CheckMeta {
        id: "sysctl.config",
        title: "holdfast's file of kernel parameters is in place, unchanged",
        severity: Severity::Medium,
        evidence: Evidence::Configured,
        practices: KEY,
        why: "The file is where the profile's kernel parameters are kept for the next boot. If it is changed, removed \
              or writable by others, the host comes up from its next reboot without them.",
        source: "sysctl.d(5)",
        fix: "holdfast apply writes /etc/sysctl.d/zz-holdfast.conf again",
    },
    CheckMeta {
        id: "sysctl.boot",
        title: "at the next boot this kernel parameter will be set to this value",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: KEY,
        why: "systemd-sysctl takes the files of four folders together by their names, and the last assignment wins. A \
              package or a person that drops a later file in undoes a parameter at the next reboot, while the value \
              that is live today still looks right.",
        source: "sysctl.d(5), systemd-sysctl.service(8)",
        fix: "Remove the assignment at the file and line shown. holdfast apply moves a later file in /etc/sysctl.d \
              aside; one in /run or /usr/lib, and a masked systemd-sysctl.service, are left to you",
    },
    CheckMeta {
        id: "sysctl.live",
        title: "this kernel parameter has this value now",
        severity: Severity::High,
        evidence: Evidence::Effective,
        practices: KEY,
        why: "Kernel parameters are what keeps a compromised process from reading another one's memory, kernel \
              addresses and redirected traffic. Only the live value counts, and anything that runs as root can \
              change it without touching a file.",
        source: "proc_sys_kernel(5), Documentation/admin-guide/sysctl; ANSSI BP-028 R9, R12, R14",
        fix: "sysctl -w KEY=VALUE, or holdfast apply. A few parameters only go one way until the next reboot \
              (kernel.modules_disabled, kernel.kexec_load_disabled, kernel.unprivileged_bpf_disabled=1, \
              kernel.yama.ptrace_scope=3): no roll-back can take those back",
    },
    CheckMeta {
        id: "sysctl.interfaces",
        title: "what `all` says about interfaces holds on each of them",
        severity: Severity::Medium,
        evidence: Evidence::Effective,
        practices: KEY,
        why: "net.ipv4.conf.all.… is only half of what the kernel looks at: for some parameters the larger of `all` \
              and the interface counts, for others either of them is enough, and net.ipv6.conf.all.accept_redirects \
              has no effect at all on interfaces that exist. A host with all=0 may still accept redirects on eth0. \
              Interfaces of container engines are left to their engine.",
        source: "Documentation/networking/ip-sysctl.rst; include/linux/inetdevice.h (IN_DEV_ORCONF, IN_DEV_MAXCONF)",
        fix: "sysctl -w on the interface shown, or holdfast apply, which also writes a pattern for interfaces to come",
    },
];
