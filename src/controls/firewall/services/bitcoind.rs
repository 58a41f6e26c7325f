//! Bitcoin Core: `port`, `bind`, `whitebind` and `listen`, from its command line and its configuration file.
//!
//! As bitcoin/bitcoin has it (src/common/args.cpp, src/common/config.cpp, src/init.cpp, src/chainparamsbase.cpp):
//! the command line wins over the file; of the file, `[chain]` and `chain.key=` win over the top; `port` and `bind` at
//! the top count for the main chain only; an onion address is reached over Tor alone. What it settles in ways of its own
//! (a setting twice, `includeconf`) is not guessed at.

use std::net::{IpAddr, SocketAddr};

use super::ports::{Fault, Ports, is_loopback};
use crate::profile::types::Port;

/// A chain: its name in `chain=`, and its P2P port.
type Chain = (&'static str, u16);

const CHAINS: [Chain; 5] =
    [("main", 8333), ("test", 18333), ("testnet4", 48333), ("signet", 38333), ("regtest", 18444)];

/// Settings of their own that choose a chain.
const FLAGS: [(&str, &str); 4] =
    [("testnet", "test"), ("testnet4", "testnet4"), ("signet", "signet"), ("regtest", "regtest")];

/// A setting and where it stands.
#[derive(Debug)]
struct Setting {
    /// The chain it is for; `None`: at the top of the file, or on the command line.
    section: Option<String>,
    key: Key,
    value: String,
    /// Its line in the file; `None`: on the command line.
    line: Option<usize>,
}

/// The settings that decide where it listens. No other is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Chain,
    Flag(&'static str),
    Port,
    Bind,
    Whitebind,
    Listen,
    /// `nolisten`.
    NoListen,
    /// `connect` and `proxy`: with them it does not listen unless it is told to.
    Connect,
    Proxy,
    Includeconf,
    /// `noport`, `nobind` and their like.
    Negated,
}

impl Key {
    fn named(name: &str) -> Option<Self> {
        let flag = FLAGS.iter().find(|(flag, _)| *flag == name);
        Some(match name {
            _ if flag.is_some() => Self::Flag(flag?.1),
            "chain" => Self::Chain,
            "port" => Self::Port,
            "bind" => Self::Bind,
            "whitebind" => Self::Whitebind,
            "listen" => Self::Listen,
            "nolisten" => Self::NoListen,
            "connect" => Self::Connect,
            "proxy" => Self::Proxy,
            "includeconf" => Self::Includeconf,
            "noport" | "nobind" | "nowhitebind" | "noconnect" | "noproxy" | "nochain"
            | "notestnet" | "notestnet4" | "nosignet" | "noregtest" => Self::Negated,
            _ => return None,
        })
    }

    /// Whether a setting at the top of the file counts for the main chain only.
    const fn is_per_chain(self) -> bool {
        matches!(self, Self::Port | Self::Bind | Self::Whitebind | Self::Connect)
    }
}

/// Where the node's peers reach it.
pub(super) fn ports(text: Option<&str>, arguments: &[String]) -> Result<Ports, Fault> {
    let given = on_command_line(arguments);
    let filed = in_file(text.unwrap_or_default())?;
    if let Some(odd) =
        given.iter().chain(&filed).find(|each| matches!(each.key, Key::Negated | Key::Includeconf))
    {
        let why =
            "a negated setting or includeconf: say the ports under tcp instead of from_config";
        return Err(Fault { line: odd.line, why: why.to_owned() });
    }
    let chain = chain(&given, &filed)?;
    Settings { given, filed, chain }.ports()
}

fn on_command_line(arguments: &[String]) -> Vec<Setting> {
    let options = arguments.iter().filter(|argument| argument.starts_with('-'));
    let settings = options.filter_map(|option| {
        let option = option.strip_prefix("--").or_else(|| option.strip_prefix('-'))?;
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        Some(Setting { section: None, key: Key::named(name)?, value: value.to_owned(), line: None })
    });
    settings.collect()
}

fn in_file(text: &str) -> Result<Vec<Setting>, Fault> {
    let mut settings = Vec::new();
    let mut section: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(name.to_owned());
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(Fault::at(number, "bitcoind refuses a line that is not name=value"));
        };
        let name = name.trim();
        if name.starts_with('-') {
            return Err(Fault::at(number, "bitcoind refuses a name with a leading -"));
        }
        let (inline, name) = match name.split_once('.') {
            Some((inline, name)) => (Some(inline.to_owned()), name),
            None => (None, name),
        };
        if let Some(key) = Key::named(name) {
            let section = section.clone().or(inline);
            let value = value.trim().to_owned();
            settings.push(Setting { section, key, value, line: Some(number) });
        }
    }
    Ok(settings)
}

fn is_on(setting: &Setting) -> Result<bool, Fault> {
    match setting.value.as_str() {
        "" | "1" => Ok(true),
        "0" => Ok(false),
        _ => {
            let why = "a switch that is neither 0 nor 1";
            Err(Fault { line: setting.line, why: why.to_owned() })
        }
    }
}

/// The chain. Chosen on the command line, else at the top of the file; bitcoind does not look for it elsewhere.
fn chain(given: &[Setting], filed: &[Setting]) -> Result<Chain, Fault> {
    let top = filed.iter().filter(|setting| setting.section.is_none());
    for settings in [given.iter().collect::<Vec<_>>(), top.collect()] {
        let mut chosen: Option<&str> = None;
        for setting in settings {
            let name = match setting.key {
                Key::Chain => setting.value.as_str(),
                Key::Flag(name) if is_on(setting)? => name,
                _ => continue,
            };
            if chosen.is_some_and(|other| other != name) {
                let why = "more than one chain is chosen, which bitcoind refuses";
                return Err(Fault { line: setting.line, why: why.to_owned() });
            }
            chosen = Some(name);
        }
        if let Some(name) = chosen {
            let known = CHAINS.iter().find(|(known, _)| *known == name);
            return known.copied().ok_or_else(|| Fault::new("chain is none that bitcoind knows"));
        }
    }
    Ok(CHAINS[0])
}

struct Settings {
    given: Vec<Setting>,
    filed: Vec<Setting>,
    chain: Chain,
}

impl Settings {
    /// The settings of one name that count, from the place that wins.
    fn of(&self, key: Key) -> Vec<&Setting> {
        let given: Vec<_> = self.given.iter().filter(|setting| setting.key == key).collect();
        let of_chain = |setting: &&Setting| {
            setting.key == key && setting.section.as_deref() == Some(self.chain.0)
        };
        let at_top = |setting: &&Setting| {
            setting.key == key
                && setting.section.is_none()
                && (self.chain.0 == "main" || !key.is_per_chain())
        };
        let own: Vec<_> = self.filed.iter().filter(of_chain).collect();
        let top: Vec<_> = self.filed.iter().filter(at_top).collect();
        // What may stand several times is added up, wherever it stands.
        if matches!(key, Key::Bind | Key::Whitebind) {
            return [given, own, top].concat();
        }
        [given, own, top].into_iter().find(|each| !each.is_empty()).unwrap_or_default()
    }

    /// The one value of a setting.
    fn one(&self, key: Key) -> Result<Option<&Setting>, Fault> {
        let all = self.of(key);
        let Some(first) = all.first() else { return Ok(None) };
        match all.iter().find(|other| other.value != first.value) {
            None => Ok(Some(first)),
            Some(other) => {
                let why = "set before to another value: leave one of the two";
                Err(Fault { line: other.line, why: why.to_owned() })
            }
        }
    }

    fn listens(&self, binds: bool) -> Result<bool, Fault> {
        match (self.one(Key::Listen)?, self.one(Key::NoListen)?) {
            (Some(_), Some(no)) => {
                let why = "listen and nolisten: leave one of the two";
                Err(Fault { line: no.line, why: why.to_owned() })
            }
            (Some(listen), None) => is_on(listen),
            (None, Some(no)) => Ok(!is_on(no)?),
            // An address to listen on speaks for itself; without one, fixed peers and a proxy speak against it.
            (None, None) => {
                Ok(binds || self.of(Key::Connect).is_empty() && self.of(Key::Proxy).is_empty())
            }
        }
    }

    fn ports(&self) -> Result<Ports, Fault> {
        let (binds, whitebinds) = (self.of(Key::Bind), self.of(Key::Whitebind));
        let mut found = Ports::default();
        if !self.listens(!binds.is_empty() || !whitebinds.is_empty())? {
            return Ok(found);
        }
        let port =
            match self.one(Key::Port)? {
                None => Port::new(self.chain.1),
                Some(setting) => Some(setting.value.parse().map_err(|_| Fault {
                    line: setting.line,
                    why: "port is not a port".to_owned(),
                })?),
            };
        if binds.is_empty() && whitebinds.is_empty() {
            found.tcp.extend(port);
            return Ok(found);
        }
        for setting in binds {
            let (address, is_onion) = match setting.value.split_once('=') {
                Some((address, "onion")) => (address, true),
                Some(_) => return Err(unreadable(setting)),
                None => (setting.value.as_str(), false),
            };
            let (address, own) = endpoint(address).ok_or_else(|| unreadable(setting))?;
            if !is_onion && !is_loopback(address) {
                found.tcp.extend(own.or(port));
            }
        }
        for setting in whitebinds {
            let address = setting.value.rsplit('@').next().unwrap_or_default();
            match endpoint(address) {
                Some((address, Some(port))) if !is_loopback(address) => {
                    found.tcp.insert(port);
                }
                Some((_, Some(_))) => {}
                _ => return Err(unreadable(setting)),
            }
        }
        Ok(found)
    }
}

fn unreadable(setting: &Setting) -> Fault {
    let why = "bind is not an address of this host, with a port or without".to_owned();
    Fault { line: setting.line, why }
}

/// `address` or `address:port`, IPv6 in brackets where a port follows.
fn endpoint(text: &str) -> Option<(IpAddr, Option<Port>)> {
    if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Some((address, None));
    }
    let both: SocketAddr = text.parse().ok()?;
    Some((both.ip(), Some(Port::new(both.port())?)))
}
