//! What is answered, and how it goes wrong.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// How long one who is slow waits at a time.
const WAIT: Duration = Duration::from_millis(50);

/// How often: longer than anybody who asks has patience.
const WAITS: u32 = 1200;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status and a body.
    Of(u16, String),
    /// Nothing comes.
    Silence,
    /// A byte comes now and then, and the end never does.
    Drip,
    /// Less comes than was announced.
    Cut,
    /// More comes than anybody wants to read, without an end that was announced.
    Flood,
    /// It sends on to another address.
    Elsewhere(String),
    /// It is no HTTP.
    Noise,
}

impl Reply {
    /// Status 200 and a document.
    pub fn json(text: impl Into<String>) -> Self {
        Self::Of(200, text.into())
    }

    pub(crate) fn give(&self, to: &mut impl Write, over: &AtomicBool) -> io::Result<()> {
        let waits = || (0..WAITS).take_while(|_| !over.load(Ordering::SeqCst));
        match self {
            Self::Of(status, body) => write!(
                to,
                "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )?,
            Self::Silence => waits().for_each(|_| thread::sleep(WAIT)),
            Self::Drip => {
                write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
                for _ in waits() {
                    to.write_all(b" ")?;
                    to.flush()?;
                    thread::sleep(WAIT);
                }
            }
            Self::Cut => {
                write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{{\"okay\":true")?;
            }
            Self::Flood => {
                write!(to, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                let much = vec![b' '; 64 << 10];
                (0..1024).try_for_each(|_| to.write_all(&much))?;
            }
            Self::Elsewhere(url) => write!(
                to,
                "HTTP/1.1 307 Elsewhere\r\nLocation: {url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?,
            Self::Noise => to.write_all(b"SSH-2.0-OpenSSH_10.0\r\n")?,
        }
        to.flush()
    }
}

/// What a node says of itself and of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// To `GET /v2/info`.
    pub info: Reply,
    /// To `GET /v3/health`.
    pub health: Reply,
    /// To `POST /v2/contracts/call-read/…`, whoever's contract it is.
    pub call: Reply,
    /// To `GET /v2/data_var/…`.
    pub variable: Reply,
    /// Whose contract there is; `None`: anybody's.
    pub deployer: Option<String>,
}

impl Answers {
    /// A node of this network at the tip, whose contract has this value, serialised in hexadecimal.
    pub fn of(network_id: u32, burn_height: u64, value: &str) -> Self {
        Self {
            info: Reply::json(format!(
                r#"{{"peer_version":402653194,"pox_consensus":"5e","burn_block_height":{burn_height},"stable_pox_consensus":"5e","stable_burn_block_height":{},"server_version":"stacks-node 4.0.2 (a test's stand-in)","network_id":{network_id},"parent_network_id":3652501241,"stacks_tip_height":3500000,"stacks_tip":"5e","is_fully_synced":true}}"#,
                burn_height.saturating_sub(7)
            )),
            health: Reply::json(
                r#"{"difference_from_max_peer":0,"max_stacks_height_of_neighbors":3500000,"node_stacks_tip_height":3500000}"#,
            ),
            call: Reply::json(format!(r#"{{"okay":true,"result":"0x{value}"}}"#)),
            variable: Reply::json(format!(r#"{{"data":"0x{value}"}}"#)),
            deployer: None,
        }
    }

    /// A node of the main network whose contract has this key, 33 bytes.
    pub fn with_key(burn_height: u64, key: &[u8]) -> Self {
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::of(1, burn_height, &format!("02{:08x}{hex}", key.len()))
    }

    pub(crate) fn to(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        let absent = || Reply::Of(404, "No contract source data found".to_owned());
        let is_there = |rest: &str| {
            let (who, rest) = rest.split_once('/').unwrap_or(("", ""));
            self.deployer.as_deref().is_none_or(|deployer| deployer == who)
                && rest.starts_with("sbtc-registry/")
        };
        match (method, path) {
            ("GET", "/v2/info") => self.info.clone(),
            ("GET", "/v3/health") => self.health.clone(),
            ("POST", path) => match path.strip_prefix("/v2/contracts/call-read/") {
                // A node refuses a question that does not say who asks.
                Some(rest) if is_there(rest) && body.starts_with(b"{") => self.call.clone(),
                _ => absent(),
            },
            ("GET", path) => match path.strip_prefix("/v2/data_var/") {
                Some(rest) if is_there(rest) => self.variable.clone(),
                _ => absent(),
            },
            _ => absent(),
        }
    }
}
