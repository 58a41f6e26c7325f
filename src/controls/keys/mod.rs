//! `keys`: whether keys are in cold storage, and would come out of it. Only looks at the records of ceremonies on this host and
//! at their signatures: no medium is asked, and no envelope is there to be opened.

mod checks;
mod judge;
#[cfg(test)]
mod tests;

use std::pin::Pin;

use jiff::Timestamp;

use super::{Comparison, Control, Sight, Wanted};
use crate::{
    engine::{
        change::Step,
        check::{CheckMeta, Judgement},
    },
    host::{binder::Shelf, clock, error::chain},
    key::ceremony::{Export, standing},
    profile::schema::{ColdKey, Mode, Person, Profile},
};

/// The control.
#[derive(Debug)]
pub struct KeysControl;

impl Control for KeysControl {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        checks::CHECKS
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        (!profile.keys.is_empty()).then_some(Mode::Enforce)
    }

    /// People bring a key into cold storage, and nobody else can.
    fn is_mended_by_steps(&self, _check: &str) -> bool {
        false
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        _sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            let keys = profile.keys.iter().map(|(name, rules)| (name.to_string(), rules.clone()));
            let people = profile.people.clone();
            let exports = standing(&Shelf::of_host(), clock::today(), Some(&people));
            let (keys, exports) = (keys.collect(), exports.map_err(|it| chain(&it)));
            Box::new(Compared { keys, people, exports, now: clock::now() }) as Box<dyn Comparison>
        })
    }
}

/// The keys and people of the profile, and every export of this host.
#[derive(Debug)]
struct Compared {
    keys: Vec<(String, ColdKey)>,
    people: Vec<Person>,
    exports: Result<Vec<Export>, String>,
    now: Timestamp,
}

impl Comparison for Compared {
    fn judge(&self) -> Vec<Judgement> {
        let each = |(name, rules): &(String, ColdKey)| {
            let exports = self.exports.as_deref().map_err(String::as_str);
            judge::judge(name, rules, &self.people, exports, self.now)
        };
        self.keys.iter().flat_map(each).collect()
    }

    fn plan(&self, _wanted: &Wanted<'_>) -> Vec<Step> {
        Vec::new()
    }
}
