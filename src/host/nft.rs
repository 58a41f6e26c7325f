//! holdfast's own nftables table: reading it, and seeing what a desired one looks like once a kernel has loaded it.
//!
//! nft rewrites what it is given (sets merged, flags sorted, defaults printed), and differently in each version. So a
//! desired table is loaded by this very nft into this very kernel, in a network namespace that lives for a few
//! milliseconds, and listed back; two listings can then be compared as they are (reference: hardening.md §2.2).

use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

pub use super::break_glass::Element;
use super::{HostError, break_glass, process};

/// The family and name of the only table holdfast touches.
pub const TABLE: [&str; 2] = ["inet", "holdfast"];

/// The set of protocols that a person let in for a time; see `controls::firewall::break_glass`.
pub const BREAK_GLASS: &str = "break-glass";

/// The live table, as nft lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnTable {
    /// There is none.
    Absent,
    /// nft's JSON listing, raw: counters, handles and all.
    Json(Value),
    /// nft could list it only as text: version 1.0.6 prints stray memory for the flags of a table, which is not always
    /// JSON.
    TextOnly(String),
}

/// How nft is to list the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// JSON, with counters, in numbers.
    Json,
    /// Text that nft reads back the same wherever it runs: in numbers, so that `/etc/protocols` does not decide how it
    /// looks; with what is left of the time of elements (and so with counters).
    Exact,
    /// Text for people: without counters, with nft's own words for states and ICMP types.
    Words,
    /// The same without the elements of sets, however many these are: to name rules by.
    Rules,
}

impl Listing {
    fn args(self) -> Vec<&'static str> {
        let mut args = match self {
            Self::Json => vec!["-j", "-n"],
            Self::Exact => vec!["-n"],
            Self::Words => vec!["-s"],
            // See `DECLARED`.
            Self::Rules => return vec!["-s", "-t", "list", "ruleset", TABLE[0]],
        };
        args.extend(["list", "table", TABLE[0], TABLE[1]]);
        args
    }
}

/// The live table of the current network namespace.
///
/// # Errors
/// When nft is missing, not permitted, or says anything but "there is no such table".
pub async fn own_table() -> Result<OwnTable, HostError> {
    let output = process::run("nft", &Listing::Json.args(), None).await?;
    if is_absent(&output) {
        return Ok(OwnTable::Absent);
    }
    if output.code != Some(0) {
        return Err(output.failure());
    }
    if let Ok(json) = serde_json::from_slice(&output.stdout) {
        return Ok(OwnTable::Json(json));
    }
    let text = own_table_text(Listing::Exact).await?;
    Ok(text.map_or(OwnTable::Absent, OwnTable::TextOnly))
}

/// The arguments that list all tables without the elements of their sets; those of sets within rules are there. It costs
/// the same however much is in the sets: `list ruleset` is the one command for which every nft leaves the elements with
/// the kernel.
pub const DECLARED: [&str; 5] = ["-j", "-n", "-t", "list", "ruleset"];

/// What nft printed, as JSON.
///
/// # Errors
/// When it failed, or printed something else.
pub fn as_json(output: process::Output) -> Result<Value, HostError> {
    let command = output.command.clone();
    serde_json::from_slice(&output.success()?)
        .map_err(|source| HostError::NotJson { command, source })
}

/// holdfast's own table in a listing of all; `None` when it is no such listing.
pub fn own_of(listing: &Value) -> Option<OwnTable> {
    let objects = listing.get("nftables").and_then(Value::as_array)?;
    let is_table = |object: &Value| {
        object["table"]["family"] == TABLE[0] && object["table"]["name"] == TABLE[1]
    };
    if !objects.iter().any(is_table) {
        return Some(OwnTable::Absent);
    }
    let is_ours = |object: &Value| {
        let body = object.as_object().and_then(|object| object.values().next());
        body.is_some_and(|body| body["family"] == TABLE[0] && body["table"] == TABLE[1])
    };
    let ours: Vec<Value> =
        objects.iter().filter(|object| is_ours(object) || is_table(object)).cloned().collect();
    Some(OwnTable::Json(json!({ "nftables": ours })))
}

/// The live table as nft lists it; `None` when there is none.
///
/// # Errors
/// As [`own_table`].
pub async fn own_table_text(listing: Listing) -> Result<Option<String>, HostError> {
    let output = process::run("nft", &listing.args(), None).await?;
    if is_absent(&output) {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.success()?).into_owned();
    Ok(match listing {
        // What is let in for a time is no state to go back to.
        Listing::Exact => Some(break_glass::shut(&text)),
        Listing::Rules => own_text_of(&text),
        Listing::Json | Listing::Words => Some(text),
    })
}

/// holdfast's own table in a text listing of several: a closing brace at the margin ends a table.
fn own_text_of(listing: &str) -> Option<String> {
    let head = format!("table {} {} {{\n", TABLE[0], TABLE[1]);
    let mut lines = listing.split_inclusive('\n').skip_while(|line| *line != head);
    let mut text = lines.next()?.to_owned();
    for line in lines {
        text.push_str(line);
        if line.trim_end() == "}" && !line.starts_with(char::is_whitespace) {
            return Some(text);
        }
    }
    None
}

/// Whether nft says that there is no such table. A program that cannot be loaded also says "No such file or directory"
/// (of a library), but never in nft's own form.
pub(super) fn is_absent(output: &process::Output) -> bool {
    output.code == Some(1) && output.stderr.starts_with("Error: No such file or directory")
}

/// Loads nft's JSON commands into a network namespace of its own and lists the table back. Nothing of the host's own
/// network is touched.
///
/// # Errors
/// [`HostError::Failed`] with nft's words when the commands are not such that nft and this kernel accept them.
pub async fn canonical(commands: &str) -> Result<Value, HostError> {
    in_scratch_namespace(commands, Listing::Json).await.and_then(as_json)
}

/// The same as text.
///
/// # Errors
/// As [`canonical`].
pub async fn canonical_text(commands: &str, listing: Listing) -> Result<String, HostError> {
    let output = in_scratch_namespace(commands, listing).await?;
    Ok(String::from_utf8_lossy(&output.success()?).into_owned())
}

async fn in_scratch_namespace(
    commands: &str,
    listing: Listing,
) -> Result<process::Output, HostError> {
    let bytes = commands.as_bytes().to_vec();
    // A thread of its own, because the namespace is the thread's: it must end with it and serve nothing else.
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("scratch-netns".to_owned())
        .spawn(move || {
            // Nobody listens when the caller was cancelled.
            drop(send.send(load_and_list(&bytes, listing)));
        })
        .map_err(|source| HostError::Start { program: "a thread".to_owned(), source })?;
    receive.await.map_err(|_| HostError::Refused("the scratch thread ended early".to_owned()))?
}

fn load_and_list(document: &[u8], listing: Listing) -> Result<process::Output, HostError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|source| HostError::Namespace { source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| HostError::Start { program: "a runtime".to_owned(), source })?;
    runtime.block_on(async {
        process::run("nft", &["-j", "-f", "-"], Some(document)).await?.success()?;
        process::run("nft", &listing.args(), None).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_table_is_found_among_others() {
        let of = |name: &str| format!("table inet {name} {{\n\tchain input {{\n\t}}\n}}\n");
        let listing = [of("a"), of("holdfast"), of("holdfast2")].concat();
        assert_eq!(own_text_of(&listing), Some(of("holdfast")));
        assert_eq!(own_text_of(&[of("a"), of("holdfast2")].concat()), None);
        let whole = of("holdfast");
        assert_eq!(own_text_of(&whole[..whole.len() - 2]), None, "cut short");
    }

    #[test]
    fn our_part_of_a_listing_of_everything() {
        let listing = json!({"nftables": [
            {"metainfo": {}},
            {"table": {"family": "inet", "name": "holdfast"}},
            {"chain": {"family": "inet", "table": "holdfast", "name": "input"}},
            {"table": {"family": "ip", "name": "holdfast"}},
            {"chain": {"family": "ip", "table": "holdfast", "name": "input"}},
        ]});
        let Some(OwnTable::Json(ours)) = own_of(&listing) else { panic!("it is there") };
        assert_eq!(ours["nftables"].as_array().unwrap().len(), 2);
        assert_eq!(own_of(&json!({"nftables": [{"metainfo": {}}]})), Some(OwnTable::Absent));
        assert_eq!(own_of(&json!({})), None);
    }
}
