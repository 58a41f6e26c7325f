//! A file that its program writes itself: who has it open and how, and who would be sent SIGHUP.

use super::rules::{self, Rule};
use crate::{
    engine::check::Verdict,
    host::{HostError, Reader, docker::Question, open_files::FileWriter},
    profile::{schema::LogSource, types::TimeSpan},
};

/// The unit that has logrotate run each day, of Debian's package.
const TIMER: &str = "logrotate.timer";

/// The number of SIGHUP's bit in the masks of `/proc/PID/status`, signal(7).
const HUP: u64 = 1;

/// Descriptors below this one were open before the program began, stdio(3).
const FIRST_OF_ITS_OWN: u32 = 3;

/// How many parents of a process are looked at: more than there are.
const PARENTS: usize = 64;

/// What there is of it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it is.
    path: String,
    /// Whether there is one.
    exists: bool,
    /// Whether it is a symbolic link.
    is_link: bool,
    /// The rule of somebody else's by which logrotate rotates it.
    other: Result<Option<Rule>, String>,
    /// Who has it open for writing.
    writers: Result<Vec<FileWriter>, String>,
    /// Who is told to open it anew; `None` where nobody is, or it does not run.
    told: Result<Option<Told>, String>,
    /// What the program's own configuration makes of the file at its start.
    shrinks: Option<Result<bool, String>>,
    /// Whether logrotate is run each day; `None` where it need not be.
    rotates: Option<Result<bool, String>>,
}

/// The process that is told to open the file anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    pid: u32,
    /// The name of its program, of at most 15 characters.
    program: String,
    /// Whether SIGHUP does anything else than end it.
    survives: bool,
    /// Processes that it has begun, and those that they have, that have the file open for writing.
    begun: Vec<u32>,
}

/// Reads it.
pub(super) async fn read(host: &Reader, source: &LogSource, path: &str) -> Found {
    let writers = host.writers_of(path).map_err(|error| error.chain());
    let mut told = told(host, source).await.map_err(|error| error.chain());
    if let (Ok(Some(told)), Ok(writers)) = (&mut told, &writers) {
        let pids = writers.iter().map(|writer| writer.pid);
        told.begun = pids.filter(|pid| is_begun_by(host, *pid, told.pid)).collect();
    }
    let conf = source.bitcoin_conf.as_ref().map(|conf| {
        let text = host.files().text(conf.as_str()).map_err(|error| error.chain())?;
        let text = text.ok_or_else(|| format!("there is no {conf}"))?;
        Ok(shrinks(&text))
    });
    let rotates = if source.is_rotated() {
        let ask = async { host.systemd().await?.unit(TIMER).await };
        Some(ask.await.map(|unit| unit.is_running()).map_err(|error: HostError| error.chain()))
    } else {
        None
    };
    Found {
        path: path.to_owned(),
        exists: host.files().exists(path),
        is_link: host.files().is_link(path),
        other: rules::of(host, path),
        writers,
        told,
        shrinks: conf,
        rotates,
    }
}

async fn told(host: &Reader, source: &LogSource) -> Result<Option<Told>, HostError> {
    let pid = match (&source.reopened_by, &source.reopened_by_container) {
        (Some(unit), _) => {
            let systemd = host.systemd().await?;
            let status = systemd.unit(unit.as_str()).await?;
            // What is not there is told nothing.
            if !status.exists() || !unit.as_str().ends_with(".service") {
                return Ok(None);
            }
            systemd.service(unit.as_str()).await?.main_pid
        }
        (None, Some(name)) if host.has_docker() => {
            let found = host.docker(Question::Container(name.as_str())).await?;
            let pid = found.as_ref().and_then(|found| found.pointer("/State/Pid")?.as_u64());
            pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
        }
        _ => None,
    };
    let Some(pid) = pid else { return Ok(None) };
    let text = host.files().text(&format!("/proc/{pid}/status"))?;
    Ok(text.and_then(|text| parse_status(pid, &text)))
}

/// Whether a process was begun by another, or by one that this one has begun.
fn is_begun_by(host: &Reader, pid: u32, by: u32) -> bool {
    let mut pid = pid;
    for _ in 0..PARENTS {
        let text = host.files().text(&format!("/proc/{pid}/status")).ok().flatten();
        let parent = text.as_deref().and_then(|text| field(text, "PPid:")?.parse().ok());
        match parent {
            Some(parent) if parent == by => return true,
            None | Some(0) => return false,
            Some(parent) => pid = parent,
        }
    }
    false
}

/// A line of `/proc/PID/status`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// Reads `/proc/PID/status`; `None` for one that has just ended.
fn parse_status(pid: u32, text: &str) -> Option<Told> {
    let mask = |key| field(text, key).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    // What the init of a container blocks it waits for, and passes on (tini, dumb-init).
    let taken = mask("SigCgt:")? | mask("SigIgn:")? | mask("SigBlk:")?;
    let program = field(text, "Name:")?.to_owned();
    Some(Told { pid, program, survives: taken & HUP != 0, begun: Vec::new() })
}

/// Whether bitcoind with this `bitcoin.conf` cuts its `debug.log` to its last 10 MB when it starts: it does unless
/// `shrinkdebugfile=0`, or some `debug=` category is on (bitcoin/bitcoin src/init/common.cpp). Of a setting that is made
/// twice the first counts, and what stands under a chain's own section before what stands above all of them; the section
/// of a chain that it does not run counts for nothing (src/common/args.cpp).
fn shrinks(text: &str) -> bool {
    let mut section = "";
    let mut all = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            let (section, key) = key.rsplit_once('.').unwrap_or((section, key));
            all.push((section, key, value));
        }
    }
    // bitcoind reads what is no number as 0, and nothing at all as 1.
    let is_on = |value: &str| value.is_empty() || value.parse::<i64>().unwrap_or(0) != 0;
    let chain =
        all.iter().filter(|(section, ..)| section.is_empty()).find_map(|(_, key, value)| {
            match (*key, *value) {
                ("chain", name) => Some(name),
                ("testnet", value) if is_on(value) => Some("test"),
                (name @ ("testnet4" | "signet" | "regtest"), value) if is_on(value) => Some(name),
                _ => None,
            }
        });
    let chain = chain.unwrap_or("main");
    let own = all.iter().filter(|(section, ..)| *section == chain);
    let counting = || own.clone().chain(all.iter().filter(|(section, ..)| section.is_empty()));
    for (_, key, value) in counting() {
        match *key {
            "shrinkdebugfile" => return is_on(value),
            "noshrinkdebugfile" => return !is_on(value),
            _ => {}
        }
    }
    !counting().any(|(_, key, value)| *key == "debug" && *value != "0" && *value != "none")
}

/// Why it must not be rotated: SIGHUP ends the program, or has nobody open the file anew.
pub(super) fn hazard(found: &Found) -> Option<String> {
    let told = found.told.as_ref().ok()?.as_ref()?;
    let who = format!("{} ({})", told.program, told.pid);
    // The sBTC signer catches it, and shuts down (stacks-sbtc/sbtc signer/src/main.rs).
    if told.program == "signer" || told.program.contains("sbtc-signer") {
        return Some(format!(
            "{who} takes SIGHUP as the word to shut down; leave `reopened_by` out and have it log to the journal"
        ));
    }
    if !told.survives {
        return Some(format!(
            "SIGHUP would end {who}; leave `reopened_by` out, or name the program that opens the file anew on it"
        ));
    }
    let writers = found.writers.as_deref().unwrap_or_default();
    let first = writers.first()?;
    let mut own = writers.iter().filter(|writer| writer.pid == told.pid).peekable();
    if own.peek().is_some() {
        return own.all(|writer| writer.descriptor < FIRST_OF_ITS_OWN).then(|| {
            format!(
                "{} is the standard output of {who}, which opens nothing anew on SIGHUP; leave `reopened_by` out and \
                 have it log to the journal",
                found.path
            )
        });
    }
    told.begun.is_empty().then(|| {
        format!(
            "{who} does not have {} open, {} ({}) has; leave `reopened_by` out, or name the program that opens the \
             file anew on SIGHUP",
            found.path, first.program, first.pid
        )
    })
}

/// Whether holdfast's rule for it can be put in place: nobody else has one.
pub(super) fn has_other_rule(found: &Found) -> bool {
    matches!(found.other, Ok(Some(_)))
}

/// Whether nothing that stands in it is lost by how it is written and rotated.
pub(super) fn judge(found: &Found, is_rotated: bool, keep: TimeSpan) -> Verdict {
    let path = &found.path;
    if let Some(why) = hazard(found) {
        return Verdict::Differs { observed: why };
    }
    let writers = match &found.writers {
        Ok(writers) => writers,
        Err(why) => return Verdict::Unknown { why: format!("{why}; run holdfast as root") },
    };
    if let Some(writer) = writers.iter().find(|writer| !writer.appends) {
        let why = match writer.program.as_str() {
            "tee" => "tee without -a empties it at each start".to_owned(),
            other => format!(
                "{other} writes it without appending: a start or a rotation loses what is in it"
            ),
        };
        return Verdict::Differs { observed: format!("{path}: {why} (process {})", writer.pid) };
    }
    match rotation(found, is_rotated, keep) {
        Some(Ok(observed)) => return Verdict::Differs { observed },
        Some(Err(why)) => return Verdict::Unknown { why },
        None => {}
    }
    match &found.shrinks {
        Some(Ok(true)) => {
            let observed = "bitcoind cuts it to 10 MB at each start: shrinkdebugfile=0 is not in its configuration";
            return Verdict::Differs { observed: observed.to_owned() };
        }
        Some(Err(why)) => return Verdict::Unknown { why: why.clone() },
        Some(Ok(false)) | None => {}
    }
    if let Err(why) = &found.told {
        return Verdict::Unknown { why: why.clone() };
    }
    if !found.exists {
        let why =
            format!("there is no {path}; start what writes it, or correct the path in the profile");
        return Verdict::Unknown { why };
    }
    let growth = match &found.other {
        Ok(Some(rule)) => format!("; {} rotates it", rule.place),
        _ if is_rotated => String::new(),
        _ => "; nothing rotates it".to_owned(),
    };
    match writers.first() {
        Some(writer) => {
            Verdict::Holds { observed: format!("{} appends to {path}{growth}", writer.program) }
        }
        // Whether its program appends shows only while it runs.
        None => Verdict::Unknown { why: format!("nobody has {path} open: start what writes it") },
    }
}

/// What is lost by how it is rotated, or not rotated; or why that cannot be told.
fn rotation(found: &Found, is_rotated: bool, keep: TimeSpan) -> Option<Result<String, String>> {
    let path = &found.path;
    match &found.other {
        Err(why) => return Some(Err(why.clone())),
        Ok(Some(rule)) if is_rotated => {
            return Some(Ok(format!(
                "{} rotates {path} already, and logrotate takes one rule only: remove it, or leave `reopened_by` out",
                rule.place
            )));
        }
        Ok(Some(rule)) => return rule.loses(keep).map(|why| Ok(format!("{path}: {why}"))),
        Ok(None) => {}
    }
    if is_rotated && found.is_link {
        return Some(Ok(format!(
            "{path} is a symbolic link, and logrotate rotates none: name the file that it leads to"
        )));
    }
    match &found.rotates {
        Some(Ok(false)) => Some(Ok(format!("nothing rotates {path}: {TIMER} does not run"))),
        Some(Err(why)) => Some(Err(why.clone())),
        Some(Ok(true)) | None => None,
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
