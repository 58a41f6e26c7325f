//! Looking at ceremonies afterwards: which there were, whether their records can be believed, and the page for people.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    CeremonyError, Going,
    beside::{beside, unlike},
    read,
    sign::{Signed, plan_of, signed},
};
use crate::{
    host::{binder::Shelf, error::chain, medium::has_folder},
    key::{
        material::Facts,
        paper::typed,
        transcript::{Begun, Kind, Line, Step, Transcript, Written, digest},
    },
};

/// Where a ceremony stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// What it is; `None` when its record cannot be believed.
    pub kind: Option<Kind>,
    /// When all media were written.
    pub done: Option<Timestamp>,
    /// Whether it was interrupted, and given up.
    pub is_given_up: bool,
    /// Whether both signed.
    pub is_signed: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// The ceremonies of this host, the oldest first.
///
/// # Errors
/// When they cannot be listed.
pub fn list(shelf: &Shelf) -> Result<Vec<Standing>, CeremonyError> {
    let standing = |name: String| match shown(shelf, &name) {
        Ok((going, signed)) => Standing {
            name,
            kind: going.transcript.begun().map(|begun| begun.kind),
            done: going.transcript.done(),
            is_given_up: going.transcript.given_up().is_some(),
            is_signed: signed.is_complete(),
            fault: None,
        },
        Err(error) => Standing {
            name,
            kind: None,
            done: None,
            is_given_up: false,
            is_signed: false,
            fault: Some(chain(&error)),
        },
    };
    Ok(shelf.names()?.into_iter().map(standing).collect())
}

/// A ceremony, with what is wrong with the media that were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The page.
    pub page: String,
    /// Whether all of it was done, and both signed.
    pub is_complete: bool,
    /// What is wrong with the medium.
    pub faults: Vec<String>,
    /// Whether a medium was given and found in the transcript.
    pub medium: Option<String>,
    /// What the paper is that was scanned or typed, where some was given.
    pub paper: Option<Paper>,
}

/// Paper that was scanned or typed, found in a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paper {
    /// The medium with the same envelope.
    pub medium: String,
    /// Whose it is.
    pub custodian: String,
    /// The key in it, or that it is a share.
    pub key: String,
}

/// What to hold a ceremony to.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldTo<'a> {
    /// Where a medium is mounted.
    pub mount: Option<&'a str>,
    /// What was scanned or typed from paper.
    pub paper: Option<&'a str>,
}

/// Shows a ceremony: its record and signatures are verified, and a medium that is mounted somewhere is held to it.
///
/// # Errors
/// When there is none, or it cannot be believed.
pub fn show(shelf: &Shelf, name: &str, held: HeldTo<'_>) -> Result<Shown, CeremonyError> {
    let (going, signed) = shown(shelf, name)?;
    let (mut faults, mut medium, mut paper) = (Vec::new(), None, None);
    if let Some(text) = held.paper {
        match on_paper(text, &going.transcript) {
            Ok(found) => paper = Some(found),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some(mount) = held.mount {
        let mut candidates =
            going.transcript.written().map(|written| (written, held_to(mount, written)));
        match candidates.find(|(_, found)| found.is_empty()) {
            Some((written, _)) => medium = Some(written.medium.clone()),
            None => faults.extend(nearest(mount, &going.transcript)),
        }
    }
    let is_complete = going.transcript.done().is_some() && signed.is_complete();
    Ok(Shown { page: page(&going.transcript, &signed), is_complete, faults, medium, paper })
}

/// Which envelope was scanned or typed.
fn on_paper(text: &str, transcript: &Transcript) -> Result<Paper, String> {
    let envelope = typed(text).map_err(|fault| format!("the paper: {fault}"))?;
    let sha256 = digest(envelope.as_bytes());
    let mut all =
        transcript.written().flat_map(|it| it.envelopes.iter().map(move |each| (it, each)));
    let (written, envelope) = all
        .find(|(_, each)| each.sha256 == sha256)
        .ok_or("the paper: it is whole, and no envelope of this ceremony")?;
    let (medium, custodian) = (written.medium.clone(), written.custodian.clone());
    Ok(Paper { medium, custodian, key: envelope.key.clone() })
}

pub(super) fn shown(shelf: &Shelf, name: &str) -> Result<(Going, Signed), CeremonyError> {
    let going = read(shelf.binder(name), name)?;
    let going = going.ok_or_else(|| CeremonyError::NoSuch(name.to_owned()))?;
    let plan = plan_of(&going)?;
    let signed = signed(&going, &plan)?;
    Ok((going, signed))
}

/// What is wrong with what is on a medium.
pub(super) fn held_to(mount: &str, written: &Written) -> Vec<String> {
    let mut faults = Vec::new();
    if !has_folder(mount, &written.folder) {
        let text = format!("there is nothing of medium {} on it", written.medium);
        return vec![text];
    }
    let mut hold = |what: &str, file: &str, sha256: &str| {
        faults.extend(unlike(mount, written, what, file, sha256));
    };
    for envelope in &written.envelopes {
        hold("envelope", &envelope.file, &envelope.sha256);
        if let Some(sheet) = &envelope.sheet {
            hold("sheet", &sheet.file, &sheet.sha256);
        }
    }
    faults.extend(beside(mount, written));
    faults
}

/// The faults of the medium that has the fewest: that is the one that was meant. One that has nothing of it was not.
fn nearest(mount: &str, transcript: &Transcript) -> Vec<String> {
    let all = transcript
        .written()
        .map(|written| (!has_folder(mount, &written.folder), held_to(mount, written)));
    let nearest = all.min_by_key(|(is_other, faults)| (*is_other, faults.len()));
    let none = || vec!["the transcript speaks of no medium yet".to_owned()];
    nearest.map_or_else(none, |(_, faults)| faults)
}

/// The record as a page for people.
pub(super) fn page(transcript: &Transcript, signed: &Signed) -> String {
    let mut page = String::new();
    for line in transcript.lines() {
        for text in told(line) {
            page.push_str(&format!("{}  {}\n", line.at, plain(&text)));
        }
    }
    let (count, digest) = transcript.head();
    page.push_str(&format!(
        "{count} lines; the digest of the last, and of all before it: {digest}\n"
    ));
    for (role, good) in &signed.by {
        let how = match (good.touched, good.verified) {
            (true, true) => "with a hardware key, touched, PIN given",
            (true, false) => "with a hardware key, touched",
            (false, _) => "with a key in a file",
        };
        page.push_str(&format!("signed by the {} {how}\n", role.as_str()));
    }
    for role in &signed.missing {
        page.push_str(&format!("not signed by the {}\n", role.as_str()));
    }
    page
}

/// A text that stays on its line: nobody's answer, and nothing that a device says, makes lines of a page or moves a cursor.
pub(super) fn plain(text: &str) -> String {
    let each = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(each).collect()
}

fn facts(facts: &Facts) -> String {
    let all = [
        ("public key", &facts.public),
        ("PeerId", &facts.peer_id),
        ("Stacks address", &facts.stacks_address),
    ];
    let known = all.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    let mut known: Vec<String> = known.collect();
    if facts.in_signing_set == Some(true) {
        known.push("in the bootstrap_signing_set".to_owned());
    }
    known.extend(facts.shape.iter().map(|shape| format!("no public half, {shape}")));
    if known.is_empty() { "no public half".to_owned() } else { known.join(", ") }
}

fn begun(number: u64, begun: &Begun) -> Vec<String> {
    let first = format!(
        "{} {} with holdfast {} ({}), plan {}, machine {}",
        if number == 1 { begun.kind.as_str() } else { "went on:" },
        begun.ceremony,
        begun.version,
        begun.program.as_deref().unwrap_or("digest not known"),
        begun.plan,
        begun.machine.as_deref().unwrap_or("not known"),
    );
    let answers = begun
        .answers
        .iter()
        .map(|sha256| format!("ANSWERED BY A FILE, and not by people: sha256 {sha256}"));
    let damaged = begun.damaged.iter();
    let damaged = damaged.map(|name| format!("the record of {name} cannot be believed"));
    std::iter::once(first).chain(answers).chain(damaged).collect()
}

fn told(line: &Line) -> Vec<String> {
    match &line.step {
        Step::Begun(begun) => self::begun(line.number, begun),
        Step::Room { readings } if readings.is_empty() => vec!["room: as before".to_owned()],
        Step::Room { readings } => readings
            .iter()
            .map(|each| {
                let mark = if each.good { "ok" } else { "NOT AS IT SHOULD BE" };
                format!("room: {} {mark}: {}", each.check.id(), each.seen)
            })
            .collect(),
        Step::Exception { check, seen, reason, planned } => {
            let whose = if *planned { "the plan" } else { "both present" };
            vec![format!("EXCEPTION by {whose}: {} ({seen}): {reason}", check.id())]
        }
        Step::Present { role, name } => vec![format!("{} present: {name}", role.as_str())],
        Step::Answered { question, answer } => vec![format!("{question}: {answer}")],
        Step::Refused { question, answer, why } => {
            vec![format!("{question}: {answer}: NOT SO: {why}")]
        }
        Step::Sealed { keys, shield, split, to, lived_us } => keys
            .iter()
            .map(|key| {
                format!(
                    "sealed {}: {}; opened again {} times; in memory for at most {} µs",
                    key.name,
                    facts(&key.facts),
                    key.opened,
                    key.held_for_us
                )
            })
            .chain(std::iter::once(format!(
                "the process that held them lived for {lived_us} µs: {} KiB locked, dumps {}, tracer {}, network {}",
                shield.locked_kib,
                if shield.is_dumpable { "possible" } else { "impossible" },
                shield.tracer,
                if shield.has_network { "yes" } else { "none" },
            )))
            .chain(to.iter().map(|each| format!("sealed to {}, {}", each.custodian, each.recipient)))
            .chain(split.iter().flat_map(|split| {
                let whole = format!(
                    "it takes {} of {} custodians; all {} sets of so many shares were tried, and open everything",
                    split.needed,
                    split.shares.len(),
                    split.tried
                );
                let each = split.shares.iter().map(|share| {
                    format!("  share {} for {} sha256 {}", share.number, share.custodian, share.sha256)
                });
                std::iter::once(whole).chain(each)
            }))
            .collect(),
        Step::Medium(written) => std::iter::once(format!(
            "medium {} for {}, bag {}: {} in {}, read back {} and opened",
            written.medium,
            written.custodian,
            written.bag,
            written.mounted.serial.as_deref().unwrap_or("no serial number"),
            written.folder,
            match written.read_back {
                crate::host::medium::ReadBack::Direct => "from the device",
                crate::host::medium::ReadBack::Forgotten => "after the kernel forgot it",
            },
        ))
        .chain(
            written.envelopes.iter().map(|each| format!("  {} sha256 {}", each.file, each.sha256)),
        )
        .chain(written.others.iter().map(|each| format!("  {} sha256 {}", each.file, each.sha256)))
        .chain(written.envelopes.iter().filter_map(|each| each.sheet.as_ref()).map(|sheet| {
            format!("  sheet {} ({}) sha256 {}", sheet.serial, sheet.file, sheet.sha256)
        }))
        .collect(),
        Step::Reread { medium } => {
            vec![format!("what was printed for {medium} was read again, and is what is on the medium")]
        }
        Step::Done => vec!["all media are written".to_owned()],
        Step::GivenUp => vec!["given up: what is on its media counts for nothing".to_owned()],
    }
}
