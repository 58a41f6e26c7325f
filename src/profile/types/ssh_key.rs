//! A public key as it stands in `authorized_keys`, without options.

use std::fmt;
use std::str::FromStr;

use super::format::{Invalid, Scalar, holds_private_key, scalar, shown};

/// A public key: its algorithm, its bytes, and whose it is said to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshKey {
    algorithm: &'static str,
    encoded: String,
    comment: String,
}

/// A key algorithm, and the fields that follow its name inside the key.
struct Shape {
    name: &'static str,
    fields: &'static [Field],
}

#[derive(Clone, Copy)]
enum Field {
    /// Exactly that many bytes.
    Bytes(usize),
    /// Exactly that text.
    Is(&'static str),
    /// An RSA modulus.
    Modulus,
    /// Something that is not empty.
    Some,
}

const SHAPES: &[Shape] = &[
    Shape { name: "sk-ssh-ed25519@openssh.com", fields: &[Field::Bytes(32), Field::Some] },
    Shape {
        name: "sk-ecdsa-sha2-nistp256@openssh.com",
        fields: &[Field::Is("nistp256"), Field::Bytes(65), Field::Some],
    },
    Shape { name: "ssh-ed25519", fields: &[Field::Bytes(32)] },
    Shape { name: "ecdsa-sha2-nistp256", fields: &[Field::Is("nistp256"), Field::Bytes(65)] },
    Shape { name: "ecdsa-sha2-nistp384", fields: &[Field::Is("nistp384"), Field::Bytes(97)] },
    Shape { name: "ecdsa-sha2-nistp521", fields: &[Field::Is("nistp521"), Field::Bytes(133)] },
    Shape { name: "ssh-rsa", fields: &[Field::Some, Field::Modulus] },
];

/// Below 2048 bits sshd of Debian 12 may still agree, but nobody should.
const LEAST_RSA_BYTES: usize = 256;

impl SshKey {
    /// Its algorithm, `sk-ssh-ed25519@openssh.com` for one.
    pub const fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// The key in base64.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The words after it.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Whether it is the same key, whoever it is said to be of.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.algorithm, &self.encoded) == (other.algorithm, &other.encoded)
    }

    /// Whether the private part lives in a hardware key.
    pub fn is_hardware(&self) -> bool {
        self.algorithm.starts_with("sk-")
    }
}

impl FromStr for SshKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if holds_private_key(text) {
            return Err(Invalid::new("this is a private key, and a profile is no place for it")
                .help("put the public key here (the file ending in .pub), and make a new key: this one has been seen")
                .secret());
        }
        let text = text.trim();
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(Invalid::new("this public key has a line break in it")
                .help("write it on one line, as `ssh-keygen` does"));
        }
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or("");
        let Some(shape) = SHAPES.iter().find(|shape| shape.name == name) else {
            return Err(unknown(name));
        };
        let encoded = words.next().ok_or_else(|| {
            Invalid::new(format!("the key itself is missing after {}", shown(name)))
        })?;
        let blob = decode(encoded).ok_or_else(|| {
            Invalid::new("the key is not base64").help("it was cut or changed in copying")
        })?;
        shape.check(&blob)?;
        let comment = words.collect::<Vec<_>>().join(" ");
        Ok(Self { algorithm: shape.name, encoded: encoded.to_owned(), comment })
    }
}

fn unknown(name: &str) -> Invalid {
    let known: Vec<_> = SHAPES.iter().map(|shape| shape.name).collect();
    if name == "ssh-dss" {
        return Invalid::new("OpenSSH no longer accepts DSA keys")
            .help("make a new one: `ssh-keygen -t ed25519-sk`");
    }
    if name.contains('=') || name.contains(',') || name == "restrict" {
        return Invalid::new("this public key has options before it")
            .help("only the key itself belongs here; who may do what is said by other sections");
    }
    Invalid::new(format!("{} is not a kind of public key", shown(name)))
        .help(format!("a key begins with one of: {}", known.join(", ")))
}

impl Shape {
    fn check(&self, blob: &[u8]) -> Result<(), Invalid> {
        let cut = || {
            Invalid::new(format!("this is not a whole {} key", self.name))
                .help("it was cut or changed in copying")
        };
        let mut rest = blob;
        let inner = take(&mut rest).ok_or_else(cut)?;
        if inner != self.name.as_bytes() {
            return Err(Invalid::new(format!(
                "the line says {}, the key inside says {}",
                self.name,
                shown(&String::from_utf8_lossy(inner))
            ))
            .help("copy the whole line of the .pub file"));
        }
        for field in self.fields {
            let bytes = take(&mut rest).ok_or_else(cut)?;
            let good = match field {
                Field::Bytes(count) => bytes.len() == *count,
                Field::Is(text) => bytes == text.as_bytes(),
                Field::Some => !bytes.is_empty(),
                Field::Modulus => {
                    let length = bytes.iter().skip_while(|byte| **byte == 0).count();
                    if length < LEAST_RSA_BYTES {
                        return Err(Invalid::new(format!(
                            "this RSA key has {} bits, fewer than 2048",
                            length * 8
                        ))
                        .help("make a new one: `ssh-keygen -t ed25519-sk`"));
                    }
                    true
                }
            };
            if !good {
                return Err(cut());
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(cut()) }
    }
}

/// Takes one length-prefixed string (RFC 4251 §5) off the front.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (bytes, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(bytes)
}

/// Standard base64 with its padding; nothing else is tolerated.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let data = &bytes[..bytes.len() - padding];
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in data {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    (buffer & ((1 << bits) - 1) == 0).then_some(out)
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.encoded)?;
        if !self.comment.is_empty() {
            write!(f, " {}", self.comment)?;
        }
        Ok(())
    }
}

impl Scalar for SshKey {
    const FORMAT: &'static str = "holdfast-ssh-key";
    const NOUN: &'static str = "an SSH public key";
    const DESCRIPTION: &'static str = "A public key as in `authorized_keys`, without options: algorithm, base64, and words of comment. Keys held in hardware begin with `sk-`.";
    const EXAMPLES: &'static [&'static str] = &[
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f example",
    ];
}
scalar!(SshKey);
