//! `holdfast key drill` and `holdfast key restore`

use std::path::PathBuf;

use serde_json::json;

use super::{
    carry::{script, text},
    terminal::Terminal,
};
use crate::{
    backup::prove::{Depth, Sealed, restore},
    cli::{
        Context, Format, PROFILE,
        backup::find,
        failure::{Exit, Failure},
        host::{self, record_act},
    },
    evidence::record::kind,
    host::{Reader, accounts, binder::Shelf, error::chain, shelf, terminal},
    key::{
        ceremony::{Backup, Beside, Fetch, Given, Kept, bring_back, drill},
        child::talk::Put,
        questions::Ask,
    },
    profile::Trust,
    report,
};

/// What is opened, and with what.
#[derive(Debug, clap::Args)]
struct From {
    /// The ceremony in which the key was exported
    name: String,

    /// Where a medium is mounted; several where it takes several custodians
    #[arg(long, value_name = "DIR")]
    medium: Vec<String>,

    /// What was scanned or typed from a sheet of paper
    #[arg(long, value_name = "FILE")]
    paper: Vec<PathBuf>,

    /// A custodian's identity, as age-keygen wrote it: a pipe, - for standard input, or a file in memory, under /dev/shm
    #[arg(long, value_name = "FILE", required = true)]
    identity: Vec<String>,

    /// Which of the ceremony's keys [default: all to a drill, the only one to a restore]
    #[arg(long)]
    key: Option<String>,

    /// A copy of the ceremony's folder, for a host that did not hold it [default: this host's, or else what is on the medium]
    #[arg(long, value_name = "DIR")]
    record: Option<String>,

    /// The public half that the key must have, from the printed plan: where the record is not this host's, it could be anybody's
    #[arg(long, value_name = "HEX")]
    public: Option<String>,

    /// A file that answers every question
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

impl From {
    fn given(&self) -> Result<Given, Failure> {
        if self.medium.is_empty() && self.paper.is_empty() {
            let text = "nothing is given to open";
            return Err(Failure::new(Exit::Usage, text).hint("--medium DIR, or --paper FILE"));
        }
        if self.identity.iter().filter(|path| terminal::is_input(path)).count() > 1 {
            let text = "standard input is given twice as --identity, and there is one";
            return Err(Failure::new(Exit::Usage, text));
        }
        let papers = self.paper.iter().map(|path| text(path)).collect::<Result<_, _>>()?;
        let absolute = |path: &String| {
            std::path::absolute(path)
                .map_or_else(|_| path.clone(), |path| path.display().to_string())
        };
        // The process that reads it has a standard input of its own.
        let identity = |path: &String| {
            if terminal::is_input(path) {
                return format!("/proc/{}/fd/0", std::process::id());
            }
            absolute(path)
        };
        Ok(Given {
            media: self.medium.iter().map(absolute).collect(),
            papers,
            identities: self.identity.iter().map(identity).collect(),
            key: self.key.clone(),
            public: self.public.clone(),
        })
    }

    /// Whoever answers. Where an identity comes from standard input nobody does there: a line of it would be an answer, and
    /// answers are recorded.
    fn ask<'a>(&self, context: &'a Context) -> Result<Box<dyn Ask + 'a>, Failure> {
        Ok(match &self.answers {
            Some(path) => Box::new(script(path)?),
            None if self.identity.iter().any(|path| terminal::is_input(path)) => {
                Box::new(Terminal::controlling(&context.out)?)
            }
            None => Box::new(Terminal::new(&context.out)),
        })
    }

    /// The ceremony.
    fn kept(&self, context: &Context, given: &Given) -> Result<Kept, Failure> {
        let kept = Kept::find(Shelf::of_host(), &self.name, self.record.as_deref(), &given.media)?;
        if !kept.is_here() {
            for (role, signer) in kept.signers() {
                context.out.warn(&format!(
                    "this record is not this host's own: compare the {role}'s key with the printed plan: {signer}"
                ));
            }
            for (key, public) in kept.public_halves().filter(|_| self.public.is_none()) {
                context.out.warn(&format!(
                    "this record is not this host's own: compare the public half of {key} with the printed plan: {public}"
                ));
            }
        }
        Ok(kept)
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct DrillArgs {
    #[command(flatten)]
    from: From,

    /// A backup of the signer's database, every DKG row of which the key must open; it is opened with the same identities
    #[arg(long, value_name = "ID")]
    backup: Option<String>,

    /// The profile that knows the backup
    #[arg(long, default_value = PROFILE)]
    profile: PathBuf,
}

pub(super) fn drill_key(context: &Context, args: &DrillArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let from = &args.from;
    let given = from.given()?;
    let mut ask = from.ask(context)?;
    let kept = from.kept(context, &given)?;
    let fetch = |identity: &dyn age::Identity| -> Result<Backup, Failure> {
        backup(context, args, args.backup.as_deref().unwrap_or_default(), identity)
    };
    let fetch: Option<Fetch<'_, Failure>> = args.backup.is_some().then_some(&fetch);
    let drilled = drill(&kept, &given, fetch, ask.as_mut())?;
    let (name, own) = (&from.name, kept.is_here());
    let payload = json!({ "act": "drill", "ceremony": name, "drill": drilled, "own_record": own });
    let subject = drilled.copies.first().map_or("key", |copy| copy.key.as_str());
    record_act(context, kind::CEREMONY, subject, payload);
    match context.format {
        Format::Json => {
            let body = json!({ "good": drilled.good, "name": name, "drill": drilled });
            context.out.raw(&report::json::document("key drill", body))?;
        }
        Format::Text => {
            for copy in drilled.copies.iter().filter(|_| drilled.copies.len() > 1) {
                let how =
                    copy.why.as_ref().map_or("opens".to_owned(), |why| format!("FAILED: {why}"));
                context.out.line(format!("{}  {how}", copy.told()))?;
            }
            match &drilled.why {
                None => context.out.line("pass")?,
                Some(why) => context.out.line(format!("fail: {why}"))?,
            }
        }
    }
    Ok(if drilled.good { Exit::Ok } else { Exit::Findings })
}

/// The DKG rows of a backup. Its file key comes from the process that has the identities.
fn backup(
    context: &Context,
    args: &DrillArgs,
    id: &str,
    identity: &dyn age::Identity,
) -> Result<Backup, Failure> {
    let loaded = host::load(context, &args.profile, Trust::Enforced)?;
    let (backup, _, manifest) = find(context, &loaded, Some(id))?;
    let store = shelf::Shelf::at(backup.store.as_str());
    let sealed = Sealed {
        shelf: &store,
        file: &manifest.archive.file,
        identities: &[identity],
        client_major: manifest.client_major,
        limit: backup.time_limit.as_duration(),
        depth: Depth::Quick,
    };
    let restored = restore(&Reader::live(), &sealed)?;
    Ok(Backup { id: manifest.id, rows: restored.found.dkg })
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    #[command(flatten)]
    from: From,

    /// The new file, of mode 0400, that the key is written into
    #[arg(long, value_name = "FILE", required_unless_present = "credential")]
    to: Option<String>,

    /// Whose that file is [default: root's]
    #[arg(long, value_name = "USER", requires = "to")]
    owner: Option<String>,

    /// The new file that systemd encrypts the key into, as a credential
    #[arg(long, value_name = "FILE", conflicts_with = "to", requires_all = ["credential_name", "with_key"])]
    credential: Option<String>,

    /// What the credential is called
    #[arg(long, value_name = "NAME")]
    credential_name: Option<String>,

    /// What it is encrypted with
    #[arg(long, value_parser = ["host", "tpm2", "host+tpm2"])]
    with_key: Option<String>,

    /// The registers of the TPM that it is bound to, by number; those of firmware change with updates
    #[arg(long, value_name = "PCRS", required_if_eq_any = [("with_key", "tpm2"), ("with_key", "host+tpm2")])]
    tpm2_pcrs: Option<String>,
}

impl RestoreArgs {
    fn put(&self) -> Result<Put, Failure> {
        if let (Some(path), Some(name), Some(with_key)) =
            (&self.credential, &self.credential_name, &self.with_key)
        {
            let (path, name, with_key) = (path.clone(), name.clone(), with_key.clone());
            return Ok(Put::Credential { path, name, with_key, pcrs: self.tpm2_pcrs.clone() });
        }
        let owner = self.owner.as_deref().map(account).transpose()?;
        let path = self.to.clone().unwrap_or_default();
        Ok(Put::File { path, owner })
    }
}

fn account(name: &str) -> Result<(u32, u32), Failure> {
    let list = Reader::live().files().text("/etc/passwd")?.unwrap_or_default();
    let found = accounts::parse_passwd(&list).into_iter().find(|account| account.name == name);
    let found = found.map(|account| (account.uid, account.gid));
    found.ok_or_else(|| Failure::new(Exit::Usage, format!("there is no account {name}")))
}

pub(super) fn restore_key(context: &Context, args: &RestoreArgs) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (given, put) = (args.from.given()?, args.put()?);
    let place = match &put {
        Put::File { path, .. } | Put::Credential { path, .. } => path.clone(),
    };
    if !place.starts_with('/') {
        return Err(Failure::new(Exit::Usage, format!("{place}: write the whole path, from / on")));
    }
    let mut ask = args.from.ask(context)?;
    let kept = args.from.kept(context, &given)?;
    let is_meant = |key: &str| args.from.key.as_deref().is_none_or(|name| name == key);
    if !kept.is_here()
        && args.from.public.is_none()
        && kept.public_halves().any(|(key, _)| is_meant(key))
    {
        let text = "this record is not this host's own: whoever made it could have put another key into it";
        let hint = "say with --public which key it must be, as the printed plan has it";
        return Err(Failure::new(Exit::Usage, text).hint(hint));
    }
    let (restored, noted) = bring_back(&kept, &given, put, ask.as_mut())?;
    let payload = json!({
        "act": "restore", "ceremony": args.from.name, "from": restored.from, "to": place,
        "beside": restored.beside, "exceptions": restored.exceptions, "own_record": kept.is_here(),
    });
    record_act(context, kind::CEREMONY, args.from.key.as_deref().unwrap_or("key"), payload);
    for why in restored.beside.iter().filter_map(Beside::told) {
        context.out.warn(&format!("{why}: read and run nothing of it, and make new copies"));
    }
    if let Err(error) = noted {
        context.out.warn(&format!("this is not in the ceremony's record: {}", chain(&error)));
    }
    context.out.say(format!("the key is in {place}"));
    Ok(Exit::Ok)
}
