//! The control as the engine sees it: the rules, and what is around them.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    boot::AtBoot,
    break_glass::Glass,
    checks::{BOOT, BREAK_GLASS, BYPASS, RULESET},
    control::{FirewallComparison, change, load},
    exposure::Depth,
    foreign::Tables,
    neighbours::Neighbours,
    observed::Observed,
};
use crate::{
    controls::{Comparison, Obstacle, Preview, Sight, Wanted},
    engine::{
        change::Step,
        check::{Judgement, Verdict},
    },
    profile::schema::Firewall,
};

/// The rules, and what is around them.
#[derive(Debug)]
pub(super) struct Whole {
    rules: FirewallComparison,
    around: Option<Around>,
}

/// What is around the rules.
#[derive(Debug)]
struct Around {
    boot: AtBoot,
    glass: Glass,
    neighbours: Neighbours,
    tables: Tables,
}

impl Whole {
    /// Reads the rules and what is around them, if the section is there.
    pub(super) async fn of(section: Option<&Firewall>, sight: &Sight<'_>) -> Self {
        let Some(section) = section else {
            return Self { rules: FirewallComparison(None), around: None };
        };
        let host = sight.host;
        let rules = async {
            let observed = Observed::of(section, sight, Depth::Quick).await;
            let glass = Glass::of(observed.with_elements(), host).await;
            (observed, glass)
        };
        let ((observed, glass), boot, neighbours, tables) =
            tokio::join!(rules, AtBoot::of(host), Neighbours::of(host), Tables::of(sight));
        let around = Around { boot, glass, neighbours, tables };
        Self { rules: FirewallComparison(Some(observed)), around: Some(around) }
    }
}

impl Whole {
    /// The table to load, if one is to be. A person's apply loads the desired one. Unattended, one that nobody has applied
    /// (the profile or a service's own configuration has changed since) is not loaded, and the host is not left open
    /// either: what was confirmed last is loaded again, from the copy for the next boot.
    fn to_load(&self, wanted: Wanted<'_>) -> Option<Cow<'_, Value>> {
        let (observed, around) = (self.rules.0.as_ref()?, self.around.as_ref()?);
        let is_new = wanted.of(RULESET.id).is_empty()
            && matches!(observed.judge_ruleset(), Verdict::Differs { .. });
        if is_new {
            return around.boot.confirmed().map(Cow::Owned);
        }
        observed.document.as_ref().ok().map(|document| Cow::Borrowed(document.commands()))
    }
}

impl Comparison for Whole {
    fn judge(&self) -> Vec<Judgement> {
        let mut judgements = self.rules.judge();
        if let (Some(observed), Some(around)) = (&self.rules.0, &self.around) {
            judgements.push(around.boot.judge(&observed.document));
            judgements.push(around.glass.judge());
            judgements.extend(around.neighbours.judge());
            let expected = "no rule of another table leads packets around ours";
            judgements.push(Judgement::new(BYPASS, expected, around.tables.verdict()));
        }
        judgements
    }

    /// What is loaded at boot comes before what is loaded now: if the second is there, so is the first.
    fn plan(&self, wanted: &Wanted<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        if let (Some(observed), Some(around)) = (&self.rules.0, &self.around) {
            let because = wanted.of(BOOT.id);
            if let Ok(document) = &observed.document
                && !because.is_empty()
            {
                steps.extend(around.boot.plan(document, &because));
            }
        }
        let Some(document) = self.to_load(*wanted) else { return steps };
        steps.extend(load(&document, *wanted));
        // A table that is loaded anew has nothing in any set that a person fills.
        let because = wanted.of(BREAK_GLASS.id);
        if !because.is_empty() {
            let change = change(&document);
            match steps.iter_mut().find(|step| step.change == change) {
                Some(step) => step.because.extend(because),
                None => steps.push(Step { change, because }),
            }
        }
        steps
    }

    fn previews(&self) -> Vec<Preview> {
        let mut previews = self.rules.previews();
        if let (Some(observed), Some(around)) = (&self.rules.0, &self.around)
            && let Ok(document) = &observed.document
        {
            previews.extend(around.boot.preview(document));
        }
        previews
    }

    fn obstacles(&self) -> Vec<Obstacle> {
        self.rules.obstacles()
    }
}
