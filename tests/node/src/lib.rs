//! What stands in for a Stacks node in holdfast's tests.
//!
//! A Stacks node cannot run in a test: its chain takes days to fetch. This is a small HTTP server, with TLS or without, that
//! gives answers of the shape that nodes give (stacks-network/stacks-core, docs/rpc), and can be wrong in every way in which
//! a server can. It is bound wherever its caller stands, so also in the network of a booted host.

mod answer;
mod tls;

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

pub use answer::{Answers, Reply};
pub use tls::{Authority, Certificate};

/// How long a connection lives at most, so that a test that goes wrong ends.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, until it is dropped.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Node {
    /// One on loopback at a free port of the network that the caller is in; with a certificate, it speaks TLS.
    ///
    /// # Errors
    /// When it cannot listen.
    pub fn start(answers: Answers, certificate: Option<&Certificate>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let config = certificate.map(|certificate| Arc::clone(&certificate.config));
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.over.load(Ordering::SeqCst) {
                    return;
                }
                let (server, config) = (Arc::clone(&server), config.clone());
                thread::spawn(move || {
                    // Whoever hangs up has what they wanted, or does not trust us.
                    drop(serve(stream, config, &server));
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its address, without TLS.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Has it answer otherwise from now on.
    pub fn now(&self, answers: Answers) {
        *lock(&self.shared.answers) = answers;
    }

    /// What it was asked since it was last asked this: method and path each.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }
}

impl Drop for Node {
    /// The thread that waits for connections is let go by the next one.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    stream: TcpStream,
    config: Option<Arc<rustls::ServerConfig>>,
    shared: &Shared,
) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match config {
        None => converse(stream, shared),
        Some(config) => {
            let connection = rustls::ServerConnection::new(config).map_err(io::Error::other)?;
            converse(rustls::StreamOwned::new(connection, stream), shared)
        }
    }
}

/// One question, one answer.
fn converse(stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(("content-length", value)) = line.to_ascii_lowercase().trim().split_once(": ") {
            length = value.parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    lock(&shared.asked).push(format!("{method} {path}"));
    let reply = lock(&shared.answers).to(method, path, &body);
    reply.give(reader.get_mut(), &shared.over)
}
