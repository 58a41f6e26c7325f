//! `holdfast backup rows` and `holdfast backup restore-rows`

use serde_json::{Value, json};

use super::jobs;
use crate::{
    backup::{
        restore::{Target, borrowed, identities},
        rows::{
            catalogue::Entry,
            put::{Put, PutError, put, rows},
            shelf,
            watch::entries,
        },
        signing,
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::{Reader, error::chain},
    profile::{Loaded, types::DatabaseName},
    report,
};

pub(super) fn list(
    context: &Context,
    loaded: &Loaded,
    name: Option<&str>,
) -> Result<Exit, Failure> {
    let (mut exit, mut documents, key) = (Exit::Ok, Vec::new(), signing::host_key()?);
    for job in jobs(loaded, name)? {
        for entry in entries(job.backup.store.as_str(), job.name, &key)? {
            if !entry.faults.is_empty() {
                exit = Exit::Findings;
            }
            match context.format {
                Format::Json => documents.push(json_of(&entry)),
                Format::Text => context.out.line(text_of(context, &entry))?,
            }
        }
    }
    if context.format == Format::Json {
        let body = json!({ "backups": documents });
        context.out.raw(&report::json::document("backup rows", body))?;
    }
    Ok(exit)
}

fn word(entry: &Entry) -> (&'static str, Tone) {
    match entry {
        _ if !entry.faults.is_empty() => ("damaged", Tone::Bad),
        _ if entry.deleted.is_some() => ("deleted", Tone::Faint),
        _ if entry.proven().is_some() => ("proven", Tone::Good),
        _ => ("not proven", Tone::Bad),
    }
}

pub(super) fn text_of(context: &Context, entry: &Entry) -> String {
    let (word, tone) = word(entry);
    let mut line = format!("{} {}", entry.id, context.out.paint(tone, word));
    if let Some((manifest, _)) = &entry.manifest {
        let (rows, bytes) = (manifest.rows.len(), manifest.archive.bytes);
        line.push_str(&format!(", {rows} rows, {bytes} bytes, made {}", manifest.made));
    }
    for fault in &entry.faults {
        line.push_str(&format!("; {fault}"));
    }
    line
}

pub(super) fn json_of(entry: &Entry) -> Value {
    let faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
    json!({
        "id": entry.id,
        "state": word(entry).0,
        "faults": faults,
        "manifest": entry.manifest.as_ref().map(|(manifest, _)| manifest),
        "digest": entry.manifest.as_ref().map(|(_, digest)| digest),
    })
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup of rows
    id: String,

    /// The database, which must be migrated; the signer's own is one, if the signer is stopped
    #[arg(long, value_name = "DATABASE")]
    into: DatabaseName,

    /// A file of identities that open it
    #[arg(long, value_name = "FILE")]
    identity: String,

    /// The role that may write to the table, and the account that does
    #[arg(long = "as", value_name = "ROLE", default_value = "postgres")]
    role: DatabaseName,

    /// Say what would become of each row, and write none
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn restore(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let key = signing::host_key()?;
    for job in jobs(loaded, None)? {
        let store = job.backup.store.as_str();
        let all = entries(store, job.name, &key)?;
        let Some(entry) = all.iter().find(|entry| entry.id == args.id) else { continue };
        let Some(manifest) = entry.whole() else {
            let mut faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
            if entry.deleted.is_some() {
                faults.push("it was deleted, because all of it is in later ones".to_owned());
            }
            return Err(Failure::new(Exit::Data, format!("{}: {}", entry.id, faults.join("; "))));
        };
        let reader = Reader::live();
        let identities = identities(&reader, &args.identity)?;
        let rows = rows(&shelf(store, job.name), manifest, &borrowed(&identities))?;
        let target = Target { database: args.into.as_str(), role: args.role.as_str() };
        let puts = put(&reader, &rows, (job.name, job.backup), target, args.dry_run)?;
        if !args.dry_run {
            let added = puts.iter().filter(|put| matches!(put, Put::Added(_))).count();
            let payload = json!({ "into": target.database, "as": target.role, "added": added });
            record_act(context, kind::RESTORE, &manifest.id, payload);
        }
        return print(context, args, &puts).map(|()| Exit::Ok);
    }
    Err(Failure::new(Exit::Usage, format!("there is no backup of rows {}", args.id))
        .hint("holdfast backup rows"))
}

fn print(context: &Context, args: &Args, puts: &[Put]) -> Result<(), Failure> {
    let out = &context.out;
    if context.format == Format::Json {
        let rows = puts.iter().map(|put| {
            let (what, row, status) = match put {
                Put::Added(row) => ("added", row, row.status),
                Put::There(row) => ("there", row, row.status),
                Put::OtherStatus(row, status) => ("other-status", row, *status),
            };
            json!({ "key": row.key, "what": what, "in_file": row.status, "in_database": status })
        });
        let rows: Vec<_> = rows.collect();
        let into = args.into.to_string();
        let body = json!({ "into": into, "dry_run": args.dry_run, "rows": rows });
        return Ok(out.raw(&report::json::document("backup restore-rows", body))?);
    }
    for put in puts {
        out.line(match put {
            Put::Added(row) if args.dry_run => {
                format!("{}: would be added, {}", row.key, row.status)
            }
            Put::Added(row) => format!("{}: added, {}", row.key, row.status),
            Put::There(row) => format!("{}: is there already", row.key),
            Put::OtherStatus(row, status) => {
                let (key, kept) = (&row.key, row.status);
                format!("{key}: is there, {status}, and stays so; the file has it {kept}")
            }
        })?;
    }
    out.say("A signer that starts makes an unverified row failed once its round is 10 blocks old.");
    Ok(())
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Host(error) => error.into(),
            PutError::Server(error) => error.into(),
            other => Self::new(Exit::Failed, chain(&other)),
        }
    }
}
