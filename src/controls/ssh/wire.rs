//! The first words of the SSH protocol, which are not encrypted: who the server says it is and what it offers.
//!
//! RFC 4253, sections 4.2 (identification) and 7.1 (`SSH_MSG_KEXINIT`). Pure: bytes in, facts out.

/// What holdfast says first. No key exchange follows, so the server learns nothing more.
pub(super) const IDENTIFICATION: &[u8] = b"SSH-2.0-holdfast_verify\r\n";

/// RFC 4253, section 6: 35,000 bytes is what every implementation takes; OpenSSH takes 256 KiB.
const LONGEST_PACKET: usize = 256 << 10;

/// `SSH_MSG_KEXINIT`.
const KEXINIT: u8 = 20;

/// The random bytes at its beginning.
const COOKIE: usize = 16;

/// Names in a list of key exchanges that are signals, not key exchanges (RFC 8308; OpenSSH's PROTOCOL, 1.10).
const SIGNALS: [&str; 3] = ["ext-info-s", "ext-info-c", "kex-strict-s-v00@openssh.com"];

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// Its identification, such as `SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10`.
    pub(super) identification: String,
    /// Key exchanges, the best first.
    pub(super) kex: Vec<String>,
    /// Kinds of host key, in the order of its keys.
    pub(super) host_keys: Vec<String>,
    /// Ciphers, from the client and to it.
    pub(super) ciphers: [Vec<String>; 2],
    /// Message authentication codes, likewise.
    pub(super) macs: [Vec<String>; 2],
}

/// Why bytes are not the beginning of an SSH server's talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotHello {
    /// More could follow.
    Short,
    /// The line was closed after these words, without an identification.
    Words(String),
    /// Another protocol, or a broken one.
    Other(&'static str),
}

/// Whether enough was heard to judge.
pub(super) fn is_enough(heard: &[u8]) -> bool {
    !matches!(parse(heard), Err(NotHello::Short | NotHello::Words(_)))
}

/// Reads what a server sends before anything is encrypted.
pub(super) fn parse(heard: &[u8]) -> Result<Hello, NotHello> {
    let mut rest = heard;
    // A server may send other lines first.
    let identification = loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Err(if heard.is_empty() { NotHello::Short } else { words(heard) });
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.starts_with(b"SSH-") {
            break String::from_utf8_lossy(line).into_owned();
        }
    };
    let length = take_u32(&mut rest).ok_or(NotHello::Short)?;
    if !(2..=LONGEST_PACKET).contains(&length) {
        return Err(NotHello::Other("its first packet has an impossible length"));
    }
    let packet = rest.get(..length).ok_or(NotHello::Short)?;
    let padding = usize::from(packet[0]);
    let broken = NotHello::Other("its first packet is broken");
    let payload = packet.get(1..length.saturating_sub(padding)).ok_or(broken.clone())?;
    if payload.first() != Some(&KEXINIT) {
        return Err(NotHello::Other("its first packet offers no algorithms"));
    }
    let mut lists = payload.get(1 + COOKIE..).ok_or(broken.clone())?;
    let mut next = || names(&mut lists).ok_or(broken.clone());
    let mut kex = next()?;
    kex.retain(|name| !SIGNALS.contains(&name.as_str()));
    let host_keys = next()?;
    let ciphers = [next()?, next()?];
    let macs = [next()?, next()?];
    Ok(Hello { identification, kex, host_keys, ciphers, macs })
}

/// A refusal is a line without an identification: `Not allowed at this time`, `Exceeded MaxStartups`.
fn words(heard: &[u8]) -> NotHello {
    if heard.starts_with(b"SSH-") {
        return NotHello::Short;
    }
    let text = String::from_utf8_lossy(&heard[..heard.len().min(200)]);
    NotHello::Words(text.trim().to_owned())
}

fn take_u32(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

/// A name-list: its length and names joined by commas.
fn names(rest: &mut &[u8]) -> Option<Vec<String>> {
    let length = take_u32(rest)?;
    let (list, after) = rest.split_at_checked(length)?;
    *rest = after;
    let list = std::str::from_utf8(list).ok()?;
    Some(list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEBIAN_12: &[u8] = include_bytes!("fixtures/hello-9.2.bin");
    const DEBIAN_13: &[u8] = include_bytes!("fixtures/hello-10.0.bin");

    #[test]
    fn what_debians_servers_say() {
        let hello = parse(DEBIAN_12).unwrap();
        assert_eq!(hello.identification, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10");
        assert_eq!(hello.kex.len(), 11);
        assert_eq!(hello.kex[10], "diffie-hellman-group14-sha256");
        let keys = ["rsa-sha2-512", "rsa-sha2-256", "ecdsa-sha2-nistp256", "ssh-ed25519"];
        assert_eq!(hello.host_keys, keys);
        assert_eq!(hello.ciphers[0], hello.ciphers[1]);
        assert_eq!(hello.ciphers[0][0], "chacha20-poly1305@openssh.com");
        assert_eq!(hello.macs[0].len(), 10);

        let hello = parse(DEBIAN_13).unwrap();
        assert_eq!(hello.identification, "SSH-2.0-OpenSSH_10.0p2 Debian-7+deb13u4");
        assert_eq!(hello.kex[0], "mlkem768x25519-sha256");
        assert!(!hello.kex.iter().any(|name| name.starts_with("ext-info")), "{:?}", hello.kex);
        assert!(!hello.kex.iter().any(|name| name.starts_with("kex-strict")), "{:?}", hello.kex);
    }

    #[test]
    fn what_is_no_server() {
        let words = |text: &str| Err(NotHello::Words(text.to_owned()));
        let cases: [(&[u8], Result<Hello, NotHello>); 7] = [
            (b"", Err(NotHello::Short)),
            (b"SSH-2.0-Open", Err(NotHello::Short)),
            (b"SSH-2.0-x\r\n\0\0", Err(NotHello::Short)),
            (b"Not allowed at this time\r\n", words("Not allowed at this time")),
            (b"220 mail ESMTP", words("220 mail ESMTP")),
            (
                b"SSH-2.0-x\r\n\xff\xff\xff\xff",
                Err(NotHello::Other("its first packet has an impossible length")),
            ),
            (
                b"SSH-2.0-x\r\n\0\0\0\x04\x01\x15\0\0",
                Err(NotHello::Other("its first packet offers no algorithms")),
            ),
        ];
        for (heard, expected) in cases {
            assert_eq!(parse(heard), expected, "{}", String::from_utf8_lossy(heard));
        }
        let mut banner = b"a line before\r\n".to_vec();
        banner.extend_from_slice(DEBIAN_12);
        assert_eq!(parse(&banner), parse(DEBIAN_12));
    }

    #[test]
    fn every_beginning_is_short_until_it_is_whole() {
        for server in [DEBIAN_12, DEBIAN_13] {
            let first_words = b"SSH-".len();
            for end in first_words..server.len() {
                assert!(!is_enough(&server[..end]), "{end} of {}", server.len());
            }
            assert!(is_enough(server));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(parse(&bytes));
            let mut server = b"SSH-2.0-x\r\n".to_vec();
            server.extend_from_slice(&bytes);
            drop(parse(&server));
        }

        #[test]
        fn a_bent_hello_does_not_panic(at in 0usize..1081, to in any::<u8>(), end in 0usize..1082) {
            let mut bytes = DEBIAN_13.to_vec();
            bytes[at] = to;
            drop(parse(&bytes[..end.min(bytes.len())]));
        }
    }
}
