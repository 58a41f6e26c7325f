//! A file that its program writes itself: who has it open and how, and who would be sent SIGHUP.

use crate::{
    engine::check::Verdict,
    host::{HostError, Reader, docker::Question, open_files::FileWriter},
    profile::schema::LogSource,
};

/// The unit that has logrotate run each day, of Debian's package.
const TIMER: &str = "logrotate.timer";

/// The number of SIGHUP's bit in the masks of `/proc/PID/status`, signal(7).
const HUP: u64 = 1;

/// What there is of it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it is.
    path: String,
    /// Whether there is one.
    exists: bool,
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
}

/// Reads it.
pub(super) async fn read(host: &Reader, source: &LogSource, path: &str) -> Found {
    let told = told(host, source).await.map_err(|error| error.chain());
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
        writers: host.writers_of(path).map_err(|error| error.chain()),
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

/// Reads `/proc/PID/status`; `None` for one that has just ended.
fn parse_status(pid: u32, text: &str) -> Option<Told> {
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let mask = |key| field(key).and_then(|mask| u64::from_str_radix(mask, 16).ok());
    let survives = (mask("SigCgt:")? | mask("SigIgn:")?) & HUP != 0;
    Some(Told { pid, program: field("Name:")?.to_owned(), survives })
}

/// Whether bitcoind with this `bitcoin.conf` cuts its `debug.log` to its last 10 MB when it starts: it does unless
/// `shrinkdebugfile=0`, or some `debug=` category is on (bitcoin/bitcoin src/init/common.cpp). Of a setting that is made
/// twice the first counts; what stands under a chain's own section is read too.
fn shrinks(text: &str) -> bool {
    let settings = || {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
    };
    let name = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    // bitcoind reads what is no number as 0, and nothing at all as 1.
    let is_on = |value: &str| value.is_empty() || value.parse::<i64>().unwrap_or(0) != 0;
    for (key, value) in settings() {
        match name(key).as_str() {
            "shrinkdebugfile" => return is_on(value),
            "noshrinkdebugfile" => return !is_on(value),
            _ => {}
        }
    }
    !settings().any(|(key, value)| name(key) == "debug" && value != "0" && value != "none")
}

/// Why it must not be rotated: SIGHUP ends the program.
pub(super) fn hazard(found: &Found) -> Option<String> {
    let told = found.told.as_ref().ok()?.as_ref()?;
    let who = format!("{} ({})", told.program, told.pid);
    // The sBTC signer catches it, and shuts down (stacks-sbtc/sbtc signer/src/main.rs).
    if told.program == "signer" || told.program.contains("sbtc-signer") {
        return Some(format!(
            "{who} takes SIGHUP as the word to shut down; leave `reopened_by` out and have it log to the journal"
        ));
    }
    (!told.survives).then(|| {
        format!("SIGHUP would end {who}; leave `reopened_by` out, or name the program that opens the file anew on it")
    })
}

/// Whether nothing that stands in it is lost by how it is written.
pub(super) fn judge(found: &Found, is_rotated: bool) -> Verdict {
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
    match &found.shrinks {
        Some(Ok(true)) => {
            let observed = "bitcoind cuts it to 10 MB at each start: shrinkdebugfile=0 is not in its configuration";
            return Verdict::Differs { observed: observed.to_owned() };
        }
        Some(Err(why)) => return Verdict::Unknown { why: why.clone() },
        Some(Ok(false)) | None => {}
    }
    match &found.rotates {
        Some(Ok(false)) => {
            let observed = format!("nothing rotates {path}: {TIMER} does not run");
            return Verdict::Differs { observed };
        }
        Some(Err(why)) => return Verdict::Unknown { why: why.clone() },
        Some(Ok(true)) | None => {}
    }
    if let Err(why) = &found.told {
        return Verdict::Unknown { why: why.clone() };
    }
    if !found.exists {
        let why =
            format!("there is no {path}; start what writes it, or correct the path in the profile");
        return Verdict::Unknown { why };
    }
    let growth = if is_rotated { "" } else { "; nothing rotates it" };
    match writers.first() {
        Some(writer) => {
            Verdict::Holds { observed: format!("{} appends to {path}{growth}", writer.program) }
        }
        // Whether its program appends shows only while it runs.
        None => Verdict::Unknown { why: format!("nobody has {path} open: start what writes it") },
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
