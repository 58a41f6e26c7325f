//! Verdicts on the sshd that runs: whether it has read what is on the disk, and what answers on its ports. Pure.

use jiff::Timestamp;

use super::{
    judge::{digest, some},
    observed::{Answers, Daemon, Heard, Observed, Wire},
    settings::Setting,
    wire::{self as protocol, Hello, NotHello},
};
use crate::engine::check::Verdict;

/// Options of sshd's command line that override its files.
const OVERRIDING: [&str; 6] = ["-o", "-f", "-p", "-h", "-c", "-g"];

/// A clock that differs by less from the one before is not called set back.
const CLOCK_SLACK_SECS: i64 = 2;

/// The kernel dates files by its last tick, so a change may be dated up to a tick (10 ms at 100 Hz) before it was made,
/// and so before a reload it came after. Every reload runs `sshd -t` first, which takes longer: what it read is older.
const TICK_MICROS: i64 = 10_000;

/// `ssh.running`.
pub(super) fn running(seen: &Observed) -> Verdict {
    let daemon = match &seen.daemon {
        Ok(daemon) => daemon,
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    if !daemon.is_running() {
        return Verdict::NotApplicable { why: not_running(daemon) };
    }
    if let Some(option) = overriding(daemon) {
        let observed = format!(
            "sshd was started with {option}, which overrides its files; see /etc/default/ssh and systemctl cat ssh"
        );
        return Verdict::Differs { observed };
    }
    if matches!(seen.answers, Answers::Refused(_)) {
        let observed = "sshd refuses what is on the disk, so what runs has read something older";
        return Verdict::Differs { observed: observed.to_owned() };
    }
    let Some((path, time)) = &seen.newest else {
        return Verdict::Unknown {
            why: "no file of sshd's configuration could be looked at".to_owned(),
        };
    };
    if time.seconds > seen.now + CLOCK_SLACK_SECS {
        let why =
            format!("{path} changed in the future ({}): the clock was set back", utc(time.seconds));
        return Verdict::Unknown {
            why: format!("{why}; once it is right, run: systemctl reload ssh"),
        };
    }
    let read = i64::try_from(daemon.told_to_read_at()).unwrap_or(i64::MAX);
    let changed = time.seconds.saturating_mul(1_000_000).saturating_add(time.nanoseconds / 1_000);
    let read_at = utc(read / 1_000_000);
    if changed.saturating_add(TICK_MICROS) > read {
        let observed = format!(
            "{path} changed at {}, after sshd read its files at {read_at}",
            utc(time.seconds)
        );
        return Verdict::Differs { observed };
    }
    Verdict::Holds { observed: format!("read at {read_at}, unchanged since") }
}

fn not_running(daemon: &Daemon) -> String {
    if daemon.has_socket {
        return "ssh.socket starts sshd at the next connection, which then reads what is on the disk".to_owned();
    }
    let state = if daemon.service.exists() { &daemon.service.active } else { &daemon.service.load };
    format!("ssh.service is {state}; whether it is to run is for [services] to say")
}

/// The first option on its command line that overrides files, with its value.
pub(super) fn overriding(daemon: &Daemon) -> Option<String> {
    let title = daemon.title.as_deref()?;
    let mut words = title.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if let Some(option) = OVERRIDING.iter().find(|option| word.starts_with(**option)) {
            let value = (word == *option).then(|| words.peek().copied()).flatten();
            return Some(value.map_or_else(|| word.to_owned(), |value| format!("{word} {value}")));
        }
    }
    None
}

fn utc(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// What is expected on a port, with a digest of the algorithms so that other ones are another expectation.
pub(super) fn expected_on(port: u16, settings: &[Setting]) -> String {
    let listed: Vec<&Setting> = settings.iter().filter(|setting| is_offered(setting)).collect();
    let mut expected = format!("sshd of ssh.service answers on port {port}");
    if !listed.is_empty() {
        let names: Vec<String> = listed.iter().map(|setting| setting.key()).collect();
        let values: Vec<String> = listed.iter().map(|setting| setting.value()).collect();
        expected.push_str(&format!(
            " and offers the profile's {} (digest {})",
            names.join(", "),
            digest(&values.join("\n"))
        ));
    }
    expected
}

fn is_offered(setting: &Setting) -> bool {
    matches!(setting.key().as_str(), "kexalgorithms" | "ciphers" | "macs" | "hostkeyalgorithms")
}

/// `ssh.wire`.
pub(super) fn wire(seen: &Observed, wire: &Wire) -> Verdict {
    let port = wire.port;
    let daemon = seen.daemon.as_ref().ok();
    let stopped = daemon.filter(|daemon| !daemon.is_running());
    let (from, bytes) = match (&wire.heard, stopped) {
        (Heard::NotAsked | Heard::Nobody, Some(daemon)) => {
            return Verdict::NotApplicable { why: not_running(daemon) };
        }
        (Heard::NotAsked | Heard::Nobody, None) => {
            return Verdict::Differs { observed: format!("nobody listens on port {port}") };
        }
        (Heard::Failed(why), _) => {
            let why = format!("port {port} gave no answer ({why}); see: journalctl -u ssh");
            return Verdict::Unknown { why };
        }
        (Heard::Bytes(from, bytes), _) => (from, bytes),
    };
    if stopped.is_some() {
        let observed =
            format!("port {port} answers, though ssh.service does not run; see: ss -ltnp");
        return Verdict::Differs { observed };
    }
    let owned = daemon.and_then(|daemon| daemon.sockets.as_ref());
    if let Some(owned) = owned
        && wire.listeners.iter().any(|inode| !owned.contains(inode))
    {
        let main = daemon.and_then(|daemon| daemon.processes.main_pid).unwrap_or_default();
        let observed = format!(
            "port {port} is listened on by another process than ssh.service's ({main}); see: ss -ltnp sport = :{port}"
        );
        return Verdict::Differs { observed };
    }
    match protocol::parse(bytes) {
        Ok(hello) => offered(&hello, &seen.settings),
        Err(NotHello::Words(words)) => {
            let why = format!("{from} turned holdfast away: {words:?}; look again in a minute");
            Verdict::Unknown { why }
        }
        Err(NotHello::Short) => {
            let why = format!(
                "{from} hung up or fell silent before it had introduced itself; see: journalctl -u ssh"
            );
            Verdict::Unknown { why }
        }
        Err(NotHello::Other(what)) => Verdict::Differs {
            observed: format!("what answers on {from} is no SSH server: {what}"),
        },
    }
}

/// What a server offers beside what the profile wants.
fn offered(hello: &Hello, settings: &[Setting]) -> Verdict {
    let mut faults = Vec::new();
    for setting in settings.iter().filter(|setting| is_offered(setting)) {
        let wanted = setting.values();
        let key = setting.key();
        let lists: Vec<&Vec<String>> = match key.as_str() {
            "kexalgorithms" => vec![&hello.kex],
            "ciphers" => hello.ciphers.iter().collect(),
            "macs" => hello.macs.iter().collect(),
            _ => {
                // sshd offers those it has keys for, in the order of its keys.
                let others = hello.host_keys.iter().filter(|name| !wanted.contains(name));
                let others: Vec<String> = others.cloned().collect();
                if !others.is_empty() {
                    faults.push(format!("host keys also {}", some(&others)));
                }
                continue;
            }
        };
        if let Some(list) = lists.into_iter().find(|list| list.as_slice() != wanted) {
            faults.push(format!("{key} are {}", list.join(",")));
        }
    }
    let who = &hello.identification;
    if faults.is_empty() {
        return Verdict::Holds { observed: who.clone() };
    }
    Verdict::Differs { observed: format!("{who}: {}", faults.join("; ")) }
}
