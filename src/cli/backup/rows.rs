//! `holdfast backup restore-rows`

use serde_json::json;

use super::{fetched::Fetched, jobs};
use crate::{
    backup::{
        catalogue::Entry,
        folder::{self, Bytes},
        restore::{Target, borrowed, identities},
        rows::{
            Rows,
            put::{Put, PutError, put, rows},
            shelf,
        },
    },
    cli::{
        Context, Format,
        failure::{Exit, Failure},
        host::record_act,
    },
    evidence::record::kind,
    host::{Reader, error::chain},
    profile::{Loaded, types::DatabaseName},
    report,
};

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

    #[command(flatten)]
    fetched: Fetched,
}

pub(super) fn restore(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    for job in jobs(loaded, None)? {
        let own = || shelf(job.backup.store.as_str(), job.name);
        let (shelf, key) = args.fetched.or_own(context, job, own)?;
        let all: Vec<Entry<Rows>> = folder::entries(&shelf, job.name, &key, Bytes::OfSmall)?;
        let Some(entry) = all.iter().find(|entry| entry.id == args.id) else { continue };
        let Some(manifest) = entry.whole() else {
            let mut faults: Vec<_> = entry.faults.iter().map(ToString::to_string).collect();
            if let Some(loss) = entry.loss() {
                faults.push(format!("it is lost, {} has said: {}", loss.by, loss.reason));
            } else if entry.is_deleted() {
                faults.push("it was deleted, because all of it is in later ones".to_owned());
            }
            return Err(Failure::new(Exit::Data, format!("{}: {}", entry.id, faults.join("; "))));
        };
        let reader = Reader::live();
        let identities = identities(&reader, &args.identity)?;
        let rows = rows(&shelf, manifest, &borrowed(&identities))?;
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
        .hint(args.fetched.hint("holdfast backup rows")))
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
