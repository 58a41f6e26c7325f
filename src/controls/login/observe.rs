//! Reading what decides who gets in: the firewall's facts, sshd's word, the accounts and their keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use futures_util::future::join_all;
use ipnet::IpNet;

use super::{
    admit::{Candidate, KeysFile, Policy},
    keys,
    listen::{self, Listening, Units},
    observed::{Observed, Session, let_through, sample},
    patterns,
};
use crate::{
    controls::{
        Sight,
        firewall::{Facts, model::Model},
        ssh::{self, Effective, Login, Setting, Tree},
    },
    engine::witness::{self, Way},
    host::{Files, HostError, Reader, accounts::Account, clock, process},
    profile::{
        schema::{Mode, Profile},
        types::{Port, TimeSpan},
    },
};

/// A process for each login, 27 ms of CPU each; more than this is asked in no run.
const MOST_ASKED: usize = 24;

/// How far ahead an end is called near: who is away for a week finds the way in as it was.
const SOON: TimeSpan = TimeSpan::from_days(7);

/// Looks at everything this control judges.
pub(super) async fn observe(profile: &Profile, sight: &Sight<'_>) -> Observed {
    let host = sight.host;
    let section = profile.firewall.as_ref();
    let now = clock::now();
    let managed = profile.ssh.as_ref().filter(|ssh| ssh.mode == Mode::Enforce);
    let wanted: Vec<Setting> = managed.map(ssh::wanted).unwrap_or_default();
    let declared = profile.login.as_ref().and_then(|login| login.from.as_ref());
    let declared = declared.map(|nets| nets.iter().map(|cidr| cidr.net()).collect::<Vec<_>>());
    let tree = Tree::read(host.files());
    let none = Ok(Facts::default());
    let (facts, general, units) = tokio::join!(
        async {
            match section {
                Some(section) => sight.facts(section).await,
                None => &none,
            }
        },
        async { ssh::effective(sight.sshd().await.clone()) },
        units(host)
    );
    let at = |moment| {
        facts.as_ref().map(|facts| Model::of(section, facts, moment)).map_err(Clone::clone)
    };
    let listening = listening(profile, units, &general);
    let policy = general.as_ref().ok().map(|general| Policy::of(general, &wanted));
    let accounts = accounts(host, policy.as_slice());
    let cuts = cuts(&tree, policy.as_ref(), accounts.as_ref().map_or(&[], Vec::as_slice));
    let mut observed = Observed {
        declared,
        session: session(host),
        firewall: at(now),
        later: at(now.checked_add(SOON.as_duration()).unwrap_or(now)),
        listening,
        wanted,
        answers: Vec::new(),
        accounts,
        cuts,
        now,
    };
    observed.answers = answers(host, &observed, &tree, general).await;
    let answers = observed.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let policies: Vec<Policy> =
        answers.map(|answer| Policy::of(answer, &observed.wanted)).collect();
    // A Match may look for keys elsewhere.
    if policies.len() > 1 {
        observed.accounts = self::accounts(host, &policies);
    }
    observed
}

/// Who is typing, by the kernel's word. One that comes from this very host proves nothing about the network.
fn session(host: &Reader) -> Session {
    let (Ok(chain), Ok(own)) = (host.ancestry(), host.own_addresses()) else {
        return Session::Nobody;
    };
    // Any connection will do, however old.
    match witness::judge(&chain, Duration::ZERO, &own).map(|witness| witness.way) {
        Ok(Way::Ssh { from, .. }) => Session::Ssh(from),
        Ok(Way::Console { tty }) => Session::Console(tty),
        Err(_) => Session::Nobody,
    }
}

async fn units(host: &Reader) -> Result<Units, HostError> {
    let systemd = host.systemd().await?;
    let (service, socket) =
        tokio::try_join!(systemd.unit("ssh.service"), systemd.unit("ssh.socket"))?;
    let listens =
        if socket.is_running() { systemd.listens("ssh.socket").await? } else { Vec::new() };
    Ok(Units { service, socket, listens })
}

fn listening(
    profile: &Profile,
    units: Result<Units, HostError>,
    general: &Result<Effective, String>,
) -> Listening {
    let units = match units {
        Ok(units) => units,
        Err(error) => return Listening::Unknown(error.chain()),
    };
    if let Err(error) = process::find("sshd") {
        let is_there = units.service.is_running() || units.socket.is_running();
        let why = error.chain();
        return if is_there { Listening::Unknown(why) } else { Listening::NoSshd(why) };
    }
    let services = profile.services.as_ref().filter(|services| services.mode == Mode::Enforce);
    let ports = profile.ssh.as_ref().filter(|ssh| ssh.mode == Mode::Enforce);
    let ports: Option<&[Port]> = ports.and_then(|ssh| ssh.ports.as_deref());
    listen::listening(&units, services, ports, general.as_ref())
}

/// The networks along which sshd's answers may change: those of its lists, of `Match Address`, and of keys.
fn cuts(tree: &Tree, policy: Option<&Policy>, accounts: &[Candidate]) -> Vec<IpNet> {
    let scopes = tree.lines.iter().filter_map(|line| line.scope.as_deref());
    let of_matches = scopes.flat_map(|scope| scope.split(' ')).flat_map(patterns::networks);
    let of_lists = policy.into_iter().flat_map(Policy::networks);
    let mut all: Vec<IpNet> = of_matches.chain(of_lists).collect();
    for file in accounts.iter().flat_map(|account| account.files.values()) {
        if let KeysFile::Keys(keys) = file {
            let lists = keys.iter().filter_map(|key| key.from.as_deref());
            all.extend(lists.flat_map(patterns::networks));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Asks sshd about every login that may have to be judged; once for all where there is no `Match`.
async fn answers(
    host: &Reader,
    observed: &Observed,
    tree: &Tree,
    general: Result<Effective, String>,
) -> Vec<(Option<Login>, Result<Effective, String>)> {
    if general.is_err() || (tree.matches.is_empty() && tree.unreadable.is_empty()) {
        return vec![(None, general)];
    }
    let (Ok(accounts), Ok(firewall), Listening::At(places)) =
        (&observed.accounts, &observed.firewall, &observed.listening)
    else {
        return Vec::new();
    };
    let mut from: Vec<(IpAddr, u16)> = Vec::new();
    for source in observed.sources() {
        for (part, open) in let_through(source, firewall, places, &observed.cuts) {
            from.extend(open.iter().map(|place| (sample(part), place.port.get())));
        }
    }
    let mut seen = BTreeSet::new();
    from.retain(|one| seen.insert(*one));
    // Those with something to show first: if it is too many, they are the ones that were asked about.
    let mut accounts: Vec<&Candidate> = accounts.iter().collect();
    accounts.sort_by_key(|candidate| !candidate.has_something());
    let from = &from;
    let logins = accounts.iter().flat_map(|candidate| {
        let user = &candidate.account.name;
        from.iter().map(|(from, port)| Login { user: user.clone(), from: *from, port: *port })
    });
    let asked = logins.filter(Login::is_plain).take(MOST_ASKED).map(|login| async {
        let answer = ssh::effective(ssh::ask(host, Some(&login)).await);
        (Some(login), answer)
    });
    join_all(asked).await
}

/// The accounts whose shell lets somebody in, with what they have to show by any of these policies.
fn accounts(host: &Reader, policies: &[Policy]) -> Result<Vec<Candidate>, String> {
    let all = host.accounts().map_err(|error| error.chain())?;
    let secrets = host.secrets().map_err(|error| error.chain());
    let files = host.files();
    // sshd refuses an account whose shell is not there.
    let has_shell = |account: &Account| account.can_log_in() && files.exists(&account.shell);
    let mut found = Vec::new();
    for account in all.into_iter().filter(has_shell) {
        let groups = host.groups_of(&account).map_err(|error| error.chain())?;
        let secret = match &secrets {
            Ok(secrets) => Ok(secrets.get(&account.name).copied().unwrap_or_default()),
            Err(why) => Err(why.clone()),
        };
        let mut keys_files = BTreeMap::new();
        for policy in policies {
            for path in policy.keys_files(&account) {
                let file = keys_file(files, &path, &account, policy.is_strict());
                keys_files.insert(path, file);
            }
        }
        found.push(Candidate { account, groups, secret, files: keys_files });
    }
    Ok(found)
}

/// What sshd makes of a file of keys.
fn keys_file(files: &Files, path: &str, account: &Account, is_strict: bool) -> KeysFile {
    let unknown = |error: HostError| KeysFile::Unknown(error.chain());
    match files.access(path) {
        Ok(None) => return KeysFile::Absent,
        Ok(Some(access)) if !access.is_file => {
            return KeysFile::Ignored(format!("{path} is not a regular file"));
        }
        Ok(Some(_)) => {}
        Err(error) => return unknown(error),
    }
    if is_strict {
        match open_to_others(files, path, account) {
            Ok(None) => {}
            Ok(Some(why)) => return KeysFile::Ignored(why),
            Err(error) => return unknown(error),
        }
    }
    match files.text(path) {
        Ok(text) => KeysFile::Keys(keys::parse(&text.unwrap_or_default())),
        Err(error) => unknown(error),
    }
}

/// `safe_path`: the file and every folder above it, up to the home directory, belong to the account or root, and nobody
/// else may write to them.
fn open_to_others(
    files: &Files,
    path: &str,
    account: &Account,
) -> Result<Option<String>, HostError> {
    let mut at = path;
    loop {
        if let Some(access) = files.access(at)? {
            let passed = format!("so sshd passes {path} over");
            if access.uid != 0 && access.uid != account.uid {
                return Ok(Some(format!("{at} belongs to user {}, {passed}", access.uid)));
            }
            if access.mode & 0o022 != 0 {
                let mode = access.mode;
                return Ok(Some(format!("others may write to {at} (mode {mode:04o}), {passed}")));
            }
        }
        match at.rfind('/').map(|slash| &at[..slash.max(1)]) {
            Some(parent) if parent != at && at != account.home => at = parent,
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
