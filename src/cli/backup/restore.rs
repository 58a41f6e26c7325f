//! `holdfast backup restore`

use serde_json::json;

use super::{fetched::Fetched, find_in};
use crate::{
    backup::{
        by_hand::script,
        restore::{Hand, borrowed, identities, restore},
    },
    cli::{
        Context,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::Reader,
    profile::{Loaded, types::DatabaseName},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup
    id: String,

    /// The database, which must be there and be empty
    #[arg(long, value_name = "DATABASE", required_unless_present = "print")]
    into: Option<DatabaseName>,

    /// A file of identities that open it
    #[arg(long, value_name = "FILE", required_unless_present = "print")]
    identity: Option<String>,

    /// Only print how to bring it back without holdfast, as a script
    #[arg(long, conflicts_with_all = ["into", "identity", "role", "owner"])]
    print: bool,

    /// Who will own what is restored [default: who owns the database that it is of, if that is no superuser]
    #[arg(long, value_name = "ROLE")]
    owner: Option<DatabaseName>,

    /// Restore it as this role, by the account of its name, and let it own it [default: as one that may do nothing else, made for
    /// this]. What is in a backup runs as who restores it: as a superuser it may do anything on this host
    #[arg(long = "as", value_name = "ROLE", conflicts_with = "owner")]
    role: Option<DatabaseName>,

    #[command(flatten)]
    fetched: Fetched,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let (backup, shelf, _, manifest) = find_in(context, loaded, Some(&args.id), &args.fetched)?;
    let (Some(into), Some(identity)) = (&args.into, &args.identity) else {
        context.out.raw(&script(&manifest, &shelf.shown(&manifest.archive.file)))?;
        return Ok(Exit::Ok);
    };
    let reader = Reader::live();
    let identities = identities(&reader, identity)?;
    let hand = match &args.role {
        Some(role) => Hand::As(role.as_str()),
        None => Hand::Plain { owner: args.owner.as_ref().map(DatabaseName::as_str) },
    };
    let target = (into.as_str(), hand);
    let owner = restore(&reader, &shelf, &manifest, &borrowed(&identities), backup, target)?;
    let payload = json!({ "into": into.as_str(), "as": args.role, "owner": owner });
    record_act(context, kind::RESTORE, &manifest.id, payload);
    let text = format!("{} is restored into {into}, owned by {owner}.", manifest.id);
    context.out.line(context.out.paint(Tone::Good, &text))?;
    context.out.say("Start no second signer on it: one key and two signers lose funds. See what it is worth first: holdfast backup prove");
    Ok(Exit::Ok)
}
