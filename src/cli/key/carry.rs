//! `holdfast key rehearse` and `holdfast key export`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{read, rows, terminal::Terminal};
use crate::{
    cli::{
        Context, PROFILE,
        failure::{Exit, Failure},
        host::{self, record_act},
    },
    evidence::record,
    host::{Files, binder::Shelf, clock},
    key::{
        ceremony::{Act, Signed, Start, Watch, carry_out, close, prepare, reopen},
        preflight::Known,
        questions::{Ask, Script},
        transcript::Kind,
    },
    profile::Trust,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plan
    plan: PathBuf,

    /// A file that answers every question: a TOML table from the questions' ids to texts
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

/// A file of answers has a line for each question, and what is typed from a sheet one for each of its lines.
const LARGEST_TEXT: usize = 1 << 20;

pub(super) fn run(context: &Context, args: &Args, kind: Kind) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let named = read(context, &args.plan)?;
    let known = known(context)?;
    let mut script = args.answers.as_deref().map(script).transpose()?;
    let mut terminal = Terminal::new(&context.out);
    let ask: &mut dyn Ask = match script.as_mut() {
        Some(script) => script,
        None => &mut terminal,
    };
    let people = known.as_ref().map_or(&[][..], |known| &known.people);
    let watch = &mut Said(context);
    let beside = || rows::beside(context, named.plan());
    let start = prepare(&named, kind, known.as_ref(), beside, Shelf::of_host(), ask, watch)?;
    let mut prepared = match start {
        Start::Ceremony(prepared) => prepared,
        Start::ToSign(name) => {
            context.out.say(format!(
                "{name} of this plan is done: no key is read, and what is left are its signatures"
            ));
            context.out.line(&name)?;
            let signed = reopen(Shelf::of_host(), &name, people, ask, watch)?;
            return Ok(ended(context, kind, &name, &signed));
        }
    };
    let name = prepared.going.transcript().begun().map_or(String::new(), |it| it.ceremony.clone());
    let verb = if prepared.resumed { "goes on" } else { "begins" };
    context.out.say(format!("{} {name} {verb}", kind.as_str()));
    carry_out(&mut prepared, named.plan(), ask, watch)?;
    // Whatever becomes of the signatures, this is where they belong.
    context.out.line(&name)?;
    let signed = close(&prepared.going, named.plan(), people, ask, watch)?;
    for id in script.iter().flat_map(Script::unused) {
        context.out.warn(&format!("the answer to `{id}` was not asked for"));
    }
    Ok(ended(context, kind, &name, &signed))
}

/// Says who has signed, and who is to.
fn ended(context: &Context, kind: Kind, name: &str, signed: &Signed) -> Exit {
    if signed.is_complete() {
        context.out.say(format!("{} done and signed by both", kind.as_str()));
        return Exit::Ok;
    }
    let missing: Vec<_> = signed.missing.iter().map(|role| role.as_str()).collect();
    context.out.say(format!(
        "{} done; still to be signed by the {}: holdfast key sign {name}",
        kind.as_str(),
        missing.join(" and the ")
    ));
    Exit::Findings
}

/// Says each step as it is done, and puts into the evidence what must be there whatever comes after it.
pub(super) struct Said<'a>(pub(super) &'a Context);

impl Watch for Said<'_> {
    fn done(&mut self, what: &str) {
        self.0.out.say(what);
    }

    fn act(&mut self, act: &Act<'_>) {
        let Some(begun) = act.transcript.begun() else { return };
        let (line, digest) = act.transcript.head();
        let payload = json!({
            "act": act.what, "of": act.of, "ceremony": begun.ceremony, "kind": begun.kind, "plan": begun.plan,
            "line": line, "digest": digest,
        });
        record_act(self.0, record::kind::CEREMONY, &begun.ceremony, payload);
    }
}

/// The people of the host's profile; `None` where there is none. No other profile is asked: whoever could name one could
/// vouch for themselves.
fn known(context: &Context) -> Result<Option<Known>, Failure> {
    if Files::below("/").head(PROFILE, 1)?.is_none() {
        return Ok(None);
    }
    let loaded = host::load(context, Path::new(PROFILE), Trust::Enforced)?;
    let (people, digest) = (loaded.profile.people, loaded.digest);
    let at = clock::now();
    Ok((!people.is_empty()).then_some(Known { people, digest, at }))
}

pub(super) fn script(path: &Path) -> Result<Script, Failure> {
    let shown = path.display();
    Script::parse(&text(path)?)
        .map_err(|fault| Failure::new(Exit::Data, format!("{shown}:{fault}")))
}

/// A file that people wrote.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = path.display().to_string();
    let bytes = Files::below("/").head(&absolute.display().to_string(), LARGEST_TEXT)?;
    let bytes =
        bytes.ok_or_else(|| Failure::new(Exit::Usage, format!("{shown} does not exist")))?;
    String::from_utf8(bytes).map_err(|_| Failure::new(Exit::Data, format!("{shown} is not UTF-8")))
}
