//! The desired table as it is planned and recorded, and the commands for nft that it becomes when it is loaded.
//!
//! A plan may be carried out later than it was made: after a roll-back, after a reboot. So what ends by itself is
//! recorded with the moment at which it ends (`"until"`, seconds since the epoch) and is loaded with what is left of
//! that; what has ended is not loaded. And a set of a hundred thousand networks is one text (`"networks"`, separated by
//! blanks) rather than as many objects. All else is nft's own JSON.

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// The key of an element's end.
pub const UNTIL: &str = "until";
/// The key of a large set's networks.
pub const NETWORKS: &str = "networks";

/// Whether the large sets are wanted with all that is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bulk {
    /// As they are to be.
    Full,
    /// Declared, and empty: to see what nft makes of all else.
    Empty,
}

/// The commands for `nft -j -f -` that make the table so at this moment. The same document always ends at the same
/// moment, however often and whenever it is loaded.
pub fn at(document: &Value, now: Timestamp, bulk: Bulk) -> String {
    let commands = document.get("nftables").and_then(Value::as_array);
    let Some(commands) = commands else { return document.to_string() };
    let texts: Vec<String> =
        commands.iter().map(|command| command_at(command, now, bulk)).collect();
    format!("{{\"nftables\":[{}]}}", texts.join(","))
}

fn command_at(command: &Value, now: Timestamp, bulk: Bulk) -> String {
    let Some(set) = command.get("add").and_then(|add| add.get("set")).and_then(Value::as_object)
    else {
        return command.to_string();
    };
    let (mut set, networks) = apart(set);
    if let Some(Value::Array(elements)) = set.remove("elem") {
        let elements: Vec<Value> =
            elements.into_iter().filter_map(|element| element_at(element, now)).collect();
        // nft refuses an empty list.
        if !elements.is_empty() {
            set.insert("elem".to_owned(), elements.into());
        }
    }
    let mut text = Value::Object(set).to_string();
    let networks = networks.unwrap_or_default();
    if bulk == Bulk::Full && !networks.is_empty() {
        text.pop();
        text.push_str(",\"elem\":[");
        for (place, network) in networks.split(' ').enumerate() {
            if place > 0 {
                text.push(',');
            }
            let prefix = network.split_once('/');
            text.push_str(&prefix.map_or_else(
                || format!("\"{network}\""),
                |(address, len)| format!("{{\"prefix\":{{\"addr\":\"{address}\",\"len\":{len}}}}}"),
            ));
        }
        text.push_str("]}");
    }
    format!("{{\"add\":{{\"set\":{text}}}}}")
}

/// An element with what is left of its time; `None` when it is over.
fn element_at(mut element: Value, now: Timestamp) -> Option<Value> {
    let Some(timed) = element.get_mut("elem").and_then(Value::as_object_mut) else {
        return Some(element);
    };
    if let Some(until) = timed.remove(UNTIL) {
        let left = until.as_i64()?.checked_sub(now.as_second()).filter(|left| *left > 0)?;
        // nft takes a 32-bit number: 68 years.
        timed.insert("timeout".to_owned(), left.min(i64::from(i32::MAX)).into());
    }
    Some(element)
}

/// Whether a document has large sets.
pub fn has_bulk(document: &Value) -> bool {
    let commands = document.get("nftables").and_then(Value::as_array).into_iter().flatten();
    commands
        .filter_map(|command| command.get("add")?.get("set"))
        .any(|set| set.get(NETWORKS).is_some())
}

/// A document with what is made of the whole of it, once: megabytes where there are large sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    commands: Value,
    text: String,
    digest: String,
    sets: String,
}

impl Desired {
    /// Takes a document.
    pub fn of(commands: Value) -> Self {
        let text = commands.to_string();
        let digest = hex(&Sha256::digest(&text));
        let sets = sets(&commands);
        Self { commands, text, digest, sets }
    }

    /// The document itself.
    pub fn commands(&self) -> &Value {
        &self.commands
    }

    /// It as JSON, on one line.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// sha256 of that, in hex: equal ones are of equal tables.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// See [`sets`].
    pub fn sets(&self) -> &str {
        &self.sets
    }

    /// Whether it has large sets.
    pub fn has_bulk(&self) -> bool {
        has_bulk(&self.commands)
    }
}

/// sha256 of a document, in hex: equal ones are of equal tables.
pub fn digest(document: &Value) -> String {
    hex(&Sha256::digest(document.to_string()))
}

/// sha256 of the sets that a document declares with what is in them, in hex: where it is equal, other rules stand in
/// front of the same sets.
pub fn sets(document: &Value) -> String {
    let mut hash = Sha256::new();
    let commands = document.get("nftables").and_then(Value::as_array).into_iter().flatten();
    for set in commands.filter_map(|command| command.get("add")?.get("set")?.as_object()) {
        let (rest, networks) = apart(set);
        let networks = networks.unwrap_or_default();
        for part in [Value::Object(rest).to_string().as_str(), networks] {
            // With its length: what ends where is part of what it says.
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

/// A set without its networks, which are megabytes, and these.
fn apart(set: &Map<String, Value>) -> (Map<String, Value>, Option<&str>) {
    let rest = set.iter().filter(|(key, _)| *key != NETWORKS);
    let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    (rest, set.get(NETWORKS).and_then(Value::as_str))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Networks as one text, for [`NETWORKS`].
pub fn bulk(networks: &[IpNet]) -> String {
    let mut text = String::with_capacity(networks.len() * 18);
    for network in networks {
        if !text.is_empty() {
            text.push(' ');
        }
        if network.prefix_len() == network.max_prefix_len() {
            text.push_str(&network.addr().to_string());
        } else {
            text.push_str(&network.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(document: &Value, second: i64, bulk: Bulk) -> Value {
        serde_json::from_str(&at(document, Timestamp::from_second(second).unwrap(), bulk)).unwrap()
    }

    #[test]
    fn what_ends_is_loaded_with_what_is_left_of_it() {
        let timed = |until: i64| json!({"elem": {"val": {"prefix": {"addr": "10.0.0.0", "len": 8}}, "until": until}});
        let set = |elem: Option<Value>| {
            let mut set = json!({"name": "s", "flags": ["interval", "timeout"]});
            if let Some(elem) = elem {
                set["elem"] = elem;
            }
            json!({"nftables": [{"add": {"set": set}}]})
        };
        let document = set(Some(json!([timed(1000), timed(2000), "192.0.2.1"])));
        let left = |seconds: i64| json!({"elem": {"val": {"prefix": {"addr": "10.0.0.0", "len": 8}}, "timeout": seconds}});
        assert_eq!(
            load(&document, 900, Bulk::Full),
            set(Some(json!([left(100), left(1100), "192.0.2.1"])))
        );
        assert_eq!(load(&document, 1000, Bulk::Full), set(Some(json!([left(1000), "192.0.2.1"]))));
        assert_eq!(load(&set(Some(json!([timed(1000)]))), 1001, Bulk::Full), set(None));
        let far = load(&set(Some(json!([timed(i64::MAX)]))), 0, Bulk::Full);
        assert_eq!(far, set(Some(json!([left(i64::from(i32::MAX))]))));
    }

    #[test]
    fn sets_are_the_same_behind_other_rules() {
        let document = |networks: &str, name: &str, rule: u32| {
            let set = json!({"name": name, "elem": ["192.0.2.1"], "networks": networks});
            json!({"nftables": [{"add": {"set": set}}, {"add": {"rule": rule}}]})
        };
        let one = Desired::of(document("10.0.0.0/8 11.0.0.0/8", "b", 1));
        let other = Desired::of(document("10.0.0.0/8 11.0.0.0/8", "b", 2));
        assert_eq!(one.sets(), other.sets());
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.digest(), digest(one.commands()));
        for (networks, name) in
            [("10.0.0.0/8", "b"), ("10.0.0.0/8 11.0.0.0/9", "b"), ("10.0.0.0/8 11.0.0.0/8", "c")]
        {
            assert_ne!(Desired::of(document(networks, name, 1)).sets(), one.sets());
        }
    }

    #[test]
    fn a_large_set_is_written_out_or_left_empty() {
        let networks = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32", "2001:db8::1/128"];
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        let text = bulk(&networks);
        assert_eq!(text, "10.0.0.0/8 192.0.2.1 2001:db8::/32 2001:db8::1");
        let document = json!({"nftables": [{"add": {"set": {"name": "b", "networks": text}}}, {"add": {"rule": 1}}]});
        let elements = json!([
            {"prefix": {"addr": "10.0.0.0", "len": 8}},
            "192.0.2.1",
            {"prefix": {"addr": "2001:db8::", "len": 32}},
            "2001:db8::1",
        ]);
        assert_eq!(
            load(&document, 0, Bulk::Full),
            json!({"nftables": [{"add": {"set": {"name": "b", "elem": elements}}}, {"add": {"rule": 1}}]})
        );
        assert_eq!(
            load(&document, 0, Bulk::Empty),
            json!({"nftables": [{"add": {"set": {"name": "b"}}}, {"add": {"rule": 1}}]})
        );
    }
}
