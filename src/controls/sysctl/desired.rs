//! The `[sysctl]` section as settings in the order in which they are made: pure.

use super::interfaces;
use crate::profile::schema;

/// A parameter and the value the profile wants for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Dotted, as people write it; the subject of the checks.
    pub(super) key: String,
    /// Below `/proc/sys`.
    pub(super) path: String,
    /// What it is to be, fields parted by single spaces.
    pub(super) value: String,
}

/// Changing one of these resets the parameters of every interface (`ip-sysctl.rst`), so they come first.
const RESETS_OTHERS: &[&str] = &["net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding"];

/// These cannot be taken back before the next reboot, so they come last, when all else has worked.
const ONE_WAY: &[&str] = &[
    "kernel/kexec_load_disabled",
    "kernel/modules_disabled",
    "kernel/unprivileged_bpf_disabled",
    "kernel/yama/ptrace_scope",
];

/// Whether setting this parameter resets others.
pub(super) fn resets_others(path: &str) -> bool {
    RESETS_OTHERS.contains(&path)
}

/// What the profile manages: what resets others first, `all` before `default` before single interfaces, what cannot
/// be taken back last.
pub(super) fn settings(section: &schema::Sysctl) -> Vec<Setting> {
    let mut settings: Vec<Setting> = section
        .values
        .iter()
        .map(|(key, value)| Setting {
            key: key.to_string(),
            path: key.path(),
            value: value.as_str().to_owned(),
        })
        .collect();
    settings.sort_by_key(|setting| (rank(&setting.path), setting.path.clone()));
    settings
}

fn rank(path: &str) -> u8 {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        _ if RESETS_OTHERS.contains(&path) => 0,
        _ if ONE_WAY.contains(&path) => 5,
        ["net", _, "conf" | "neigh", "all", ..] => 1,
        ["net", _, "conf" | "neigh", "default", ..] => 2,
        ["net", _, "conf" | "neigh", ..] => 3,
        _ => 4,
    }
}

/// The file for the next boot; `None` when there is nothing to set.
pub(super) fn render<'a>(settings: impl IntoIterator<Item = &'a Setting>) -> Option<String> {
    let settings: Vec<&Setting> = settings.into_iter().collect();
    if settings.is_empty() {
        return None;
    }
    let mut text = "# Written by holdfast from the profile's [sysctl] section. Do not edit: change the profile.\n"
        .to_owned();
    // `sysctl --system` goes line by line, so patterns come before the keys that are exempt from them.
    for setting in &settings {
        if let Some(pattern) = interfaces::pattern(setting) {
            text.push_str(&format!("{pattern} = {}\n", setting.value));
        }
    }
    for Setting { key, value, .. } in &settings {
        text.push_str(&format!("{key} = {value}\n"));
    }
    Some(text)
}

/// Whether two values are the same to the kernel.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let mut fields = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (fields.0.next(), fields.1.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => {
                let numbers = (one.parse::<i64>(), other.parse::<i64>());
                if !matches!(numbers, (Ok(one), Ok(other)) if one == other) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
