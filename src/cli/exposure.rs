//! `holdfast exposure`

use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
    out::Tone,
};
use crate::{controls::firewall, host::clock, profile::Trust, report};

pub(super) async fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let (reader, lock) = host::reader(context).await?;
    let loaded = host::load(context, &args.profile, Trust::Check)?;
    let found = firewall::exposure_of(loaded.profile.firewall.as_ref(), &reader).await;
    drop(lock);
    let found = found.map_err(|why| {
        Failure::new(Exit::Failed, format!("cannot see what can be reached: {why}"))
    })?;
    match context.format {
        Format::Json => {
            let mut body = json!({
                "at": clock::now(),
                "profile": { "path": args.profile, "digest": loaded.digest },
            });
            if let (Some(body), serde_json::Value::Object(more)) =
                (body.as_object_mut(), report::exposure::body(&found))
            {
                body.extend(more);
            }
            context.out.raw(&report::json::document("exposure", body))?;
        }
        Format::Text => {
            for line in report::exposure::lines(&found, &context.out) {
                context.out.line(line)?;
            }
            if let Some(why) = found.force.why_not() {
                context
                    .out
                    .line(context.out.paint(Tone::Bad, &format!("the firewall is {why}")))?;
            }
        }
    }
    for why in &found.unseen {
        context.out.warn(&format!("not seen: {why}"));
    }
    Ok(if found.needs_attention() { Exit::Findings } else { Exit::Ok })
}
