//! What a rule of another table does to a packet that matters to ours.

use std::fmt;

use serde_json::Value;

/// Fields of a header that decide neither where a packet goes nor who gets it.
const MARKINGS: [&str; 5] = ["dscp", "ecn", "ttl", "hoplimit", "flowlabel"];

/// What a rule does to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Gives it another destination.
    Dnat,
    /// Sends it to this host, to another port, or to a program.
    Redirect,
    /// Hides it from connection tracking.
    Untracked,
    /// Sends it on, past everything.
    Forwarded,
    /// Writes into its headers.
    Rewritten,
    /// Hands it to a program, which may send it past every further rule (`NF_STOP`).
    Handed,
    /// Answers it in this host's stead, and then opens the connection from within (`synproxy`).
    Answered,
    /// Has connection tracking read along, and let in as "related" what was agreed upon (`ct helper`).
    Helped,
    /// Something of iptables' that nft does not show; with its name, if it has one.
    Hidden(String),
}

impl What {
    /// Whether an engine does so to publish a port.
    pub(super) const fn is_usual(&self) -> bool {
        matches!(self, Self::Dnat | Self::Hidden(_))
    }

    /// Whether it matters where our chains judge it and after, too.
    pub(super) const fn counts_late(&self) -> bool {
        matches!(self, Self::Rewritten | Self::Handed | Self::Answered | Self::Helped)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dnat => "gives packets another destination",
            Self::Redirect => "redirects packets",
            Self::Untracked => "hides packets from connection tracking",
            Self::Forwarded => "sends packets on before any firewall",
            Self::Rewritten => "writes into packets' headers",
            Self::Handed => "hands packets to a program, which may send them past every rule",
            Self::Answered => "answers in this host's stead, and connects from within",
            Self::Helped => "has related connections let in (a helper)",
            Self::Hidden(name) => return write!(f, "does what nft does not show{name}"),
        })
    }
}

/// What a statement does to a packet that the next one does not see as it came. iptables' own are told by their names.
pub(super) fn what(statement: &Value, is_last: bool) -> Option<What> {
    let (key, value) = statement.as_object()?.iter().next()?;
    match key.as_str() {
        "dnat" => Some(What::Dnat),
        "redirect" | "tproxy" => Some(What::Redirect),
        "notrack" => Some(What::Untracked),
        "fwd" => Some(What::Forwarded),
        "mangle" => {
            let field = value["key"].get("payload")?["field"].as_str().unwrap_or_default();
            (!MARKINGS.contains(&field)).then_some(What::Rewritten)
        }
        "queue" => Some(What::Handed),
        "synproxy" => Some(What::Answered),
        "ct helper" => Some(What::Helped),
        // A match or a target of iptables; nft 1.0.6 says no more, and only the last one of a rule can be a target.
        "xt" => match (value["type"].as_str(), value["name"].as_str()) {
            (Some("target"), Some("DNAT" | "NETMAP")) => Some(What::Dnat),
            (Some("target"), Some("REDIRECT" | "TPROXY")) => Some(What::Redirect),
            (Some("target"), Some("NOTRACK")) => Some(What::Untracked),
            (Some("target"), Some("NFQUEUE")) => Some(What::Handed),
            (Some("target"), Some("SYNPROXY")) => Some(What::Answered),
            (Some("target"), Some(name @ "CT")) => Some(What::Hidden(format!(" (target {name})"))),
            (None, _) if is_last => Some(What::Hidden(String::new())),
            _ => None,
        },
        _ => None,
    }
}
