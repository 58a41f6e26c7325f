//! The number of the rules that are in force: the kernel counts every transaction that changes any table of a network
//! namespace (`NFT_MSG_GETGEN`).
//!
//! Whoever adds, removes or replaces a table, chain, rule, set or element moves it, by whatever program. What packets add
//! to sets and what ends by itself does not. It starts anew at boot.

use std::os::fd::AsRawFd as _;

use nix::sys::socket::{MsgFlags, SockProtocol, recv, send};

use super::{
    HostError,
    netlink::{self, HEADER, attributes, message},
};

/// `linux/netfilter/nfnetlink.h` and `nf_tables.h`: the subsystem in the upper byte, the message in the lower.
const GET: u16 = (10 << 8) | 16;
const NEW: u16 = (10 << 8) | 15;
const REQUEST: u16 = 1;
/// `struct nfgenmsg`: family, version, resource.
const GENMSG: usize = 4;
const ID: u16 = 1;
/// What follows an attribute's type when it is a number of the network's byte order, or has attributes within.
const TYPE: u16 = 0x3fff;

/// The present one, of this thread's network namespace.
///
/// # Errors
/// When the kernel does not tell: it has no `nf_tables`, or this process may not ask (`CAP_NET_ADMIN`).
pub(super) fn generation() -> Result<u32, HostError> {
    let asked = || -> nix::Result<Option<u32>> {
        let socket = netlink::open(SockProtocol::NetlinkNetFilter)?;
        send(socket.as_raw_fd(), &question(), MsgFlags::empty())?;
        let mut answer = [0; 512];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(number(answer.get(..length).unwrap_or_default()))
    };
    let refused = |source| HostError::Netlink { source };
    asked().map_err(refused)?.ok_or(refused(nix::Error::EBADMSG))
}

fn question() -> Vec<u8> {
    let length = u32::try_from(HEADER + GENMSG).unwrap_or_default();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(GET.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Sequence and port: one question to a socket. Then any family, version 0, no resource.
    bytes.resize(HEADER + GENMSG, 0);
    bytes
}

/// The number in the kernel's answer; `None` when it is another answer.
fn number(answer: &[u8]) -> Option<u32> {
    let (kind, body, _) = message(answer)?;
    let attributes = (kind == NEW).then(|| attributes(body.get(GENMSG..).unwrap_or_default()))?;
    let (_, value) = attributes.into_iter().find(|(kind, _)| kind & TYPE == ID)?;
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_nothing_else_is_taken_for_one() {
        let mut answer = vec![28, 0, 0, 0];
        answer.extend(NEW.to_ne_bytes());
        answer.resize(HEADER + GENMSG, 0);
        answer.extend([8, 0, 1, 0, 0, 0, 1, 2]);
        assert_eq!(number(&answer), Some(258));
        assert_eq!(number(&answer[..27]), None, "cut short");
        let mut refused = answer.clone();
        refused[4..6].copy_from_slice(&netlink::ERROR.to_ne_bytes());
        assert_eq!(number(&refused), None);
        answer[22] = 2;
        assert_eq!(number(&answer), None, "it says something else");
    }
}
