//! What is measured against what must be kept: pure.

use jiff::Timestamp;

use super::{
    FILES, GAPS, KEPT, LOST, Measured, OnHost, Place, Series, Source, forecast::DAY, outlook,
};
use crate::{
    engine::check::{CheckMeta, Judgement, Verdict},
    profile::types::TimeSpan,
};

/// How many of many are named.
const NAMED: usize = 3;

/// By how much two looks may differ in what they say is the oldest entry, in seconds.
const TOLERANCE: u64 = 60;

pub(super) fn all(measured: &Measured) -> Vec<Judgement> {
    let mut judgements = vec![files(measured)];
    let whole = Whole::of(measured);
    judgements.push(judge(&KEPT, None, kept_wanted(measured.keep), whole.kept()));
    judgements.push(judge(&GAPS, None, gaps_wanted(measured.max_gap), whole.gaps()));
    judgements.extend(outlook::forecasts(measured));
    for source in &measured.sources {
        let name = Some(source.name.as_str());
        judgements.push(judge(&KEPT, name, kept_wanted(source.keep), kept(measured, source)));
        judgements.push(judge(&GAPS, name, gaps_wanted(source.max_gap), gaps(measured, source)));
        if matches!(source.place, Place::Journal(_)) {
            judgements.push(judge(
                &LOST,
                name,
                "no message thrown away".to_owned(),
                lost(measured, source),
            ));
        }
    }
    judgements
}

pub(super) fn judge(
    meta: &'static CheckMeta,
    subject: Option<&str>,
    expected: String,
    verdict: Verdict,
) -> Judgement {
    let judgement = Judgement::new(meta, expected, verdict);
    match subject {
        Some(subject) => judgement.about(subject),
        None => judgement,
    }
}

fn kept_wanted(keep: u64) -> String {
    format!("entries of {} are kept", TimeSpan::from_secs(keep))
}

fn gaps_wanted(max_gap: u64) -> String {
    format!("no silence of more than {}", TimeSpan::from_secs(max_gap))
}

/// The journal as a whole.
struct Whole<'a> {
    measured: &'a Measured,
    found: Result<&'a OnHost, Verdict>,
}

impl<'a> Whole<'a> {
    fn of(measured: &'a Measured) -> Self {
        let found = match &measured.journals {
            Err(why) => Err(Verdict::Unknown { why: why.clone() }),
            Ok(_) => measured.whole().ok_or_else(|| Verdict::Differs {
                observed: "there is no journal on disk".to_owned(),
            }),
        };
        Self { measured, found }
    }

    fn kept(&self) -> Verdict {
        let Measured { keep, now, first_seen, .. } = self.measured;
        match &self.found {
            Err(verdict) => verdict.clone(),
            Ok(whole) => {
                let lost = whole.journal.has_lost_its_beginning;
                reach(&whole.journal.all, *keep, *now, *first_seen, lost)
            }
        }
    }

    fn gaps(&self) -> Verdict {
        let Measured { keep, now, max_gap, .. } = self.measured;
        match &self.found {
            Err(verdict) => verdict.clone(),
            Ok(whole) => {
                let why = "nobody wrote: the host was off, or this part is gone";
                silences(&whole.journal.all, *keep, *now, *max_gap, |_| why)
            }
        }
    }
}

fn kept(measured: &Measured, source: &Source) -> Verdict {
    let series = match &source.series {
        Ok(series) => series,
        Err(why) if matches!(source.place, Place::Nowhere(_)) => {
            return Verdict::Differs { observed: why.clone() };
        }
        Err(why) => return Verdict::Unknown { why: why.clone() },
    };
    let Some(oldest) = series.oldest() else { return nothing(measured, source) };
    // Where the journal itself begins with a deletion, what begins with the journal began before it.
    let in_journal = matches!(source.place, Place::Journal(_));
    let whole = measured.journal_of(source).filter(|_| in_journal);
    let is_cut = whole.is_some_and(|whole| {
        let begins = whole.journal.all.oldest().unwrap_or(oldest);
        whole.journal.has_lost_its_beginning && oldest <= begins.saturating_add(source.max_gap)
    });
    let verdict = reach(series, source.keep, measured.now, source.first_seen, is_cut);
    if !source.goes_with_container {
        return verdict;
    }
    let and = |observed: String, what: &str| format!("{observed}; {what}");
    let goes = "it goes when the container is removed";
    match verdict {
        Verdict::Holds { observed } => Verdict::Holds { observed: and(observed, goes) },
        Verdict::Accumulating { observed } => {
            Verdict::Accumulating { observed: and(observed, goes) }
        }
        Verdict::Differs { observed } => Verdict::Differs {
            observed: and(
                observed,
                "a container that is made anew begins a new log (driver json-file)",
            ),
        },
        other => other,
    }
}

/// A source of which there is no entry.
fn nothing(measured: &Measured, source: &Source) -> Verdict {
    match &source.place {
        Place::Journal(field) => {
            let faulty: usize =
                measured.journals.iter().flatten().map(|each| each.journal.faulty.len()).sum();
            if faulty > 0 {
                let why =
                    format!("no entry has {field}, but {faulty} journal files cannot be read");
                return Verdict::Unknown { why };
            }
            let why = if measured.journals.iter().flatten().all(|each| each.is_in_memory) {
                format!("no journal on disk has an entry with {field}: see logs.files")
            } else {
                format!(
                    "no entry has {field}: does it run here, under this name, and log to the journal?"
                )
            };
            Verdict::Differs { observed: why }
        }
        Place::File(path) if !source.undated.is_empty() => Verdict::Unknown {
            why: format!(
                "the lines in {path} bear no time that is known: have its program write one, or log to the journal"
            ),
        },
        Place::File(path) if source.series.as_ref().is_ok_and(|series| series.future > 0) => {
            let why = format!(
                "all lines in {path} are from the future: the clock is wrong, or they bear a local time"
            );
            Verdict::Unknown { why }
        }
        Place::File(path) => Verdict::Differs { observed: format!("there is nothing in {path}") },
        Place::Nowhere(why) => Verdict::Differs { observed: why.clone() },
        Place::Unread(why) => Verdict::Unknown { why: why.clone() },
    }
}

/// How far back a series reaches, against how far it must.
fn reach(series: &Series, keep: u64, now: u64, first_seen: Option<u64>, is_cut: bool) -> Verdict {
    let Some(oldest) = series.oldest() else {
        let observed = "it has no entry".to_owned();
        return Verdict::Differs { observed };
    };
    let age = now.saturating_sub(oldest);
    let since = format!("since {} ({})", moment(oldest), days(age));
    if age >= keep {
        return Verdict::Holds { observed: since };
    }
    if is_cut {
        let observed = format!("only {since}: what was older has been deleted");
        return Verdict::Differs { observed };
    }
    if let Some(first) = first_seen.filter(|first| first.saturating_add(TOLERANCE) < oldest) {
        let observed = format!("only {since}: an earlier look saw entries of {}", moment(first));
        return Verdict::Differs { observed };
    }
    let until = moment(oldest.saturating_add(keep));
    Verdict::Accumulating { observed: format!("{since}; it can be proven on {until}") }
}

fn gaps(measured: &Measured, source: &Source) -> Verdict {
    let Ok(series) = &source.series else {
        return Verdict::NotApplicable {
            why: "nothing of it can be read: see logs.kept".to_owned(),
        };
    };
    if series.oldest().is_none() {
        return Verdict::NotApplicable { why: "nothing of it is kept: see logs.kept".to_owned() };
    }
    let all = measured.whole().map(|whole| &whole.journal.all);
    let verdict = silences(series, source.keep, measured.now, source.max_gap, |gap| {
        match all.map(|all| all.wrote_within(gap)) {
            Some(true) => "others wrote",
            Some(false) => "nobody wrote",
            None => "it was silent",
        }
    });
    match (verdict, source.undated.first()) {
        (Verdict::Holds { .. }, Some(first)) => Verdict::Unknown {
            why: format!(
                "{} of its files are compressed or bear no time that is known, and a gap of that length in them is not seen \
                 ({first}, …); leave them uncompressed, or set max_gap to more than one of them spans",
                source.undated.len()
            ),
        },
        (verdict, _) => verdict,
    }
}

fn silences(
    series: &Series,
    keep: u64,
    now: u64,
    max_gap: u64,
    why: impl Fn(super::series::Gap) -> &'static str,
) -> Verdict {
    let gaps = series.gaps(now.saturating_sub(keep), now, max_gap);
    if gaps.is_empty() {
        let since = series.oldest().map_or(now, |oldest| oldest.max(now.saturating_sub(keep)));
        return Verdict::Holds { observed: format!("none since {}", moment(since)) };
    }
    let each = |gap: &super::series::Gap| {
        let (from, length) = (moment(gap.from), days(gap.to.saturating_sub(gap.from)));
        if gap.to == now {
            return format!("silent since {from} ({length}; {})", why(*gap));
        }
        format!("{from} to {} ({length}; {})", moment(gap.to), why(*gap))
    };
    let mut named: Vec<String> = gaps.iter().rev().take(NAMED).map(each).collect();
    if gaps.len() > NAMED {
        named.push(format!("and {} more", gaps.len() - NAMED));
    }
    Verdict::Differs { observed: named.join(", ") }
}

fn lost(measured: &Measured, source: &Source) -> Verdict {
    let dropped = source.lost.as_deref().unwrap_or_default();
    if let Some(last) = dropped.iter().max_by_key(|each| each.at) {
        let count: u64 = dropped.iter().map(|each| each.count).sum();
        let observed = format!("{count} messages of {}, last said {}", last.unit, moment(last.at));
        return Verdict::Differs { observed };
    }
    match &measured.journals {
        Err(why) => Verdict::Unknown { why: why.clone() },
        Ok(journals) => {
            let faulty: usize = journals.iter().map(|each| each.journal.faulty.len()).sum();
            if faulty > 0 {
                let why = format!("{faulty} journal files cannot be read: see logs.files");
                return Verdict::Unknown { why };
            }
            Verdict::Holds { observed: "none".to_owned() }
        }
    }
}

fn files(measured: &Measured) -> Judgement {
    let verdict = match &measured.journals {
        Err(why) => Verdict::Unknown { why: why.clone() },
        Ok(journals) => found(measured, journals),
    };
    judge(&FILES, None, "a journal on disk, whole and readable".to_owned(), verdict)
}

fn found(measured: &Measured, journals: &[OnHost]) -> Verdict {
    let mut wrong = Vec::new();
    if measured.whole().is_none() {
        let in_memory = journals.iter().any(|each| each.is_in_memory);
        let why = if in_memory {
            "the journal is in memory only, and gone at the next boot"
        } else {
            "there is no journal file in /var/log/journal"
        };
        wrong.push(why.to_owned());
    }
    let faulty: Vec<_> = journals.iter().flat_map(|each| &each.journal.faulty).collect();
    wrong.extend(faulty.iter().take(NAMED).map(|each| format!("{}: {}", each.path, each.why)));
    if faulty.len() > NAMED {
        wrong.push(format!("and {} more that cannot be read", faulty.len() - NAMED));
    }
    let since = measured.now.saturating_sub(measured.keep);
    let holes =
        journals.iter().flat_map(|each| each.journal.holes.iter().map(move |hole| (each, hole)));
    let holes: Vec<_> = holes.filter(|(_, hole)| hole.to > since).collect();
    wrong.extend(holes.iter().take(NAMED).map(|(each, hole)| {
        format!(
            "{} entries between {} and {} are gone from {}: a file was removed, and not by journald, which begins with the \
             oldest",
            hole.entries,
            moment(hole.from),
            moment(hole.to),
            each.journal.dir
        )
    }));
    if holes.len() > NAMED {
        wrong.push(format!("and {} more removals", holes.len() - NAMED));
    }
    let future: u64 = journals.iter().map(|each| each.journal.all.future).sum();
    if future > 0 {
        wrong.push(format!("{future} entries are from the future, and not counted: the clock was wrong then, or is now"));
    }
    let count: u64 = journals.iter().map(|each| each.journal.files).sum();
    let used: u64 = journals.iter().map(|each| each.journal.used).sum();
    let unclean: Vec<_> = journals.iter().flat_map(|each| &each.journal.unclean).collect();
    let mut observed = format!("{count} files, {}", size(used));
    if let Some(first) = unclean.first() {
        observed.push_str(&format!("; {} were not closed cleanly ({first}, …)", unclean.len()));
    }
    if wrong.is_empty() {
        return Verdict::Holds { observed };
    }
    Verdict::Differs { observed: format!("{} ({observed})", wrong.join("; ")) }
}

/// A moment for people: the minute is enough.
pub(in crate::controls::logs) fn moment(second: u64) -> String {
    let moment = i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok());
    moment.map_or_else(
        || "never".to_owned(),
        |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// A span in days, to a tenth.
pub(in crate::controls::logs) fn days(seconds: u64) -> String {
    let tenths = seconds / (DAY / 10);
    format!("{}.{} days", tenths / 10, tenths % 10)
}

/// A size for people.
pub(in crate::controls::logs) fn size(bytes: u64) -> String {
    let (unit, word) = match bytes {
        0..0x10_0000 => (1 << 10, "K"),
        0x10_0000..0x4000_0000 => (1 << 20, "M"),
        _ => (1_u64 << 30, "G"),
    };
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    format!("{}.{}{word}", tenths / 10, tenths % 10)
}
