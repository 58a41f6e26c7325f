//! `holdfast backup restore`

use serde_json::json;

use super::find;
use crate::{
    backup::{
        by_hand::script,
        restore::{Target, borrowed, identities, restore},
    },
    cli::{
        Context,
        failure::{Exit, Failure},
        host::record_act,
        out::Tone,
    },
    evidence::record::kind,
    host::{Reader, shelf::Shelf},
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
    #[arg(long, conflicts_with_all = ["into", "identity", "role"])]
    print: bool,

    /// The role that will own what is restored, and the account that restores it
    #[arg(long = "as", value_name = "ROLE", default_value = "postgres")]
    role: DatabaseName,
}

pub(super) fn run(context: &Context, loaded: &Loaded, args: &Args) -> Result<Exit, Failure> {
    let (backup, _, manifest) = find(loaded, Some(&args.id))?;
    let shelf = Shelf::at(backup.store.as_str());
    let (Some(into), Some(identity)) = (&args.into, &args.identity) else {
        context.out.raw(&script(&manifest, &shelf.shown(&manifest.archive.file)))?;
        return Ok(Exit::Ok);
    };
    let reader = Reader::live();
    let identities = identities(&reader, identity)?;
    let target = Target { database: into.as_str(), role: args.role.as_str() };
    restore(&reader, &shelf, &manifest, &borrowed(&identities), backup, target)?;
    let payload = json!({ "into": target.database, "as": target.role });
    record_act(context, kind::RESTORE, &manifest.id, payload);
    let text = format!("{} is restored into {}, owned by {}.", manifest.id, into, args.role);
    context.out.line(context.out.paint(Tone::Good, &text))?;
    context.out.say("Start no second signer on it: one key and two signers lose funds. See what it is worth first: holdfast backup prove");
    Ok(Exit::Ok)
}
