//! Networks from which nothing is let in: a list in a file, and what is wrong with it, by line.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::sets::{Version, aggregated};
use crate::{
    engine::change::FileState,
    host::Reader,
    profile::{
        schema::{Block, Firewall},
        types::Cidr,
    },
};

/// How every fault of a list begins.
const FAULT: &str = "blocklist ";

/// The most networks of one list. An nft set of so many is loaded in about a second.
const MOST: usize = 100_000;

/// How many broken lines are named; the rest are counted.
const NAMED: usize = 10;

/// Permission bits of those who are not the owner.
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Whether this is what is wrong with a list, rather than with the host.
pub(super) fn is_fault(why: &str) -> bool {
    why.starts_with(FAULT)
}

/// The networks of each block, by its name: joined, IPv4 before IPv6.
///
/// # Errors
/// What is wrong with a list, with file, line and column.
pub(super) fn read(
    section: &Firewall,
    host: &Reader,
) -> Result<BTreeMap<String, Vec<IpNet>>, String> {
    section.block.iter().map(|block| Ok((block.name.to_string(), one(block, host)?))).collect()
}

fn one(block: &Block, host: &Reader) -> Result<Vec<IpNet>, String> {
    let fault = |why: String| format!("{FAULT}{}: {why}", block.name);
    let mut networks = block.networks.clone().unwrap_or_default();
    if let Some(path) = &block.file {
        let path = path.as_str();
        let text = text_of(path, host).map_err(fault)?;
        networks.extend(parse(path, &text).map_err(fault)?);
    }
    Ok([Version::V4, Version::V6].map(|version| aggregated(&networks, version)).concat())
}

fn text_of(path: &str, host: &Reader) -> Result<String, String> {
    let state = host.files().state(path).map_err(|error| error.chain())?;
    let FileState::File { content, mode, uid, .. } = state else {
        return Err(match state {
            FileState::Absent => {
                format!(
                    "there is no {path}; put the list there, or drop the entry of firewall.block"
                )
            }
            FileState::Symlink { target, .. } => {
                format!("{path} is a link to {target:?}; name that file itself")
            }
            _ => format!("{path} is a directory; name a file in it"),
        });
    };
    if uid != 0 || mode & OTHERS_MAY_WRITE != 0 {
        return Err(format!(
            "others than root may write to {path}; run: chown root:root {path} && chmod 644 {path}"
        ));
    }
    String::from_utf8(content.as_bytes().to_vec()).map_err(|error| {
        let whole = &content.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("{path}:{}: this line is not UTF-8", whole.split(|byte| *byte == b'\n').count())
    })
}

/// The networks of a list, or its broken lines.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<Cidr>, String> {
    let (mut networks, mut faults, mut more) = (Vec::new(), Vec::new(), 0usize);
    for (index, line) in text.lines().enumerate() {
        let entry = line.split(['#', ';']).next().unwrap_or_default();
        let word = entry.trim();
        if word.is_empty() {
            continue;
        }
        let why = match word.parse::<Cidr>() {
            Ok(network) if network.net().prefix_len() == 0 => {
                format!("`{word}` would block everybody")
            }
            Ok(network) => {
                networks.push(network);
                continue;
            }
            Err(error) => match error.help {
                Some(help) => format!("{} ({help})", error.message),
                None => error.message,
            },
        };
        if faults.len() < NAMED {
            let column = entry.chars().take_while(|c| c.is_whitespace()).count() + 1;
            faults.push(format!("{path}:{}:{column}: {why}", index + 1));
        } else {
            more += 1;
        }
    }
    if !faults.is_empty() {
        let mut all = faults.join("; ");
        if more > 0 {
            all.push_str(&format!("; and {more} more broken lines"));
        }
        return Err(all);
    }
    if networks.len() > MOST {
        return Err(format!(
            "{path} has {} networks; {MOST} is the most: join neighbours, or split the list into two blocks",
            networks.len()
        ));
    }
    Ok(networks)
}

/// The networks of one version of IP.
pub(super) fn of_version(networks: &[IpNet], version: Version) -> Vec<IpNet> {
    let is_of = |net: &&IpNet| {
        matches!((net, version), (IpNet::V4(_), Version::V4) | (IpNet::V6(_), Version::V6))
    };
    networks.iter().filter(is_of).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_comments() {
        let text = "# a list\n\n10.0.0.0/8 ; SBL1\n  192.0.2.1\t# one\r\n2001:db8::/32\n;end";
        let networks: Vec<_> = parse("/l", text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
        assert!(parse("/l", "").unwrap().is_empty());
    }

    #[test]
    fn every_broken_line_is_named_with_its_place() {
        let text =
            "10.0.0.0/8\n  10.0.0.1/8\n10.0.0.0/33\nnonsense\n0.0.0.0/0\n::/0\n10.0.0.1 10.0.0.2\n";
        let why = parse("/etc/l", text).unwrap_err();
        let faults: Vec<_> = why.split("; ").collect();
        assert_eq!(faults.len(), 6, "{why}");
        assert!(
            faults[0].starts_with("/etc/l:2:3: `10.0.0.1/8` has bits set to the right"),
            "{why}"
        );
        assert!(faults[1].starts_with("/etc/l:3:1: `10.0.0.0/33` is not a network"), "{why}");
        assert!(faults[2].starts_with("/etc/l:4:1: `nonsense` is not a network"), "{why}");
        assert_eq!(faults[3], "/etc/l:5:1: `0.0.0.0/0` would block everybody");
        assert_eq!(faults[4], "/etc/l:6:1: `::/0` would block everybody");
        assert!(faults[5].starts_with("/etc/l:7:1: "), "{why}");
        let many = "x\n".repeat(500);
        let why = parse("/etc/l", &many).unwrap_err();
        assert!(why.ends_with("and 490 more broken lines") && why.len() < 3000, "{why}");
    }

    #[test]
    fn a_list_that_is_too_long_is_refused() {
        let text: String = (0..=MOST)
            .map(|n| {
                format!(
                    "{}\n",
                    std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(n).unwrap() * 2)
                )
            })
            .collect();
        assert!(parse("/l", &text).unwrap_err().contains("100001 networks; 100000 is the most"));
        let text = text.trim_end().rsplit_once('\n').unwrap().0;
        assert_eq!(parse("/l", text).unwrap().len(), MOST);
    }
}
