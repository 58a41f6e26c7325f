//! What the desired document says of its sets that nft's listing of them does not: when elements end, which sets packets
//! add to, and what is in the large ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;

use super::compare::Difference;
use crate::engine::{
    document::{NETWORKS, UNTIL},
    listing::TOLERANCE_SECONDS,
};

/// The first and the last address of an element.
pub(super) type Span = (IpAddr, IpAddr);

/// How many elements of one large set a comparison names on each side: a finding shows fewer.
const NAMED: usize = 8;

/// What is expected of the sets at one moment.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    now: i64,
    /// When elements end, by set and [`key`].
    ends: BTreeMap<(String, String), i64>,
    /// The sets that packets add to.
    counting: BTreeSet<String>,
    /// The networks of the large sets, sorted.
    bulk: BTreeMap<String, Vec<Span>>,
    /// What is in the sets is known, and not listed.
    known: bool,
}

impl Expected {
    /// What a document wants at this moment.
    pub fn of(document: &Value, now: Timestamp) -> Self {
        let mut expected = Self { now: now.as_second(), ..Self::default() };
        let commands = document.get("nftables").and_then(Value::as_array).into_iter().flatten();
        for added in commands.filter_map(|command| command.get("add")) {
            if let Some(set) = added.get("set") {
                expected.take_set(set);
            }
            let statements = added.get("rule").and_then(|rule| rule.get("expr"));
            for statement in statements.and_then(Value::as_array).into_iter().flatten() {
                let set = statement.get("set").and_then(|update| update.get("set"));
                if let Some(name) =
                    set.and_then(Value::as_str).and_then(|set| set.strip_prefix('@'))
                {
                    expected.counting.insert(name.to_owned());
                }
            }
        }
        expected
    }

    fn take_set(&mut self, set: &Value) {
        let Some(name) = set.get("name").and_then(Value::as_str) else { return };
        for element in set.get("elem").and_then(Value::as_array).into_iter().flatten() {
            let until = element.get("elem").and_then(|elem| elem.get(UNTIL));
            if let Some(until) = until.and_then(Value::as_i64) {
                self.ends.insert((name.to_owned(), key(element)), until);
            }
        }
        if let Some(networks) = set.get(NETWORKS).and_then(Value::as_str) {
            let networks = networks.split(' ').filter_map(|text| {
                let net: IpNet =
                    text.parse().or_else(|_| text.parse().map(|ip: IpAddr| ip.into())).ok()?;
                Some((net.network(), net.broadcast()))
            });
            let mut spans: Vec<Span> = networks.collect();
            spans.sort_unstable();
            self.bulk.insert(name.to_owned(), spans);
        }
    }

    /// The same, of sets that are known to hold what they should and whose elements are not listed.
    #[must_use]
    pub fn known() -> Self {
        Self { known: true, ..Self::default() }
    }

    /// Whether the elements of a set are not to be compared as they are listed: packets add to it, it is a large one
    /// ([`Self::take_bulk`]), or they are not listed.
    pub(super) fn is_left_out(&self, set: &str) -> bool {
        self.known || self.counting.contains(set) || self.is_bulk(set)
    }

    fn is_bulk(&self, set: &str) -> bool {
        self.bulk.contains_key(set)
    }

    /// Whether an element ends about now, so that it may be there or not.
    pub(super) fn ends_about_now(&self, set: &str, key: &str) -> bool {
        let end = self.ends.get(&(set.to_owned(), key.to_owned()));
        end.is_some_and(|end| end.abs_diff(self.now) <= TOLERANCE_SECONDS.unsigned_abs())
    }

    /// The elements of a raw listing that end at another moment than they should, or not at all.
    pub(super) fn wrong_ends(&self, listing: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        for (name, element) in elements_of(listing) {
            let Some(until) = self.ends.get(&(name.to_owned(), key(element))) else { continue };
            let set = name.to_owned();
            let words = words(element);
            match element.get("elem").and_then(|elem| elem.get("expires")).and_then(Value::as_i64) {
                None => found.push(Difference::ElementStays { set, element: words }),
                Some(left) => {
                    let live = self.now.saturating_add(left);
                    if live.abs_diff(*until) > TOLERANCE_SECONDS.unsigned_abs() {
                        found.push(Difference::ElementEnds {
                            set,
                            element: words,
                            wanted: moment(*until),
                            live: moment(live),
                        });
                    }
                }
            }
        }
        found
    }

    /// Takes the elements of the large sets out of a raw listing, and says what they have too much, and lack.
    pub(super) fn take_bulk(&self, listing: &mut Value) -> Vec<Difference> {
        let found = self.bulk_differences(listing);
        let objects =
            listing.get_mut("nftables").and_then(Value::as_array_mut).into_iter().flatten();
        for set in objects.filter_map(|object| object.get_mut("set")?.as_object_mut()) {
            let name = set.get("name").and_then(Value::as_str);
            if name.is_some_and(|name| self.is_bulk(name)) {
                set.remove("elem");
            }
        }
        found
    }

    /// What the large sets of a raw listing have too much, and lack.
    fn bulk_differences(&self, listing: &Value) -> Vec<Difference> {
        let mut live: BTreeMap<&str, (Vec<Span>, Vec<String>)> = BTreeMap::new();
        for (name, element) in elements_of(listing) {
            if !self.is_bulk(name) {
                continue;
            }
            let (spans, odd) = live.entry(name).or_default();
            match span(element) {
                Some(span) => spans.push(span),
                None => odd.push(element.to_string()),
            }
        }
        let mut found = Vec::new();
        for (set, wanted) in &self.bulk {
            let (mut spans, odd) = live.remove(set.as_str()).unwrap_or_default();
            spans.sort_unstable();
            let of = |one: &[Span], other: &[Span]| -> Vec<String> {
                let only = one.iter().filter(|span| other.binary_search(span).is_err());
                only.take(NAMED).map(shown).collect()
            };
            let (kind, name) = ("set".to_owned(), set.clone());
            for element in odd.into_iter().take(NAMED).chain(of(&spans, wanted)) {
                let (kind, name) = (kind.clone(), name.clone());
                found.push(Difference::ElementAdded { kind, name, element });
            }
            for element in of(wanted, &spans) {
                let (kind, name) = (kind.clone(), name.clone());
                found.push(Difference::ElementMissing { kind, name, element });
            }
        }
        found
    }
}

/// Every element of every set of a raw listing, with the set's name.
fn elements_of(listing: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let objects = listing.get("nftables").and_then(Value::as_array).into_iter().flatten();
    objects.filter_map(|object| object.get("set")).flat_map(|set| {
        let name = set.get("name").and_then(Value::as_str).unwrap_or_default();
        let elements = set.get("elem").and_then(Value::as_array).into_iter().flatten();
        elements.map(move |element| (name, element))
    })
}

/// By what elements are told apart: their addresses, however nft writes them; all that is said of them otherwise, but
/// for their times.
pub(super) fn key(element: &Value) -> String {
    let timed = element.get("elem").and_then(Value::as_object);
    let times = ["val", "timeout", "expires", UNTIL];
    let has_more = timed.is_some_and(|elem| elem.keys().any(|key| !times.contains(&key.as_str())));
    match span(element) {
        Some((first, last)) if !has_more => format!("{first}-{last}"),
        _ => {
            let mut element = element.clone();
            if let Some(elem) = element.get_mut("elem").and_then(Value::as_object_mut) {
                times[1..].iter().for_each(|time| drop(elem.remove(*time)));
            }
            element.to_string()
        }
    }
}

/// The addresses of an element; `None` when it is none of addresses.
pub(super) fn span(element: &Value) -> Option<Span> {
    if let Some(value) = element.get("elem").and_then(|elem| elem.get("val")) {
        return span(value);
    }
    if let Some(prefix) = element.get("prefix") {
        let addr: IpAddr = prefix.get("addr")?.as_str()?.parse().ok()?;
        let len = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        let net = IpNet::new(addr, len).ok()?;
        return Some((net.network(), net.broadcast()));
    }
    if let Some([first, last]) = element.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some((first.as_str()?.parse().ok()?, last.as_str()?.parse().ok()?));
    }
    let one = element.as_str()?.parse().ok()?;
    Some((one, one))
}

/// An element as a person writes it.
pub(super) fn words(element: &Value) -> String {
    span(element).as_ref().map_or_else(|| element.to_string(), shown)
}

fn shown((first, last): &Span) -> String {
    if first == last {
        return first.to_string();
    }
    let whole = (0..=128u8).find_map(|len| {
        let net = IpNet::new(*first, len).ok()?;
        (net.network() == *first && net.broadcast() == *last).then(|| net.to_string())
    });
    whole.unwrap_or_else(|| format!("{first}-{last}"))
}

fn moment(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |moment| moment.to_string())
}
