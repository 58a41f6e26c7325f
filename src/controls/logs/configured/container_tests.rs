//! Drivers, as the engines and their notes have them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::controls::logs::configured::said;

const KEEP: TimeSpan = TimeSpan::from_days(90);

fn docker(config: &Value, per_day: Option<u64>) -> String {
    let found = json!({ "HostConfig": { "LogConfig": config } });
    let found = docker_logging(&found).map(|logging| Logging { per_day, ..logging });
    said(&judge(&found, KEEP))
}

#[test]
fn drivers() {
    let config = |driver: &str, options: Value| json!({ "Type": driver, "Config": options });
    let three = json!({ "max-size": "10m", "max-file": "3" });
    let cases = [
        (
            config("journald", json!({})),
            None,
            "holds: docker, driver journald: it is in the journal",
        ),
        (
            config("json-file", json!({})),
            None,
            "holds: docker, driver json-file: of any size, until the container is removed",
        ),
        (
            config("json-file", three.clone()),
            Some(1 << 20),
            "differs: docker, driver json-file: at most 3 files of 10485760 bytes, at 1048576 bytes a day less than 90d",
        ),
        (
            config("json-file", three.clone()),
            Some(1000),
            "holds: docker, driver json-file: at most 3 files of 10485760 bytes, at 1000 bytes a day, until the container is removed",
        ),
        (
            config("local", Value::Null),
            None,
            "unknown: docker, driver local: at most 5 files of 20971520 bytes; how much it writes in a day is not known; with the driver journald that need not be",
        ),
        (
            config("json-file", json!({ "max-size": "plenty" })),
            None,
            "unknown: docker, driver json-file: its max-size=plenty cannot be read",
        ),
        (
            config("none", json!({})),
            None,
            "differs: docker, driver none: no log is kept on this host",
        ),
        (
            config("fluentd", json!({ "fluentd-async": "true" })),
            None,
            "differs: docker, driver fluentd: no log is kept on this host",
        ),
        (
            config("syslog", json!({})),
            None,
            "differs: docker, driver syslog: no log is kept on this host",
        ),
        (json!({}), None, "unknown: Docker does not say which log driver it has"),
    ];
    for (config, per_day, expected) in cases {
        assert_eq!(docker(&config, per_day), expected);
    }
}

#[test]
fn podman() {
    let cases = [
        (
            r#"{"Type":"journald","Config":null,"Path":"","Tag":"","Size":"0B"}"#,
            "holds: podman, driver journald: it is in the journal",
        ),
        (
            r#"{"Type":"k8s-file","Size":"0B"}"#,
            "holds: podman, driver k8s-file: of any size, until the container is removed",
        ),
        (
            r#"{"Type":"k8s-file","Size":"10MB"}"#,
            "unknown: podman, driver k8s-file: at most 1 files of 10485760 bytes; how much it writes in a day is not known; with the driver journald that need not be",
        ),
        (r#"{"Type":"none"}"#, "differs: podman, driver none: no log is kept on this host"),
        ("Error", "unknown: podman inspect printed no JSON"),
    ];
    for (json, expected) in cases {
        assert_eq!(said(&judge(&podman_logging(json), KEEP)), expected);
    }
}

#[test]
fn sizes() {
    let cases = [
        ("10m", Some(10 << 20)),
        ("1g", Some(1 << 30)),
        ("512KiB", Some(512 << 10)),
        ("1.5k", Some(1024 + 510)),
        ("100", Some(100)),
        ("20MB", Some(20 << 20)),
        ("", None),
        ("m", None),
        ("10q", None),
        ("99999999999t", None),
    ];
    for (text, expected) in cases {
        assert_eq!(bytes(text), expected, "{text:?}");
    }
}

/// Docker's notes where it does not run, its secrets left where they are.
#[test]
#[expect(clippy::disallowed_methods, reason = "fixtures")]
fn notes_of_an_engine_that_does_not_run() {
    let root = tempfile::tempdir().unwrap();
    let made = [
        ("aaa", "/other", json!({ "Type": "none" })),
        ("bbb", "/sbtc-signer", json!({ "Type": "json-file", "Config": { "max-size": "1m" } })),
        ("ccc", "/odd", Value::Null),
    ];
    let log = "/var/lib/docker/containers/bbb/bbb-json.log";
    for (id, name, config) in made {
        let at = root.path().join("var/lib/docker/containers").join(id);
        std::fs::create_dir_all(&at).unwrap();
        let notes = json!({ "Name": name, "LogPath": log, "Config": { "Env": ["KEY=secret"] } });
        std::fs::write(at.join("config.v2.json"), notes.to_string()).unwrap();
        let host_config = json!({ "LogConfig": config });
        std::fs::write(at.join("hostconfig.json"), host_config.to_string()).unwrap();
    }
    let begun = clock::now() - jiff::SignedDuration::from_hours(48);
    let line = json!({ "log": "x".repeat(100_000 - 60), "time": begun.to_string() });
    std::fs::write(root.path().join(&log[1..]), format!("{line}\n")).unwrap();
    let host = Reader::below(root.path());
    let found = notes(&host, "sbtc-signer").unwrap().unwrap();
    assert!(!found.to_string().contains("secret"));
    let logging = docker_logging(&found).unwrap();
    assert_eq!(logging.driver, "json-file");
    // A first line that is longer than what is read of it tells no time.
    assert_eq!(observed(&host, log, logging.limit.as_ref()), None);
    let text = format!("{}\n{line}\n", json!({ "log": "x", "time": begun.to_string() }));
    std::fs::write(root.path().join(&log[1..]), text).unwrap();
    let per_day = observed(&host, log, logging.limit.as_ref()).unwrap();
    assert!((49_000..52_000).contains(&per_day), "{per_day}");
    assert!(notes(&host, "nobody").unwrap().is_none());
    let odd = notes(&host, "odd").unwrap().unwrap();
    assert!(docker_logging(&odd).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(text in ".*", json in "[{}\\[\\]\":a-zA-Z0-9,]*") {
        let _ = bytes(&text);
        drop(podman_logging(&json));
        let _ = first_time(json.as_bytes());
    }
}
