//! holdfast's own nftables table: reading it, and seeing what a desired one looks like once a kernel has loaded it.
//!
//! nft rewrites what it is given (sets merged, flags sorted, defaults printed), and differently in each version. So a
//! desired table is loaded by this very nft into this very kernel, in a network namespace that lives for a few
//! milliseconds, and listed back; two listings can then be compared as they are (reference: hardening.md §2.2).

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

use super::{HostError, process};

/// The family and name of the only table holdfast touches.
pub const TABLE: [&str; 2] = ["inet", "holdfast"];

/// The live table, as nft lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnTable {
    /// There is none.
    Absent,
    /// nft's JSON listing, raw, without counters.
    Json(Value),
    /// nft could list it only as text: version 1.0.6 prints broken JSON for a table that has flags.
    TextOnly(String),
}

/// A desired table after a kernel has loaded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// nft's JSON listing, raw, without counters.
    pub json: Value,
    /// nft's text listing, for people.
    pub text: String,
}

fn args(json: bool) -> Vec<&'static str> {
    // -n: numbers for ports and protocols, so that /etc/services and /etc/protocols do not decide how it looks.
    let mut args = vec!["-s", "-n"];
    if json {
        args.push("-j");
    }
    args.extend(["list", "table", TABLE[0], TABLE[1]]);
    args
}

/// The live table of the current network namespace.
///
/// # Errors
/// When nft is missing, not permitted, or says anything but "there is no such table".
pub async fn own_table() -> Result<OwnTable, HostError> {
    let output = process::run("nft", &args(true), None).await?;
    if output.code != Some(0) {
        if output.stderr.contains("No such file or directory") {
            return Ok(OwnTable::Absent);
        }
        return Err(output.failure());
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(json) => Ok(OwnTable::Json(json)),
        Err(_) => Ok(own_table_text().await?.map_or(OwnTable::Absent, OwnTable::TextOnly)),
    }
}

/// The live table as nft's text, which nft reads back; `None` when there is none.
///
/// # Errors
/// As [`own_table`].
pub async fn own_table_text() -> Result<Option<String>, HostError> {
    let output = process::run("nft", &args(false), None).await?;
    if output.code != Some(0) && output.stderr.contains("No such file or directory") {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&output.success()?).into_owned()))
}

/// Loads a document (nft's JSON commands) into a network namespace of its own and lists the table back.
/// Nothing of the host's own network is touched.
///
/// # Errors
/// [`HostError::Failed`] with nft's words when the document is not one that nft and this kernel accept.
pub async fn canonical(document: &Value) -> Result<Canonical, HostError> {
    let bytes = document.to_string().into_bytes();
    // A thread of its own, because the namespace is the thread's: it must end with it and serve nothing else.
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("scratch-netns".to_owned())
        .spawn(move || {
            // Nobody listens when the caller was cancelled.
            drop(send.send(canonical_in_this_thread(&bytes)));
        })
        .map_err(|source| HostError::Start { program: "a thread".to_owned(), source })?;
    receive.await.map_err(|_| HostError::Refused("the scratch thread ended early".to_owned()))?
}

fn canonical_in_this_thread(document: &[u8]) -> Result<Canonical, HostError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|source| HostError::Namespace { source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| HostError::Start { program: "a runtime".to_owned(), source })?;
    runtime.block_on(async {
        process::run("nft", &["-j", "-f", "-"], Some(document)).await?.success()?;
        let (json, text) = (args(true), args(false));
        let (json, text) =
            tokio::try_join!(process::run("nft", &json, None), process::run("nft", &text, None))?;
        let command = json.command.clone();
        let json = serde_json::from_slice(&json.success()?)
            .map_err(|source| HostError::NotJson { command, source })?;
        let text = String::from_utf8_lossy(&text.success()?).into_owned();
        Ok(Canonical { json, text })
    })
}
