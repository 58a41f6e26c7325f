//! Reading what decides what the account may do: files, folders, accounts, and sshd's word.

use std::net::IpAddr;

use futures_util::future::join_all;
use ipnet::IpNet;

use super::{
    desired::{self, DROP_IN, DROP_IN_DIR, Desired},
    observed::{Account, Folder, Observed},
    session,
};
use crate::{
    backup::{catalogue, manifest::Database, rows::Rows},
    controls::{
        Sight,
        firewall::{Facts, model::Model},
        ssh::{self, Answers, Effective, Login, Tree},
    },
    host::{Files, HostError, Reader, accounts::Password, clock, process},
    profile::{
        schema::{Mode, Profile},
        types::Port,
    },
};

/// A process for each, 27 ms of CPU each.
const MOST_ASKED: usize = 4;

/// Looks at everything this control judges.
pub(super) async fn observe(profile: &Profile, sight: &Sight<'_>) -> Observed {
    let host = sight.host;
    let files = host.files();
    let wanted = Desired::of(profile);
    let text = wanted.as_ref().map(|wanted| wanted.drop_in.as_str()).unwrap_or_default();
    let future = Tree::read_with(files, DROP_IN_DIR, DROP_IN, text);
    let absent = process::find("sshd").err().map(|error| error.chain());
    let (answers, has_no_runtime_dir) = match (&wanted, &absent) {
        (Some(_), None) => answers(profile, host, &future).await,
        _ => (Vec::new(), false),
    };
    let strange = wanted.as_ref().map(|wanted| strange(files, &wanted.root()));
    let pull = profile.pull.as_ref();
    let within = pull.and_then(|pull| pull.fetched_within).filter(|_| wanted.is_some());
    let from = pull.and_then(|pull| pull.from.as_ref());
    Observed {
        firewall: firewall(profile, sight).await,
        ports: ports(profile, &answers),
        from: from.map(|from| from.iter().map(|cidr| cidr.net()).collect::<Vec<IpNet>>()),
        sessions: within.map(|within| (within, session::read(files), clock::now())),
        absent,
        account: account(host),
        way: wanted.as_ref().map(|wanted| way(files, wanted)).unwrap_or_default(),
        strange: strange.unwrap_or(Ok(Vec::new())),
        drop_in: files.state(DROP_IN).map_err(|error| error.chain()),
        has_dir: files.is_dir(DROP_IN_DIR),
        is_included: future.includes(DROP_IN),
        keys: files.state(desired::KEYS).map_err(|error| error.chain()),
        answers,
        has_no_runtime_dir,
        wanted,
    }
}

async fn firewall(profile: &Profile, sight: &Sight<'_>) -> Result<Model, String> {
    let section = profile.firewall.as_ref();
    let none = Facts::default();
    let facts = match section {
        Some(section) => sight.facts(section).await.as_ref().map_err(Clone::clone)?,
        None => &none,
    };
    Ok(Model::of(section, facts, clock::now()))
}

/// Where sshd will listen: where the profile says, or else where sshd does.
fn ports(profile: &Profile, answers: &[(String, Result<Effective, String>)]) -> Vec<Port> {
    let managed = profile.ssh.as_ref().filter(|ssh| ssh.mode == Mode::Enforce);
    if let Some(ports) = managed.and_then(|ssh| ssh.ports.clone()) {
        return ports;
    }
    let answer = answers.iter().find_map(|(_, answer)| answer.as_ref().ok());
    let ports = answer.map(Effective::ports).unwrap_or_default();
    ports.into_iter().filter_map(Port::new).collect()
}

fn account(host: &Reader) -> Result<Option<Account>, String> {
    let all = host.accounts().map_err(|error| error.chain())?;
    let Some(found) = all.iter().find(|account| account.name == desired::ACCOUNT) else {
        return Ok(None);
    };
    let secrets = host.secrets().map_err(|error| error.chain());
    let has_password = secrets.map(|secrets| {
        let secret = secrets.get(desired::ACCOUNT).copied().unwrap_or_default();
        secret.password != Password::Locked
    });
    let same = all.iter().filter(|other| other.uid == found.uid && other.name != found.name);
    Ok(Some(Account {
        uid: found.uid,
        shell: found.shell.clone(),
        can_log_in: found.can_log_in(),
        has_password,
        groups: host.groups_of(found).map_err(|error| error.chain())?,
        same_uid: same.map(|other| other.name.clone()).collect(),
    }))
}

/// The folders that sshd looks at before it locks an account into the last of them.
fn way(files: &Files, wanted: &Desired) -> Vec<Folder> {
    let root = wanted.root();
    let ends = root.match_indices('/').map(|(at, _)| at.max(1)).chain([root.len()]);
    let folder = |end: usize| {
        let path = &root[..end];
        let mode = match path {
            path if path == root => Some(0o755),
            path if path == wanted.store => Some(0o700),
            _ => None,
        };
        let access = files.access(path).ok().flatten();
        Folder {
            path: path.to_owned(),
            state: files.state(path).map_err(|error| error.chain()),
            access: access.map(|access| (access.uid, access.mode)),
            mode,
        }
    };
    ends.map(folder).collect()
}

/// Whether a file's name is neither a dump's nor that of rows.
fn is_of_none(name: &str) -> bool {
    catalogue::name_of::<Database>(name).is_none() && catalogue::name_of::<Rows>(name).is_none()
}

/// What is in the served folder and is not a file of a backup, root's, that everybody may read and nobody else may write.
fn strange(files: &Files, root: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for name in files.list(root).map_err(|error| error.chain())? {
        let path = format!("{root}/{name}");
        let found_there = files.access_itself(&path).map_err(|error| HostError::chain(&error))?;
        let Some(kind) = found_there else { continue };
        let fault = if !kind.is_file {
            Some("is no regular file")
        } else if kind.uid != 0 || kind.mode & 0o022 != 0 {
            Some("can be written by others than root")
        } else if kind.mode & 0o004 == 0 {
            Some("cannot be read by the account")
        } else if is_of_none(&name) {
            Some("is of no backup, and leaves this host with the next pull")
        } else {
            None
        };
        found.extend(fault.map(|fault| format!("{path} {fault}")));
    }
    Ok(found)
}

/// Asks sshd what it would do with the account, from each network that it may come from; once where nothing depends on
/// that. Also whether sshd lacks its runtime directory.
async fn answers(
    profile: &Profile,
    host: &Reader,
    tree: &Tree,
) -> (Vec<(String, Result<Effective, String>)>, bool) {
    if !host.is_root() {
        let why = "only root may ask sshd what it would do (sshd -T reads the host keys); run holdfast as root";
        return (vec![(String::new(), Err(why.to_owned()))], false);
    }
    let from = profile.pull.as_ref().and_then(|pull| pull.from.as_ref());
    let mut from: Vec<IpAddr> = match from {
        Some(nets) if !nets.is_empty() => nets.iter().map(|cidr| cidr.sample()).collect(),
        _ => ssh::ANYWHERE.to_vec(),
    };
    let most = if tree.matches.is_empty() && tree.unreadable.is_empty() { 1 } else { MOST_ASKED };
    from.truncate(most);
    let ports = profile.ssh.as_ref().and_then(|ssh| ssh.ports.as_deref());
    let port = ports.and_then(|ports| ports.first()).copied().unwrap_or(Port::SSH).get();
    let asked = from.into_iter().map(|from| async move {
        let login = Login { user: desired::ACCOUNT.to_owned(), from, port };
        (from.to_string(), ssh::ask(host, Some(&login)).await)
    });
    let answers: Vec<(String, Answers)> = join_all(asked).await;
    let has_none = answers.iter().any(|(_, answer)| matches!(answer, Answers::NoRuntimeDir));
    (answers.into_iter().map(|(from, answer)| (from, ssh::effective(answer))).collect(), has_none)
}
