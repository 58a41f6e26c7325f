//! Docker's engine, asked over its socket what it runs.
//!
//! One request to a connection, as HTTP/1.0: the engine answers with a body that ends where the connection does, so
//! that no client library is needed. Nothing but GET is ever said.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::{Files, HostError};

/// Where the engine listens; `/var/run` is a link to `/run` on Debian.
const SOCKET: &str = "/run/docker.sock";

/// The running engine's own note of its process. The socket is not enough: systemd holds it and would start the engine
/// for whoever connects, and a look starts nothing.
const PID_FILE: &str = "/run/docker.pid";

/// A busy engine answers within milliseconds; one that has not by then hangs.
const LIMIT: Duration = Duration::from_secs(2);

/// A thousand containers come to about 4 MB.
const ANSWER_LIMIT: u64 = 16 << 20;

/// What can be asked of the engine. It only answers.
#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    /// Every running container, with its ports and networks.
    Running,
    /// Every network, with its driver.
    Networks,
    /// All about one container, running or not. Its environment is in the answer, and secrets may be in that.
    Container(&'a str),
}

impl Question<'_> {
    fn path(self) -> Result<String, HostError> {
        match self {
            Self::Running => Ok("/containers/json".to_owned()),
            Self::Networks => Ok("/networks".to_owned()),
            Self::Container(name) => {
                let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                if name.is_empty() || !name.chars().all(is_name) {
                    return Err(HostError::Refused("this is no name of a container".to_owned()));
                }
                Ok(format!("/containers/{name}/json"))
            }
        }
    }
}

/// Whether an engine runs here.
pub(super) fn runs(files: &Files) -> bool {
    let pid = files.text(PID_FILE).ok().flatten();
    let pid = pid.and_then(|text| text.trim().parse::<u32>().ok());
    pid.is_some_and(|pid| files.exists(&format!("/proc/{pid}")) && files.exists(SOCKET))
}

/// The engine's answer; `None` when there is no such container.
pub(super) async fn ask(files: &Files, question: Question<'_>) -> Result<Option<Value>, HostError> {
    let command = format!("GET {} from Docker", question.path()?);
    let request = format!("GET {} HTTP/1.0\r\nHost: docker\r\n\r\n", question.path()?);
    let talk = async {
        let mut stream = UnixStream::connect(files.locate(SOCKET)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_LIMIT + 1).read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer = match timeout(LIMIT, talk).await {
        Ok(answer) => answer.map_err(HostError::file("talk to", SOCKET))?,
        Err(_) => return Err(HostError::Timeout { command, limit: LIMIT }),
    };
    if answer.len() as u64 > ANSWER_LIMIT {
        let limit = usize::try_from(ANSWER_LIMIT).unwrap_or(usize::MAX);
        return Err(HostError::TooMuchOutput { command, limit });
    }
    parse(&answer, &command)
}

/// Splits the answer. Its body is never shown: the engine's words for an error may repeat what it was asked only, but
/// an answer that is not as expected may hold a container's environment.
fn parse(answer: &[u8], command: &str) -> Result<Option<Value>, HostError> {
    let odd = |what: &str| HostError::Failed {
        command: command.to_owned(),
        status: "an answer that cannot be read".to_owned(),
        stderr: what.to_owned(),
    };
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = match end {
        Some(end) => (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]),
        None => return Err(odd("it has no end of headers")),
    };
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
    match status {
        "200" => {}
        "404" => return Ok(None),
        other => return Err(odd(&format!("status {other:.3}"))),
    }
    if lines.any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding:")) {
        return Err(odd("it comes in chunks"));
    }
    let json = serde_json::from_slice(body);
    json.map(Some).map_err(|source| HostError::NotJson { command: command.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let good = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[{\"Id\":\"1\"}]";
        let parsed = parse(good, "asked").unwrap().unwrap();
        assert_eq!(parsed[0]["Id"], "1");
        assert!(parse(b"HTTP/1.0 404 Not Found\r\n\r\n{}", "asked").unwrap().is_none());
        for bad in [
            &b"HTTP/1.0 500 Oh\r\n\r\nPASSWORD=x"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nPASSWORD=x",
            b"",
            b"HTTP/1.0 200 OK",
        ] {
            let error = parse(bad, "asked").unwrap_err().chain();
            assert!(!error.contains("PASSWORD"), "{error}");
        }
    }

    #[test]
    fn names_stay_one_part_of_the_path() {
        for bad in ["", "a/b", "a b", "..%2f", "a?x", "a\r\nX: y"] {
            assert!(Question::Container(bad).path().is_err(), "{bad:?}");
        }
        assert_eq!(Question::Container("a-b_c.1").path().unwrap(), "/containers/a-b_c.1/json");
    }
}
