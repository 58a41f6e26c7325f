//! `holdfast firewall`: what is done with the firewall beside holding it to the profile.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::json;

use super::{
    Context, Format, PROFILE,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{
    controls::{
        Sight,
        firewall::{
            boot::COPY,
            break_glass::{LONGEST, Opening, PROTOCOLS, RECORD, State, opening, state},
            foreign::{ForeignTable, Owner, Tables},
        },
    },
    engine::{
        change::{Change, Content, FileState},
        early::{self, Loaded},
        store::StoreError,
    },
    evidence::record::kind,
    host::{
        HostError, Reader, Writer, clock,
        lock::{LOCK_PATH, Lock},
    },
    profile::{self, RealSources, Trust, types::TimeSpan},
    report::{self, journal},
};

/// How long loading the firewall waits for another holdfast. An apply that waits for slow units takes longer, and ends by
/// judging the table itself; the unit's limit is five minutes.
const WAIT_TO_LOAD: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct FirewallArgs {
    #[command(subcommand)]
    command: FirewallCommand,
}

#[derive(Debug, clap::Subcommand)]
enum FirewallCommand {
    /// Let everybody in for a bounded time, which the kernel ends by itself
    Open(OpenArgs),
    /// End what `open` began
    Close,
    /// List all tables, whose they are and where packets meet them
    Tables,
    /// Load what was last confirmed; for holdfast-firewall.service
    #[command(hide = true)]
    Load(LoadArgs),
    /// Leave what was last confirmed to nft alone; for removing the package
    #[command(hide = true)]
    HandOver,
}

#[derive(Debug, clap::Args)]
struct OpenArgs {
    /// For how long, at most an hour, as in 5m
    #[arg(long = "for", value_name = "TIME")]
    time: TimeSpan,

    /// Why; kept in the journal and shown while it is open
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, clap::Args)]
struct LoadArgs {
    /// The profile whose way in by SSH stays open when nothing else can be loaded
    #[arg(default_value = PROFILE)]
    profile: PathBuf,
}

/// Runs one of them.
pub(super) async fn run(context: &Context, args: &FirewallArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    match &args.command {
        FirewallCommand::Open(args) => open(context, args).await,
        FirewallCommand::Close => close(context).await,
        FirewallCommand::Tables => tables(context).await,
        FirewallCommand::HandOver => {
            let lock = Lock::exclusive(Path::new(LOCK_PATH), &context.environment.command)?;
            early::hand_over(&Writer::new(Reader::live(), lock), &host::store()).await?;
            Ok(Exit::Ok)
        }
        FirewallCommand::Load(args) => load(context, &args.profile).await,
    }
}

async fn load(context: &Context, path: &Path) -> Result<Exit, Failure> {
    // Not `host::writer`: nothing is repaired here. There is no D-Bus yet, and what an open transaction found is what
    // is loaded. Somebody at work is waited for: nftables.service has just flushed every table if it was restarted.
    let command = &context.environment.command;
    let lock = Lock::exclusive_within(Path::new(LOCK_PATH), command, WAIT_TO_LOAD)?;
    let writer = Writer::new(Reader::live(), lock);
    let profile = || {
        let loaded = profile::load(path, &RealSources, &host::options(Trust::Enforced));
        loaded.ok().map(|loaded| loaded.profile)
    };
    match early::load(&writer, &host::store(), profile).await {
        Ok(Loaded::Confirmed { before }) => {
            let from = before.map_or_else(
                || COPY.to_owned(),
                |id| format!("what transaction {id}, which is not confirmed, found"),
            );
            journal::firewall_loaded(&format!("the confirmed firewall is loaded, from {from}"));
            Ok(Exit::Ok)
        }
        Ok(Loaded::Nothing { before }) => {
            journal::firewall_loaded(&format!(
                "no firewall is loaded: before transaction {before}, which is not confirmed, there was none"
            ));
            Ok(Exit::Ok)
        }
        Ok(Loaded::Closed { why, let_in }) => {
            let text = format!("the firewall could not be loaded: {why}; let in is only: {let_in}");
            journal::failed_closed("failed closed", &text);
            Err(Failure::new(Exit::Failed, text).hint("run: holdfast correct"))
        }
        Err(error) => {
            let text =
                format!("NO FIREWALL IS LOADED, and nothing keeps anybody out: {}", error.chain());
            journal::failed_closed("open", &text);
            Err(Failure::new(Exit::Failed, text).hint("run: holdfast correct"))
        }
    }
}

async fn open(context: &Context, args: &OpenArgs) -> Result<Exit, Failure> {
    let seconds = args.time.as_secs();
    if seconds == 0 || seconds > LONGEST {
        let text = format!("--for {} is not between 1s and {}m", args.time, LONGEST / 60);
        return Err(Failure::new(Exit::Usage, text).hint("open it again when the time is over"));
    }
    let writer = host::writer(context).await?;
    let by = host::by(context);
    let reason = args.reason.as_deref().map(host::one_line);
    let opened = clock::now();
    let until = opened + SignedDuration::from_secs(seconds.cast_signed());
    let ends = clock::since_boot() + seconds;
    let opening = Opening { by, reason, opened, until, seconds, ends };
    // The record first: an opening without one would be somebody else's, and drift.
    record(&writer, Some(&opening)).await?;
    // Whoever comes in meanwhile is let in by this, and not by a change that waits to be confirmed. To open the host is
    // an emergency: what cannot be written keeps nobody from it.
    drop(ask_for_logins_after(&writer, clock::since_boot() + seconds));
    if let Err(error) = writer.open(&PROTOCOLS, seconds, &opening.comment()).await {
        record(&writer, None).await?;
        return Err(no_set(&error));
    }
    journal::opened(&opening);
    host::record_act(context, kind::OPENED, "firewall", json!(opening));
    match context.format {
        Format::Json => {
            context
                .out
                .raw(&report::json::document("firewall open", json!({ "open": opening })))?;
        }
        Format::Text => {
            let text = format!("The host is open to everybody until {until} ({}).", args.time);
            context.out.line(context.out.paint(Tone::Bad, &text))?;
            context.out.say("The kernel closes it by itself; sooner with: holdfast firewall close");
        }
    }
    Ok(Exit::Ok)
}

async fn close(context: &Context) -> Result<Exit, Failure> {
    let writer = host::writer(context).await?;
    let elements = writer.reader().break_glass().await?.unwrap_or_default();
    let found = state(&elements, opening(writer.reader()).as_ref(), clock::since_boot());
    if found != State::Shut {
        writer.close().await.map_err(|error| no_set(&error))?;
    }
    record(&writer, None).await?;
    if found != State::Shut {
        drop(ask_for_logins_after(&writer, clock::since_boot()));
    }
    let was = match &found {
        State::Shut => None,
        State::Open(opening) => Some(format!("open {}", opening.told())),
        State::Foreign(what) => Some(what.clone()),
    };
    if let Some(was) = &was {
        let by = host::by(context);
        journal::closed(&by, was);
        host::record_act(context, kind::CLOSED, "firewall", json!({ "by": by, "was": was }));
    }
    match context.format {
        Format::Json => {
            let body = json!({ "was_open": was.is_some(), "was": was });
            context.out.raw(&report::json::document("firewall close", body))?;
        }
        Format::Text => match was {
            Some(was) => context.out.line(format!("Closed; it was {was}."))?,
            None => context.out.say("It was not open; nothing was changed."),
        },
    }
    Ok(Exit::Ok)
}

/// Has a change that waits to be confirmed ask for a login that is made later than this, in seconds since boot.
fn ask_for_logins_after(writer: &Writer, up: u64) -> Result<(), StoreError> {
    let store = host::store();
    if let Some((pending, provisional)) = store.pending(writer.reader())? {
        // Whole seconds: the end of this one.
        let provisional = provisional.proven_after(Duration::from_secs(up + 1));
        store.wait(pending.begin.id, &provisional)?;
    }
    Ok(())
}

async fn tables(context: &Context) -> Result<Exit, Failure> {
    let tables = Tables::of(&Sight::of(&Reader::live())).await.tables;
    let tables = tables.map_err(|why| Failure::new(Exit::Failed, why))?;
    match context.format {
        Format::Json => {
            let list: Vec<_> = tables.iter().map(table_json).collect();
            let body = json!({ "tables": list });
            context.out.raw(&report::json::document("firewall tables", body))?;
        }
        Format::Text => {
            for table in &tables {
                let hooks: Vec<String> = table.hooks().map(|(_, hook)| hook).collect();
                let hooks = if hooks.is_empty() { "no hooks".to_owned() } else { hooks.join(", ") };
                let owner = table.owner();
                let text = format!(
                    "{:<10}  {} {}: {hooks}; {} rules",
                    owner.word(),
                    table.family,
                    table.name,
                    table.rule_count()
                );
                let text: String =
                    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
                let is_unknown = owner == Owner::Unknown;
                let text = if is_unknown { context.out.paint(Tone::Warn, &text) } else { text };
                context.out.line(text)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn table_json(table: &ForeignTable) -> serde_json::Value {
    let hooks = table.hooks().map(|(chain, hook)| json!({ "chain": chain, "at": hook }));
    json!({
        "family": table.family,
        "name": table.name,
        "owner": table.owner(),
        "hooks": hooks.collect::<Vec<_>>(),
        "rules": table.rule_count(),
    })
}

async fn record(writer: &Writer, opening: Option<&Opening>) -> Result<(), HostError> {
    let to = match opening {
        Some(opening) => FileState::File {
            content: Content::Text(serde_json::to_string(opening).unwrap_or_default()),
            mode: 0o600,
            uid: 0,
            gid: 0,
            xattrs: std::collections::BTreeMap::new(),
            mtime: None,
        },
        None => FileState::Absent,
    };
    writer.carry_out(&Change::Put { path: RECORD.to_owned(), to }).await
}

fn no_set(error: &HostError) -> Failure {
    let text = format!("the firewall is not loaded, or is not holdfast's: {}", error.chain());
    Failure::new(Exit::Failed, text).hint("holdfast verify shows what there is")
}
