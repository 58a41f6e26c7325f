//! Judging the exports of a host by what the profile wants of a key. Pure.

use jiff::Timestamp;

use super::checks;
use crate::{
    engine::check::{Judgement, Verdict},
    key::{ceremony::Export, kit::SHARE, preflight::stranger},
    profile::{
        schema::{ColdKey, Person},
        types::TimeSpan,
    },
};

/// Judges a key.
pub(super) fn judge(
    name: &str,
    rules: &ColdKey,
    people: &[Person],
    exports: Result<&[Export], &str>,
    now: Timestamp,
) -> [Judgement; 4] {
    let verdicts = match exports {
        Err(why) => [(); 4].map(|()| Verdict::Unknown { why: why.to_owned() }),
        Ok(exports) => Seen::of(name, rules, people, exports, now).verdicts(),
    };
    let within = |what: &str, within: TimeSpan| format!("{what} at most {within} ago");
    let exported = rules.exported_within.map_or("exported and signed by both".to_owned(), |it| {
        within("exported and signed by both", it)
    });
    let drilled = within("opened", rules.drilled_within);
    let good = within("each copy seen to be good", rules.copies_within);
    let shown = within("shown by each custodian", rules.proved_within);
    let [export, drill, copies, proof] = verdicts;
    [
        Judgement::new(checks::EXPORT, exported, export),
        Judgement::new(checks::DRILL, drilled, drill),
        Judgement::new(checks::COPIES, good, copies),
        Judgement::new(checks::PROOF, shown, proof),
    ]
    .map(|judgement| judgement.about(name))
}

/// What there is of a key.
struct Seen<'a> {
    name: &'a str,
    rules: &'a ColdKey,
    people: &'a [Person],
    /// Its exports that came to their end and are in use.
    exports: Vec<&'a Export>,
    /// What is to be resolved of exports, whatever came after them: their media have the key all the same.
    open: Vec<String>,
    /// Exports of another key of this name.
    others: Vec<&'a Export>,
    /// Exports of this key under another name, with the name: they are judged as that key's, if anywhere.
    renamed: Vec<(&'a Export, &'a str)>,
    /// Records that cannot be believed: of which key, nobody knows.
    faulty: Vec<&'a Export>,
    now: Timestamp,
}

impl<'a> Seen<'a> {
    fn of(
        name: &'a str,
        rules: &'a ColdKey,
        people: &'a [Person],
        all: &'a [Export],
        now: Timestamp,
    ) -> Self {
        let public = rules.public.map(|public| public.key().to_string());
        // Where the profile does not say which key it is, the exports of that name that count do.
        let named = |export: &'a Export| export.keys.iter().filter(|(key, _)| key == name);
        let is_good = |export: &&Export| {
            let counts = export.fault.is_none() && export.retired.is_none();
            counts && lacks(people, export).is_none()
        };
        let halves: Vec<&str> = match &public {
            Some(public) => vec![public],
            None => all.iter().filter(is_good).flat_map(named).filter_map(half).collect(),
        };
        let (mut exports, mut open, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut others, mut faulty) = (Vec::new(), Vec::new());
        for export in all.iter().filter(|export| export.retired.is_none()) {
            if export.fault.is_some() {
                faulty.push(export);
                continue;
            }
            match export.keys.iter().find(|(key, _)| key == name) {
                None => {
                    let same =
                        |key: &&(String, _)| half(key).is_some_and(|it| halves.contains(&it));
                    renamed.extend(export.keys.iter().find(same).map(|(key, _)| (export, &**key)));
                }
                Some(_) if export.done.is_none() => open.extend(unresolved(people, export)),
                Some((_, found)) if public.is_none() || *found == public => {
                    open.extend(unresolved(people, export));
                    exports.push(export);
                }
                Some(_) => others.push(export),
            }
        }
        Self { name, rules, people, exports, open, others, renamed, faulty, now }
    }

    fn verdicts(&self) -> [Verdict; 4] {
        let export = self.export();
        if self.exports.is_empty() {
            let none = || Verdict::Differs { observed: "there is nothing to open".to_owned() };
            return [export, none(), none(), none()];
        }
        [export, self.drill(), self.copies(), self.proof()]
    }

    /// How long ago something was; `None`: it is of the future, and says nothing about today.
    fn age(&self, at: Timestamp) -> Option<TimeSpan> {
        let age = self.now.as_second().checked_sub(at.as_second())?;
        u64::try_from(age).ok().map(TimeSpan::from_secs)
    }

    fn is_within(&self, at: Option<Timestamp>, within: TimeSpan) -> bool {
        at.and_then(|at| self.age(at)).is_some_and(|age| age <= within)
    }

    /// When something was, and how many days ago.
    fn told(&self, at: Timestamp) -> String {
        match self.age(at) {
            Some(age) => format!("{at}, {} days ago", age.as_secs() / 86_400),
            None => format!("{at}, which is in the future: the clock was set back"),
        }
    }

    fn export(&self) -> Verdict {
        if let Some(it) = self.faulty.first() {
            let fault = it.fault.as_deref().unwrap_or_default();
            return Verdict::Differs { observed: format!("{}: {fault}", it.name) };
        }
        let counts = |export: &&&Export| lacks(self.people, export).is_none();
        let mut open = self.open.clone();
        open.extend(self.renamed.iter().map(|(it, key)| format!("{} has it as {key}", it.name)));
        let Some(newest) = self.exports.iter().rev().find(counts) else {
            if let ([], Some(other)) = (open.as_slice(), self.others.last()) {
                open.push(format!("{} has another key than the profile's", other.name));
            } else if open.is_empty() {
                open.push("it was never exported on this host".to_owned());
            }
            return verdict(&open, &[]);
        };
        let when = newest.done.map_or(String::new(), |done| self.told(done));
        let newest_told = format!("{}, {when}", newest.name);
        let is_old =
            self.rules.exported_within.is_some_and(|within| !self.is_within(newest.done, within));
        if is_old || !open.is_empty() {
            open.insert(0, newest_told);
            return verdict(&open, &[]);
        }
        verdict(&[], &[newest_told])
    }

    fn drill(&self) -> Verdict {
        let mut bad = Vec::new();
        let mut good = Vec::new();
        for export in &self.exports {
            let copies = export.copies.iter().filter(|copy| copy.key == self.name);
            let drilled = copies.filter_map(|copy| copy.drilled).max();
            let told = match (drilled, export.done) {
                (Some(at), _) => format!("{}: opened {}", export.name, self.told(at)),
                (None, Some(done)) => {
                    format!("{}: not since the export, {}", export.name, self.told(done))
                }
                (None, None) => format!("{}: never", export.name),
            };
            let is_told = export.copies.iter().any(|copy| copy.failed.is_some());
            match &export.failed {
                Some(why) if !is_told => bad.push(format!("{}: {why}", export.name)),
                _ if !self.is_within(drilled.or(export.done), self.rules.drilled_within) => {
                    bad.push(told);
                }
                _ if export.overdue => {
                    bad.push(format!("{told}; by its plan it was due on {}", export.due));
                }
                _ => good.push(told),
            }
        }
        verdict(&bad, &good)
    }

    fn copies(&self) -> Verdict {
        let mut bad = Vec::new();
        let mut count = 0;
        for export in &self.exports {
            for copy in export.copies.iter().filter(|it| it.key == self.name || it.key == SHARE) {
                count += 1;
                let which = format!("{} of {}", copy.told(), export.name);
                match (&copy.failed, copy.opened) {
                    (Some(why), _) => bad.push(format!("{which} failed {why}")),
                    (None, None) => bad.push(format!("{which} was never read again")),
                    (None, Some(at)) if !self.is_within(Some(at), self.rules.copies_within) => {
                        bad.push(format!("{which} was last good {}", self.told(at)));
                    }
                    (None, Some(_)) => {}
                }
            }
            let altered = export.altered.iter();
            bad.extend(altered.map(|it| {
                format!("medium {} of {} is altered: {}", it.medium, export.name, it.altered)
            }));
        }
        verdict(&bad, &[format!("{count} copies")])
    }

    fn proof(&self) -> Verdict {
        let mut bad = Vec::new();
        let mut good = Vec::new();
        for export in &self.exports {
            for (custodian, proved) in &export.custodians {
                let own = export.copies.iter().filter(|copy| copy.custodian == *custodian);
                let last = own.filter_map(|copy| copy.drilled).max().max(*proved);
                let told = match last {
                    Some(at) => format!("{custodian} {}", self.told(at)),
                    None => format!("{custodian} never, for {}", export.name),
                };
                let is_good = self.is_within(last, self.rules.proved_within);
                if is_good { good.push(told) } else { bad.push(told) }
            }
        }
        verdict(&bad, &good)
    }
}

/// The public half of a key in an export, where it has one.
fn half((_, public): &(String, Option<String>)) -> Option<&str> {
    public.as_deref()
}

/// What an export lacks to be one that two people of the profile made and signed, who were there when it was done. Whom the plan
/// names is the word of whoever wrote it, and its exceptions are.
fn lacks(people: &[Person], export: &Export) -> Option<String> {
    if let Some(given_up) = &export.given_up {
        return Some(format!("was {given_up}"));
    }
    let Some(done) = export.done else { return Some("was interrupted".into()) };
    if !export.signed {
        return Some("is not signed by both".into());
    }
    let unknown = export.by.iter().find_map(|role| stranger(people, role, done))?;
    Some(format!("is signed by whom nobody vouches for: {unknown}"))
}

/// What has to be resolved about an export, by its end and signatures, or by a retirement that counts.
fn unresolved(people: &[Person], export: &Export) -> Option<String> {
    let doubt = |why: &String| format!("was retired by whom nobody vouches for: {why}");
    let unretired = export.unretired.as_ref().map(doubt);
    let all: Vec<String> = lacks(people, export).into_iter().chain(unretired).collect();
    (!all.is_empty()).then(|| format!("{} {}", export.name, all.join(", and ")))
}

fn verdict(bad: &[String], good: &[String]) -> Verdict {
    if bad.is_empty() {
        return Verdict::Holds { observed: good.join("; ") };
    }
    Verdict::Differs { observed: bad.join("; ") }
}
