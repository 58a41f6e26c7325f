//! `holdfast key retire`

use std::path::PathBuf;

use serde_json::json;

use super::{carry::text, people};
use crate::{
    cli::{
        Context,
        failure::{Exit, Failure},
        host::{self, record_act},
    },
    evidence::record::kind,
    host::binder::Shelf,
    key::ceremony::{RETIRE_NAMESPACE, retire, statement},
};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["reason", "statement"])))]
pub(super) struct Args {
    /// The export
    name: String,

    /// Why it counts no more: prints the statement that both sign
    #[arg(long)]
    reason: Option<String>,

    /// The statement, as it was printed
    #[arg(long, value_name = "FILE", requires_all = ["operator", "witness"])]
    statement: Option<PathBuf>,

    /// The operator's signature of it, or that of whoever stands in: two people of the host's profile sign, whoever the plan names
    #[arg(long, value_name = "FILE", requires = "statement")]
    operator: Option<PathBuf>,

    /// The witness's signature of it, or that of whoever stands in
    #[arg(long, value_name = "FILE", requires = "statement")]
    witness: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (shelf, name) = (Shelf::of_host(), &args.name);
    let (Some(file), Some(operator), Some(witness)) =
        (&args.statement, &args.operator, &args.witness)
    else {
        let reason = args.reason.as_deref().unwrap_or_default();
        context.out.raw(&statement(&shelf, name, reason)?)?;
        context.out.say(format!(
            "operator and witness, or two others of the host's profile, sign it with `ssh-keygen -Y sign -n {RETIRE_NAMESPACE} -f KEY <STATEMENT >SIGNATURE`, and \
             --statement, --operator and --witness take it. Keep the copies as long as anything is locked to what was \
             made with this key"
        ));
        return Ok(Exit::Ok);
    };
    let (said, operator, witness) = (text(file)?, text(operator)?, text(witness)?);
    let signatures = [operator.as_bytes(), witness.as_bytes()];
    let retired = retire(shelf, name, said.as_bytes(), signatures, &people(context)?)?;
    let payload = json!({ "act": "retire", "ceremony": name, "retired": retired });
    record_act(context, kind::CEREMONY, name, payload);
    context.out.line(format!("{name} is retired: {}", retired.why))?;
    Ok(Exit::Ok)
}
