//! Where a Docker container's output is kept, from Docker's own notes: they are there whether or not the engine runs.

use serde::Deserialize;

use crate::host::Reader;

/// Where Docker keeps its containers.
const CONTAINERS: &str = "/var/lib/docker/containers";

/// Where a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// In the journal, or Docker does not know the container and Podman may.
    Journal,
    /// In this file, a line of JSON for each of output.
    File(String),
    /// Nowhere that can be read here, by this driver.
    Elsewhere(String),
}

/// Docker's note of a container. Its environment is not read.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "LogPath", default)]
    log_path: String,
}

#[derive(Deserialize)]
struct HostConfig {
    #[serde(rename = "LogConfig")]
    log_config: LogConfig,
}

#[derive(Deserialize)]
struct LogConfig {
    #[serde(rename = "Type", default)]
    driver: String,
}

/// Where the container of this name or id has its output kept.
///
/// # Errors
/// When Docker's notes cannot be read.
pub(super) fn kept(host: &Reader, container: &str) -> Result<Kept, String> {
    let ids = host.files().list(CONTAINERS).map_err(|error| error.chain())?;
    for id in ids {
        let note = |name: &str| {
            let path = format!("{CONTAINERS}/{id}/{name}");
            let text = host.files().text(&path).map_err(|error| error.chain())?;
            Ok::<_, String>(text.map(|text| (path, text)))
        };
        let Some((path, text)) = note("config.v2.json")? else { continue };
        // What stands in it is not shown: there are secrets in environments.
        let odd = |path: &str| format!("{path} is not as Docker writes it");
        let config: Config = serde_json::from_str(&text).map_err(|_| odd(&path))?;
        if config.name.trim_start_matches('/') != container && id != container {
            continue;
        }
        let Some((path, text)) = note("hostconfig.json")? else { return Err(odd(&path)) };
        let found: HostConfig = serde_json::from_str(&text).map_err(|_| odd(&path))?;
        return Ok(match found.log_config.driver.as_str() {
            "journald" => Kept::Journal,
            "json-file" if config.log_path.starts_with('/') => Kept::File(config.log_path),
            "json-file" => Kept::File(format!("{CONTAINERS}/{id}/{id}-json.log")),
            driver => Kept::Elsewhere(driver.to_owned()),
        });
    }
    Ok(Kept::Journal)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out Docker's notes")]
mod tests {
    use super::*;

    #[test]
    fn docker_notes_say_where() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        assert_eq!(kept(&host, "signer"), Ok(Kept::Journal), "no Docker");
        let put = |id: &str, name: &str, driver: &str| {
            let dir = root.path().join(&CONTAINERS[1..]).join(id);
            std::fs::create_dir_all(&dir).unwrap();
            let config = format!(
                "{{\"Name\":\"/{name}\",\"LogPath\":\"\",\"Config\":{{\"Env\":[\"KEY=x\"]}}}}"
            );
            std::fs::write(dir.join("config.v2.json"), config).unwrap();
            let text = format!("{{\"LogConfig\":{{\"Type\":\"{driver}\",\"Config\":{{}}}}}}");
            std::fs::write(dir.join("hostconfig.json"), text).unwrap();
        };
        put("aa", "signer", "json-file");
        put("bb", "node", "journald");
        put("cc", "sink", "fluentd");
        assert_eq!(kept(&host, "signer"), Ok(Kept::File(format!("{CONTAINERS}/aa/aa-json.log"))));
        assert_eq!(kept(&host, "node"), Ok(Kept::Journal));
        assert_eq!(kept(&host, "sink"), Ok(Kept::Elsewhere("fluentd".to_owned())));
        std::fs::write(root.path().join(&CONTAINERS[1..]).join("aa/config.v2.json"), "KEY=x")
            .unwrap();
        let why = kept(&host, "signer").unwrap_err();
        assert!(why.contains("config.v2.json") && !why.contains("KEY"), "{why}");
    }
}
