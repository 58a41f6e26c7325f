//! What is held, what differs and what cannot be told: pure, over what was read.

use super::{
    Expected, always, blocklist,
    checks::{BLOCKLISTS, IN_PATH, OUTSIDE, RULESET},
    compare::{Difference, Side, differences},
    control::change,
    exposure::{self, Force},
    facts::KnownBy,
    observed::{Observed, Texts},
    table::{self, Table, Words},
};
use crate::{
    controls::Preview,
    engine::{
        check::{Judgement, Verdict},
        document::Desired,
    },
    host::nft::OwnTable,
    profile::{
        schema::{Firewall, Forward},
        types::Interface,
    },
};
/// How many differences a finding names.
const SHOWN: usize = 3;

/// How many digits of the document's digest a finding names: enough to tell two tables apart.
const DIGEST_SHOWN: usize = 12;

const MISSING: &str = "table inet holdfast is missing";
const FLAGGED: &str = "table inet holdfast has flags (dormant?): its rules may not be in force";

impl Observed {
    /// Every difference, or why there is nothing to compare. A table that is missing or only listed as text is not
    /// compared.
    pub(super) fn differences(&self) -> Result<Vec<Difference>, String> {
        if let Some(found) = &self.found {
            return found.clone();
        }
        let live = match &self.live {
            Ok(OwnTable::Json(live)) => Table::from_listing(live)?,
            Ok(OwnTable::Absent) => return Err(MISSING.to_owned()),
            Ok(OwnTable::TextOnly(text)) => {
                return match flags(text) {
                    Some(flags) => Ok(vec![Difference::Flags { flags: Some(flags) }]),
                    None => Err("nft lists the table as JSON that cannot be read".to_owned()),
                };
            }
            Err(why) => return Err(why.clone()),
        };
        let expected = match &self.document {
            Ok(_) if self.sets_known => Expected::known(),
            Ok(document) => Expected::of(document.commands(), self.at),
            Err(_) => Expected::default(),
        };
        let wanted = Table::from_listing(self.canonical.as_ref().map_err(Clone::clone)?)?;
        let (wanted_words, live_words) =
            (Words::from_listing(&self.texts.canonical), Words::from_listing(&self.texts.live));
        let mut found = differences(
            Side { table: &wanted, words: &wanted_words },
            Side { table: &live, words: &live_words },
            &expected,
        );
        if let Ok(OwnTable::Json(listing)) = &self.live {
            found.extend(expected.wrong_ends(listing));
        }
        found.extend(self.in_large.iter().cloned());
        for difference in &mut found {
            if let Difference::Flags { flags: unknown } = difference {
                *unknown = flags(&self.texts.live);
            }
        }
        Ok(found)
    }

    pub(super) fn judge(&self) -> Vec<Judgement> {
        let mut judgements = vec![
            Judgement::new(RULESET, self.wants.clone(), self.judge_ruleset()),
            Judgement::new(
                IN_PATH,
                "packets to this host are put to table inet holdfast",
                self.judge_path(),
            ),
            Judgement::new(
                OUTSIDE,
                "what enters from outside is judged on its way to containers",
                self.judge_outside(),
            ),
        ];
        judgements.extend(self.judge_lists());
        judgements.extend(self.facts.iter().flat_map(|facts| facts.services.judge()));
        judgements.extend(exposure::exposed(&self.exposure));
        judgements
    }

    /// `None`: there are no lists.
    fn judge_lists(&self) -> Option<Judgement> {
        let verdict = match &self.facts {
            Ok(facts) if facts.blocks.is_empty() => return None,
            Ok(facts) => {
                let networks: usize = facts.blocks.values().map(Vec::len).sum();
                let lists = facts.blocks.keys().cloned().collect::<Vec<_>>().join(", ");
                Verdict::Holds { observed: format!("{networks} networks, of {lists}") }
            }
            Err(why) if blocklist::is_fault(why) => Verdict::Unknown { why: why.clone() },
            Err(_) => return None,
        };
        Some(Judgement::new(
            BLOCKLISTS,
            "nothing is let in from the networks that are listed",
            verdict,
        ))
    }

    fn judge_outside(&self) -> Verdict {
        let not_applicable = |why: &str| Verdict::NotApplicable { why: why.to_owned() };
        match self.forward {
            Forward::Containers => {}
            Forward::Deny => return not_applicable("nothing is forwarded"),
            Forward::Off => return not_applicable("the profile leaves forwarding to others"),
        }
        let facts = match &self.facts {
            Ok(facts) => facts,
            Err(why) => return Verdict::Unknown { why: why.clone() },
        };
        let list = |names: &[Interface]| {
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let names = if facts.outside.is_empty() { "none".into() } else { list(&facts.outside) };
        let holds = |how: &str| Verdict::Holds { observed: format!("{names}, {how}") };
        match &facts.known_by {
            KnownBy::Profile { without } if without.is_empty() => {
                holds("as the profile names them")
            }
            KnownBy::Profile { without } => Verdict::Unknown {
                why: format!(
                    "no interface is called {} (yet); those there are: ip -br link",
                    list(without)
                ),
            },
            KnownBy::Routes => holds("by the default routes"),
            KnownBy::Table => {
                holds("as the loaded table names them; there is no default route now")
            }
            KnownBy::NothingForwarded => {
                not_applicable("this host has no default route, and forwards nothing")
            }
            KnownBy::Nothing => Verdict::Unknown {
                why: "there is no default route, so published ports are open to all; \
                      name the interface in firewall.outside"
                    .to_owned(),
            },
        }
    }

    pub(super) fn judge_ruleset(&self) -> Verdict {
        if matches!(self.live, Ok(OwnTable::Absent)) {
            return Verdict::Differs { observed: MISSING.to_owned() };
        }
        match self.differences() {
            Ok(found) if found.is_empty() => Verdict::Holds { observed: self.summary() },
            Ok(found) => Verdict::Differs { observed: named(&found) },
            Err(why) => Verdict::Unknown { why },
        }
    }

    fn judge_path(&self) -> Verdict {
        let differs = |observed: &str| Verdict::Differs { observed: observed.to_owned() };
        let live = match &self.live {
            Err(why) => return Verdict::Unknown { why: why.clone() },
            Ok(OwnTable::Absent) => return differs(MISSING),
            Ok(OwnTable::TextOnly(_)) => return differs(FLAGGED),
            Ok(OwnTable::Json(live)) => live,
        };
        if Table::from_listing(live).is_ok_and(|table| table.has_flags) {
            return differs(FLAGGED);
        }
        match (table::packets(live, always::SEEN), table::packets(live, always::DROPPED)) {
            (Some(0), _) if self.looped => {
                differs("a packet arrived over loopback, and the table did not see it")
            }
            (Some(0), _) => Verdict::Accumulating {
                observed: "no packet since the table was loaded, not even over loopback".to_owned(),
            },
            (Some(seen), Some(dropped)) => Verdict::Holds {
                observed: format!(
                    "{seen} packets since it was loaded, {dropped} of them not let in"
                ),
            },
            _ => differs("the rules that count packets are not in chain input"),
        }
    }

    fn summary(&self) -> String {
        let rules = match &self.live {
            Ok(OwnTable::Json(live)) => Table::from_listing(live).map(|table| table.rule_count()),
            _ => Ok(0),
        };
        let known = if self.sets_known {
            "; no table was changed since its sets were last listed or loaded"
        } else {
            ""
        };
        format!("exactly that, in {} rules{known}", rules.unwrap_or_default())
    }

    pub(super) fn preview(&self) -> Option<Preview> {
        let Texts { canonical, live } = &self.texts;
        let document = self.document.as_ref().ok().filter(|_| canonical != live)?;
        Some(Preview {
            change: change(document.commands()),
            title: "table inet holdfast".to_owned(),
            before: live.clone(),
            after: canonical.clone(),
        })
    }

    /// Whether the live table is the desired one and decides about packets.
    pub(super) fn in_force(&self) -> Force {
        let is_flagged = match &self.live {
            Ok(OwnTable::Absent) => return Force::No(format!("not in force: {MISSING}")),
            Ok(OwnTable::TextOnly(_)) => true,
            Ok(OwnTable::Json(live)) => {
                Table::from_listing(live).is_ok_and(|table| table.has_flags)
            }
            Err(why) => return Force::Unproven(format!("not to be seen: {why}")),
        };
        if is_flagged {
            return Force::No(format!("not in force: {FLAGGED}"));
        }
        match self.judge_ruleset() {
            Verdict::Differs { observed } => {
                return Force::Unproven(format!("not the desired table: {observed}"));
            }
            Verdict::Unknown { why } => return Force::Unproven(format!("not to be seen: {why}")),
            _ => {}
        }
        match self.judge_path() {
            Verdict::Differs { observed } => Force::No(format!("not in force: {observed}")),
            Verdict::Unknown { why } => Force::Unproven(format!("not to be seen: {why}")),
            _ => Force::Yes,
        }
    }
}

/// The profile's part on one line. It names the document's digest, so that another table is another expectation.
pub(super) fn wants(section: &Firewall, document: &Result<Desired, String>) -> String {
    let names: Vec<_> = section
        .allow
        .iter()
        .filter(|allow| section.admits_somebody(allow))
        .map(|a| a.name.as_str())
        .collect();
    let allows = if names.is_empty() {
        "nothing let in".to_owned()
    } else {
        format!("let in: {}", names.join(", "))
    };
    let digest = document.as_ref().map_or_else(
        |_| String::new(),
        |document| format!(" (rules {})", &document.digest()[..DIGEST_SHOWN]),
    );
    format!("table inet holdfast drops by default; {allows}{digest}")
}

/// The first few differences, and how many more there are.
fn named(found: &[Difference]) -> String {
    some_of(&found.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The first few, and how many more there are.
pub(super) fn some_of(all: &[String]) -> String {
    let mut line = all.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if let Some(more) = all.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line.push_str(&format!("; and {more} more"));
    }
    line
}

/// The text without what a terminal would act on: whoever may add a rule may put anything into its comment.
pub(super) fn printable(text: &str) -> String {
    let is_layout = |c: char| matches!(c, '\n' | '\t');
    text.chars().map(|c| if c.is_control() && !is_layout(c) { '?' } else { c }).collect()
}

/// The flags of a table in nft's text listing.
fn flags(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.trim().strip_prefix("flags ")).map(str::to_owned)
}
