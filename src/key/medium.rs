//! What of a medium counts, and where on it things are.

use super::{
    plan::Medium,
    preflight::{Check, Reading},
    transcript::{Begun, Kind, Transcript, Written},
};
use crate::host::mounted::Mounted;

/// Why nothing can be written that would be carried away, whatever anybody accepts: a folder of the host's own disk takes
/// all that is written, and reads it back.
pub fn unfit(mounted: &Mounted) -> Option<&'static str> {
    match mounted {
        Mounted { is_mount: false, .. } => Some("nothing is mounted there"),
        Mounted { is_own: true, .. } => Some("what is mounted there is this host's own disk"),
        Mounted { is_writable: false, .. } => Some("it is mounted read-only"),
        _ => None,
    }
}

/// What must hold of a medium before anything is written onto it.
pub fn judge(medium: &Medium, mounted: &Mounted) -> Vec<Reading> {
    let file_system = mounted.file_system.as_str();
    let mut readings = vec![if MEMORY.contains(&file_system) {
        let seen = format!("{file_system}, which is memory of this machine");
        Reading::new(Check::Lasting, false, seen)
    } else {
        removable(mounted)
    }];
    if medium.encrypted {
        readings.push(match mounted.is_encrypted {
            Some(true) => Reading::new(Check::Encrypted, true, "it is"),
            Some(false) => Reading::new(Check::Encrypted, false, "it is not"),
            None => Reading::new(Check::Encrypted, false, "cannot be told"),
        });
    }
    if let Some(expected) = &medium.serial {
        readings.push(match &mounted.serial {
            Some(found) => Reading::new(Check::Serial, found == expected.as_str(), found.as_str()),
            None => Reading::new(Check::Serial, false, "the device tells none"),
        });
    }
    readings
}

/// File systems of which nothing is left when the machine goes off (tmpfs(5)).
const MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

fn removable(mounted: &Mounted) -> Reading {
    let file_system = &mounted.file_system;
    match (mounted.is_removable, &mounted.device) {
        (Some(true), Some(device)) => {
            Reading::new(Check::Removable, true, format!("{file_system} on {device}"))
        }
        (Some(false), Some(device)) => {
            let seen = format!("{file_system} on {device}, which cannot be taken out");
            Reading::new(Check::Removable, false, seen)
        }
        _ => Reading::new(Check::Removable, false, format!("{file_system} on no device")),
    }
}

/// The folder on a medium. It has the medium's name in it, so that whatever is removed from one medium is never what was
/// written onto another; and whoever finds one of a rehearsal is not to take it for a key.
pub fn folder(begun: &Begun, medium: &Medium) -> String {
    let name = format!("holdfast-{}-{}", begun.ceremony, medium.name);
    match begun.kind {
        Kind::Export => name,
        Kind::Rehearsal => format!("REHEARSAL-{name}"),
    }
}

/// What this ceremony wrote onto what is mounted, when that was for another medium than this: by the serial number that
/// the device tells, or by the folder that is on it.
pub fn written_for_another<'a>(
    transcript: &'a Transcript,
    medium: &Medium,
    mounted: &Mounted,
    has: impl Fn(&str) -> bool,
) -> Option<&'a Written> {
    let same = |written: &&Written| {
        let serial = &written.mounted.serial;
        (serial.is_some() && *serial == mounted.serial) || has(&written.folder)
    };
    let others = transcript.ever_written().filter(|each| each.medium != medium.name.as_str());
    others.filter(same).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{
        plan::{self, tests::plan},
        transcript::Step,
    };

    fn medium() -> Medium {
        let plan = plan::read(std::path::Path::new("p"), plan().as_bytes()).unwrap();
        plan.value.media[0].clone()
    }

    fn stick() -> Mounted {
        Mounted {
            is_mount: true,
            file_system: "vfat".into(),
            is_writable: true,
            is_own: false,
            is_removable: Some(true),
            is_encrypted: Some(false),
            serial: Some("4C530001".into()),
            device: Some("sdb1".into()),
        }
    }

    fn bad(medium: &Medium, mounted: &Mounted) -> Vec<String> {
        let readings = judge(medium, mounted);
        let bad = readings.iter().filter(|each| !each.good);
        bad.map(|each| format!("{}: {}", each.check.id(), each.seen)).collect()
    }

    #[test]
    fn the_stick_of_the_plan_is_good_and_no_other() {
        let medium = medium();
        assert_eq!(bad(&medium, &stick()), [""; 0]);
        let other = Mounted { serial: Some("4C530002".into()), ..stick() };
        assert_eq!(bad(&medium, &other), ["serial: 4C530002"]);
        let silent = Mounted { serial: None, ..stick() };
        assert_eq!(bad(&medium, &silent), ["serial: the device tells none"]);
        let disk = Mounted { is_removable: Some(false), ..stick() };
        assert_eq!(bad(&medium, &disk), ["removable: vfat on sdb1, which cannot be taken out"]);
        let memory = Mounted { file_system: "tmpfs".into(), ..stick() };
        assert_eq!(bad(&medium, &memory), ["lasting: tmpfs, which is memory of this machine"]);
    }

    #[test]
    fn a_folder_of_the_host_itself_is_no_medium() {
        assert_eq!(unfit(&stick()), None);
        let none = Mounted { serial: Some("4C530001".into()), ..Mounted::default() };
        assert_eq!(unfit(&none), Some("nothing is mounted there"));
        let own = Mounted { is_own: true, ..stick() };
        assert_eq!(unfit(&own), Some("what is mounted there is this host's own disk"));
        let read_only = Mounted { is_writable: false, ..stick() };
        assert_eq!(unfit(&read_only), Some("it is mounted read-only"));
    }

    #[test]
    fn a_medium_that_was_written_for_another_is_told_by_its_number_and_by_what_is_on_it() {
        let plan = plan::read(std::path::Path::new("p"), plan().as_bytes()).unwrap().value;
        let begun = Begun {
            kind: Kind::Export,
            ceremony: "c".into(),
            plan: "d".into(),
            ..Begun::default()
        };
        let [first, second] = plan.media.as_slice() else { panic!("two media") };
        let folder_of_first = folder(&begun, first);
        assert_ne!(folder_of_first, folder(&begun, second), "each has a folder of its own");
        let written = Written {
            medium: first.name.to_string(),
            custodian: first.custodian.to_string(),
            bag: first.bag.to_string(),
            mounted: stick(),
            folder: folder_of_first.clone(),
            envelopes: Vec::new(),
            others: Vec::new(),
            read_back: crate::host::medium::ReadBack::Direct,
        };
        let transcript = Transcript::new().then(jiff::Timestamp::MIN, Step::Begun(begun)).1;
        let transcript = transcript.then(jiff::Timestamp::MIN, Step::Medium(Box::new(written))).1;
        let found = |medium: &Medium, serial: Option<&str>, on_it: Option<&str>| {
            let mounted = Mounted { serial: serial.map(str::to_owned), ..stick() };
            let found =
                written_for_another(&transcript, medium, &mounted, |folder| on_it == Some(folder));
            found.map(|written| written.medium.clone())
        };
        assert_eq!(found(second, Some("4C530002"), None), None);
        assert_eq!(found(second, None, None), None, "devices that tell none are not the same");
        assert_eq!(found(second, Some("4C530001"), None).as_deref(), Some("usb-1"));
        assert_eq!(found(second, None, Some(&folder_of_first)).as_deref(), Some("usb-1"));
        // Onto itself it may be written again.
        assert_eq!(found(first, Some("4C530001"), Some(&folder_of_first)), None);
    }

    #[test]
    fn an_encrypted_file_system_is_asked_for_only_by_the_plan() {
        let medium = Medium { encrypted: true, ..medium() };
        assert_eq!(bad(&medium, &stick()), ["encrypted: it is not"]);
        let sealed = Mounted { is_encrypted: Some(true), ..stick() };
        assert_eq!(bad(&medium, &sealed), [""; 0]);
        let unknown = Mounted { is_encrypted: None, ..stick() };
        assert_eq!(bad(&medium, &unknown), ["encrypted: cannot be told"]);
    }
}
