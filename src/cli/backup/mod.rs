//! `holdfast backup`: backups of a signer's database, and what they are worth.

mod check;
mod list;
mod prove;
mod prune;
mod restore;
mod role;
mod rows;
mod run;
mod watch;

use std::path::PathBuf;

use ed25519_dalek::SigningKey;

use super::{
    Context, PROFILE,
    failure::{Exit, Failure},
    host,
};
use crate::{
    backup::{
        catalogue::Entry,
        joint,
        manifest::Manifest,
        restore::RestoreError,
        run::{Job, RunError, catalogue},
        server::ServerError,
        signing,
    },
    host::{HostError, error::chain, shelf::Shelf},
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
pub(super) async fn run(context: &Context, args: &BackupArgs) -> Result<Exit, Failure> {
    if let BackupCommand::Check(args) = &args.command {
        return check::run(context, args);
    }
    host::require_root(context)?;
    let loaded = host::load(context, &args.profile, Trust::Enforced)?;
    match &args.command {
        BackupCommand::Run(args) => run::run(context, &loaded, args).await,
        BackupCommand::List(args) => list::list(context, &loaded, args.name.as_deref()),
        BackupCommand::Status(args) => list::status(context, &loaded, args.name.as_deref()),
        BackupCommand::Check(args) => check::run(context, args),
        BackupCommand::Prove(args) => prove::run(context, &loaded, args).await,
        BackupCommand::Prune(args) => prune::run(context, &loaded, args),
        BackupCommand::Restore(args) => restore::run(context, &loaded, args),
        BackupCommand::Role(args) => role::run(context, &loaded, args),
        BackupCommand::Watch(args) => watch::run(context, &loaded, &args.name).await,
        BackupCommand::Rows(args) => rows::list(context, &loaded, args.name.as_deref()),
        BackupCommand::RestoreRows(args) => rows::restore(context, &loaded, args),
    }
}

/// The process that has the signer's key: a job in, verdicts out.
pub(super) fn child() -> Result<Exit, Failure> {
    let (mut from, mut to) = (std::io::stdin().lock(), std::io::stdout().lock());
    let said = joint::child::run(&mut from, &mut to);
    said.map_err(HostError::file("answer on", "standard output"))?;
    Ok(Exit::Ok)
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

/// The backups of a section, and the key by which they are known.
fn entries(job: Job<'_>) -> Result<(Vec<Entry>, SigningKey), Failure> {
    let key = signing::host_key()?;
    let shelf = Shelf::at(job.backup.store.as_str());
    Ok((catalogue(&shelf, job.name, &key)?, key))
}

/// A backup of this id that has a manifest, whichever section it is of; without an id, the newest.
fn find<'a>(
    loaded: &'a Loaded,
    id: Option<&str>,
) -> Result<(&'a Backup, Entry, Manifest), Failure> {
    let mut all = Vec::new();
    for job in jobs(loaded, None)? {
        let (entries, _) = entries(job)?;
        all.extend(entries.into_iter().map(|entry| (job, entry)));
    }
    let wanted = match id {
        Some(id) => all.into_iter().find(|(_, entry)| entry.id == id),
        None => all
            .into_iter()
            .filter(|(_, entry)| entry.manifest.is_some() && !entry.deleted)
            .max_by_key(|(_, entry)| entry.made()),
    };
    let Some((job, entry)) = wanted else {
        let text = id.map_or("there is no backup".into(), |id| format!("there is no backup {id}"));
        return Err(Failure::new(Exit::Usage, text).hint("holdfast backup list"));
    };
    if let Some((manifest, _)) = entry.manifest.clone() {
        return Ok((job.backup, entry, manifest));
    }
    let faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
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
            RestoreError::Identity(_) => Self::new(Exit::Data, error.to_string())
                .hint("give the file that `age-keygen` wrote"),
            RestoreError::OtherFile(_) => Self::new(Exit::Data, error.to_string())
                .hint("it was altered or replaced; take another copy of it"),
            other => Self::new(Exit::Failed, chain(&other)),
        }
    }
}
