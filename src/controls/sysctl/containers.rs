//! Container engines and what they need of the kernel: detected, and never fought over.
//!
//! Docker and its like turn forwarding on; a hardening tool that turns it off breaks every container, and Docker turns
//! it on again at its next start. Where an engine is here, such settings are neither checked nor written.

use futures_util::future::join_all;

use super::desired::Setting;
use crate::host::Reader;

/// Units by which an engine is known. One that is installed and neither enabled nor active does not count.
const UNITS: &[&str] = &[
    "docker.service",
    "docker.socket",
    "containerd.service",
    "podman.service",
    "podman.socket",
    "crio.service",
    "k3s.service",
    "kubelet.service",
    "lxc-net.service",
    "incus.service",
];

/// Beginnings of the names of bridges that engines make.
const BRIDGES: &[&str] = &["docker", "podman", "cni", "lxcbr", "incusbr"];

/// Docker's own networks: `br-` and twelve hexadecimal digits.
fn is_docker_network(interface: &str) -> bool {
    interface
        .strip_prefix("br-")
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Why a setting would break containers; `None`: it does not.
pub(super) fn broken_by(setting: &Setting) -> Option<&'static str> {
    let parts: Vec<&str> = setting.path.split('/').collect();
    match (parts.as_slice(), setting.value.as_str()) {
        (
            ["net", "ipv4", "ip_forward"] | ["net", "ipv4" | "ipv6", "conf", _, "forwarding"],
            "0",
        ) => Some("need forwarding"),
        (["net", "bridge", name], "0") if name.starts_with("bridge-nf-call-") => {
            Some("need their bridges' packets filtered")
        }
        (["net", "ipv4", "conf", _, "rp_filter"], "1") => Some("may answer by another interface"),
        _ => None,
    }
}

/// A container engine that is in use on this host, by what gives it away.
pub(super) async fn engine(host: &Reader, interfaces: &[String]) -> Option<String> {
    let bridge = interfaces.iter().find(|name| {
        BRIDGES.iter().any(|start| name.starts_with(start)) || is_docker_network(name)
    });
    if let Some(bridge) = bridge {
        return Some(format!("interface {bridge}"));
    }
    let found = join_all(UNITS.iter().map(|name| is_in_use(host, name))).await;
    UNITS.iter().zip(found).find(|(_, is_in_use)| *is_in_use).map(|(name, _)| (*name).to_owned())
}

async fn is_in_use(host: &Reader, name: &str) -> bool {
    let asked = async { host.systemd().await?.unit(name).await };
    match asked.await {
        Ok(unit) => {
            unit.is_running() || matches!(unit.file.as_str(), "enabled" | "enabled-runtime")
        }
        // Without a bus the links that enable it still tell.
        Err(_) => ["multi-user.target.wants", "sockets.target.wants"]
            .iter()
            .any(|dir| host.files().exists(&format!("/etc/systemd/system/{dir}/{name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_break_containers_are_known() {
        let cases = [
            ("net/ipv4/ip_forward", "0", true),
            ("net/ipv4/ip_forward", "1", false),
            ("net/ipv6/conf/all/forwarding", "0", true),
            ("net/ipv4/conf/eth0/forwarding", "0", true),
            ("net/bridge/bridge-nf-call-iptables", "0", true),
            ("net/bridge/bridge-nf-call-iptables", "1", false),
            ("net/ipv4/conf/all/rp_filter", "1", true),
            ("net/ipv4/conf/all/rp_filter", "2", false),
            ("net/ipv4/conf/all/accept_redirects", "0", false),
        ];
        for (path, value, breaks) in cases {
            let setting = Setting { key: path.into(), path: path.into(), value: value.into() };
            assert_eq!(broken_by(&setting).is_some(), breaks, "{path}={value}");
        }
    }

    #[test]
    fn docker_networks_are_told_from_other_bridges() {
        assert!(is_docker_network("br-0123456789ab"));
        assert!(!is_docker_network("br-lan"));
        assert!(!is_docker_network("br-0123456789xy"));
    }
}
