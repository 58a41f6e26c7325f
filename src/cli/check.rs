//! `holdfast check`

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
};
use crate::{
    profile::{self, Trust},
    report,
};

pub(super) fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    if context.format == Format::Text {
        let loaded = host::load(context, &args.profile, Trust::Any)?;
        let files = loaded.files.len();
        let plural = if files == 1 { "" } else { "s" };
        context.out.say(format!("{}: no errors ({files} file{plural})", args.profile.display()));
        return Ok(Exit::Ok);
    }
    let options = profile::Options { trust: Trust::Any, ..profile::Options::default() };
    let (ok, diagnostics, digest) = match profile::load(&args.profile, &options) {
        Ok(loaded) => {
            let list = loaded.diagnostics.iter().map(|d| loaded.sources.to_json(d)).collect();
            (true, list, Some(loaded.digest))
        }
        Err(failed) => {
            let list: Vec<_> =
                failed.diagnostics.iter().map(|d| failed.sources.to_json(d)).collect();
            (false, list, None)
        }
    };
    let body = json!({ "ok": ok, "digest": digest, "diagnostics": diagnostics });
    context.out.raw(&report::json::document("check", body))?;
    Ok(if ok { Exit::Ok } else { Exit::Data })
}
