//! `holdfast backup`: backups of a signer's database, and what they are worth.

mod check;
mod fetched;
mod forget;
mod prove;
mod prune;
mod restore;
mod role;
mod rows;
mod run;
mod shown;
mod status;
mod watch;

use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use serde_json::json;

use self::fetched::Fetched;
use super::{
    Context, PROFILE,
    failure::{Exit, Failure},
    host,
};
use crate::{
    backup::{
        catalogue::Entry,
        folder::{self, Bytes},
        manifest::{Database, Manifest},
        prove::ProveError,
        restore::RestoreError,
        rows::Rows,
        run::{Job, RunError},
        server::ServerError,
        signing,
    },
    evidence::record::kind,
    host::{error::chain, shelf::Shelf},
    profile::{Loaded, Trust, schema::Backup},
};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: BackupCommand,

    /// The profile
    #[arg(long, global = true, default_value = PROFILE)]
    profile: PathBuf,
}

#[derive(Debug, clap::Subcommand)]
enum BackupCommand {
    /// Back up a database, and prove the file
    Run(run::Args),
    /// List the backups, and what is wrong with them
    List(NamesArg),
    /// Say how old the newest proven backup is, and how long getting it back takes
    Status(NamesArg),
    /// Prove that a backup's file is the one that was made; with an identity, that it can be restored
    Prove(prove::Args),
    /// On a host that fetched backups: say whether each is whole and as the host that made it signed it
    Check(check::Args),
    /// Delete the backups that no rule of the profile keeps
    Prune(prune::Args),
    /// Say of backups that are gone that they are known to be lost, and why; `backup.shelf` misses them no more
    Forget(forget::Args),
    /// Bring a backup back into an empty database
    Restore(restore::Args),
    /// Check the role that reads the database, or make it
    Role(role::Args),
    /// Look for new DKG rows once, and back them up if there are any
    Watch(NameArg),
    /// List the backups of DKG rows, and what is wrong with them
    Rows(NamesArg),
    /// Put backed up DKG rows back into a migrated database
    RestoreRows(rows::Args),
}

/// Which backup.
#[derive(Debug, clap::Args)]
struct NameArg {
    /// Its name in the profile
    name: String,
}

/// Which backups.
#[derive(Debug, clap::Args)]
struct NamesArg {
    /// Its name in the profile [default: all]
    name: Option<String>,
}

/// Runs one of them.
pub(super) fn run(context: &Context, args: &BackupArgs) -> Result<Exit, Failure> {
    if let BackupCommand::Check(args) = &args.command {
        return check::run(context, args);
    }
    host::require_root(context)?;
    let loaded = host::load(context, &args.profile, Trust::Enforced)?;
    match &args.command {
        BackupCommand::Run(args) => run::run(context, &loaded, args),
        BackupCommand::List(args) => {
            shown::list::<Database>(context, &loaded, args.name.as_deref(), "backup list")
        }
        BackupCommand::Status(args) => status::status(context, &loaded, args.name.as_deref()),
        BackupCommand::Check(args) => check::run(context, args),
        BackupCommand::Prove(args) => prove::run(context, &loaded, args),
        BackupCommand::Prune(args) => prune::run(context, &loaded, args),
        BackupCommand::Forget(args) => forget::run(context, &loaded, args),
        BackupCommand::Restore(args) => restore::run(context, &loaded, args),
        BackupCommand::Role(args) => role::run(context, &loaded, args),
        BackupCommand::Watch(args) => watch::run(context, &loaded, &args.name),
        BackupCommand::Rows(args) => {
            shown::list::<Rows>(context, &loaded, args.name.as_deref(), "backup rows")
        }
        BackupCommand::RestoreRows(args) => rows::restore(context, &loaded, args),
    }
}

/// The section of this name.
fn job<'a>(loaded: &'a Loaded, name: &'a str) -> Result<Job<'a>, Failure> {
    let found = loaded.profile.backup.iter().find(|(each, _)| each.as_str() == name);
    if let Some((name, backup)) = found {
        return Ok(Job {
            name: name.as_str(),
            backup,
            people: &loaded.profile.people,
            chain: None,
            accept_shrunken: &[],
        });
    }
    let names: Vec<_> = loaded.profile.backup.keys().map(ToString::to_string).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(Failure::new(Exit::Usage, format!("the profile has no backup {name}"))
        .hint(format!("it has: {known}")))
}

/// The sections that are meant: one, or all.
fn jobs<'a>(loaded: &'a Loaded, name: Option<&'a str>) -> Result<Vec<Job<'a>>, Failure> {
    match name {
        Some(name) => Ok(vec![job(loaded, name)?]),
        None => loaded.profile.backup.keys().map(|name| job(loaded, name.as_str())).collect(),
    }
}

/// This host's key for a section's backups. Made at first use, its public half is in the evidence log from then on.
fn host_key(context: &Context, job: Job<'_>) -> Result<SigningKey, Failure> {
    let (key, is_new) = signing::host_key(&Shelf::at(job.backup.store.as_str()))?;
    if is_new {
        let public = json!({ "public": signing::public(&key) });
        host::record_act(context, kind::HOST_KEY, "host-key", public);
    }
    Ok(key)
}

/// The backups of a section, and the key by which they are known.
fn entries(context: &Context, job: Job<'_>) -> Result<(Vec<Entry>, SigningKey), Failure> {
    let key = host_key(context, job)?;
    let shelf = Shelf::at(job.backup.store.as_str());
    Ok((folder::entries(&shelf, job.name, &key.verifying_key(), Bytes::OfSmall)?, key))
}

/// A backup of this id that has a manifest, whichever section it is of; without an id, the newest.
pub(super) fn find<'a>(
    context: &Context,
    loaded: &'a Loaded,
    id: Option<&str>,
) -> Result<(&'a Backup, Entry, Manifest), Failure> {
    let (backup, _, entry, manifest) = find_in(context, loaded, id, &Fetched::default())?;
    Ok((backup, entry, manifest))
}

/// The same, and where it is: among this host's own, or in a folder of fetched ones.
fn find_in<'a>(
    context: &Context,
    loaded: &'a Loaded,
    id: Option<&str>,
    fetched: &Fetched,
) -> Result<(&'a Backup, Shelf, Entry, Manifest), Failure> {
    let mut all = Vec::new();
    for job in jobs(loaded, None)? {
        let own = || Shelf::at(job.backup.store.as_str());
        let (shelf, key) = fetched.or_own(context, job, own)?;
        let entries: Vec<Entry> = folder::entries(&shelf, job.name, &key, Bytes::OfSmall)?;
        let found = match id {
            Some(id) => entries.into_iter().find(|entry| entry.id == id),
            None => entries.into_iter().rev().find(|entry| entry.known().is_some()),
        };
        all.extend(found.map(|entry| (job, shelf, entry)));
    }
    let wanted =
        all.into_iter().max_by_key(|(_, _, entry)| entry.known().map(|manifest| manifest.made));
    let Some((job, shelf, entry)) = wanted else {
        let text = id.map_or("there is no backup".into(), |id| format!("there is no backup {id}"));
        return Err(Failure::new(Exit::Usage, text).hint(fetched.hint("holdfast backup list")));
    };
    if let Some((manifest, _)) = entry.manifest.clone() {
        return Ok((job.backup, shelf, entry, manifest));
    }
    let mut faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
    faults.extend(
        entry.loss().map(|loss| format!("it is lost, {} has said: {}", loss.by, loss.reason)),
    );
    Err(Failure::new(Exit::Data, format!("{}: {}", entry.id, faults.join("; "))))
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Host(error) => error.into(),
            other => Self::new(Exit::Failed, chain(&other)),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Host(error) => error.into(),
            RunError::Server(error) => error.into(),
            other => Self::new(Exit::Failed, chain(&other)),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Host(error) => error.into(),
            RestoreError::Server(error) => error.into(),
            RestoreError::Lock(error) => error.into(),
            RestoreError::Identity(_) => Self::new(Exit::Data, error.to_string())
                .hint("give the file that `age-keygen` wrote"),
            RestoreError::OlderServer { made, .. } if made < 17 => Self::new(Exit::Failed, error.to_string())
                .hint(format!("apt-get install postgresql-client-{made}")),
            RestoreError::OlderServer { .. } => Self::new(Exit::Failed, error.to_string())
                .hint("restore it into a server of 17 or newer; so that the next backup goes into this one, install the client of its version"),
            RestoreError::OtherFile(_) => Self::new(Exit::Data, error.to_string())
                .hint("it was altered or replaced; take another copy of it"),
            other => Self::new(Exit::Failed, chain(&other)),
        }
    }
}

impl From<ProveError> for Failure {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::Host(error) => error.into(),
            ProveError::Server(error) => error.into(),
            other if other.is_of_host() => Self::new(Exit::Failed, chain(&other)),
            other => Self::new(Exit::Data, chain(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostError;

    #[test]
    fn what_keeps_a_proof_from_being_made_is_no_fault_of_the_file() {
        let busy = || HostError::Busy("another backup is being proven".into());
        for (error, exit) in [
            (ProveError::Host(busy()), Exit::Locked),
            (ProveError::Server(busy().into()), Exit::Locked),
            (ProveError::Server(ServerError::NoServer(17)), Exit::Failed),
            (ProveError::Slow(std::time::Duration::from_secs(7)), Exit::Failed),
            (ProveError::Restore(busy()), Exit::Data),
            (ProveError::Content("no row".into()), Exit::Data),
        ] {
            assert_eq!(Failure::from(error).exit, exit);
        }
    }
}
