//! What the signer's own configuration says: who deployed the contract, and the public half of the signer's key.
//!
//! `signer.deployer` and `signer.private_key` in its file, and `SIGNER_SIGNER__DEPLOYER` and `SIGNER_SIGNER__PRIVATE_KEY` in
//! its environment, which win (stacks-sbtc/sbtc, signer/src/config). Private keys and passwords stand in both: this runs
//! in the process that may have them, keeps nothing else, and quotes nothing.

use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    key_file::{self, in_config, parse},
    talk::Configured,
};
use crate::{
    controls::firewall::services::{env_file, signer},
    host::{Reader, docker::Question},
    profile::{schema::Chain, types::StacksAddress},
};

/// The variable that wins over the file. The signer does not mind its case.
const VARIABLE: &str = "SIGNER_SIGNER__DEPLOYER";

/// The unit that runs the signer when the profile does not say: it comes as an image only, so the name is this project's.
const USUAL_UNIT: &str = "sbtc-signer.service";

/// What it says.
pub(super) async fn configured(chain: &Chain, host: &Reader) -> Configured {
    let public = public(chain, host).await;
    Configured { deployer: deployer(chain, host).await, public }
}

async fn deployer(chain: &Chain, host: &Reader) -> Result<StacksAddress, String> {
    if let Some(value) = variable(VARIABLE, chain, host).await? {
        return address(&value)
            .ok_or_else(|| format!("{VARIABLE} is no address of the Stacks chain"));
    }
    let path = chain.config_file.as_str();
    let text = file(chain, host)?.ok_or_else(|| {
        format!("{path} is not there: say config_file, or deployer, in [backup.NAME.chain]")
    })?;
    in_file(&text).map_err(|fault| format!("{path}: {fault}"))
}

/// The public half of its key; none where no configuration has one: it may be on another host, or in a credential.
async fn public(chain: &Chain, host: &Reader) -> Result<Option<String>, String> {
    let name = key_file::VARIABLE;
    let key = match variable(name, chain, host).await? {
        Some(value) => Some(parse(value.trim()).map_err(|fault| format!("{name}: {fault}"))?),
        None => match file(chain, host)? {
            Some(text) => {
                let path = chain.config_file.as_str();
                in_config(&text).map_err(|fault| format!("{path}: {fault}"))?
            }
            None => None,
        },
    };
    Ok(key.map(|key| key.public().to_string()))
}

fn file(chain: &Chain, host: &Reader) -> Result<Option<Zeroizing<String>>, String> {
    let text = host.files().text(chain.config_file.as_str()).map_err(|error| error.chain())?;
    Ok(text.map(Zeroizing::new))
}

fn address(text: &str) -> Option<StacksAddress> {
    text.trim().parse().ok()
}

fn in_file(text: &str) -> Result<StacksAddress, String> {
    let table = signer::table(text).map_err(|fault| fault.to_string())?;
    let value = signer::at(&table, &["signer", "deployer"]).map_err(|fault| fault.to_string())?;
    let value = value.ok_or("signer.deployer is not set")?;
    let address = value.as_str().and_then(address);
    address.ok_or_else(|| "signer.deployer is no address of the Stacks chain".to_owned())
}

/// A variable's value, where the signer is started with it.
async fn variable(
    variable: &str,
    chain: &Chain,
    host: &Reader,
) -> Result<Option<Zeroizing<String>>, String> {
    if let Some(path) = &chain.env_file {
        let text = host.files().text(path.as_str()).map_err(|error| error.chain())?;
        let text = text.ok_or_else(|| format!("{path} is not there: say another env_file"))?;
        let value = env_file::value(&text, variable).map_err(|fault| format!("{path}: {fault}"))?;
        if value.is_some() {
            return Ok(value.map(Zeroizing::new));
        }
    }
    let value = match (&chain.container, &chain.unit) {
        (Some(name), _) => container(variable, name.as_str(), host).await,
        (None, Some(unit)) => of_unit(variable, unit.as_str(), true, host).await,
        (None, None) => of_unit(variable, USUAL_UNIT, false, host).await,
    };
    Ok(value?.map(Zeroizing::new))
}

async fn of_unit(
    variable: &str,
    name: &str,
    must_be: bool,
    host: &Reader,
) -> Result<Option<String>, String> {
    let systemd = host.systemd().await.map_err(|error| error.chain())?;
    let found = systemd.launch(name, variable).await.map_err(|error| error.chain())?;
    let Some(found) = found else {
        return if must_be { Err(format!("there is no unit {name}")) } else { Ok(None) };
    };
    let mut value = found.variable;
    for (path, may_be_missing) in found.environment_files {
        if path.contains(['*', '?', '[']) {
            return Err(format!("{name} names its environment files by a pattern: say env_file"));
        }
        match host.files().text(&path).map_err(|error| error.chain())? {
            Some(text) => {
                let found = env_file::value(&text, variable);
                value = found.map_err(|fault| format!("{path}: {fault}"))?.or(value);
            }
            None if may_be_missing => {}
            None => return Err(format!("{path}, the environment of {name}, is not there")),
        }
    }
    Ok(value)
}

async fn container(variable: &str, name: &str, host: &Reader) -> Result<Option<String>, String> {
    if !host.has_docker() {
        return Err(format!("Docker does not run, so container {name} cannot be looked at"));
    }
    let found = host.docker(Question::Container(name)).await.map_err(|error| error.chain())?;
    let found = found.ok_or_else(|| format!("Docker has no container {name}"))?;
    Ok(in_environment(&found, variable))
}

/// Of Docker's word on a container the one variable; the last one counts.
fn in_environment(found: &Value, variable: &str) -> Option<String> {
    let list = found.pointer("/Config/Env")?.as_array()?;
    let pairs = list.iter().filter_map(Value::as_str).filter_map(|each| each.split_once('='));
    let own = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(variable));
    own.map(|(_, value)| value.to_owned()).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPLOYER: &str = "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4";
    const SECRET: &str = "5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e";

    #[test]
    fn the_file_says_so_and_its_faults_quote_nothing() {
        let file = |line: &str| format!("[signer]\nprivate_key = \"{SECRET}\"\n{line}\n");
        let found = in_file(&file(&format!("deployer = \"{DEPLOYER}\""))).unwrap();
        assert_eq!(found.as_str(), DEPLOYER);
        for line in [
            "",
            "deployer = 3",
            "deployer = \"SM3\"",
            "deployer = ",
            &format!("deployer = \"{SECRET}\""),
        ] {
            let fault = in_file(&file(line)).unwrap_err();
            assert!(!fault.contains(&SECRET[..8]), "{fault}");
        }
        assert_eq!(in_file("signer = 1").unwrap_err(), "signer is not a table");
    }

    #[test]
    fn of_a_container_only_the_one_variable_is_taken() {
        let env = serde_json::json!({ "Config": { "Env": [
            "SIGNER_SIGNER__DEPLOYER=first", "signer_signer__deployer=last", "OTHER=x", "ODD"
        ] } });
        let found = |env| in_environment(&env, VARIABLE);
        assert_eq!(found(env).as_deref(), Some("last"));
        assert_eq!(found(serde_json::json!({ "Config": { "Env": ["A=b"] } })), None);
        assert_eq!(found(serde_json::json!({})), None);
    }

    #[tokio::test]
    async fn the_environment_file_wins_over_the_file() {
        let root = tempfile::tempdir().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a fixture")]
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        write("c.toml", "[signer]\ndeployer = \"ST000000000000000000002AMW42H\"\n");
        write("env", &format!("OTHER=\"$x\"\nSIGNER_SIGNER__DEPLOYER={DEPLOYER}\n"));
        let chain = Chain {
            config_file: "/c.toml".parse().unwrap(),
            env_file: Some("/env".parse().unwrap()),
            ..Chain::default()
        };
        let host = Reader::below(root.path());
        assert_eq!(deployer(&chain, &host).await.unwrap().as_str(), DEPLOYER);
        write("env", "SIGNER_SIGNER__DEPLOYER=$X\n");
        assert!(deployer(&chain, &host).await.unwrap_err().starts_with("/env: line 1: "));
        // The key, too; and only its public half is told.
        write("env", &format!("SIGNER_SIGNER__PRIVATE_KEY={:064x}01\n", 3));
        let three = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
        assert_eq!(public(&chain, &host).await, Ok(Some(three.to_owned())));
        write("env", "SIGNER_SIGNER__PRIVATE_KEY=5e2e5e2e\n");
        let fault = public(&chain, &host).await.unwrap_err();
        assert!(fault.starts_with(key_file::VARIABLE) && !fault.contains("5e2e"), "{fault}");
    }
}
