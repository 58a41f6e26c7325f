//! A unit's output: to the journal, and to which.

use crate::{
    engine::check::Verdict,
    host::{HostError, Reader, bus::ServiceOutput},
};

/// What systemd has of it.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// No such unit.
    Missing(String),
    /// Something that is no service: it has no output of its own.
    NoService(String),
    /// A service.
    Service(ServiceOutput),
}

impl Found {
    /// The namespace whose journal it logs to; `None` for the host's.
    pub(super) fn namespace(&self) -> Option<String> {
        match self {
            Self::Service(found) if !found.namespace.is_empty() => Some(found.namespace.clone()),
            _ => None,
        }
    }
}

/// Asks systemd.
pub(super) async fn read(host: &Reader, name: &str) -> Result<Found, String> {
    let ask = async || {
        let systemd = host.systemd().await?;
        if !systemd.unit(name).await?.exists() {
            return Ok(Found::Missing(name.to_owned()));
        }
        if !name.ends_with(".service") {
            return Ok(Found::NoService(name.to_owned()));
        }
        Ok(Found::Service(systemd.output_of(name).await?))
    };
    ask().await.map_err(|error: HostError| error.chain())
}

/// Whether all of it goes to the journal, and to the one that the profile names.
pub(super) fn judge(found: &Result<Found, String>, namespace: Option<&str>) -> Verdict {
    let found = match found {
        Err(why) => return Verdict::Unknown { why: why.clone() },
        Ok(Found::Missing(name)) => {
            let why =
                format!("there is no unit {name}; install it, or correct its name in the profile");
            return Verdict::Unknown { why };
        }
        Ok(Found::NoService(name)) => {
            return Verdict::NotApplicable { why: format!("{name} has no output of its own") };
        }
        Ok(Found::Service(found)) => found,
    };
    let error = if found.error == "inherit" { &found.output } else { &found.error };
    for (key, value) in [("StandardOutput", &found.output), ("StandardError", error)] {
        if let Some(why) = elsewhere(value) {
            return Verdict::Differs { observed: format!("{key}={value}: {why}") };
        }
    }
    let journal = match found.namespace.as_str() {
        "" => "the journal of the host".to_owned(),
        name => format!("the journal of namespace {name}"),
    };
    if namespace.is_some_and(|wanted| wanted != found.namespace) {
        return Verdict::Differs { observed: format!("it logs to {journal}") };
    }
    Verdict::Holds { observed: format!("it logs to {journal}") }
}

/// Why what is written there is not in the journal; `None` where it is.
fn elsewhere(value: &str) -> Option<&'static str> {
    match value {
        "journal" | "journal+console" | "syslog" | "syslog+console" | "kmsg" | "kmsg+console" => {
            None
        }
        "null" => Some("it is thrown away"),
        // The bus does not name the file.
        "truncate" => Some("the file is emptied at each start"),
        "file" => Some("each start writes over the file from its beginning"),
        "append" => Some("it is in a file, which is a source of the kind `file`"),
        _ => Some("it is not in the journal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(output: &str, error: &str, namespace: &str) -> Found {
        let text = |text: &str| text.to_owned();
        let (output, error, namespace) = (text(output), text(error), text(namespace));
        Found::Service(ServiceOutput { output, error, namespace })
    }

    #[test]
    fn where_output_goes() {
        let cases = [
            (
                Ok(service("journal", "inherit", "")),
                None,
                "holds: it logs to the journal of the host",
            ),
            (
                Ok(service("journal", "null", "")),
                None,
                "differs: StandardError=null: it is thrown away",
            ),
            (
                Ok(service("truncate", "inherit", "")),
                None,
                "differs: StandardOutput=truncate: the file is emptied at each start",
            ),
            (
                Ok(service("tty", "journal", "")),
                None,
                "differs: StandardOutput=tty: it is not in the journal",
            ),
            (
                Ok(service("journal", "inherit", "a")),
                None,
                "holds: it logs to the journal of namespace a",
            ),
            (
                Ok(service("journal", "inherit", "")),
                Some("a"),
                "differs: it logs to the journal of the host",
            ),
            (Err("no bus".to_owned()), None, "unknown: no bus"),
            (
                Ok(Found::Missing("x.service".to_owned())),
                None,
                "unknown: there is no unit x.service; install it, or correct its name in the profile",
            ),
            (
                Ok(Found::NoService("x.timer".to_owned())),
                None,
                "not applicable: x.timer has no output of its own",
            ),
        ];
        for (found, namespace, expected) in cases {
            assert_eq!(super::super::said(&judge(&found, namespace)), expected);
        }
    }
}
