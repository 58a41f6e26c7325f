//! What the profile wants beside what is there: how it is read.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Facts,
    compare::Difference,
    exposure::{self, Depth, Exposure, Force},
    judge::{printable, wants},
    live::Live,
    ruleset,
};
use crate::{
    controls::Sight,
    engine::document::Desired,
    host::{
        HostError, Reader, clock,
        nft::{Listing, OwnTable},
        seen::Known,
    },
    profile::schema::{Firewall, Forward},
};
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
