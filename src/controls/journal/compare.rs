//! What the profile wants of journald beside what a host has: judged and planned for, pure.

use jiff::Timestamp;

use super::{
    checks,
    desired::{Wish, render},
    merge::Merged,
    observed::{DIR, DROP_IN, FLUSH, FLUSHED, Head, JOURNALD, Observed, OnDisk, Written},
};
use crate::{
    controls::{Comparison, Wanted, dropin},
    engine::{
        change::{Change, FileState, RunVerb, Step},
        check::{Judgement, Verdict},
    },
    host::bus::UnitStatus,
};

/// A file may look this much younger than the clock, which is read in whole seconds.
const CLOCK_SLACK_MICROS: u64 = 2_000_000;

/// Within how long of its end a journald that begins is its restart, which takes some hundredths of a second.
const RESTART_MICROS: u64 = 10_000_000;

/// Both sides.
#[derive(Debug)]
pub(super) struct Compared {
    /// What the profile manages.
    pub(super) wishes: Vec<Wish>,
    /// What the host has.
    pub(super) observed: Observed,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let mut judgements = vec![self.config()];
        if self.wishes.is_empty() {
            return judgements;
        }
        judgements.extend(self.effective());
        judgements.push(self.running());
        if self.is_persistent_wanted() {
            judgements.push(self.persistent());
        }
        judgements
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        let found = &self.observed;
        let config = wanted.of(checks::CONFIG.id);
        let mut effective = wanted.of(checks::EFFECTIVE.id);
        let mut writes = matches!(self.judge_drop_in(), Verdict::Differs { .. });
        if writes && config.is_empty() {
            // Written for its own check's sake only: where that is not wanted, a person has not applied what it would
            // say now.
            writes = false;
            effective.clear();
        }

        // Only what takes back a value that is to be put right is moved out of the way.
        let aside: Vec<_> = if effective.is_empty() || found.files.is_err() {
            Vec::new()
        } else {
            found
                .later
                .iter()
                .filter(|foreign| self.contradicts(foreign.path(), &effective))
                .collect()
        };

        // What will hold once these files are as planned; nothing is claimed beyond that.
        let holds_then = self.holds_after(&aside.iter().map(|f| f.path()).collect::<Vec<_>>());
        let mut because: Vec<String> = config;
        because.extend(effective.into_iter().filter(|id| holds_then.contains(id)));
        because.extend(wanted.of(checks::RUNNING.id));
        if holds_then.contains(&format!("{}/Storage", checks::EFFECTIVE.id)) {
            because.extend(wanted.of(checks::PERSISTENT.id));
        }
        if because.is_empty() {
            return Vec::new();
        }

        let mut changes = Vec::new();
        if writes {
            changes.extend(match render(&self.wishes) {
                Some(text) => dropin::write(DIR, found.dir_exists, DROP_IN, &text),
                None => vec![Change::Put { path: DROP_IN.to_owned(), to: FileState::Absent }],
            });
        }
        let step = |change| Step { change, because: because.clone() };
        let mut steps: Vec<Step> = changes.into_iter().map(step).collect();
        steps.extend(aside.iter().flat_map(|foreign| foreign.set_aside(&because)));
        let flush = found.unflushed.as_ref().filter(|_| self.is_persistent_wanted());
        if flush.is_some_and(|flush| flush.is_marked) {
            // systemd 252 would start on the disk at once, and never write out what is in memory.
            steps.push(step(Change::Put { path: FLUSHED.to_owned(), to: FileState::Absent }));
        }
        steps.push(step(Change::Run { unit: JOURNALD.to_owned(), verb: RunVerb::Restart }));
        if let Some(flush) = flush {
            let verb = if flush.unit.is_running() { RunVerb::Restart } else { RunVerb::Start };
            steps.push(step(Change::Run { unit: FLUSH.to_owned(), verb }));
        }
        steps
    }
}

impl Compared {
    fn is_persistent_wanted(&self) -> bool {
        self.wishes.iter().any(|wish| wish.key.name == "Storage" && wish.value == "persistent")
    }

    fn config(&self) -> Judgement {
        let expected = dropin::expected(DROP_IN, render(&self.wishes).as_deref());
        Judgement::new(checks::CONFIG, expected, self.judge_drop_in())
    }

    fn judge_drop_in(&self) -> Verdict {
        dropin::judge_file(DROP_IN, &self.observed.drop_in, render(&self.wishes).as_deref())
    }

    fn effective(&self) -> Vec<Judgement> {
        let unknown = |why: &str| {
            let all = self.wishes.iter();
            all.map(|wish| judge_key(wish, Verdict::Unknown { why: why.to_owned() })).collect()
        };
        let files = match &self.observed.files {
            Ok(files) => files,
            Err(why) => return unknown(why),
        };
        if let Some(why) = dropin::unreadable(files) {
            return unknown(&why);
        }
        let merged = Merged::of(files);
        self.wishes.iter().map(|wish| judge_key(wish, verdict(wish, &merged))).collect()
    }

    fn running(&self) -> Judgement {
        let expected = "started after its configuration last changed";
        let verdict = match (&self.observed.journald, &self.observed.newest) {
            (Err(why), _) | (_, Err(why)) => Verdict::Unknown { why: why.clone() },
            (Ok(unit), _) if !unit.is_running() => {
                Verdict::Differs { observed: format!("{JOURNALD} is {}", unit.active) }
            }
            (Ok(unit), Ok(newest)) => {
                let started = format!("started {}", time(unit.begun));
                match newest {
                    Some((path, changed)) if *changed > self.observed.now + CLOCK_SLACK_MICROS => {
                        // Restarting journald would not help: it would have started before that too.
                        let why = format!("{path} changed in the future ({})", time(*changed));
                        Verdict::Unknown {
                            why: format!(
                                "{why}: the clock was set back; once it is right, run: touch {path}"
                            ),
                        }
                    }
                    Some((path, changed)) if *changed > unit.begun => Verdict::Differs {
                        observed: format!("{started}; {path} changed {}", time(*changed)),
                    },
                    Some((path, changed)) => Verdict::Holds {
                        observed: format!("{started}; newest is {path}, {}", time(*changed)),
                    },
                    None => Verdict::Holds { observed: started },
                }
            }
        };
        Judgement::new(checks::RUNNING, expected, verdict)
    }

    fn persistent(&self) -> Judgement {
        let expected = "journald writes to /var/log/journal";
        let verdict = match (&self.observed.written, &self.observed.journald) {
            (Err(why), _) | (_, Err(why)) => Verdict::Unknown { why: why.clone() },
            (Ok(_), Ok(unit)) if !unit.is_running() => {
                Verdict::Differs { observed: format!("{JOURNALD} is {}", unit.active) }
            }
            (Ok(written), Ok(unit)) => judge_written(written, first_word(unit)),
        };
        Judgement::new(checks::PERSISTENT, expected, verdict)
    }

    /// Whether a file, as the last word, gives a value other than the wanted one to any of these checks' keys.
    fn contradicts(&self, path: &str, effective: &[String]) -> bool {
        let Ok(files) = &self.observed.files else { return false };
        let Some(file) = files.iter().find(|file| file.path == path) else { return false };
        let Ok(text) = &file.text else { return false };
        let merged = Merged::new([(path, text.as_str())]);
        self.wishes.iter().filter(|wish| effective.contains(&id_of(wish))).any(|wish| {
            let found = merged.decides(&wish.key);
            found.is_some_and(|found| Some(found.meaning) != wish.key.kind.read(&wish.value))
        })
    }

    /// The ids of the keys that hold once the drop-in is in place and some files are gone.
    fn holds_after(&self, gone: &[&str]) -> Vec<String> {
        let (Ok(files), Some(ours)) = (&self.observed.files, render(&self.wishes)) else {
            return Vec::new();
        };
        // The folder is read by name, so the place of ours is where its name belongs.
        let (main, drop_ins): (Vec<_>, Vec<_>) = files
            .iter()
            .filter(|file| file.path != DROP_IN && !gone.contains(&file.path.as_str()))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref().ok()?)))
            .partition(|(path, _)| path.ends_with("/journald.conf"));
        let name = |path: &str| path.rsplit('/').next().map(str::to_owned);
        let mut drop_ins = drop_ins;
        drop_ins.push((DROP_IN, ours.as_str()));
        drop_ins.sort_by_key(|(path, _)| name(path));
        let merged = Merged::new(main.into_iter().chain(drop_ins));
        let holds = self
            .wishes
            .iter()
            .filter(|wish| matches!(verdict(wish, &merged), Verdict::Holds { .. }));
        holds.map(id_of).collect()
    }
}

fn id_of(wish: &Wish) -> String {
    format!("{}/{}", checks::EFFECTIVE.id, wish.key.name)
}

fn judge_key(wish: &Wish, verdict: Verdict) -> Judgement {
    Judgement::new(checks::EFFECTIVE, &wish.value, verdict).about(wish.key.name)
}

/// What the files amount to for one key.
fn verdict(wish: &Wish, merged: &Merged<'_>) -> Verdict {
    let found = merged.decides(&wish.key);
    let mut observed = match &found {
        Some(found) => format!("{} ({})", found.text, found.place),
        None => "journald's own default: no file sets it".to_owned(),
    };
    if found.is_some() && found.map(|found| found.meaning) == wish.key.kind.read(&wish.value) {
        return Verdict::Holds { observed };
    }
    if let Some(broken) = &merged.broken {
        observed.push_str(&format!(
            "; journald reads nothing after the broken section header at {broken}"
        ));
    }
    Verdict::Differs { observed }
}

/// Since when what is written is the word of the journald that runs. systemd notes a start once the process is on its way,
/// which may have written its first entry by then, and nothing else for a while: after a restart it is when the one before had
/// ended.
fn first_word(unit: &UnitStatus) -> u64 {
    let pause = unit.begun.checked_sub(unit.ended);
    if pause.is_some_and(|pause| pause <= RESTART_MICROS) { unit.ended } else { unit.begun }
}

/// Whether journald writes to the disk: entries there are younger than journald itself, and than those in memory.
fn judge_written(written: &Written, started: u64) -> Verdict {
    let Written { disk_path, disk, memory_path, memory } = written;
    let differs = |observed: String| Verdict::Differs { observed };
    let Head { archived, entries, tail } = match disk {
        OnDisk::Journal(header) => header,
        OnDisk::Other => return differs(format!("{disk_path} is no journal file")),
        OnDisk::Missing if memory.is_some() => {
            return differs(format!("no {disk_path}; journald writes to memory ({memory_path})"));
        }
        OnDisk::Missing => return differs(format!("no {disk_path}")),
    };
    match memory {
        Some(memory) if memory.tail > *tail => differs(format!(
            "journald writes to memory ({memory_path}); newest entry on disk is of {}",
            time(*tail)
        )),
        Some(memory) if memory.entries > 0 => {
            differs(format!("{} entries are in memory only ({memory_path})", memory.entries))
        }
        _ if *archived => differs(format!("{disk_path} is archived: journald has closed it")),
        _ if *tail < started => differs(format!(
            "nothing was written to {disk_path} since journald started {}; newest entry is of {}",
            time(started),
            time(*tail)
        )),
        _ => Verdict::Holds {
            observed: format!("{disk_path}: {entries} entries, newest {}", time(*tail)),
        },
    }
}

/// A time of systemd's as people and programs read it.
fn time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    time.map_or_else(|| "at an unknown time".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
