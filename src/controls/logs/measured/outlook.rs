//! What is to be expected against what must be kept: pure.

use super::{
    FORECAST, Forecast, Measured, Space,
    judge::{days, judge, moment, size},
};
use crate::{
    engine::check::{Judgement, Verdict},
    profile::types::TimeSpan,
};

/// A forecast for each journal on disk and for each source with files of its own.
pub(super) fn forecasts(measured: &Measured) -> Vec<Judgement> {
    let on_disk = measured.journals.iter().flatten().filter(|each| !each.is_in_memory);
    let mut judgements: Vec<Judgement> = on_disk
        .map(|each| {
            let keep = each.space.map_or(measured.keep, |space| space.keep);
            let expected = format!("{} will be kept", TimeSpan::from_secs(keep));
            let subject = each.namespace.as_ref().map(|name| format!("journald@{name}"));
            let verdict = forecast(each.space, "begins to delete too early", measured.now);
            judge(&FORECAST, subject.as_deref(), expected, verdict)
        })
        .collect();
    if judgements.is_empty() {
        let why = "there is no journal on disk: see logs.files".to_owned();
        let expected = format!("{} will be kept", TimeSpan::from_secs(measured.keep));
        judgements.push(judge(&FORECAST, None, expected, Verdict::NotApplicable { why }));
    }
    for source in &measured.sources {
        let Some(space) = source.space else { continue };
        let expected = format!("{} will be kept", TimeSpan::from_secs(source.keep));
        let verdict = forecast(Some(space), "the file system is full too early", measured.now);
        judgements.push(judge(&FORECAST, Some(&source.name), expected, verdict));
    }
    judgements
}

/// `what` is what happens where there is too little room.
fn forecast(space: Option<Space>, what: &str, now: u64) -> Verdict {
    let Some(space) = space else {
        return Verdict::Unknown { why: "nothing can be told of its file system".to_owned() };
    };
    let rate = format!("{} a day", size(space.per_day.unwrap_or(0)));
    let others = match space.others_per_day {
        Some(0) => "others on its file system do not grow".to_owned(),
        Some(growth) => format!("others on its file system grow by {} a day", size(growth)),
        None => "how others on its file system grow is not known yet".to_owned(),
    };
    match space.forecast() {
        Forecast::TooYoung => Verdict::Accumulating {
            observed:
                "less than a day of it has been seen; a day after its first entry it can be told"
                    .to_owned(),
        },
        Forecast::Ceiling { floor } => Verdict::Differs {
            observed: format!(
                "journald deletes by age (MaxRetentionSec=), a file as soon as its first entry is old enough: entries of {} \
                 can go (MaxFileSec=, and what its files span)",
                days(floor)
            ),
        },
        Forecast::Short { holds, short_in, needed } => {
            let from = match short_in {
                0 => "now".to_owned(),
                _ => format!("on {}", moment(now.saturating_add(short_in))),
            };
            let lacking = match needed {
                0 => format!("it may have {} files", space.max_files),
                _ => {
                    format!("it has room for {} and needs {}", size(space.capacity()), size(needed))
                }
            };
            Verdict::Differs {
                observed: format!(
                    "{what} {from}: at {rate} it holds {}; {lacking}; {others}",
                    days(holds)
                ),
            }
        }
        Forecast::Lasts { holds, short_in } => {
            let until = short_in.map(|at| format!(", until {}", moment(now.saturating_add(at))));
            let observed = format!(
                "at {rate} it holds {}{}; {others}",
                days(holds),
                until.unwrap_or_default()
            );
            if space.others_per_day.is_none() {
                return Verdict::Accumulating { observed };
            }
            Verdict::Holds { observed }
        }
    }
}
