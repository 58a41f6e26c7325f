//! The `[journal]` section as journald's own settings: pure.

use super::{merge::Key, values::Kind};
use crate::profile::schema::Journal;

/// A setting and the value the profile wants for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Which setting.
    pub(super) key: Key,
    /// Its value, as it is written to the drop-in.
    pub(super) value: String,
}

/// What the profile manages, in the order of journald.conf(5).
pub(super) fn wishes(journal: &Journal) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut add = |name, kind, value: Option<String>| {
        let alias = (name == "RateLimitIntervalSec").then_some("RateLimitInterval");
        let key = Key { name, alias, kind };
        wishes.extend(value.map(|value| Wish { key, value }));
    };
    let yes_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
    add("Storage", Kind::Word, journal.storage.map(|s| s.as_str().to_owned()));
    add("Compress", Kind::Compress, journal.compress.map(yes_no));
    add("Seal", Kind::Bool, journal.seal.map(yes_no));
    add("RateLimitIntervalSec", Kind::Span, journal.rate_limit_interval.map(|s| s.to_string()));
    add("RateLimitBurst", Kind::Count, journal.rate_limit_burst.map(|n| n.to_string()));
    add("SystemMaxUse", Kind::Size, journal.max_use.map(|s| s.to_string()));
    add("SystemKeepFree", Kind::Size, journal.keep_free.map(|s| s.to_string()));
    add("SystemMaxFileSize", Kind::Size, journal.max_file_size.map(|s| s.to_string()));
    add("SystemMaxFiles", Kind::Count, journal.max_files.map(|n| n.to_string()));
    add("MaxRetentionSec", Kind::Span, journal.max_retention.map(|s| s.to_string()));
    add("MaxFileSec", Kind::Span, journal.max_file_age.map(|s| s.to_string()));
    add("ForwardToSyslog", Kind::Bool, journal.forward_to_syslog.map(yes_no));
    wishes
}

/// The drop-in; `None` when the section manages nothing.
pub(super) fn render(wishes: &[Wish]) -> Option<String> {
    if wishes.is_empty() {
        return None;
    }
    let mut text = "# Written by holdfast from the profile's [journal] and [logs] sections. Do not edit: change the profile.\n\
                    [Journal]\n"
        .to_owned();
    for Wish { key, value } in wishes {
        text.push_str(&format!("{}={value}\n", key.name));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::schema::Storage;

    #[test]
    fn every_wish_is_one_that_journald_reads() {
        let all = Journal {
            mode: crate::profile::schema::Mode::Enforce,
            storage: Some(Storage::Persistent),
            max_use: Some("20G".parse().unwrap()),
            keep_free: Some("5G".parse().unwrap()),
            max_file_size: Some("128M".parse().unwrap()),
            max_files: Some(1000),
            max_file_age: Some("1d".parse().unwrap()),
            max_retention: Some("180d".parse().unwrap()),
            rate_limit_interval: Some("30s".parse().unwrap()),
            rate_limit_burst: Some(100_000),
            forward_to_syslog: Some(false),
            compress: Some(true),
            seal: Some(true),
        };
        let wishes = wishes(&all);
        assert_eq!(wishes.len(), 12);
        for Wish { key, value } in &wishes {
            assert!(key.kind.read(value).is_some(), "{key:?} {value}");
        }
        let text = render(&wishes).unwrap();
        assert!(text.contains("\n[Journal]\nStorage=persistent\nCompress=yes\n"), "{text}");
        assert!(text.ends_with("MaxFileSec=1d\nForwardToSyslog=no\n"), "{text}");
    }

    #[test]
    fn an_empty_section_has_no_drop_in() {
        assert_eq!(render(&wishes(&Journal::default())), None);
    }
}
