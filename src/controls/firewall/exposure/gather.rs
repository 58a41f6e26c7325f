//! Reads what listens, who serves there, and what engines publish.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Owner,
    judge::Seen,
    owner,
    published::{self, Told},
};
use crate::host::{HostError, Reader, docker::Question, endpoints::Endpoint, process::Output};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controls::firewall) enum Depth {
    /// The kernel's lists and Docker's answer: milliseconds, for every verify.
    Quick,
    /// Podman's answer too, which takes a process: where nothing of ours stands before what it publishes.
    Published,
    /// The kernel's NAT rules too, and who serves at each socket.
    Full,
}

/// Where rootful Podman keeps its containers. Where there is nothing it is not asked: it would make itself at home.
const PODMAN_STATE: &str = "/run/libpod";

/// Looks at the host. What cannot be asked is said, and the rest stands.
pub(in crate::controls::firewall) async fn look(
    host: &Reader,
    depth: Depth,
) -> Result<Seen, String> {
    let endpoints = host.endpoints().map_err(|error| error.chain())?;
    let mut seen = Seen { interfaces: interfaces(host, &endpoints), ..Seen::default() };
    let mut names = BTreeMap::new();
    let podman = async { if depth == Depth::Quick { None } else { podman(host).await } };
    let (docker, podman) = tokio::join!(docker(host), podman);
    for (engine, told) in [("Docker", docker), ("Podman", podman)] {
        match told {
            None => {}
            Some(Ok(told)) => {
                seen.publications.extend(told.publications);
                seen.apart.extend(told.apart);
                names.extend(told.names);
            }
            Some(Err(why)) => seen.unseen.push(format!("what {engine} publishes: {why}")),
        }
    }
    if depth == Depth::Full {
        nat(host, &mut seen).await;
    }
    seen.publications.sort();
    seen.publications.dedup();
    seen.sockets = endpoints.into_iter().map(|endpoint| (endpoint, None)).collect();
    if depth == Depth::Full {
        let all =
            seen.sockets.iter().map(|(endpoint, _)| endpoint.inode).filter(|inode| *inode != 0);
        let all = all.collect();
        let owners = owners(host, &all);
        for (endpoint, owner) in &mut seen.sockets {
            *owner = owners.get(&endpoint.inode).cloned();
            if let Some(id) = owner.as_mut().and_then(|owner| owner.container.as_mut())
                && let Some(name) = names.get(id)
            {
                id.clone_from(name);
            }
        }
    }
    Ok(seen)
}

/// Who serves at these sockets, by inode. Whom that cannot be told of (gone, or not ours to see) is left out.
pub(in crate::controls::firewall) fn owners(
    host: &Reader,
    inodes: &BTreeSet<u64>,
) -> BTreeMap<u64, Owner> {
    let mut found = BTreeMap::new();
    let mut pids: Vec<u32> = host
        .files()
        .list("/proc")
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        // A process may end between the two looks.
        let Ok(open) = host.sockets_of(pid) else { continue };
        for inode in open.intersection(inodes) {
            found.entry(*inode).or_insert_with(|| owner_of(host, pid));
        }
    }
    found
}

fn owner_of(host: &Reader, pid: u32) -> Owner {
    let read = |name: &str| {
        host.files().text(&format!("/proc/{pid}/{name}")).ok().flatten().unwrap_or_default()
    };
    let (unit, container) = owner::of_cgroups(&read("cgroup"));
    Owner { pid, process: read("comm").trim().to_owned(), unit, container }
}

fn interfaces(host: &Reader, endpoints: &[Endpoint]) -> Vec<(u32, String)> {
    if endpoints.iter().all(|endpoint| endpoint.interface.is_none()) {
        return Vec::new();
    }
    let names = host.files().list("/sys/class/net").unwrap_or_default();
    let index = |name: &String| {
        let text = host.files().text(&format!("/sys/class/net/{name}/ifindex")).ok().flatten()?;
        Some((text.trim().parse().ok()?, name.clone()))
    };
    names.iter().filter_map(index).collect()
}

/// `None`: it does not run here.
async fn docker(host: &Reader) -> Option<Result<Told, String>> {
    if !host.has_docker() {
        return None;
    }
    let (containers, networks) =
        tokio::join!(host.docker(Question::Running), host.docker(Question::Networks));
    let told = |answer: Result<Option<_>, HostError>| match answer {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("it does not know the question".to_owned()),
        Err(error) => Err(error.chain()),
    };
    Some(told(containers).and_then(|containers| {
        let networks = told(networks)?;
        published::docker(&containers, &networks)
            .ok_or_else(|| "it answers in a way unknown".to_owned())
    }))
}

/// `None`: it has no container here.
async fn podman(host: &Reader) -> Option<Result<Told, String>> {
    if !host.files().is_dir(PODMAN_STATE) {
        return None;
    }
    let output = match host.ask("podman", &["ps", "--format", "json"]).await {
        Err(HostError::NoProgram { .. }) => return None,
        output => output.and_then(Output::success),
    };
    Some(output.map_err(|error| error.chain()).and_then(|bytes| {
        let json = serde_json::from_slice(&bytes).ok();
        json.and_then(|json| published::podman(&json))
            .ok_or_else(|| "it prints what is unknown".to_owned())
    }))
}

/// Adds what the kernel's rules lead elsewhere and no engine has spoken of.
async fn nat(host: &Reader, seen: &mut Seen) {
    let listing = match host.ask("nft", &["-n", "-t", "list", "ruleset"]).await {
        Ok(output) => output.success().map_err(|error| error.chain()),
        Err(error) => Err(error.chain()),
    };
    let listing = match listing {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(why) => return seen.unseen.push(format!("the kernel's NAT rules: {why}")),
    };
    for rule in published::nat(&listing) {
        let is_told = seen.publications.iter().any(|each| {
            each.transport == rule.transport && each.first <= rule.first && rule.last <= each.last
        });
        if !is_told {
            seen.publications.push(rule);
        }
    }
}
