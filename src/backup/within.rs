//! PostgreSQL's clients within a container, where nothing else reaches its server: by the engine's `exec`.
//!
//! The container's own `pg_dump` is of its server's version. What ends an `exec` from outside does not end what runs inside
//! (Docker moby#9098), so a run that is cut off leaves a `pg_dump` that goes on for nobody; its connection has a name of
//! its own, by which the next run ends it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::server::ServerError;
use crate::{
    host::{Reader, error::chain, stage::Launch},
    profile::types::ContainerName,
};

/// A question to an engine; a busy one takes its time.
const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// What makes containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Docker,
    Podman,
}

impl Engine {
    const ALL: [Self; 2] = [Self::Docker, Self::Podman];

    fn program(self) -> &'static str {
        match self {
            Self::Docker => "/usr/bin/docker",
            Self::Podman => "/usr/bin/podman",
        }
    }
}

/// A container whose programs are used.
#[derive(Debug, Clone)]
pub(super) struct Within {
    engine: Engine,
    name: ContainerName,
}

impl Within {
    /// The container of this name that runs, and the major version of the clients in it.
    pub(super) fn find(
        reader: &Reader,
        name: &ContainerName,
        client: &str,
    ) -> Result<(Self, u32), ServerError> {
        let mut said = Vec::new();
        for engine in Engine::ALL {
            if !reader.files().exists(engine.program()) {
                continue;
            }
            let within = Self { engine, name: name.clone() };
            let args = ["--version".to_owned()];
            match within.launch(Path::new(client), &args, &[], QUESTION_LIMIT).ask(&[]) {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output);
                    let major = major(&text);
                    let major = major.ok_or_else(|| ServerError::Answer(text.trim().to_owned()))?;
                    return Ok((within, major));
                }
                Err(error) => said.push(format!("{}: {}", engine.program(), chain(&error))),
            }
        }
        let said = if said.is_empty() {
            "neither docker nor podman is installed".to_owned()
        } else {
            said.join("; ")
        };
        Err(ServerError::NoContainer { name: name.to_string(), client: client.to_owned(), said })
    }

    /// A program in it. Nothing of what is given is secret.
    pub(super) fn launch(
        &self,
        program: &Path,
        args: &[String],
        env: &[(&'static str, String)],
        limit: Duration,
    ) -> Launch<'static> {
        let mut words: Vec<String> = Vec::new();
        let outer = match self.engine {
            Engine::Docker => Engine::Docker.program(),
            // Podman has no daemon: its `exec` itself enters the container's namespaces and cgroup, which a sandbox
            // forbids. systemd starts it outside of ours, with our pipes.
            Engine::Podman => {
                let limit = format!("--property=RuntimeMaxSec={}", limit.as_secs().max(1));
                let own = ["--quiet", "--pipe", "--wait", "--collect", &limit, "--"];
                words.extend(own.map(str::to_owned));
                words.push(self.engine.program().to_owned());
                "/usr/bin/systemd-run"
            }
        };
        words.extend(["exec", "--interactive"].map(str::to_owned));
        for (name, value) in env {
            words.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        words.push(self.name.to_string());
        words.push(program.display().to_string());
        words.extend(args.iter().cloned());
        let program = Path::new(outer);
        Launch { program, args: words, env: Vec::new(), identity: None, isolated: false, limit }
    }

    /// Where its clients are: on the container's own path.
    pub(super) fn bin() -> PathBuf {
        PathBuf::new()
    }
}

/// Ends what a run that was cut off has left in a container: by the name of its connections.
pub(super) const CLEAR: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE usename = current_user AND pid <> pg_backend_pid() \
     AND application_name = current_setting('application_name')";

/// The major version in `pg_dump (PostgreSQL) 17.5 (Debian 17.5-1)`.
fn major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_version_is_read_from_what_it_says() {
        assert_eq!(major("pg_dump (PostgreSQL) 17.5 (Debian 17.5-1.pgdg120+1)\n"), Some(17));
        assert_eq!(major("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("busybox"), None);
    }

    #[test]
    fn podman_is_started_outside_of_the_sandbox() {
        let words = |engine| {
            let within = Within { engine, name: "db".parse().unwrap() };
            let env = [("PGUSER", "reader".to_owned())];
            let limit = Duration::from_secs(9);
            let launch = within.launch(Path::new("psql"), &["-X".to_owned()], &env, limit);
            format!("{} {}", launch.program.display(), launch.args.join(" "))
        };
        assert_eq!(
            words(Engine::Docker),
            "/usr/bin/docker exec --interactive --env PGUSER=reader db psql -X"
        );
        assert_eq!(
            words(Engine::Podman),
            "/usr/bin/systemd-run --quiet --pipe --wait --collect --property=RuntimeMaxSec=9 -- /usr/bin/podman exec \
             --interactive --env PGUSER=reader db psql -X"
        );
    }
}
