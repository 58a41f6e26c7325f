//! TCP as it is seen from the host itself: who listens on a port, and what answers there.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{
    Files, HostError,
    endpoints::{self, Endpoint},
};

/// A server on this very host that has not answered by then is not going to.
const CONVERSATION_LIMIT: Duration = Duration::from_secs(10);

/// The first words of any protocol fit in this; more is not read.
const ANSWER_LIMIT: usize = 64 << 10;

/// Conversations over IPv4 loopback come from 127.104.102.1 to .254 (`h`, `f`), in turn. Servers count connections
/// that never log in against their source (sshd from 9.8 on shuts such a source out for a while), so ours must not
/// share one address with each other or with anybody else; and in a log they can be told from others.
const SOURCE: [u8; 3] = [127, b'h', b'f'];

/// A socket that waits for connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its port.
    pub port: u16,
    /// The kernel's number for it, which names it in `/proc/PID/fd`.
    pub inode: u64,
}

/// Every listening TCP socket of this network namespace, IPv4 and IPv6.
pub(super) fn listeners(files: &Files) -> Result<Vec<Listener>, HostError> {
    let all = endpoints::tcp(files)?.into_iter();
    Ok(all.map(|Endpoint { port, inode, .. }| Listener { port, inode }).collect())
}

/// The sockets a process has open.
pub(super) fn of_process(files: &Files, pid: u32) -> Result<BTreeSet<u64>, HostError> {
    let dir = format!("/proc/{pid}/fd");
    let mut sockets = BTreeSet::new();
    for name in files.list(&dir)? {
        // None: closed between the two looks. An error is not a "no": without CAP_SYS_PTRACE nothing can be said.
        if let Some(target) = files.link(&format!("{dir}/{name}"))?
            && let Some(inode) = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']'))
        {
            sockets.extend(inode.parse::<u64>());
        }
    }
    Ok(sockets)
}

/// Connects to an address of this host, says something and listens until `enough` has been heard, the other side
/// hangs up, or the time limit.
pub(super) async fn converse(
    to: SocketAddr,
    say: &[u8],
    enough: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, HostError> {
    let failed = |source| HostError::Connect { to, source };
    let late = |_| failed(io::Error::from(io::ErrorKind::TimedOut));
    let mut stream =
        timeout(CONVERSATION_LIMIT, connect(to)).await.map_err(late)?.map_err(failed)?;
    let mut heard = Vec::new();
    let talk = async {
        stream.write_all(say).await?;
        let mut chunk = [0; 4096];
        while heard.len() < ANSWER_LIMIT && !enough(&heard) {
            match stream.read(&mut chunk).await? {
                0 => break,
                n => heard.extend_from_slice(&chunk[..n]),
            }
        }
        Ok::<(), io::Error>(())
    };
    match timeout(CONVERSATION_LIMIT, talk).await {
        // What was heard before the line broke or the time ran out says more than the error does.
        Ok(Err(error)) if heard.is_empty() => Err(failed(error)),
        Err(elapsed) if heard.is_empty() => Err(late(elapsed)),
        _ => Ok(heard),
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    if to.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return TcpStream::connect(to).await;
    }
    // Processes begin at different points of the circle, or each would use .1 first.
    let turn = NEXT.fetch_add(1, Ordering::Relaxed);
    let begin = std::process::id().wrapping_mul(7).to_le_bytes()[0];
    let last = begin.wrapping_add(turn) % 254 + 1;
    let [a, b, c] = SOURCE;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(a, b, c, last), 0)))?;
    socket.connect(to).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_conversation_comes_from_our_own_address() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let serve = async {
            let (mut stream, from) = server.accept().await.unwrap();
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.unwrap();
            stream.write_all(b"one two three").await.unwrap();
            (from.ip(), said)
        };
        let heard = converse(to, b"hello", |heard| heard.len() >= 3);
        let ((from, said), heard) = tokio::join!(serve, heard);
        assert!(from.to_string().starts_with("127.104.102."), "{from}");
        assert_eq!(&said, b"hello");
        assert!(heard.unwrap().starts_with(b"one"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn nobody_there() {
        let closed = {
            let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            server.local_addr().unwrap()
        };
        let error = converse(closed, b"", |_| true).await.unwrap_err();
        assert!(error.is_refused(), "{error}");
    }
}
