//! `backup.units`: whether the units that make backups are the ones that holdfast ships, and how they ended last.

use crate::{
    engine::check::{Judgement, Verdict},
    host::{Reader, bus::UnitStatus},
};

use super::checks;

/// The units of a backup, before and after its name, and what holdfast ships of each.
const UNITS: [(&str, &str, &str); 6] = [
    ("holdfast-backup@", ".service", include_str!("../../../systemd/holdfast-backup@.service")),
    ("holdfast-backup@", ".timer", include_str!("../../../systemd/holdfast-backup@.timer")),
    (
        "holdfast-backup-drill@",
        ".service",
        include_str!("../../../systemd/holdfast-backup-drill@.service"),
    ),
    (
        "holdfast-backup-drill@",
        ".timer",
        include_str!("../../../systemd/holdfast-backup-drill@.timer"),
    ),
    (
        "holdfast-backup-watch@",
        ".service",
        include_str!("../../../systemd/holdfast-backup-watch@.service"),
    ),
    (
        "holdfast-backup-watch@",
        ".timer",
        include_str!("../../../systemd/holdfast-backup-watch@.timer"),
    ),
];

/// What a drop-in may set: who is told, beside what else it runs, how much of the machine it may have, and which credentials it
/// gets. Anything else may alter what is run, when, whether, or upon what: to list what does would be to
/// list what systemd will know tomorrow (systemd.unit(5), systemd.service(5), systemd.timer(5), systemd.exec(5),
/// systemd.resource-control(5)).
const OPERATORS: [&str; 49] = [
    "Description",
    "Documentation",
    "OnFailure",
    "OnFailureJobMode",
    "OnSuccess",
    "OnSuccessJobMode",
    "After",
    "Before",
    "Wants",
    "RequiresMountsFor",
    "WantsMountsFor",
    "RandomizedDelaySec",
    "FixedRandomDelay",
    "AccuracySec",
    "WakeSystem",
    "TimeoutStartSec",
    "TimeoutSec",
    "Slice",
    "Nice",
    "IOSchedulingClass",
    "IOSchedulingPriority",
    "CPUSchedulingPolicy",
    "OOMScoreAdjust",
    "OOMPolicy",
    "CPUAccounting",
    "CPUWeight",
    "CPUQuota",
    "CPUAffinity",
    "AllowedCPUs",
    "MemoryAccounting",
    "MemoryHigh",
    "MemoryMax",
    "MemorySwapMax",
    "TasksAccounting",
    "TasksMax",
    "IOAccounting",
    "IOWeight",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOWriteBandwidthMax",
    "IOReadIOPSMax",
    "IOWriteIOPSMax",
    "SyslogIdentifier",
    "SyslogFacility",
    "LogRateLimitIntervalSec",
    "LogRateLimitBurst",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "SetCredentialEncrypted",
];

/// A unit as it was seen.
#[derive(Debug)]
pub(super) struct Seen {
    unit: String,
    shipped: &'static str,
    found: Result<Found, String>,
}

#[derive(Debug)]
struct Found {
    status: UnitStatus,
    /// Its file, and its drop-ins with their paths.
    file: Option<String>,
    drop_ins: Vec<(String, String)>,
}

/// Looks at the units of a backup.
pub(super) async fn look(name: &str, host: &Reader) -> Vec<Seen> {
    let mut seen = Vec::new();
    for (before, after, shipped) in UNITS {
        let unit = format!("{before}{name}{after}");
        let found = find(&unit, host).await;
        seen.push(Seen { unit, shipped, found });
    }
    seen
}

async fn find(unit: &str, host: &Reader) -> Result<Found, String> {
    let ask = async || host.systemd().await?.unit(unit).await;
    let status = ask().await.map_err(|error| error.chain())?;
    let read = |path: &str| host.files().text(path).map_err(|error| error.chain());
    let file = if status.fragment.is_empty() { None } else { read(&status.fragment)? };
    let mut drop_ins = Vec::new();
    for path in &status.drop_ins {
        // One that is gone is no longer in force after systemd has looked again.
        drop_ins.push((path.clone(), read(path)?.unwrap_or_default()));
    }
    Ok(Found { status, file, drop_ins })
}

/// What they come to.
pub(super) fn judge(name: &str, seen: &[Seen]) -> Judgement {
    let expected = "the units that make and drill backups, as holdfast ships them; none failed";
    Judgement::new(checks::UNITS, expected, verdict(seen)).about(name)
}

fn verdict(seen: &[Seen]) -> Verdict {
    let mut against = Vec::new();
    for each in seen {
        match &each.found {
            Err(why) => return Verdict::Unknown { why: format!("{}: {why}", each.unit) },
            Ok(found) => against
                .extend(faults(found, each.shipped).map(|fault| format!("{}: {fault}", each.unit))),
        }
    }
    if against.is_empty() {
        return Verdict::Holds { observed: format!("{} units, as shipped", seen.len()) };
    }
    Verdict::Differs { observed: against.join("; ") }
}

fn faults(found: &Found, shipped: &str) -> impl Iterator<Item = String> {
    let Found { status, file, drop_ins } = found;
    let own = match (status.load.as_str(), file) {
        ("not-found", _) => Some("it is not installed".to_owned()),
        ("masked", _) => Some("it is masked".to_owned()),
        (_, Some(text)) if text == shipped => None,
        _ => Some(format!("{} is not the one that holdfast ships", status.fragment)),
    };
    let altered = drop_ins.iter().filter_map(|(path, text)| {
        let set: Vec<_> = settings(text).filter(|key| !OPERATORS.contains(&key.as_str())).collect();
        (!set.is_empty()).then(|| format!("{path} sets {}", set.join(", ")))
    });
    let failed = (status.active == "failed")
        .then(|| format!("its last run failed; see: journalctl -u {}", status.id));
    own.into_iter().chain(altered.collect::<Vec<_>>()).chain(failed)
}

/// The keys that a unit file sets, as often as it does. A line that ends in a backslash goes on in the next.
fn settings(text: &str) -> impl Iterator<Item = String> {
    let joined = text.replace("\\\n", " ");
    let keys =
        joined.lines().map(str::trim_start).filter(|line| !line.starts_with(['#', ';', '[']));
    let keys = keys.filter_map(|line| line.split_once('='));
    keys.map(|(key, _)| key.trim().to_owned()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(load: &str, active: &str) -> UnitStatus {
        UnitStatus {
            load: load.into(),
            active: active.into(),
            id: "u".into(),
            ..UnitStatus::default()
        }
    }

    fn said(status: UnitStatus, file: Option<&str>, drop_in: &str) -> Verdict {
        let drop_ins = vec![("/etc/x.conf".to_owned(), drop_in.to_owned())];
        let found = Found { status, file: file.map(str::to_owned), drop_ins };
        verdict(&[Seen { unit: "u".into(), shipped: "[Service]\n", found: Ok(found) }])
    }

    fn differs(text: &str) -> Verdict {
        Verdict::Differs { observed: format!("u: {text}") }
    }

    #[test]
    fn what_is_shipped_holds_with_what_an_operator_may_add() {
        let held = Verdict::Holds { observed: "1 units, as shipped".into() };
        let ours = Some("[Service]\n");
        for drop_in in [
            "",
            "[Unit]\nOnFailure=page@%n.service\n",
            "[Service]\n# ExecStart=/bin/true\n;User=nobody\nMemoryMax=1G\nDescription=a \\\n  b=c\n",
        ] {
            assert_eq!(said(status("loaded", "inactive"), ours, drop_in), held, "{drop_in}");
        }
    }

    #[test]
    fn what_is_missing_altered_or_failed_is_named() {
        let ours = Some("[Service]\n");
        let inactive = || status("loaded", "inactive");
        assert_eq!(said(status("not-found", "inactive"), None, ""), differs("it is not installed"));
        assert_eq!(said(status("masked", "inactive"), None, ""), differs("it is masked"));
        let other = UnitStatus { fragment: "/etc/systemd/system/u".into(), ..inactive() };
        let text = "/etc/systemd/system/u is not the one that holdfast ships";
        assert_eq!(said(other, Some("[Service]\nExecStart=/bin/true\n"), ""), differs(text));
        for (drop_in, set) in [
            ("[Service]\nExecStart=\nExecStart=/bin/true\n", "ExecStart, ExecStart"),
            ("[Unit]\nConditionPathExists=/nowhere\n", "ConditionPathExists"),
            ("[Timer]\n OnCalendar = yearly\n", "OnCalendar"),
            ("[Timer]\nOnBootSec=10y\n", "OnBootSec"),
            ("[Service]\nEnvironment=LD_PRELOAD=/tmp/x.so\n", "Environment"),
            ("[Service]\nExecStartPost=/bin/rm -r /var/backups\n", "ExecStartPost"),
            ("[Service]\nMountImages=/x.img:/usr\n", "MountImages"),
            ("[Service]\nUser=nobody\nNice=1\n", "User"),
        ] {
            let text = format!("/etc/x.conf sets {set}");
            assert_eq!(said(inactive(), ours, drop_in), differs(&text));
        }
        let text = "its last run failed; see: journalctl -u u";
        assert_eq!(said(status("loaded", "failed"), ours, ""), differs(text));
    }

    #[test]
    fn what_cannot_be_asked_is_unknown() {
        let seen = Seen { unit: "u".into(), shipped: "", found: Err("no bus".into()) };
        assert_eq!(verdict(&[seen]), Verdict::Unknown { why: "u: no bus".into() });
    }
}
