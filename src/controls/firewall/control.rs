//! The control of the table: what it can mend, its steps and obstacles.

use std::pin::Pin;

use serde_json::Value;

use super::{
    blocklist,
    boot::COPY,
    checks::{BLOCKLISTS, BYPASS, CHECKS, IN_PATH, NEIGHBOURS, RULESET},
    observed::Observed,
    whole::Whole,
};
use crate::{
    controls::{Comparison, Control, Obstacle, Preview, Sight, Wanted},
    engine::{
        change::{Change, Step, TableState},
        check::{CheckMeta, Judgement},
    },
    profile::schema::{Mode, Profile},
};

/// See the [module](super).
#[derive(Debug)]
pub struct FirewallControl;

impl Control for FirewallControl {
    fn name(&self) -> &'static str {
        "firewall"
    }

    fn checks(&self) -> &'static [CheckMeta] {
        &CHECKS
    }

    /// What decides now, and what will after the next boot. That the copy is loaded at all (the unit's links) cuts nobody
    /// off by itself.
    fn can_cut_off_login(&self, change: &Change) -> bool {
        match change {
            Change::Table { .. } => true,
            Change::Put { path, .. } => path == COPY,
            _ => false,
        }
    }

    /// What others load is theirs: no step touches it.
    fn is_mended_by_steps(&self, check: &str) -> bool {
        check != BYPASS.id && check != NEIGHBOURS.id
    }

    fn mode(&self, profile: &Profile) -> Option<Mode> {
        profile.firewall.as_ref().map(|section| section.mode)
    }

    fn observe<'a>(
        &'a self,
        profile: &'a Profile,
        sight: &'a Sight<'a>,
    ) -> Pin<Box<dyn Future<Output = Box<dyn Comparison>> + 'a>> {
        Box::pin(async move {
            Box::new(Box::pin(Whole::of(profile.firewall.as_ref(), sight)).await)
                as Box<dyn Comparison>
        })
    }
}

/// `None`: the section is absent.
#[derive(Debug)]
pub(super) struct FirewallComparison(pub(super) Option<Observed>);

impl Comparison for FirewallComparison {
    fn judge(&self) -> Vec<Judgement> {
        self.0.as_ref().map_or_else(Vec::new, Observed::judge)
    }

    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        let document = self.0.as_ref().and_then(|observed| observed.document.as_ref().ok());
        document.map_or_else(Vec::new, |document| load(document.commands(), *wanted))
    }

    fn previews(&self) -> Vec<Preview> {
        self.0.iter().filter_map(Observed::preview).collect()
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        let unknown = |observed: &Observed| {
            let why = observed.document.as_ref().err().or(observed.canonical.as_ref().err())?;
            let check = if blocklist::is_fault(why) { BLOCKLISTS } else { RULESET };
            let (check, why) = (check.id.to_owned(), why.clone());
            Some(Obstacle { check, why, overridable: false, guards: &[] })
        };
        self.0.iter().filter_map(unknown).collect()
    }
}

/// The step that loads a table, if a check asks for it.
pub(super) fn load(document: &Value, wanted: Wanted<'_>) -> Vec<Step> {
    let because = [wanted.of(RULESET.id), wanted.of(IN_PATH.id)].concat();
    if because.is_empty() {
        return Vec::new();
    }
    vec![Step { change: change(document), because }]
}

/// The one change there is: all of the table, at once.
pub(super) fn change(document: &Value) -> Change {
    Change::Table { to: TableState::Json(document.clone()) }
}
