//! Where a Docker container's output is kept, from Docker's own notes: they are there whether or not the engine runs.

use serde::Deserialize;

use crate::host::Reader;

/// Where Docker keeps all that it has, unless its configuration says otherwise: often on the disk of the chain.
const ROOT: &str = "/var/lib/docker";

/// Its configuration, docs.docker.com, "dockerd", `--data-root`.
const CONFIG: &str = "/etc/docker/daemon.json";

/// Where Docker keeps its notes of containers, a folder each.
pub(in crate::controls::logs) fn folder(host: &Reader) -> String {
    let text = host.files().text(CONFIG).ok().flatten().unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    // `graph` is what it was called before 17.05.
    let root = config.get("data-root").or_else(|| config.get("graph"));
    let root = root.and_then(serde_json::Value::as_str).filter(|root| root.starts_with('/'));
    format!("{}/containers", root.unwrap_or(ROOT).trim_end_matches('/'))
}

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
    let folder = folder(host);
    let ids = host.files().list(&folder).map_err(|error| error.chain())?;
    // A note that cannot be read may be that of another container: it counts when no other is found.
    let mut odd_note = None;
    for id in ids {
        let note = |name: &str| {
            let path = format!("{folder}/{id}/{name}");
            let text = host.files().text(&path).map_err(|error| error.chain())?;
            Ok::<_, String>(text.map(|text| (path, text)))
        };
        let Some((path, text)) = note("config.v2.json")? else { continue };
        // What stands in it is not shown: there are secrets in environments.
        let odd = |path: &str| format!("{path} is not as Docker writes it");
        let Ok(config) = serde_json::from_str::<Config>(&text) else {
            odd_note = Some(odd(&path));
            continue;
        };
        if config.name.trim_start_matches('/') != container && id != container {
            continue;
        }
        let Some((path, text)) = note("hostconfig.json")? else { return Err(odd(&path)) };
        let found: HostConfig = serde_json::from_str(&text).map_err(|_| odd(&path))?;
        return Ok(match found.log_config.driver.as_str() {
            "journald" => Kept::Journal,
            "json-file" if config.log_path.starts_with('/') => Kept::File(config.log_path),
            "json-file" => Kept::File(format!("{folder}/{id}/{id}-json.log")),
            driver => Kept::Elsewhere(driver.to_owned()),
        });
    }
    odd_note.map_or(Ok(Kept::Journal), Err)
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
            let dir = root.path().join("var/lib/docker/containers").join(id);
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
        let file = |root: &str| Ok(Kept::File(format!("{root}/containers/aa/aa-json.log")));
        assert_eq!(kept(&host, "signer"), file("/var/lib/docker"));
        assert_eq!(kept(&host, "node"), Ok(Kept::Journal));
        assert_eq!(kept(&host, "sink"), Ok(Kept::Elsewhere("fluentd".to_owned())));
        let notes = root.path().join("var/lib/docker/containers");
        std::fs::write(notes.join("aa/config.v2.json"), "KEY=x").unwrap();
        let why = kept(&host, "signer").unwrap_err();
        assert!(why.contains("config.v2.json") && !why.contains("KEY"), "{why}");
        assert_eq!(kept(&host, "node"), Ok(Kept::Journal), "the odd one is another");

        put("aa", "signer", "json-file");
        std::fs::create_dir_all(root.path().join("etc/docker")).unwrap();
        std::fs::create_dir_all(root.path().join("mnt")).unwrap();
        std::fs::rename(root.path().join("var/lib/docker"), root.path().join("mnt/docker"))
            .unwrap();
        std::fs::write(
            root.path().join("etc/docker/daemon.json"),
            "{\"data-root\": \"/mnt/docker/\"}",
        )
        .unwrap();
        assert_eq!(kept(&host, "signer"), file("/mnt/docker"));
    }
}
