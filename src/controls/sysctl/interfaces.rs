//! What `net.ipv4.conf.all.…` really amounts to on each interface: pure.
//!
//! The kernel combines `all` with the interface's own value, each parameter in its own way (`ip-sysctl.rst`,
//! `include/linux/inetdevice.h`). Only parameters that no container engine sets for itself are looked at, and none
//! that could cut a host off (`accept_ra`).

use super::desired::Setting;

/// How the kernel combines `all` with an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Combined {
    /// The larger one counts.
    Max,
    /// The smaller one counts.
    Min,
    /// One of them is enough.
    Either,
    /// One of them is enough, or, where packets are forwarded, both are needed.
    Redirects,
    /// `all` does not count at all.
    Alone,
}

const RULES: &[(&str, &str, Combined)] = &[
    ("ipv4", "accept_redirects", Combined::Redirects),
    ("ipv4", "accept_source_route", Combined::Min),
    ("ipv4", "log_martians", Combined::Either),
    ("ipv4", "rp_filter", Combined::Max),
    ("ipv4", "secure_redirects", Combined::Either),
    ("ipv4", "send_redirects", Combined::Either),
    ("ipv6", "accept_redirects", Combined::Alone),
    ("ipv6", "accept_source_route", Combined::Min),
];

/// Beginnings of the names of interfaces that a container engine or a hypervisor makes and sets up itself.
const ENGINES_OWN: &[&str] = &[
    "veth", "docker", "br-", "podman", "cni", "cali", "flannel", "lxc", "incus", "virbr", "vnet",
    "tap",
];

/// A setting of `all` that has a meaning for every interface, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForAll {
    family: String,
    name: &'static str,
    rule: Combined,
    /// What each interface is to amount to.
    wanted: i64,
}

/// Takes a setting apart; `None` for one that is not about all interfaces.
pub(super) fn for_all(setting: &Setting) -> Option<ForAll> {
    let parts: Vec<&str> = setting.path.split('/').collect();
    let ["net", family, "conf", "all", name] = parts.as_slice() else { return None };
    let rule = RULES.iter().find(|(of, rule, _)| of == family && rule == name)?;
    let wanted = setting.value.parse().ok()?;
    Some(ForAll { family: (*family).to_owned(), name: rule.1, rule: rule.2, wanted })
}

/// The pattern by which interfaces to come get the value too, where theirs counts.
pub(super) fn pattern(setting: &Setting) -> Option<String> {
    let all = for_all(setting)?;
    let counts = (0..=all.highest()).any(|own| !all.holds(all.wanted, own, false));
    counts.then(|| format!("net.{}.conf.*.{}", all.family, all.name))
}

/// Whether an interface is one that a container engine or a hypervisor sets up, or no way in.
pub(super) fn is_left_alone(interface: &str) -> bool {
    interface == "lo" || ENGINES_OWN.iter().any(|start| interface.starts_with(start))
}

impl ForAll {
    /// The path of this parameter for an interface, below `/proc/sys`.
    pub(super) fn path(&self, interface: &str) -> String {
        format!("net/{}/conf/{interface}/{}", self.family, self.name)
    }

    /// The path of what says whether an interface forwards.
    pub(super) fn forwarding(&self, interface: &str) -> String {
        format!("net/{}/conf/{interface}/forwarding", self.family)
    }

    fn highest(&self) -> i64 {
        if self.rule == Combined::Max { 2 } else { 1 }
    }

    /// What `all` and an interface's own value amount to.
    pub(super) fn amounts_to(&self, all: i64, own: i64, forwards: bool) -> i64 {
        let either = i64::from(all != 0 || own != 0);
        let both = i64::from(all != 0 && own != 0);
        match self.rule {
            Combined::Max => all.max(own),
            Combined::Min => all.min(own),
            Combined::Redirects if forwards => both,
            Combined::Either | Combined::Redirects => either,
            Combined::Alone => own,
        }
    }

    /// Whether that is what is wanted. Refusing more source routes than asked for is as good.
    pub(super) fn holds(&self, all: i64, own: i64, forwards: bool) -> bool {
        let amount = self.amounts_to(all, own, forwards);
        amount == self.wanted || (self.rule == Combined::Min && amount < self.wanted)
    }

    /// Whether an interface's own value has to change once `all` is as wanted.
    pub(super) fn must_be_set(&self, own: i64, forwards: bool) -> bool {
        !self.holds(self.wanted, own, forwards)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(path: &str, value: &str) -> Setting {
        Setting { key: path.replace('/', "."), path: path.into(), value: value.into() }
    }

    #[test]
    fn all_and_the_interface_are_combined_as_the_kernel_does() {
        // parameter, wanted, all, own, forwards: what it amounts to, whether it holds
        let cases = [
            ("net/ipv4/conf/all/accept_redirects", 0, 0, 1, false, 1, false),
            ("net/ipv4/conf/all/accept_redirects", 0, 0, 1, true, 0, true),
            ("net/ipv4/conf/all/accept_redirects", 0, 0, 0, false, 0, true),
            ("net/ipv4/conf/all/send_redirects", 0, 0, 1, false, 1, false),
            ("net/ipv4/conf/all/log_martians", 1, 1, 0, false, 1, true),
            ("net/ipv4/conf/all/rp_filter", 1, 1, 2, false, 2, false),
            ("net/ipv4/conf/all/rp_filter", 2, 2, 1, false, 2, true),
            ("net/ipv4/conf/all/accept_source_route", 0, 0, 1, false, 0, true),
            ("net/ipv6/conf/all/accept_source_route", 0, 0, -1, false, -1, true),
            ("net/ipv6/conf/all/accept_redirects", 0, 0, 1, false, 1, false),
        ];
        for (path, wanted, all, own, forwards, amount, holds) in cases {
            let rule = for_all(&setting(path, &wanted.to_string())).unwrap();
            assert_eq!(rule.amounts_to(all, own, forwards), amount, "{path}");
            assert_eq!(rule.holds(all, own, forwards), holds, "{path}");
        }
    }

    #[test]
    fn a_pattern_is_written_where_the_interface_counts() {
        let cases = [
            ("net/ipv4/conf/all/accept_redirects", "0", Some("net.ipv4.conf.*.accept_redirects")),
            ("net/ipv6/conf/all/accept_redirects", "0", Some("net.ipv6.conf.*.accept_redirects")),
            ("net/ipv4/conf/all/rp_filter", "1", Some("net.ipv4.conf.*.rp_filter")),
            ("net/ipv4/conf/all/rp_filter", "2", None),
            ("net/ipv4/conf/all/log_martians", "1", None),
            ("net/ipv4/conf/all/accept_source_route", "0", None),
            ("net/ipv6/conf/all/accept_ra", "0", None),
            ("net/ipv4/conf/default/accept_redirects", "0", None),
            ("kernel/dmesg_restrict", "1", None),
        ];
        for (path, value, expected) in cases {
            assert_eq!(pattern(&setting(path, value)).as_deref(), expected, "{path} {value}");
        }
    }
}
