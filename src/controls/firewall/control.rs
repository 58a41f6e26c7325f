//! Observing, judging and planning the firewall.

use std::pin::Pin;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Expected, Facts, always, blocklist,
    boot::COPY,
    checks::{BLOCKLISTS, BYPASS, CHECKS, IN_PATH, NEIGHBOURS, OUTSIDE, RULESET},
    compare::{Difference, Side, differences},
    exposure::{self, Depth, Exposure, Force},
    facts::KnownBy,
    live::Live,
    ruleset,
    table::{self, Table, Words},
    whole::Whole,
};
use crate::{
    controls::{Comparison, Control, Obstacle, Preview, Sight, Wanted},
    engine::{
        change::{Change, Step, TableState},
        check::{CheckMeta, Judgement, Verdict},
        document::Desired,
    },
    host::{
        HostError, Reader, clock,
        nft::{Listing, OwnTable},
        seen::Known,
    },
    profile::{
        schema::{Firewall, Forward, Mode, Profile},
        types::Interface,
    },
};

/// How many differences a finding names.
const SHOWN: usize = 3;

/// How many digits of the document's digest a finding names: enough to tell two tables apart.
const DIGEST_SHOWN: usize = 12;

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
            Some(Obstacle { check: check.id.to_owned(), why: why.clone(), overridable: false })
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

/// What the profile wants beside what is there.
#[derive(Debug)]
pub(super) struct Observed {
    /// The part of the profile that a finding names.
    pub(super) wants: String,
    /// How forwarded packets are treated, and by which interfaces strangers come.
    pub(super) forward: Forward,
    /// What the desired table depends on beside the profile, or why it is not known.
    pub(super) facts: Result<Facts, String>,
    /// The desired table, or why there is none.
    pub(super) document: Result<Desired, String>,
    /// What nft and this kernel make of it, or why that cannot be seen.
    pub(super) canonical: Result<Value, String>,
    /// Whether a packet was sent over loopback, and arrived, before the live table was listed.
    pub(super) looped: bool,
    /// When the live table was listed.
    pub(super) at: Timestamp,
    /// What is there, or why that cannot be seen.
    pub(super) live: Result<OwnTable, String>,
    /// What its large sets have too much, and lack.
    pub(super) in_large: Vec<Difference>,
    /// Its sets are known to hold what they should, and were not listed.
    pub(super) sets_known: bool,
    /// What can be reached, or why that cannot be seen.
    pub(super) exposure: Result<Exposure, String>,
    /// Both as text, asked for only when they differ.
    pub(super) texts: Texts,
    /// The differences, once they have been worked out.
    pub(super) found: Option<Result<Vec<Difference>, String>>,
}

/// Both tables as nft's text for people; empty where it was not asked for or not to be had.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The desired one.
    pub(super) canonical: String,
    /// The live one.
    pub(super) live: String,
}

impl Observed {
    pub(super) async fn of(section: &Firewall, sight: &Sight<'_>, depth: Depth) -> Self {
        let host = sight.host;
        let facts = sight.facts(section).await.clone();
        let document = facts.as_ref().map_err(Clone::clone).and_then(|facts| {
            let document = ruleset::document(section, facts);
            document.map(Desired::of).map_err(|error| error.to_string())
        });
        let canonical = async {
            match &document {
                Ok(document) => {
                    host.canonical_table(document.commands()).await.map_err(|e| obstacle(&e))
                }
                Err(why) => Err(why.clone()),
            }
        };
        let (canonical, live) = tokio::join!(canonical, Live::of(&document, sight));
        let looped = sight.looped().await;
        let Live { table, in_large, tables, sets_known } = live;
        let live = table.map_err(|error| obstacle(&error));
        let at = clock::now();
        let wants = wants(section, &document);
        let texts = Texts::default();
        let forward = section.forward;
        let exposure = Err(String::new());
        let mut observed = Self {
            wants,
            forward,
            facts,
            document,
            canonical,
            looped,
            at,
            live,
            in_large,
            sets_known,
            exposure,
            texts,
            found: None,
        };
        let mut found = observed.differences();
        if found != Ok(Vec::new()) {
            observed.texts = observed.read_texts(sight).await;
            found = observed.differences();
        } else if let (Some(tables), Ok(document)) = (tables, &observed.document) {
            host.note_sets(tables, document.sets(), Known::Listed);
        }
        observed.found = Some(found);
        observed.exposure = observed.look_outside(section, host, depth).await;
        observed
    }

    /// What can be reached now.
    async fn look_outside(
        &self,
        section: &Firewall,
        host: &Reader,
        depth: Depth,
    ) -> Result<Exposure, String> {
        let facts = self.facts.clone().unwrap_or_default();
        let is_judged = exposure::judges_forwarded(section, &facts);
        let depth = if depth == Depth::Quick && !is_judged { Depth::Published } else { depth };
        let seen = exposure::look(host, depth).await?;
        let now = clock::now();
        let mut found = exposure::judge(Some(section), &facts, self.in_force(), seen, now);
        if depth != Depth::Full {
            found.name_owners(|inodes| exposure::owners(host, inodes));
        }
        Ok(found)
    }

    /// Whether the live table is the desired one and decides about packets.
    fn in_force(&self) -> Force {
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

    /// For people only, so what cannot be had stays empty.
    async fn read_texts(&self, sight: &Sight<'_>) -> Texts {
        let host = sight.host;
        // Where there is no table there are no two rules to tell apart.
        let is_shown = sight.has_previews || !matches!(self.live, Ok(OwnTable::Absent));
        let is_large = self.document.as_ref().is_ok_and(Desired::has_bulk);
        let words = if is_large && !sight.has_previews { Listing::Rules } else { Listing::Words };
        let canonical = async {
            match (&self.canonical, &self.document) {
                (Ok(_), Ok(document)) if is_shown => {
                    host.canonical_table_text(document.commands(), words).await.ok()
                }
                _ => None,
            }
        };
        let live = async {
            match self.live {
                Ok(OwnTable::Absent) | Err(_) => None,
                Ok(_) => host.own_table_text(words).await.ok().flatten(),
            }
        };
        let (canonical, live) = tokio::join!(canonical, live);
        Texts {
            canonical: printable(&canonical.unwrap_or_default()),
            live: printable(&live.unwrap_or_default()),
        }
    }

    /// The live table as it was listed with all that is in its small sets, if it was.
    pub(super) fn with_elements(&self) -> Option<&Value> {
        match &self.live {
            Ok(OwnTable::Json(listing)) if !self.sets_known => Some(listing),
            _ => None,
        }
    }

    /// Every difference, or why there is nothing to compare. A table that is missing or only listed as text is not
    /// compared.
    fn differences(&self) -> Result<Vec<Difference>, String> {
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

    fn preview(&self) -> Option<Preview> {
        let Texts { canonical, live } = &self.texts;
        let document = self.document.as_ref().ok().filter(|_| canonical != live)?;
        Some(Preview {
            change: change(document.commands()),
            title: "table inet holdfast".to_owned(),
            before: live.clone(),
            after: canonical.clone(),
        })
    }
}

/// What can be reached on a host with this section, in full: for a person who asks.
///
/// # Errors
/// When the kernel's lists of sockets cannot be read.
pub async fn exposure_of(section: Option<&Firewall>, host: &Reader) -> Result<Exposure, String> {
    if let Some(section) = section {
        return Observed::of(section, &Sight::of(host), Depth::Full).await.exposure;
    }
    let seen = exposure::look(host, Depth::Full).await?;
    let force = Force::No("the profile has no firewall".to_owned());
    Ok(exposure::judge(None, &Facts::default(), force, seen, clock::now()))
}

/// The one change there is: all of the table, at once.
pub(super) fn change(document: &Value) -> Change {
    Change::Table { to: TableState::Json(document.clone()) }
}

const MISSING: &str = "table inet holdfast is missing";
const FLAGGED: &str = "table inet holdfast has flags (dormant?): its rules may not be in force";

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

/// Why nft could not be asked, and what to do.
fn obstacle(error: &HostError) -> String {
    let mut why = error.chain();
    if error.is_permission() {
        why.push_str("; run holdfast as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN");
    } else if why.contains("not supported") {
        why.push_str("; this kernel lacks nf_tables or a part of it: modprobe nf_tables, on a container's own host");
    }
    why
}
