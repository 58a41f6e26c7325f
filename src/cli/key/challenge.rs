//! `holdfast key challenge`

use std::path::PathBuf;

use serde_json::json;

use super::{carry::text, read};
use crate::{
    cli::{
        Context,
        failure::{Exit, Failure},
        host::{self, record_act},
    },
    evidence::record::kind,
    host::binder::Shelf,
    key::ceremony::{RECEIPT_NAMESPACE, challenge_before, receive_before},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plan
    plan: PathBuf,

    /// The custodian
    custodian: String,

    /// What was in the challenge, as they bring it back [default: make a challenge]
    #[arg(long, value_name = "FILE", requires = "signature")]
    receipt: Option<PathBuf>,

    /// Their signature of it
    #[arg(long, value_name = "FILE", requires = "receipt")]
    signature: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let named = read(context, &args.plan)?;
    let (who, shelf) = (&args.custodian, Shelf::of_host());
    let (Some(receipt), Some(signature)) = (&args.receipt, &args.signature) else {
        context.out.raw(&challenge_before(shelf, &named, who)?)?;
        context.out.say(format!(
            "{who} opens it with `age -d -i identity.txt CHALLENGE >receipt.txt`, signs that with \
             `ssh-keygen -Y sign -n {RECEIPT_NAMESPACE} -f KEY receipt.txt`, and sends both back"
        ));
        return Ok(Exit::Ok);
    };
    let (receipt, signature) = (text(receipt)?, text(signature)?);
    let at = receive_before(shelf, &named, who, receipt.as_bytes(), signature.as_bytes())?;
    let payload = json!({ "act": "proof-beforehand", "plan": named.digest, "challenged": at });
    record_act(context, kind::CEREMONY, who, payload);
    context.out.line(format!("{who} opened the challenge of {at}"))?;
    Ok(Exit::Ok)
}
