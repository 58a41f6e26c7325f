//! Other firewalls on the same host: programs that load rules of their own, and take ours away while they do.

use crate::{
    engine::check::{Judgement, Verdict},
    host::{Reader, bus::UnitStatus},
};

use super::checks::NEIGHBOURS;

/// Debian's own loader of `/etc/nftables.conf`.
const NFTABLES: &str = "nftables.service";
/// What it loads.
const NFTABLES_CONF: &str = "/etc/nftables.conf";
/// Ubuntu's front end; its unit is enabled by being installed, and does nothing until this file says so.
const UFW: &str = "ufw.service";
const UFW_CONF: &str = "/etc/ufw/ufw.conf";
/// The others: their unit says all there is to say, and what to do about it.
const OTHERS: [(&str, &str); 2] = [
    ("firewalld.service", "it loads tables of its own and deletes others'"),
    ("netfilter-persistent.service", "it loads what iptables-save once wrote"),
];

/// The tables of the older kernel interface, by version of IP. Of this thread's network.
const LEGACY: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// The word by which nft empties everything.
const FLUSH: &str = "flush ruleset";

/// What there is beside holdfast.
#[derive(Debug)]
pub(super) struct Neighbours {
    pub(super) nftables: Unit,
    /// Of nftables.service: its unit files' text, and what it loads.
    pub(super) nftables_loads: Result<Loads, String>,
    pub(super) ufw: Unit,
    /// `ENABLED=` of ufw's configuration, or why it cannot be read.
    pub(super) ufw_enabled: Result<bool, String>,
    pub(super) others: Vec<(&'static str, &'static str, Unit)>,
    /// The names of legacy tables, or why they cannot be read.
    pub(super) legacy: Result<Vec<String>, String>,
}

type Unit = Result<UnitStatus, String>;

/// What a start, a reload or a stop of nftables.service does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loads {
    /// Its commands, `ExecStop=/usr/sbin/nft flush ruleset`.
    pub(super) commands: Vec<String>,
    /// Its file.
    pub(super) conf: String,
}

impl Neighbours {
    pub(super) async fn of(host: &Reader) -> Self {
        let (nftables, ufw, first, second) = tokio::join!(
            unit(host, NFTABLES),
            unit(host, UFW),
            unit(host, OTHERS[0].0),
            unit(host, OTHERS[1].0)
        );
        let others = OTHERS.into_iter().zip([first, second]);
        Self {
            nftables_loads: loads(host, nftables.as_ref().ok()),
            nftables,
            ufw,
            ufw_enabled: text(host, UFW_CONF).map(|text| is_enabled(&text)),
            others: others.map(|((name, why), unit)| (name, why, unit)).collect(),
            legacy: LEGACY.iter().try_fold(Vec::new(), |mut names, path| {
                names.extend(text(host, path)?.lines().map(str::to_owned));
                Ok(names)
            }),
        }
    }

    pub(super) fn judge(&self) -> Vec<Judgement> {
        let judgement = |subject: &str, expected: &str, verdict| {
            Judgement::new(NEIGHBOURS, expected, verdict).about(subject)
        };
        let mut judgements = vec![
            judgement(NFTABLES, "does not flush every table", self.nftables()),
            judgement(UFW, "does not run beside holdfast", self.ufw()),
        ];
        for (name, why, unit) in &self.others {
            let verdict = known(unit, |unit| match in_use(unit) {
                None => holds(unit),
                Some(how) => differs(format!(
                    "it is {how}, and {why}; move its rules to [firewall] and run: systemctl mask {name}, then reboot"
                )),
            });
            judgements.push(judgement(name, "does not run beside holdfast", verdict));
        }
        judgements.push(judgement(
            "iptables-legacy",
            "no tables of iptables-legacy",
            self.legacy(),
        ));
        judgements
    }

    fn nftables(&self) -> Verdict {
        known(&self.nftables, |unit| {
            let Some(how) = in_use(unit) else { return holds(unit) };
            let loads = match &self.nftables_loads {
                Ok(loads) => loads,
                Err(why) => return Verdict::Unknown { why: why.clone() },
            };
            match loads.flushes() {
                // Without stopping it: that flushes, too.
                Some(by) => differs(format!(
                    "it is {how}, and flushes every table ({by}); move its rules to [firewall] and run, without stopping it: \
                     systemctl mask {NFTABLES}"
                )),
                None => Verdict::Holds { observed: format!("it is {how}, and flushes nothing") },
            }
        })
    }

    fn ufw(&self) -> Verdict {
        known(&self.ufw, |unit| match (in_use(unit), &self.ufw_enabled) {
            (None, _) => holds(unit),
            (Some(_), Err(why)) => Verdict::Unknown { why: why.clone() },
            (Some(_), Ok(false)) => {
                Verdict::Holds { observed: "it is installed, and ufw is not enabled".to_owned() }
            }
            (Some(how), Ok(true)) => differs(format!(
                "it is {how}, and both decide what comes in; move its rules to [firewall] and run: ufw disable"
            )),
        })
    }

    fn legacy(&self) -> Verdict {
        match &self.legacy {
            Err(why) => Verdict::Unknown { why: why.clone() },
            Ok(names) if names.is_empty() => {
                Verdict::Holds { observed: "there are none".to_owned() }
            }
            Ok(names) => differs(format!(
                "tables {} of the kernel's older interface are loaded, which nft does not show; see iptables-legacy-save, \
                 and reboot once nothing loads them any more",
                names.join(", ")
            )),
        }
    }
}

impl Loads {
    /// What of it empties every table.
    fn flushes(&self) -> Option<String> {
        let command = self.commands.iter().find(|command| command.contains(FLUSH));
        command.cloned().or_else(|| {
            let mut lines = self.conf.lines().enumerate();
            let line = lines.find(|(_, line)| {
                let code = line.split('#').next().unwrap_or_default();
                code.split_whitespace().collect::<Vec<_>>().join(" ").contains(FLUSH)
            });
            line.map(|(at, _)| format!("{NFTABLES_CONF}:{}: {FLUSH}", at + 1))
        })
    }
}

async fn unit(host: &Reader, name: &str) -> Unit {
    let systemd = host.systemd().await.map_err(|error| error.chain())?;
    systemd.unit(name).await.map_err(|error| error.chain())
}

fn text(host: &Reader, path: &str) -> Result<String, String> {
    host.files().text(path).map(Option::unwrap_or_default).map_err(|error| error.chain())
}

/// What the unit runs, its drop-ins included, and what that loads.
fn loads(host: &Reader, unit: Option<&UnitStatus>) -> Result<Loads, String> {
    let Some(fragment) = unit.map(|unit| unit.fragment.as_str()).filter(|path| !path.is_empty())
    else {
        return Ok(Loads::default());
    };
    let mut texts = vec![text(host, fragment)?];
    for dir in ["/usr/lib", "/run", "/etc"] {
        let dir = format!("{dir}/systemd/system/{NFTABLES}.d");
        for name in host.files().list(&dir).map_err(|error| error.chain())? {
            texts.push(text(host, &format!("{dir}/{name}"))?);
        }
    }
    Ok(Loads { commands: commands(&texts), conf: text(host, NFTABLES_CONF)? })
}

/// The commands in unit files: an empty one takes back those before it.
fn commands(texts: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()).map(str::trim) {
        if let Some((key, value)) = line.split_once('=')
            && key.starts_with("Exec")
        {
            if value.trim().is_empty() {
                found.retain(|command| !command.starts_with(&format!("{key}=")));
            } else {
                found.push(line.to_owned());
            }
        }
    }
    found
}

fn is_enabled(conf: &str) -> bool {
    let mut values = conf.lines().filter_map(|line| line.trim().strip_prefix("ENABLED="));
    values
        .next_back()
        .is_some_and(|value| value.trim_matches(['"', '\'', ' ']).eq_ignore_ascii_case("yes"))
}

/// How a unit is in use: `enabled and active`.
fn in_use(unit: &UnitStatus) -> Option<String> {
    let enabled = unit.file.starts_with("enabled").then_some("enabled");
    let active = unit.is_running().then_some("active");
    let how: Vec<&str> = enabled.into_iter().chain(active).collect();
    (!how.is_empty()).then(|| how.join(" and "))
}

fn known(unit: &Unit, judge: impl FnOnce(&UnitStatus) -> Verdict) -> Verdict {
    match unit {
        Err(why) => Verdict::Unknown { why: why.clone() },
        Ok(unit) if !unit.exists() => {
            Verdict::NotApplicable { why: "it is not installed".to_owned() }
        }
        Ok(unit) => judge(unit),
    }
}

fn holds(unit: &UnitStatus) -> Verdict {
    let how = if unit.load == "masked" { "masked" } else { "neither enabled nor active" };
    Verdict::Holds { observed: format!("it is {how}") }
}

fn differs(observed: String) -> Verdict {
    Verdict::Differs { observed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(file: &str, active: &str) -> UnitStatus {
        let loaded = UnitStatus { load: "loaded".to_owned(), ..UnitStatus::none("x") };
        UnitStatus { file: file.to_owned(), active: active.to_owned(), ..loaded }
    }

    fn quiet() -> Neighbours {
        let none = || Ok(UnitStatus::none("x"));
        Neighbours {
            nftables: none(),
            nftables_loads: Ok(Loads::default()),
            ufw: none(),
            ufw_enabled: Ok(false),
            others: OTHERS.map(|(name, why)| (name, why, none())).to_vec(),
            legacy: Ok(Vec::new()),
        }
    }

    /// The verdicts by subject, each by its first letter: holds, differs, unknown, not applicable.
    fn verdicts(neighbours: &Neighbours) -> String {
        let letter = |judgement: Judgement| match judgement.verdict {
            Verdict::Holds { .. } => 'h',
            Verdict::Differs { .. } => 'd',
            Verdict::Unknown { .. } => 'u',
            Verdict::NotApplicable { .. } => 'n',
            Verdict::Accumulating { .. } => 'a',
        };
        neighbours.judge().into_iter().map(letter).collect()
    }

    #[test]
    fn each_neighbour_is_judged_by_itself() {
        assert_eq!(verdicts(&quiet()), "nnnnh");
        let stock = || Loads {
            commands: vec!["ExecStop=/usr/sbin/nft flush ruleset".to_owned()],
            conf: String::new(),
        };
        let cases = [
            (Neighbours { nftables: Ok(status("disabled", "inactive")), ..quiet() }, "hnnnh"),
            (
                Neighbours {
                    nftables: Ok(status("enabled", "inactive")),
                    nftables_loads: Ok(stock()),
                    ..quiet()
                },
                "dnnnh",
            ),
            (
                Neighbours {
                    nftables: Ok(status("disabled", "active")),
                    nftables_loads: Ok(stock()),
                    ..quiet()
                },
                "dnnnh",
            ),
            (Neighbours { nftables: Ok(status("enabled", "active")), ..quiet() }, "hnnnh"),
            (
                Neighbours {
                    nftables: Ok(status("enabled", "active")),
                    nftables_loads: Err("no".into()),
                    ..quiet()
                },
                "unnnh",
            ),
            (Neighbours { ufw: Ok(status("enabled", "active")), ..quiet() }, "nhnnh"),
            (
                Neighbours {
                    ufw: Ok(status("enabled", "active")),
                    ufw_enabled: Ok(true),
                    ..quiet()
                },
                "ndnnh",
            ),
            (Neighbours { ufw: Err("no bus".into()), ..quiet() }, "nunnh"),
            (Neighbours { legacy: Ok(vec!["filter".into()]), ..quiet() }, "nnnnd"),
            (Neighbours { legacy: Err("no".into()), ..quiet() }, "nnnnu"),
        ];
        for (neighbours, wanted) in cases {
            assert_eq!(verdicts(&neighbours), wanted, "{neighbours:?}");
        }
        let mut firewalld = quiet();
        firewalld.others[0].2 = Ok(status("enabled", "active"));
        firewalld.others[1].2 = Ok(status("masked", "inactive"));
        assert_eq!(verdicts(&firewalld), "nndhh");
    }

    #[test]
    fn what_flushes_is_found_in_commands_and_in_the_file() {
        let unit = "[Service]\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\nExecStop=/usr/sbin/nft flush ruleset\n";
        let texts = [unit.to_owned(), "[Service]\nExecStop=\n".to_owned()];
        assert_eq!(commands(&texts[..1]).len(), 2);
        let commands = commands(&texts);
        assert_eq!(commands, ["ExecStart=/usr/sbin/nft -f /etc/nftables.conf"]);
        let flushes =
            |conf: &str| Loads { commands: commands.clone(), conf: conf.to_owned() }.flushes();
        assert_eq!(flushes("# flush ruleset\ntable inet x {}\n"), None);
        assert_eq!(
            flushes("#!/usr/sbin/nft -f\n\nflush  ruleset\n").unwrap(),
            "/etc/nftables.conf:3: flush ruleset"
        );
    }

    #[test]
    fn ufw_says_itself_whether_it_is_enabled() {
        for (conf, wanted) in [
            ("ENABLED=yes\n", true),
            ("# ENABLED=yes\nENABLED=no\n", false),
            ("ENABLED=\"Yes\"", true),
            ("", false),
        ] {
            assert_eq!(is_enabled(conf), wanted, "{conf}");
        }
    }
}
