//! Netlink messages, as much of them as it takes to ask the kernel a question (`linux/netlink.h`).

use std::os::fd::OwnedFd;

use nix::sys::{
    socket::{AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike as _},
};

/// The length of a message's header: length, type, flags, sequence, port.
pub(super) const HEADER: usize = 16;
/// The type of a message that says what went wrong (`NLMSG_ERROR`).
pub(super) const ERROR: u16 = 2;
/// The type of the last message of a dump (`NLMSG_DONE`).
pub(super) const DONE: u16 = 3;

/// The length of an attribute's header: length, type.
const ATTRIBUTE: usize = 4;

/// The kernel answers at once or not at all.
const ANSWER_MILLIS: i64 = 500;

/// A socket for one question.
pub(super) fn open(protocol: SockProtocol) -> nix::Result<OwnedFd> {
    let (family, flags) = (AddressFamily::Netlink, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Datagram, flags, protocol)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(ANSWER_MILLIS))?;
    Ok(socket)
}

/// The first message: its type, its body, and what follows.
pub(super) fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16_at(bytes, 4)?, body, after))
}

/// Attributes: type and value of each, up to one that is cut short.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(rest, 0)?), u16_at(rest, 2)?);
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_ends_the_reading() {
        assert_eq!(message(&[]), None);
        assert_eq!(message(&[255; 20]), None);
        let two = [[5, 0, 1, 0, 7, 0, 0, 0], [8, 0, 2, 0, 1, 2, 3, 4]].concat();
        let found: Vec<_> = attributes(&two).collect();
        assert_eq!(found, [(1, &[7][..]), (2, &[1, 2, 3, 4])]);
        assert_eq!(attributes(&two[..15]).count(), 1, "the second one is cut short");
        assert_eq!(attributes(&[3, 0, 1, 0]).count(), 0, "shorter than its own header");
    }
}
