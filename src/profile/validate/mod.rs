//! What is wrong with a profile whose every value is good by itself: values that contradict each
//! other, and values that do not do what their author must think they do.
//!
//! Contradictions are errors; what is probably not meant is a warning. Each points at the text,
//! which it finds by walking the tree the profile was read from.

mod access;
mod backup;
mod firewall;
mod journal;
mod lists;
mod logs;
mod pull;

use jiff::{Timestamp, civil, tz::TimeZone};

use super::diagnostic::Diagnostic;
use super::schema::Profile;
use super::source::Span;
use super::tree::Node;

/// Finds what is wrong. `complete` says that nothing had to be left out of the profile, so that
/// what is absent is really absent.
pub(crate) fn validate(
    profile: &Profile,
    tree: &Node,
    today: civil::Date,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) {
    let at = At::top(tree);
    if let Some(section) = &profile.firewall {
        let now = today.to_zoned(TimeZone::UTC).map_or(Timestamp::MIN, |day| day.timestamp());
        firewall::validate(section, at.key("firewall"), now, complete, found);
        firewall::others(section, at.key("firewall"), found);
    }
    if let Some(section) = &profile.journal {
        journal::validate(section, profile.logs.as_ref(), at.key("journal"), found);
    }
    if let Some(section) = &profile.logs {
        logs::validate(section, at.key("logs"), complete, found);
        logs::with_journal(section, profile.journal.as_ref(), at, found);
    }
    if let Some(section) = &profile.ssh {
        access::validate(section, at.key("ssh"), found);
    }
    if let Some(section) = &profile.services {
        lists::services(section, at.key("services"), found);
    }
    if let Some(section) = &profile.sysctl {
        lists::sysctl(section, at.key("sysctl"), found);
    }
    backup::validate(profile, at.key("backup"), today, complete, found);
    if let Some(section) = &profile.pull {
        pull::validate(profile, section, at, complete, found);
    }
    access::people(profile, at, found);
    access::waivers(profile, at, today, complete, found);
    if complete {
        firewall::reachable(profile, at, found);
    }
}

/// A place in the tree.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    node: Option<&'a Node>,
    span: Span,
}

impl<'a> At<'a> {
    /// The top of a document.
    pub(crate) fn top(tree: &'a Node) -> Self {
        Self { node: Some(tree), span: tree.span }
    }

    /// Where it is written.
    pub(crate) fn span(self) -> Span {
        self.span
    }

    /// The value of a key; the table itself when there is none.
    pub(crate) fn key(self, key: &str) -> Self {
        match self.node.and_then(|node| node.get(key)) {
            Some(node) => Self { node: Some(node), span: node.span },
            None => Self { node: None, ..self },
        }
    }

    /// An item of a list; the list itself when there is none.
    pub(crate) fn item(self, at: usize) -> Self {
        match self.node.and_then(|node| node.items().get(at)) {
            Some(node) => Self { node: Some(node), span: node.span },
            None => Self { node: None, ..self },
        }
    }

    /// The key as it is written in this table.
    fn key_span(self, key: &str) -> Span {
        let entry = self.node.and_then(Node::table).and_then(|table| table.get(key));
        entry.map_or(self.span, |entry| entry.key)
    }
}

/// Complains of items that stand in a list twice.
pub(crate) fn distinct<T: PartialEq + ToString>(
    items: &[T],
    at: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    for (index, item) in items.iter().enumerate() {
        if let Some(first) = items[..index].iter().position(|other| other == item) {
            let message = format!("`{}` stands in this list twice", item.to_string());
            found.push(
                Diagnostic::error(at.item(index).span, message)
                    .and(at.item(first).span, "first here")
                    .help("leave one of them out"),
            );
        }
    }
}
