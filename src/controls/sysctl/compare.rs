//! What the profile wants of the kernel beside what a host has: judged and planned for, pure.

use super::{
    boot::Boot,
    checks, containers,
    desired::{Setting, is_same, render, resets_others},
    interfaces,
    observed::{DIR, DROP_IN, Interface, Observed},
};
use crate::{
    controls::{Comparison, Wanted, dropin},
    engine::{
        change::{Change, FileState, Step},
        check::{Judgement, Verdict},
    },
};

/// Both sides.
#[derive(Debug)]
pub(super) struct Compared {
    /// What the profile manages, in the order in which it is set.
    pub(super) settings: Vec<Setting>,
    /// What the host has.
    pub(super) observed: Observed,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let mut judgements = vec![self.config()];
        judgements.extend(self.settings.iter().map(|setting| self.boot(setting)));
        judgements.extend(self.settings.iter().map(|setting| self.live(setting)));
        judgements.extend(self.settings.iter().filter_map(|setting| self.interfaces(setting)));
        judgements
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        let mut steps = self.plan_files(*wanted);
        let mut reset_by = None;
        for setting in self.settings.iter().filter(|setting| self.is_settable(setting)) {
            let live = id(checks::LIVE.id, setting);
            if wanted.has(&live) {
                steps.push(set(&setting.key, &setting.value, live.clone()));
                reset_by = reset_by.or_else(|| resets_others(&setting.path).then_some(live));
            } else if let Some(cause) = &reset_by {
                // It holds now and would not after that one.
                steps.push(set(&setting.key, &setting.value, cause.clone()));
            }
        }
        // After all of `all` and `default`: setting those may change interfaces.
        for setting in &self.settings {
            let id = id(checks::INTERFACES.id, setting);
            if wanted.has(&id) {
                let faulty = self.shares(setting).filter(|share| is_to_be_set(setting, share));
                steps.extend(
                    faulty.map(|share| set(&dotted(&share.path), &setting.value, id.clone())),
                );
            }
        }
        steps
    }
}

impl Compared {
    /// The settings that are made here: all but those that would break containers.
    fn managed(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| self.broken_by(setting).is_none())
    }

    /// Why a setting is not made on this host.
    fn broken_by(&self, setting: &Setting) -> Option<String> {
        let engine = self.observed.engine.as_ref()?;
        let need = containers::broken_by(setting)?;
        Some(format!("containers on this host {need} ({engine})"))
    }

    fn is_settable(&self, setting: &Setting) -> bool {
        self.broken_by(setting).is_none() && !self.observed.shared.contains(&setting.path)
    }

    fn text(&self) -> Option<String> {
        render(self.managed())
    }

    fn config(&self) -> Judgement {
        let expected = dropin::expected(DROP_IN, self.text().as_deref());
        Judgement::new(checks::CONFIG, expected, self.judge_drop_in())
    }

    fn judge_drop_in(&self) -> Verdict {
        dropin::judge_file(DROP_IN, &self.observed.drop_in, self.text().as_deref())
    }

    fn boot(&self, setting: &Setting) -> Judgement {
        let verdict = match &self.observed.files {
            _ if self.excuse(setting).is_some() => self.excuse(setting).unwrap_or_else(unseen),
            Err(why) => Verdict::Unknown { why: why.clone() },
            Ok(files) => match dropin::unreadable(files) {
                Some(why) => Verdict::Unknown { why },
                None => self.at_boot(setting, &Boot::of(files)),
            },
        };
        Judgement::new(checks::BOOT, &setting.value, verdict).about(&setting.key)
    }

    fn at_boot(&self, setting: &Setting, boot: &Boot) -> Verdict {
        if let Some(mask) = &self.observed.masked {
            return Verdict::Differs {
                observed: format!(
                    "nothing is set at boot: systemd-sysctl.service is masked by {mask}"
                ),
            };
        }
        match boot.decides(&setting.path) {
            None => Verdict::Differs { observed: "no file sets it at boot".to_owned() },
            Some(found) => match found.value {
                None => Verdict::Differs { observed: format!("not set at boot: {}", found.place) },
                Some(value) => {
                    let observed = format!("{value} ({})", found.place);
                    if is_same(&value, &setting.value) {
                        Verdict::Holds { observed }
                    } else {
                        Verdict::Differs { observed }
                    }
                }
            },
        }
    }

    /// Why a setting is not looked at on this host at all.
    fn excuse(&self, setting: &Setting) -> Option<Verdict> {
        let why =
            self.broken_by(setting).or_else(|| match self.observed.live.get(&setting.path) {
                Some(Ok(None)) => Some("this kernel does not have it".to_owned()),
                _ => None,
            })?;
        Some(Verdict::NotApplicable { why })
    }

    fn live(&self, setting: &Setting) -> Judgement {
        let verdict = match (self.excuse(setting), self.observed.live.get(&setting.path)) {
            (Some(excuse), _) => excuse,
            (None, None) => unseen(),
            (None, Some(Err(why))) => Verdict::Unknown { why: why.clone() },
            (None, Some(Ok(found))) => {
                let found = found.clone().unwrap_or_default();
                if is_same(&found, &setting.value) {
                    Verdict::Holds { observed: found }
                } else if self.observed.shared.contains(&setting.path) {
                    let kind = self.observed.container.as_deref().unwrap_or("a");
                    Verdict::NotApplicable {
                        why: format!(
                            "{found}; shared with the machine that this {kind} container runs on, which \
                             alone may set /proc/sys/{}",
                            setting.path
                        ),
                    }
                } else {
                    Verdict::Differs { observed: found }
                }
            }
        };
        Judgement::new(checks::LIVE, &setting.value, verdict).about(&setting.key)
    }

    /// The interfaces that a setting for all is about, but for those that the profile sets by name.
    fn shares(&self, setting: &Setting) -> impl Iterator<Item = &Interface> {
        let shares = self.observed.interfaces.get(&setting.path).into_iter().flatten();
        shares.filter(|share| self.settings.iter().all(|other| other.path != share.path))
    }

    fn interfaces(&self, setting: &Setting) -> Option<Judgement> {
        let all = interfaces::for_all(setting)?;
        let live = self.observed.live.get(&setting.path);
        let verdict = match (self.excuse(setting), live) {
            (Some(excuse), _) => excuse,
            (None, Some(Ok(Some(live)))) => {
                let Ok(live) = live.parse() else { return None };
                let amount = |share: &Interface| all.amounts_to(live, share.own, share.forwards);
                let faulty: Vec<String> = self
                    .shares(setting)
                    .filter(|share| !all.holds(live, share.own, share.forwards))
                    .map(|share| {
                        format!(
                            "{} on {} (all={live}, {}={})",
                            amount(share),
                            share.name,
                            share.name,
                            share.own
                        )
                    })
                    .collect();
                let names: Vec<&str> =
                    self.shares(setting).map(|share| share.name.as_str()).collect();
                if !faulty.is_empty() {
                    Verdict::Differs { observed: faulty.join(", ") }
                } else if names.is_empty() {
                    Verdict::NotApplicable { why: "no interface is held to it".to_owned() }
                } else {
                    Verdict::Holds {
                        observed: format!("{} on {}", setting.value, names.join(", ")),
                    }
                }
            }
            (None, Some(Err(why))) => Verdict::Unknown { why: why.clone() },
            (None, _) => unseen(),
        };
        let expected = format!("{} on every interface", setting.value);
        Some(Judgement::new(checks::INTERFACES, expected, verdict).about(&setting.key))
    }

    fn plan_files(&self, wanted: Wanted<'_>) -> Vec<Step> {
        let found = &self.observed;
        let config = wanted.of(checks::CONFIG.id);
        let mut boot = wanted.of(checks::BOOT.id);
        let mut writes = matches!(self.judge_drop_in(), Verdict::Differs { .. });
        if writes && config.is_empty() {
            // Written for its own check's sake only: where that is not wanted, a person has not applied what it would
            // say now.
            writes = false;
            boot.clear();
        }

        // Only what takes back a value that is to be put right is moved out of the way.
        let aside: Vec<_> =
            found.later.iter().filter(|foreign| self.contradicts(foreign.path(), &boot)).collect();

        // What will hold once these files are as planned; nothing is claimed beyond that.
        let holds_then = self.holds_after(&aside.iter().map(|f| f.path()).collect::<Vec<_>>());
        let mut because = config;
        because.extend(boot.into_iter().filter(|id| holds_then.contains(id)));
        if because.is_empty() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if writes {
            changes.extend(match self.text() {
                Some(text) => dropin::write(DIR, found.dir_exists, DROP_IN, &text),
                None => vec![Change::Put { path: DROP_IN.to_owned(), to: FileState::Absent }],
            });
        }
        let step = |change| Step { change, because: because.clone() };
        let mut steps: Vec<Step> = changes.into_iter().map(step).collect();
        steps.extend(aside.iter().flat_map(|foreign| foreign.set_aside(&because)));
        steps
    }

    /// Whether a file, as the last word, gives a value other than the wanted one to any of these checks' keys.
    fn contradicts(&self, path: &str, boot: &[String]) -> bool {
        let Ok(files) = &self.observed.files else { return false };
        let Some(file) = files.iter().find(|file| file.path == path) else { return false };
        let Ok(text) = &file.text else { return false };
        let alone = Boot::new([(path, text.as_str())]);
        let wanted = self.managed().filter(|setting| boot.contains(&id(checks::BOOT.id, setting)));
        wanted.into_iter().any(|setting| {
            // A pattern does not win over holdfast's exact key.
            let found = alone.decides_exactly(&setting.path);
            found.is_some_and(|found| {
                found.value.is_none_or(|value| !is_same(&value, &setting.value))
            })
        })
    }

    /// The ids of the keys that will be set right at boot once the file is in place and some others are gone.
    fn holds_after(&self, gone: &[&str]) -> Vec<String> {
        let (Ok(files), Some(ours)) = (&self.observed.files, self.text()) else {
            return Vec::new();
        };
        let mut texts: Vec<(&str, &str)> = files
            .iter()
            .filter(|file| file.path != DROP_IN && !gone.contains(&file.path.as_str()))
            .filter_map(|file| Some((file.path.as_str(), file.text.as_deref().ok()?)))
            .collect();
        texts.push((DROP_IN, ours.as_str()));
        texts.sort_by_key(|(path, _)| path.rsplit('/').next().map(str::to_owned));
        let boot = Boot::new(texts);
        let holds = self
            .managed()
            .filter(|setting| matches!(self.at_boot(setting, &boot), Verdict::Holds { .. }));
        holds.map(|setting| id(checks::BOOT.id, setting)).collect()
    }
}

fn id(base: &str, setting: &Setting) -> String {
    format!("{base}/{}", setting.key)
}

fn is_to_be_set(setting: &Setting, share: &Interface) -> bool {
    interfaces::for_all(setting).is_some_and(|all| all.must_be_set(share.own, share.forwards))
}

/// A path below `/proc/sys` as sysctl(8) names it.
fn dotted(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(|part| part.replace('.', "/")).collect();
    parts.join(".")
}

fn set(key: &str, value: &str, because: String) -> Step {
    let change = Change::Sysctl { key: key.to_owned(), value: value.to_owned() };
    Step { change, because: vec![because] }
}

fn unseen() -> Verdict {
    Verdict::Unknown { why: "it was not looked at".to_owned() }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
