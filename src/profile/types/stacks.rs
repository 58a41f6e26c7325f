//! Where a Stacks node is reached, and addresses on its chain.

use std::{fmt, net::IpAddr, str::FromStr};

use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::format::{Invalid, Scalar, scalar, shown};

/// Where the RPC of a Stacks node is: by TLS, or on this host itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUrl(String);

impl NodeUrl {
    /// One that is written in the source, where a test reads it.
    pub(in crate::profile) fn known(url: &'static str) -> Self {
        Self(url.to_owned())
    }

    /// Whether it is asked by TLS.
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// What is asked for: a path below it.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0.trim_end_matches('/'))
    }
}

/// Whether only this host itself answers there.
fn is_this_host(host: Option<&Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(*address).to_canonical().is_loopback(),
        // A name is what a resolver says it is.
        _ => false,
    }
}

impl FromStr for NodeUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let help = "write http://127.0.0.1:20443 for a node of this host, or https://… for another";
        // The text itself is not repeated: what people paste may have a key in it.
        let bad = |why: &str| Invalid::new(why).help(help);
        let url = Url::parse(text).map_err(|_| bad("this is not the address of a node"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                bad("a Stacks node asks nobody who they are: leave user and password out").secret()
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("the address of a node has no ? and no #"));
        }
        match url.scheme() {
            "https" => Ok(Self(url.to_string())),
            "http" if is_this_host(url.host().as_ref()) => Ok(Self(url.to_string())),
            "http" => Err(bad("without TLS anybody on the way could answer in the node's place")),
            _ => Err(bad("a node is asked by http or https")),
        }
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for NodeUrl {
    const FORMAT: &'static str = "holdfast-node-url";
    const NOUN: &'static str = "the address of a Stacks node";
    const DESCRIPTION: &'static str = "Where a Stacks node answers: `https://…`, or `http://` with a loopback address of this host.";
    const EXAMPLES: &'static [&'static str] = &["http://127.0.0.1:20443"];
    const PATTERN: Option<&'static str> = Some("^https?://");
}
scalar!(NodeUrl);

/// A standard principal: the address of an account on the Stacks chain, with its checksum (SIP-005, c32check).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StacksAddress {
    text: String,
    version: u8,
}

/// Crockford's digits (stacks-network/c32check).
const DIGITS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The versions of addresses with one signer and with several (SIP-005, "Transaction Encoding").
const MAINNET: [u8; 2] = [22, 20];
const TESTNET: [u8; 2] = [26, 21];

/// A hash and its checksum.
const PAYLOAD: usize = 20 + 4;

impl StacksAddress {
    /// Whether it is one of the main network. All others have the test network's.
    pub fn is_mainnet(&self) -> bool {
        MAINNET.contains(&self.version)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The version and the hash of an address whose checksum is right.
fn decode(text: &str) -> Option<u8> {
    let digit = |c: char| DIGITS.find(c).and_then(|at| u8::try_from(at).ok());
    let rest = text.strip_prefix('S')?;
    let mut chars = rest.chars();
    let version = digit(chars.next()?)?;
    // A number in base 32, most significant digit first, of which the last 24 bytes count.
    let mut payload = [0_u8; PAYLOAD];
    for c in chars {
        let mut carry = u32::from(digit(c)?);
        for byte in payload.iter_mut().rev() {
            carry += u32::from(*byte) << 5;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    let (hash, checksum) = payload.split_at(20);
    let digest = Sha256::digest(Sha256::digest([&[version], hash].concat()));
    (digest[..4] == *checksum).then_some(version)
}

impl FromStr for StacksAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // 24 bytes take at most 39 digits of 5 bits; a digit is left out for each zero that they begin with.
        let version = decode(text).filter(|_| text.len() <= 41);
        match version {
            Some(version) if MAINNET.contains(&version) || TESTNET.contains(&version) => {
                Ok(Self { text: text.to_owned(), version })
            }
            _ => Err(Invalid::new(format!("{} is not an address of the Stacks chain", shown(text)))
                .help("write it as `signer.deployer` has it: SP…, SM…, ST… or SN…; its last characters are a checksum")),
        }
    }
}

impl fmt::Display for StacksAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Scalar for StacksAddress {
    const FORMAT: &'static str = "holdfast-stacks-address";
    const NOUN: &'static str = "an address of the Stacks chain";
    const DESCRIPTION: &'static str = "An address of the Stacks chain: `SP…` or `SM…` on the main network, `ST…` or `SN…` on others.";
    const EXAMPLES: &'static [&'static str] = &["SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4"];
    const PATTERN: Option<&'static str> = Some("^S[PMTN][0-9A-HJKMNP-TV-Z]+$");
}
scalar!(StacksAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_by_tls_or_on_this_host() {
        for good in
            ["http://127.0.0.1:20443", "http://[::1]:20443/", "https://api.example.org/node"]
        {
            assert!(good.parse::<NodeUrl>().is_ok(), "{good}");
        }
        for bad in [
            "http://localhost:20443",
            "http://10.0.0.1:20443",
            "http://node.example.org",
            "https://key@example.org",
            "https://example.org/?key=1",
            "ftp://127.0.0.1",
            "127.0.0.1:20443",
        ] {
            let fault = bad.parse::<NodeUrl>().unwrap_err().to_string();
            assert!(!fault.contains(bad), "{fault}");
        }
        let node: NodeUrl = "http://127.0.0.1:20443/".parse().unwrap();
        assert_eq!(node.at("/v2/info"), "http://127.0.0.1:20443/v2/info");
    }

    #[test]
    fn published_addresses_are_known_and_typing_errors_are_found() {
        let main = ["SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4", "SP000000000000000000002Q6VF78"];
        let test = [
            "SN3VMHXEN64ZZF71JQ5VESXDWTR301XTTXGF4J8F1",
            "ST1F7QA2MDF17S807EPA36TSS8AMEFY4KA9TVGWXT",
            "SN3R84XZYA63QS28932XQF3G1J8R9PC3W76P9CSQS",
            "ST000000000000000000002AMW42H",
        ];
        for (text, is_main) in main.map(|a| (a, true)).into_iter().chain(test.map(|a| (a, false))) {
            let address: StacksAddress = text.parse().unwrap();
            assert_eq!(address.is_mainnet(), is_main, "{text}");
            for at in 1..text.len() {
                let mut altered = text.as_bytes().to_vec();
                altered[at] = if altered[at] == b'7' { b'8' } else { b'7' };
                let altered = String::from_utf8(altered).unwrap();
                assert!(altered.parse::<StacksAddress>().is_err(), "{altered}");
            }
        }
        for bad in ["", "S", "SP", "sm3vdxk3wzzsa84xxfkafaf15nnzx32ctsg82jfq4"] {
            assert!(bad.parse::<StacksAddress>().is_err(), "{bad}");
        }
    }
}
