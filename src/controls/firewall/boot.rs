//! What is loaded at boot: a copy of the confirmed table on the disk, and the little that is let in when there is none.
//!
//! The copy is in `/var/lib`, not `/etc`: it is state that holdfast derives from the profile, nothing that a person
//! edits, and it is rolled back with the transactions beside it. It is written by the transaction that changes the
//! table, so that both are confirmed or taken back together. `engine::early` loads it.

use serde::Deserialize;
use serde_json::Value;

use super::checks::BOOT;
use crate::{
    controls::Preview,
    engine::{
        change::{Change, Content, FileState, Step, UnitVerb},
        check::{Judgement, Verdict},
        document::{Desired, digest},
    },
    host::{Reader, bus::UnitStatus},
    profile::{
        schema::{Allow, Firewall, Forward, Profile},
        types::{Port, PortRange},
    },
};

/// Where the copy is.
pub const COPY: &str = "/var/lib/holdfast/firewall.json";

/// The unit that loads it, before there is a network.
pub const UNIT: &str = "holdfast-firewall.service";

/// The version of the copy's format. A newer one is refused.
const FORMAT: u32 = 1;

/// Root's alone: it says where the host can be reached from.
const MODE: u32 = 0o600;

/// The copy.
#[derive(Debug, Deserialize)]
struct Copy {
    format: u32,
    /// nft's JSON commands, as [`super::document`] makes them.
    document: Value,
    /// sha256 of the document, in hex.
    digest: String,
}

/// The copy of a document, as it is written: a [`Copy`] as JSON.
pub fn encode(document: &Desired) -> String {
    let (text, digest) = (document.text(), document.digest());
    format!("{{\"format\":{FORMAT},\"document\":{text},\"digest\":\"{digest}\"}}\n")
}

/// The document of a copy.
///
/// # Errors
/// Why it must not be loaded, in words.
pub fn decode(text: &str) -> Result<Value, String> {
    let copy: Copy =
        serde_json::from_str(text).map_err(|error| format!("is not whole: {error}"))?;
    if copy.format != FORMAT {
        return Err(format!("has format {}, and this holdfast reads {FORMAT}", copy.format));
    }
    if digest(&copy.document) != copy.digest {
        return Err("was changed by somebody: its digest is another".to_owned());
    }
    Ok(copy.document)
}

/// The section that is loaded when there is nothing better: the profile's way in by SSH and nothing else. Without a
/// profile, from anywhere: a host that its owner cannot reach cannot be repaired, and sshd still asks everybody who
/// they are.
pub fn last_resort(profile: Option<&Profile>, listening: &[Port]) -> Firewall {
    let section = profile.and_then(|profile| profile.firewall.as_ref());
    let managed = profile.and_then(|profile| profile.ssh.as_ref()?.ports.clone());
    let ports = managed.unwrap_or_else(|| listening.to_vec());
    let ports = if ports.is_empty() { vec![Port::SSH] } else { ports };
    let ranges: Vec<PortRange> = ports.iter().copied().map(PortRange::from).collect();
    let allow = match section {
        Some(section) => section
            .allowing(&ports)
            .map(|allow| Allow { tcp: Some(ranges.clone()), udp: None, ..allow.clone() })
            .collect(),
        None => from_anywhere(&ranges),
    };
    Firewall { allow, forward: Forward::Deny, ..Firewall::default() }
}

fn from_anywhere(ports: &[PortRange]) -> Vec<Allow> {
    let allow = serde_json::json!({ "name": "ssh", "tcp": ports });
    serde_json::from_value(allow).into_iter().collect()
}

/// The ports that sshd's configuration names: `Port 2222` on a line of its own. Empty: none is named.
pub fn sshd_ports(files: &[String]) -> Vec<Port> {
    let words = files.iter().flat_map(|text| text.lines()).map(|line| {
        let mut words = line.split([' ', '\t', '=']).filter(|word| !word.is_empty());
        (words.next(), words.next())
    });
    let mut ports: Vec<Port> = words
        .filter(|(keyword, _)| keyword.is_some_and(|word| word.eq_ignore_ascii_case("port")))
        .filter_map(|(_, value)| value?.parse().ok())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// What there is for the next boot.
#[derive(Debug)]
pub(super) struct AtBoot {
    /// The unit, or why systemd does not say.
    pub(super) unit: Result<UnitStatus, String>,
    /// The copy, or why it cannot be read.
    pub(super) copy: Result<FileState, String>,
}

impl AtBoot {
    pub(super) async fn of(host: &Reader) -> Self {
        let unit = match host.systemd().await {
            Ok(systemd) => systemd.unit(UNIT).await.map_err(|error| error.chain()),
            Err(error) => Err(error.chain()),
        };
        Self { unit, copy: host.files().state(COPY).map_err(|error| error.chain()) }
    }

    /// The table that was confirmed last; `None` where there is no whole copy of one.
    pub(super) fn confirmed(&self) -> Option<Value> {
        decode(self.copy.as_ref().ok()?.text()?).ok()
    }

    pub(super) fn judge(&self, document: &Result<Desired, String>) -> Judgement {
        let known = document.as_ref().map_or_else(
            |_| String::new(),
            |document| format!(" (sha256 {}…)", &document.digest()[..8]),
        );
        let expected = format!("{UNIT} is enabled and loads the desired table{known}");
        Judgement::new(BOOT, expected, self.verdict(document))
    }

    fn verdict(&self, document: &Result<Desired, String>) -> Verdict {
        let (unit, copy, document) = match (&self.unit, &self.copy, document) {
            (Ok(unit), Ok(copy), Ok(document)) => (unit, copy, document),
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
                return Verdict::Unknown { why: why.clone() };
            }
        };
        let faults: Vec<String> =
            [unit_fault(unit), copy_fault(copy, document)].into_iter().flatten().collect();
        if faults.is_empty() {
            return Verdict::Holds { observed: format!("{UNIT} is enabled, {COPY} is whole") };
        }
        Verdict::Differs { observed: faults.join("; ") }
    }

    /// What writes the copy and enables the unit, as far as either is needed.
    pub(super) fn plan(&self, document: &Desired, because: &[String]) -> Vec<Step> {
        let step = |change| Step { change, because: because.to_vec() };
        let mut steps = Vec::new();
        if self.copy.as_ref().is_ok_and(|copy| copy_fault(copy, document).is_some()) {
            steps.push(step(put(document)));
        }
        if let Ok(unit) = &self.unit
            && unit.exists()
        {
            let verb = |verb| step(Change::UnitFile { unit: UNIT.to_owned(), verb });
            if unit.load == "masked" {
                steps.push(verb(UnitVerb::Unmask));
            }
            if unit.file != "enabled" {
                steps.push(verb(UnitVerb::Enable));
            }
        }
        steps
    }

    /// The copy is for programs; people are told which table it is of.
    pub(super) fn preview(&self, document: &Desired) -> Option<Preview> {
        let of = |digest: &str| format!("the table with sha256 {digest}\n");
        let which = |text: &str| match decode(text) {
            Ok(document) => of(&digest(&document)),
            Err(why) => format!("a file that {why}\n"),
        };
        let before = self.copy.as_ref().ok()?.text().map(which).unwrap_or_default();
        let after = of(document.digest());
        Some(Preview { change: put(document), title: COPY.to_owned(), before, after })
    }
}

fn put(document: &Desired) -> Change {
    let to = FileState::File {
        content: Content::Text(encode(document)),
        mode: MODE,
        uid: 0,
        gid: 0,
        xattrs: std::collections::BTreeMap::new(),
        mtime: None,
    };
    Change::Put { path: COPY.to_owned(), to }
}

fn unit_fault(unit: &UnitStatus) -> Option<String> {
    match unit.file.as_str() {
        _ if !unit.exists() => {
            Some(format!("{UNIT} is not installed; install holdfast from its package"))
        }
        "enabled" => None,
        "" => Some(format!("{UNIT} is {}", unit.load)),
        file => Some(format!("{UNIT} is {file}")),
    }
}

fn copy_fault(copy: &FileState, document: &Desired) -> Option<String> {
    let FileState::File { content, mode, uid, gid, .. } = copy else {
        return Some(match copy {
            FileState::Absent => format!("{COPY} is missing"),
            _ => format!("{COPY} is not a file"),
        });
    };
    if content.as_bytes() != encode(document).as_bytes() {
        let why = match std::str::from_utf8(content.as_bytes()).map_err(|e| e.to_string()) {
            Ok(text) => decode(text).err(),
            Err(_) => Some("is not text".to_owned()),
        };
        return Some(match why {
            Some(why) => format!("{COPY} {why}"),
            None => format!("{COPY} is a copy of another table"),
        });
    }
    if (*mode, *uid, *gid) != (MODE, 0, 0) {
        return Some(format!("{COPY} has mode {mode:04o} and belongs to {uid}:{gid}"));
    }
    None
}
