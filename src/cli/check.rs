//! `holdfast check`

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
};
use crate::{
    profile::{self, RealSources, Trust},
    report,
};

pub(super) fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    if context.format == Format::Text {
        let loaded = host::load(context, &args.profile, Trust::Check)?;
        let files = loaded.files.len();
        let plural = if files == 1 { "" } else { "s" };
        context.out.say(format!("{}: no errors ({files} file{plural})", args.profile.display()));
        return Ok(Exit::Ok);
    }
    let loaded = profile::load(&args.profile, &RealSources, &host::options(Trust::Check));
    let (sources, diagnostics, digest) = match &loaded {
        Ok(loaded) => (&loaded.sources, &loaded.diagnostics, Some(&loaded.digest)),
        Err(failed) => (&failed.sources, &failed.diagnostics, None),
    };
    let diagnostics: Vec<_> = diagnostics.iter().map(|each| each.report(sources)).collect();
    let ok = loaded.is_ok();
    let body = json!({ "ok": ok, "digest": digest, "diagnostics": diagnostics });
    context.out.raw(&report::json::document("check", body))?;
    Ok(if ok { Exit::Ok } else { Exit::Data })
}
