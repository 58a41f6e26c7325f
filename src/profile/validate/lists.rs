//! `[services]` and `[sysctl]`: units wanted in two states, and values that break the host.

use super::At;
use crate::profile::diagnostic::Diagnostic;
use crate::profile::schema::{Services, Sysctl};
use crate::profile::types::UnitName;

/// Units without which a host cannot be reached or seen into.
const VITAL: &[&str] = &["ssh.service", "systemd-journald.service", "dbus.service"];

pub(super) fn services(services: &Services, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let lists = [
        ("enabled", services.enabled.as_deref()),
        ("disabled", services.disabled.as_deref()),
        ("masked", services.masked.as_deref()),
    ];
    let mut seen: Vec<(&UnitName, &str, At<'_>)> = Vec::new();
    for (key, units) in lists {
        let units = units.unwrap_or_default();
        super::distinct(units, at.key(key), found);
        for (index, unit) in units.iter().enumerate() {
            let here = at.key(key).item(index);
            if let Some((_, other, first)) =
                seen.iter().find(|(known, list, _)| *known == unit && *list != key)
            {
                found.push(
                    Diagnostic::error(
                        here.span,
                        format!("`{unit}` is in `{other}` and in `{key}`"),
                    )
                    .and(first.span, format!("in `{other}` here"))
                    .help("a unit stands in one list only"),
                );
            }
            if key != "enabled" && VITAL.contains(&unit.as_str()) {
                let message = format!("without `{unit}` this host cannot be managed");
                found.push(
                    Diagnostic::warning(here.span, message)
                        .help(format!("take it out of `{key}` unless that is meant")),
                );
            }
            seen.push((unit, key, here));
        }
    }
}

pub(super) fn sysctl(sysctl: &Sysctl, at: At<'_>, found: &mut Vec<Diagnostic>) {
    for (key, value) in &sysctl.values {
        let path = key.path();
        let forwards = path == "net/ipv4/ip_forward"
            || (path.starts_with("net/ipv4/conf/") || path.starts_with("net/ipv6/conf/"))
                && path.ends_with("/forwarding");
        if forwards && value.as_str() == "0" {
            let span = at.key("values").key(&key.to_string()).span;
            found.push(
                Diagnostic::warning(span, "containers lose their network without forwarding")
                    .help("leave it out: the firewall decides what is forwarded"),
            );
        }
    }
}
