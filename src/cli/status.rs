//! `holdfast status`

use std::path::Path;

use jiff::civil::Date;
use serde_json::json;

use super::{
    Context, Format, ProfileArg,
    failure::{Exit, Failure},
    host,
    out::{Out, Tone, harmless},
};
use crate::{
    controls::firewall::{
        self,
        break_glass::{self, Opening, State, state},
    },
    engine::{
        check::Verdict,
        store::{Ending, Provisional, Record, STATE_DIR},
    },
    evidence::{Log, check},
    host::{
        Reader,
        binder::Shelf,
        bus::UnitStatus,
        clock,
        error::chain,
        nft::{self, OwnTable},
    },
    key::ceremony::{self, Export},
    profile::{self, Loaded, RealSources, Trust, schema::Waiver},
    report::{
        self,
        saved::{self, Saved},
    },
};

/// The timers that keep a host as it is.
const TIMERS: [&str; 2] = ["holdfast-verify.timer", "holdfast-correct.timer"];

/// Where a host stands.
struct Standing<'a> {
    /// The newest committed transaction.
    current: Option<&'a Record>,
    /// What was interrupted.
    open: Vec<u64>,
    /// The change that waits to be confirmed.
    pending: Option<(Record, Provisional)>,
    /// The change that was taken back with nobody there, if no person has acted since.
    taken_back: Option<Record>,
    /// The last report.
    report: Option<Saved>,
    /// What there is to say of the evidence log.
    evidence: Verdict,
    /// The profile, if it can be read.
    profile: Option<Loaded>,
    /// Who opened the host, while it is open.
    opening: Option<Opening>,
    /// What the firewall's rules have counted since they were loaded, in packets; empty where there is no table.
    counts: Vec<(String, u64)>,
    /// The exports of keys; why they cannot be told.
    keys: Result<Vec<Export>, String>,
    /// The timers; `None` where systemd did not answer.
    timers: Vec<(&'static str, Option<UnitStatus>)>,
}

pub(super) async fn run(context: &Context, args: &ProfileArg) -> Result<Exit, Failure> {
    host::require_root(context)?;
    let records = host::store().records()?;
    let is_committed = |record: &&Record| {
        record.end.as_ref().is_some_and(|end| matches!(end.ending, Ending::Committed { .. }))
    };
    let options = host::options(Trust::Check);
    let reader = Reader::live();
    let pending = host::store().pending(&Reader::live())?;
    let mut open = host::store().unfinished()?;
    open.retain(|id| pending.as_ref().is_none_or(|(record, _)| record.begin.id != *id));
    let profile = profile::load(&args.profile, &RealSources, &options).ok();
    let people = profile.as_ref().map_or(&[][..], |loaded| &loaded.profile.people);
    let keys = ceremony::standing(&Shelf::of_host(), clock::today(), Some(people));
    let keys = keys.map_err(|it| chain(&it));
    let standing = Standing {
        evidence: evidence(),
        report: saved::load(Path::new(STATE_DIR)),
        current: records.iter().rev().find(is_committed),
        open,
        pending,
        taken_back: host::store().held_still()?,
        profile,
        opening: opening(&reader).await,
        counts: counts(&reader).await,
        keys,
        timers: timers(&reader).await,
    };
    match context.format {
        Format::Json => {
            let body = standing.to_json(&args.profile);
            context.out.raw(&report::json::document("status", body))?;
        }
        Format::Text => standing.print(&args.profile, &context.out, clock::today())?,
    }
    Ok(Exit::Ok)
}

/// An export in a line. `holdfast key status` has the rest.
fn key_told(export: &Export) -> String {
    if let Some(why) = &export.fault {
        return why.clone();
    }
    if let Some(retired) = &export.retired {
        return format!("retired: {}", retired.why);
    }
    let unretired = export.unretired.as_ref();
    let unretired =
        unretired.map_or(String::new(), |why| format!("; its retirement does not count: {why}"));
    if let Some(given_up) = &export.given_up {
        return format!("{given_up}{unretired}");
    }
    let drilled = export.drilled.map_or("never drilled".to_owned(), |at| format!("drilled {at}"));
    let mut told = format!("{drilled}, next by {}", export.due);
    if export.overdue {
        told.push_str(", which is over");
    }
    if !export.signed {
        told.push_str("; not signed by both");
    }
    if let Some(why) = &export.failed {
        told.push_str(&format!("; failed: {why}"));
    }
    for it in &export.altered {
        told.push_str(&format!("; medium {} is altered", it.medium));
    }
    told + &unretired
}

fn key_json(export: &Export) -> serde_json::Value {
    json!({
        "name": export.name, "good": export.is_good(), "drilled": export.drilled, "due": export.due,
        "retired": export.retired, "text": key_told(export),
    })
}

/// Looks at the evidence log; the journal is not asked.
fn evidence() -> Verdict {
    let judgement = match Log::below(STATE_DIR).look(clock::now()) {
        Ok(scan) => check::judge(&scan),
        Err(error) => check::failed(&error),
    };
    judgement.verdict
}

/// Who opened the host, if it still is open: the kernel knows, the record only says who it was.
async fn opening(reader: &Reader) -> Option<Opening> {
    let elements = reader.break_glass().await.ok()??;
    match state(&elements, break_glass::opening(reader).as_ref(), clock::since_boot()) {
        State::Open(opening) => Some(opening),
        // What is not holdfast's is a finding of verify.
        State::Shut | State::Foreign(_) => None,
    }
}

fn taken_back_why(record: &Record) -> &str {
    match record.end.as_ref().map(|end| &end.ending) {
        Some(Ending::RolledBack { why, .. }) => why,
        _ => "",
    }
}

async fn counts(reader: &Reader) -> Vec<(String, u64)> {
    let all = reader.ask("nft", &nft::DECLARED).await.and_then(nft::as_json);
    match all.ok().as_ref().and_then(nft::own_of) {
        Some(OwnTable::Json(listing)) => firewall::counts(&listing),
        _ => Vec::new(),
    }
}

async fn timers(reader: &Reader) -> Vec<(&'static str, Option<UnitStatus>)> {
    let mut timers = Vec::new();
    for name in TIMERS {
        let status = match reader.systemd().await {
            Ok(systemd) => systemd.unit(name).await.ok(),
            Err(_) => None,
        };
        timers.push((name, status));
    }
    timers
}

impl Standing<'_> {
    /// Whether the profile on the disk is the one that was applied; `None` when there is nothing to compare.
    fn is_applied(&self) -> Option<bool> {
        let applied = self.current?.begin.profile.as_ref()?;
        Some(self.profile.as_ref()?.digest == applied.digest)
    }

    fn waivers(&self) -> &[Waiver] {
        self.profile.as_ref().map(|loaded| loaded.profile.waiver.as_slice()).unwrap_or_default()
    }

    fn to_json(&self, path: &Path) -> serde_json::Value {
        let state = |status: &UnitStatus| json!({ "file": status.file, "active": status.active });
        let timers: serde_json::Map<_, _> = self
            .timers
            .iter()
            .map(|(name, status)| (String::from(*name), json!(status.as_ref().map(state))))
            .collect();
        json!({
            "generation": self.current.map(|record| record.begin.id),
            "applied": self.current.map(|record| record.begin.started),
            "by": self.current.map(|record| &record.begin.by),
            "profile": {
                "path": path,
                "valid": self.profile.is_some(),
                "applied": self.is_applied(),
            },
            "firewall": self.counts.iter()
                .map(|(rule, packets)| json!({ "rule": rule, "packets": packets }))
                .collect::<Vec<_>>(),
            "interrupted": self.open,
            "open": self.opening,
            "pending": self.pending.as_ref().map(|(record, provisional)| {
                let mut pending = host::pending_json(record.begin.id, provisional);
                pending["by"] = json!(record.begin.by);
                pending["command"] = json!(record.begin.command);
                pending
            }),
            "taken_back": self.taken_back.as_ref().map(|record| json!({
                "transaction": record.begin.id,
                "at": record.end.as_ref().map(|end| end.finished),
                "by": record.begin.by,
                "why": taken_back_why(record),
            })),
            "report": self.report,
            "evidence": match &self.evidence {
                Verdict::Holds { observed } => json!({ "whole": true, "text": observed }),
                Verdict::Differs { observed: text } | Verdict::Unknown { why: text } => {
                    json!({ "whole": false, "text": text })
                }
                _ => serde_json::Value::Null,
            },
            "timers": timers,
            "keys": match &self.keys {
                Ok(exports) => json!(exports.iter().map(key_json).collect::<Vec<_>>()),
                Err(why) => json!({ "why": why }),
            },
            "waivers": self.waivers(),
        })
    }

    fn print(&self, path: &Path, out: &Out, today: Date) -> std::io::Result<()> {
        match self.current.map(|record| &record.begin) {
            Some(begin) => out.line(format!(
                "generation  {} of {}, by {} (`{}`)",
                begin.id, begin.started, begin.by, begin.command
            ))?,
            None => out.line("generation  none: nothing was applied to this host yet")?,
        }
        self.print_profile(path, out)?;
        self.print_report(out)?;
        out.line(match &self.evidence {
            Verdict::Differs { observed: text } | Verdict::Unknown { why: text } => {
                out.paint(Tone::Bad, &format!("evidence    {}", harmless(text)))
            }
            Verdict::Holds { observed: text }
            | Verdict::Accumulating { observed: text }
            | Verdict::NotApplicable { why: text } => format!("evidence    {text}"),
        })?;
        for (name, status) in &self.timers {
            let text = match status {
                Some(status) if status.exists() && status.is_running() => "running".to_owned(),
                Some(status) if status.exists() => out
                    .paint(Tone::Warn, &format!("not running; run: systemctl enable --now {name}")),
                Some(_) => "not installed".to_owned(),
                None => "unknown: systemd did not answer".to_owned(),
            };
            out.line(format!("timer       {name}: {text}"))?;
        }
        self.print_keys(out)?;
        for (rule, packets) in &self.counts {
            // Whoever may add a rule may put anything into its comment.
            let rule: String = rule.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            out.line(format!("firewall    {rule}: {packets} packets"))?;
        }
        for waiver in self.waivers() {
            let mut text = format!(
                "waiver      {} until {} by {}: {}",
                waiver.check, waiver.until, waiver.approved_by, waiver.reason
            );
            if waiver.is_expired(today) {
                text.push_str(&out.paint(Tone::Warn, " (over: counts as nothing)"));
            }
            out.line(text)?;
        }
        if let Some(opening) = &self.opening {
            let text = format!("firewall    open to everybody {}", opening.told());
            out.line(out.paint(Tone::Bad, &text))?;
        }
        if let Some((Record { begin, .. }, provisional)) = &self.pending {
            let text = format!(
                "pending     transaction {} by {} (`{}`) is rolled back at {}; from a new login, run: holdfast confirm {}",
                begin.id, begin.by, begin.command, provisional.until, begin.id
            );
            out.line(out.paint(Tone::Warn, &text))?;
        }
        if let Some(record) = &self.taken_back {
            let at = record.end.as_ref().map(|end| end.finished.to_string()).unwrap_or_default();
            let text = format!(
                "taken back  transaction {} by {} was rolled back at {at}: {}; nothing is corrected until a person acts: holdfast plan, then holdfast apply or holdfast rollback",
                record.begin.id,
                record.begin.by,
                taken_back_why(record)
            );
            out.line(out.paint(Tone::Bad, &text))?;
        }
        for id in &self.open {
            let text = format!("interrupted transaction {id}; it is repaired by: holdfast verify");
            out.line(out.paint(Tone::Bad, &text))?;
        }
        Ok(())
    }

    fn print_keys(&self, out: &Out) -> std::io::Result<()> {
        let exports = match &self.keys {
            Ok(exports) => exports,
            Err(why) => {
                return out.line(out.paint(Tone::Bad, &format!("keys        {}", harmless(why))));
            }
        };
        let is_wanted = self.profile.as_ref().is_some_and(|it| !it.profile.keys.is_empty());
        if exports.is_empty() && is_wanted {
            let text =
                "keys        none was ever exported into cold storage; see docs/key-ceremony.md";
            return out.line(out.paint(Tone::Bad, text));
        }
        for export in exports {
            let text = format!("keys        {}: {}", export.name, harmless(&key_told(export)));
            let tone = if export.is_good() { None } else { Some(Tone::Bad) };
            out.line(tone.map_or(text.clone(), |tone| out.paint(tone, &text)))?;
        }
        Ok(())
    }

    fn print_profile(&self, path: &Path, out: &Out) -> std::io::Result<()> {
        let path = path.display();
        let words = match (&self.profile, self.is_applied()) {
            (None, _) => {
                out.paint(Tone::Bad, &format!("missing or not valid; run: holdfast check {path}"))
            }
            (Some(_), Some(true)) => "as applied".to_owned(),
            (Some(_), Some(false)) => {
                out.paint(Tone::Warn, "changed since it was applied; run: holdfast plan")
            }
            (Some(_), None) => "not applied".to_owned(),
        };
        out.line(format!("profile     {path}: {words}"))?;
        let Some(about) = self.profile.as_ref().and_then(|loaded| loaded.profile.about.as_ref())
        else {
            return Ok(());
        };
        let title = about.title.as_ref().map(ToString::to_string);
        let source = about.source.as_ref().map(ToString::to_string);
        let parts: Vec<String> = [title, source].into_iter().flatten().collect();
        out.line(format!("about       {}", parts.join(", ")))
    }

    fn print_report(&self, out: &Out) -> std::io::Result<()> {
        let Some(saved) = &self.report else {
            return out.line("verified    never; run: holdfast verify");
        };
        let counts: Vec<String> = saved
            .summary
            .iter()
            .filter(|(word, _)| *word != "total")
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        out.line(format!("verified    {}: {}", saved.at, counts.join(", ")))?;
        for (check, finding) in &saved.findings {
            let text = format!("  {} {check} since {}", finding.outcome.word(), finding.since);
            out.line(out.paint(Tone::Bad, &text))?;
        }
        Ok(())
    }
}
