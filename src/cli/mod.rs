//! The command line: one file per subcommand, and nothing in them but arguments, calls and printing.

pub mod failure;
pub mod out;

mod apply;
mod backup;
mod check;
mod confirm;
mod evidence;
mod explain;
mod exposure;
mod firewall;
mod history;
mod host;
mod key;
mod locked;
mod logs;
mod manual;
mod plan;
mod recover;
mod rollback;
mod schema;
mod status;
mod util;
mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use self::{
    failure::{Exit, Failure},
    out::{Look, Out},
};

/// Where a host's own profile is.
const PROFILE: &str = "/etc/holdfast/profile.toml";

/// What of the environment matters; read once, in `main`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `NO_COLOR` is set and not empty, or `TERM` is `dumb`.
    pub plain: bool,
    /// `SUDO_USER`: who became root to run this.
    pub sudo_user: Option<String>,
    /// The command line, as typed.
    pub command: String,
}

/// Holds a Debian host to a profile: checks it, says what drifted, and puts it back.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print nothing but what was asked for, warnings and errors
    #[arg(long, short, global = true)]
    quiet: bool,

    /// Print for people or for machines
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// For whom output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: one line per fact
    Text,
    /// For machines: stable and versioned
    Json,
}

/// Which profile.
#[derive(Debug, Clone, clap::Args)]
struct ProfileArg {
    /// The profile
    #[arg(default_value = PROFILE)]
    profile: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a profile for mistakes, without looking at any host
    Check(ProfileArg),
    /// Print the JSON Schema of profiles, with which editors complete and check them
    Schema,
    /// Show what `apply` would change, as diffs; changes nothing
    Plan(ProfileArg),
    /// Bring the host to the profile, or leave it exactly as it is
    Apply(apply::ApplyArgs),
    /// Look whether the host is as the profile says
    Verify(verify::VerifyArgs),
    /// Let a change last that waits for it; only from a login made after the change, or the console
    Confirm(confirm::Args),
    /// Put right what has drifted since the last apply
    Correct(ProfileArg),
    /// Return the host to the state before a transaction
    Rollback(rollback::RollbackArgs),
    /// List the transactions
    History,
    /// Show where this host stands
    Status(ProfileArg),
    /// Open the host for a time, and close it again
    Firewall(firewall::FirewallArgs),
    /// List everything that listens, and whether the outside can reach it and by which rule
    Exposure(ProfileArg),
    /// Back up a signer's database, prove the backups, and bring them back
    Backup(backup::BackupArgs),
    /// Bring keys into cold storage: planned, rehearsed, carried out by two people, and proven to open
    Key(key::KeyArgs),
    /// Show and check the log of what was done to this host and found on it
    Evidence(evidence::EvidenceArgs),
    /// Show what is really kept of each log: since when, for how long it will be, gaps and losses
    Logs(ProfileArg),
    /// Explain a check: why, where that is written, how to put it right
    Explain(explain::ExplainArgs),
    /// For holdfast-expire@.service: roll a change back when its time is over
    #[command(hide = true)]
    Expire(recover::ExpireArgs),
    /// For holdfast-early.service and holdfast-recover.service: roll back what was left open before this boot
    #[command(hide = true)]
    Recover(recover::RecoverArgs),
    /// For ceremonies and the proof of backups: the process that holds a key
    #[command(hide = true)]
    LockedChild(locked::Args),
    /// For packaging and documentation
    #[command(hide = true)]
    Util(util::UtilArgs),
}

/// Everything a command is given.
#[derive(Debug)]
struct Context {
    out: Out,
    format: Format,
    environment: Environment,
}

/// Runs a command to its exit code. Errors have been printed when this returns.
pub async fn run(cli: Cli, environment: Environment) -> Exit {
    let out = Out::new(Look { plain: environment.plain, quiet: cli.quiet });
    let context = Context { out, format: cli.format, environment };
    let result = match cli.command {
        Command::Check(args) => check::run(&context, &args),
        Command::Schema => schema::run(&context),
        Command::Plan(args) => plan::run(&context, &args).await,
        Command::Apply(args) => apply::apply(&context, &args).await,
        Command::Confirm(args) => confirm::run(&context, &args).await,
        Command::Expire(args) => recover::expire(&context, &args).await,
        Command::Recover(args) => recover::recover(&context, &args).await,
        Command::Verify(args) => verify::run(&context, &args).await,
        Command::Correct(args) => apply::correct(&context, &args).await,
        Command::Rollback(args) => rollback::run(&context, &args).await,
        Command::History => history::run(&context),
        Command::Status(args) => status::run(&context, &args).await,
        Command::Firewall(args) => firewall::run(&context, &args).await,
        Command::Exposure(args) => exposure::run(&context, &args).await,
        Command::Backup(args) => backup::run(&context, &args),
        Command::Key(args) => key::run(&context, &args),
        Command::LockedChild(args) => locked::run(&args).await,
        Command::Evidence(args) => evidence::run(&context, &args).await,
        Command::Logs(args) => logs::run(&context, &args).await,
        Command::Explain(args) => explain::run(&context, &args),
        Command::Util(args) => util::run(&context, &args),
    };
    match result {
        Ok(exit) => exit,
        Err(Failure { exit, message, hints }) => {
            if !message.is_empty() {
                context.out.error(&message, &hints);
            }
            exit
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_consistent() {
        super::Cli::command().debug_assert();
    }
}
