//! Reads where a service's configuration stands, and has it parsed.

use serde_json::Value;

use super::{
    bitcoind, env_file,
    launch::{Launch, Published},
    ports::{Fault, Found, Ports},
    signer, stacks,
};
use crate::{
    host::{Reader, docker::Question},
    profile::{
        schema::{Allow, Firewall, Service},
        types::Port,
    },
};

/// Where a service is configured, and what unit runs it, when the profile does not say: as their own samples have it
/// (bitcoin/bitcoin contrib/init/bitcoind.service, stacks-core contrib/init/stacks.service). The signer comes as an image
/// only, so its place is this project's.
const fn usual(service: Service) -> (&'static str, &'static str) {
    match service {
        Service::SbtcSigner => ("/etc/sbtc-signer/signer-config.toml", "sbtc-signer.service"),
        Service::StacksNode => ("/etc/stacks-blockchain/Config.toml", "stacks.service"),
        Service::Bitcoind => ("/etc/bitcoin/bitcoin.conf", "bitcoind.service"),
    }
}

/// The ports of every allow that takes them from a configuration.
pub(in crate::controls::firewall) async fn gather(section: &Firewall, host: &Reader) -> Found {
    let mut found = Found::default();
    for allow in &section.allow {
        if let Some(service) = allow.from_config {
            let ports = one(allow, service, host).await;
            found.0.insert(allow.name.to_string(), ports);
        }
    }
    found
}

async fn one(allow: &Allow, service: Service, host: &Reader) -> Result<Ports, String> {
    let launch = launch(allow, service, host).await?;
    let of = |what: &str| {
        let what = what.to_owned();
        move |fault: Fault| format!("{what}: {fault}")
    };
    let named = match &allow.config_file {
        Some(path) => Some(path.to_string()),
        None => launch.config_file(service).map_err(of(service.as_str()))?,
    };
    let path = named.clone().unwrap_or_else(|| usual(service).0.to_owned());
    let text = host.files().text(&path).map_err(|error| error.chain())?;
    let missing = || format!("{path} is not there: say config_file, or put it in its place");
    let listens = match service {
        Service::SbtcSigner => {
            // The signer runs on its environment alone, but for a file that it is told to read.
            if text.is_none() && (named.is_some() || launch.variable.is_none()) {
                return Err(missing());
            }
            let what = if launch.variable.is_some() { signer::VARIABLE } else { path.as_str() };
            signer::ports(text.as_deref(), launch.variable.as_deref()).map_err(of(what))
        }
        Service::StacksNode => {
            let text = text.ok_or_else(missing)?;
            stacks::ports(Some(&text)).map_err(of(&path))
        }
        Service::Bitcoind => {
            let text = text.ok_or_else(missing)?;
            if launch.is_indirect() {
                let why = "bitcoind is started through a shell, so its command line cannot be read: \
                           say the ports under tcp instead of from_config";
                return Err(why.to_owned());
            }
            bitcoind::ports(Some(&text), &launch.command).map_err(of(&path))
        }
    }?;
    let ports = launch.as_published(listens).map_err(of(service.as_str()))?;
    if ports.is_empty() {
        return Err(format!(
            "{path}: no other host is to reach the service, so there is no port to open"
        ));
    }
    Ok(ports)
}

/// How the service is started, as far as it can be known.
async fn launch(allow: &Allow, service: Service, host: &Reader) -> Result<Launch, String> {
    let mut launch = match (&allow.container, &allow.unit) {
        (Some(name), _) => container(name.as_str(), host).await?,
        (None, Some(unit)) => {
            let found = of_unit(unit.as_str(), host).await?;
            found.ok_or_else(|| format!("there is no unit {unit}"))?
        }
        (None, None) => of_unit(usual(service).1, host).await?.unwrap_or_default(),
    };
    if let Some(path) = &allow.env_file {
        let text = host.files().text(path.as_str()).map_err(|error| error.chain())?;
        let text = text.ok_or_else(|| format!("{path} is not there: say another env_file"))?;
        let value = env_file::value(&text, signer::VARIABLE);
        if let Some(value) = value.map_err(|fault| format!("{path}: {fault}"))? {
            launch.variable = Some(value);
        }
    }
    Ok(launch)
}

/// What systemd starts; `None` when it has no such unit.
async fn of_unit(name: &str, host: &Reader) -> Result<Option<Launch>, String> {
    let systemd = host.systemd().await.map_err(|error| error.chain())?;
    let found = systemd.launch(name, signer::VARIABLE).await.map_err(|error| error.chain())?;
    let Some(found) = found else { return Ok(None) };
    let mut launch =
        Launch { command: found.command, variable: found.variable, ..Launch::default() };
    for (path, may_be_missing) in found.environment_files {
        if path.contains(['*', '?', '[']) {
            return Err(format!("{name} names its environment files by a pattern: say env_file"));
        }
        match host.files().text(&path).map_err(|error| error.chain())? {
            Some(text) => {
                let value = env_file::value(&text, signer::VARIABLE);
                if let Some(value) = value.map_err(|fault| format!("{path}: {fault}"))? {
                    launch.variable = Some(value);
                }
            }
            None if may_be_missing => {}
            None => return Err(format!("{path}, the environment of {name}, is not there")),
        }
    }
    Ok(Some(launch))
}

async fn container(name: &str, host: &Reader) -> Result<Launch, String> {
    if !host.has_docker() {
        return Err(format!("Docker does not run, so container {name} cannot be looked at"));
    }
    let found = host.docker(Question::Container(name)).await.map_err(|error| error.chain())?;
    let found = found.ok_or_else(|| format!("Docker has no container {name}"))?;
    inspected(&found).ok_or_else(|| format!("Docker's word on container {name} cannot be read"))
}

/// Takes from Docker's word on a container what matters, and drops the rest: its environment holds secrets.
pub(super) fn inspected(found: &Value) -> Option<Launch> {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let mut command = vec![found.get("Path")?.as_str()?.to_owned()];
    command.extend(texts(found.get("Args")?));
    let config = found.get("Config")?;
    let variables = config.get("Env").and_then(Value::as_array).into_iter().flatten();
    let variable = variables.filter_map(Value::as_str).filter_map(|each| each.split_once('='));
    let variable = variable
        .filter(|(name, _)| name.eq_ignore_ascii_case(signer::VARIABLE))
        .map(|(_, value)| value.to_owned())
        .next_back();
    let mounts = found.get("Mounts").and_then(Value::as_array).into_iter().flatten();
    let mounts = mounts.filter_map(|mount| {
        let text = |key| mount.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((text("Destination")?, text("Source")?))
    });
    let host_config = found.get("HostConfig")?;
    let published = if host_config.get("NetworkMode")?.as_str()? == "host" {
        None
    } else {
        let bindings = host_config.get("PortBindings").and_then(Value::as_object);
        let all = bindings.into_iter().flatten().flat_map(|(inside, list)| {
            let list = list.as_array().into_iter().flatten();
            list.filter_map(|binding| binding_of(inside, binding))
        });
        Some(all.collect())
    };
    Some(Launch { command, variable, mounts: mounts.collect(), published })
}

/// `"4122/tcp": {"HostIp": "", "HostPort": "4122"}`
fn binding_of(inside: &str, binding: &Value) -> Option<Published> {
    let (port, protocol) = inside.split_once('/')?;
    let text = |key| binding.get(key).and_then(Value::as_str).unwrap_or_default();
    let address = text("HostIp").parse::<std::net::IpAddr>();
    Some(Published {
        protocol: protocol.to_owned(),
        inside: port.parse().ok()?,
        outside: text("HostPort").parse::<Port>().ok(),
        is_loopback: address.is_ok_and(super::ports::is_loopback),
    })
}
