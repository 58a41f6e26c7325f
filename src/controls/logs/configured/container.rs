//! A container's log: kept by the driver it was made with, whatever the engine's configuration says since.
//!
//! Docker is asked where it runs, and its own notes are read where it does not; then Podman. Only the driver, its
//! options and the place of the log are taken from what is read: a container's environment holds secrets.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    controls::logs::measured::container,
    engine::check::Verdict,
    host::{HostError, Reader, clock, docker::Question},
    profile::types::TimeSpan,
};

/// Docker's `local` driver keeps five files of 20 MB unless it is told otherwise (docs.docker.com, "Local file logging
/// driver").
const LOCAL: Limit = Limit { file: Some(20 << 20), files: 5 };

/// Docker's `json-file` driver and conmon's `k8s-file` keep one file of any size (docs.docker.com, "JSON File logging
/// driver").
const ENDLESS: Limit = Limit { file: None, files: 1 };

/// Enough of a log's first line to have its time, which comes last.
const FIRST_LINE: usize = 64 << 10;

/// A log that has been written for less than this says little about a day.
const LEAST_OBSERVED_SECS: u64 = 3600;

/// How a container's output is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logging {
    /// `docker` or `podman`.
    engine: &'static str,
    /// `json-file`, `journald`, `fluentd`, …
    driver: String,
    /// How much the driver keeps, where it has files of its own here.
    limit: Option<Result<Limit, String>>,
    /// What is written in a day, in bytes, where the log itself tells.
    per_day: Option<u64>,
}

/// What a driver keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    /// The size of a file in bytes; `None`: of any size.
    file: Option<u64>,
    /// How many.
    files: u64,
}

/// Asks the engines, and reads Docker's notes where it does not run.
pub(super) async fn read(host: &Reader, name: &str) -> Result<Logging, String> {
    let docker = if host.has_docker() {
        host.docker(Question::Container(name)).await.map_err(|error| error.chain())?
    } else {
        notes(host, name).map_err(|error| error.chain())?
    };
    if let Some(found) = docker {
        let path = found.get("LogPath").and_then(Value::as_str).unwrap_or_default();
        let mut logging = docker_logging(&found)?;
        if logging.driver == "json-file" {
            logging.per_day = observed(host, path, logging.limit.as_ref());
        }
        return Ok(logging);
    }
    let words =
        ["inspect", "--type", "container", "--format", "{{json .HostConfig.LogConfig}}", name];
    match host.ask("podman", &words).await {
        Ok(output) if output.code == Some(0) => {
            podman_logging(&String::from_utf8_lossy(&output.stdout))
        }
        Ok(_) | Err(HostError::NoProgram { .. }) => Err(format!(
            "no engine here has a container {name}; make it, or correct its name in the profile"
        )),
        Err(error) => Err(error.chain()),
    }
}

/// Docker's own notes of a container, in the shape of its answer.
fn notes(host: &Reader, name: &str) -> Result<Option<Value>, HostError> {
    let folder = container::folder(host);
    // A note that cannot be read may be that of another container: it counts when no other is found.
    let mut odd = None;
    for id in host.files().list(&folder)? {
        let json = |file: &str| {
            let path = format!("{folder}/{id}/{file}");
            let Some(text) = host.files().text(&path)? else { return Ok(None) };
            let command = format!("read {path}");
            serde_json::from_str::<Value>(&text)
                .map(Some)
                .map_err(|source| HostError::NotJson { command, source })
        };
        let config = match json("config.v2.json") {
            Ok(Some(config)) => config,
            Ok(None) => continue,
            Err(error) => {
                odd = Some(error);
                continue;
            }
        };
        let named = config.get("Name").and_then(Value::as_str).unwrap_or_default();
        if named.trim_start_matches('/') != name {
            continue;
        }
        let host_config = json("hostconfig.json")?.unwrap_or_default();
        let log_path = config.get("LogPath").cloned().unwrap_or_default();
        return Ok(Some(serde_json::json!({ "HostConfig": host_config, "LogPath": log_path })));
    }
    odd.map_or(Ok(None), Err)
}

fn docker_logging(found: &Value) -> Result<Logging, String> {
    let config = found.pointer("/HostConfig/LogConfig");
    let driver = config.and_then(|config| config.get("Type")).and_then(Value::as_str);
    let driver = driver.filter(|driver| !driver.is_empty());
    let driver = driver.ok_or("Docker does not say which log driver it has")?.to_owned();
    let option = |key: &str| config?.get("Config")?.get(key)?.as_str();
    let limit = match driver.as_str() {
        "json-file" => Some(limit(ENDLESS, option("max-size"), option("max-file"))),
        "local" => Some(limit(LOCAL, option("max-size"), option("max-file"))),
        _ => None,
    };
    Ok(Logging { engine: "docker", driver, limit, per_day: None })
}

fn podman_logging(json: &str) -> Result<Logging, String> {
    let config: Value = serde_json::from_str(json.trim())
        .map_err(|_| "podman inspect printed no JSON".to_owned())?;
    let driver = config.get("Type").and_then(Value::as_str).filter(|driver| !driver.is_empty());
    let driver = driver.ok_or("podman does not say which log driver it has")?.to_owned();
    let size = config.get("Size").and_then(Value::as_str).filter(|size| *size != "0B");
    let limit =
        matches!(driver.as_str(), "k8s-file" | "json-file").then(|| limit(ENDLESS, size, None));
    Ok(Logging { engine: "podman", driver, limit, per_day: None })
}

fn limit(default: Limit, size: Option<&str>, files: Option<&str>) -> Result<Limit, String> {
    let odd = |key: &str, value: &str| format!("its {key}={value} cannot be read");
    let file = match size {
        None => default.file,
        Some("-1") => None,
        Some(text) => Some(bytes(text).ok_or_else(|| odd("max-size", text))?),
    };
    let files = match files {
        None => default.files,
        Some(text) => text.parse().map_err(|_| odd("max-file", text))?,
    };
    Ok(Limit { file, files })
}

/// A size as Docker writes it (`units.RAMInBytes`): `10m`, `1.5g`, `512KiB`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    // Tenths are enough for a judgement.
    let tenths = part.chars().next().map_or(Some(0), |c| c.to_digit(10))?;
    whole.checked_add((1u64 << shift) / 10 * u64::from(tenths))
}

/// What a `json-file` log has taken in a day: its size over the time since its first line.
fn observed(host: &Reader, path: &str, limit: Option<&Result<Limit, String>>) -> Option<u64> {
    let files = limit.and_then(|limit| limit.as_ref().ok()).map_or(1, |limit| limit.files);
    let paths = (1..files.min(1000)).map(|n| format!("{path}.{n}"));
    let paths = std::iter::once(path.to_owned()).chain(paths);
    let there: Vec<(String, u64)> = paths
        .map_while(|path| host.files().size(&path).ok().flatten().map(|size| (path, size)))
        .collect();
    let (oldest, _) = there.last()?;
    let head = host.files().head(oldest, FIRST_LINE).ok().flatten()?;
    let first = first_time(&head)?;
    let secs = u64::try_from(clock::now().as_second() - first.as_second()).ok()?;
    let total: u64 = there.iter().map(|(_, size)| size).sum();
    (secs >= LEAST_OBSERVED_SECS)
        .then(|| u64::try_from(u128::from(total) * 86_400 / u128::from(secs)).ok())?
}

/// The time of a log's first line: `{"log":"…","stream":"stdout","time":"2026-01-01T00:00:00.000000000Z"}`.
fn first_time(head: &[u8]) -> Option<Timestamp> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line: Value = serde_json::from_slice(line).ok()?;
    line.get("time")?.as_str()?.parse().ok()
}

/// Whether its log is kept on this host for so long.
pub(super) fn judge(found: &Result<Logging, String>, keep: TimeSpan) -> Verdict {
    let found = match found {
        Ok(found) => found,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let driver = format!("{}, driver {}", found.engine, found.driver);
    let limit = match (found.driver.as_str(), &found.limit) {
        ("journald", _) => {
            return Verdict::Holds { observed: format!("{driver}: it is in the journal") };
        }
        (_, None) => {
            return Verdict::Differs { observed: format!("{driver}: no log is kept on this host") };
        }
        (_, Some(Err(why))) => return Verdict::Unknown { why: format!("{driver}: {why}") },
        (_, Some(Ok(limit))) => limit,
    };
    let Some(file) = limit.file else {
        return Verdict::Holds {
            observed: format!("{driver}: of any size, until the container is removed"),
        };
    };
    let most = file.saturating_mul(limit.files);
    let holds = u128::from(most) * 86_400;
    let said = format!("{driver}: at most {} files of {file} bytes", limit.files);
    match found.per_day {
        None => Verdict::Unknown {
            why: format!(
                "{said}; how much it writes in a day is not known; with the driver journald that need not be"
            ),
        },
        Some(per_day) if u128::from(per_day) * u128::from(keep.as_secs()) > holds => {
            Verdict::Differs {
                observed: format!("{said}, at {per_day} bytes a day less than {keep}"),
            }
        }
        Some(per_day) => Verdict::Holds {
            observed: format!("{said}, at {per_day} bytes a day, until the container is removed"),
        },
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
