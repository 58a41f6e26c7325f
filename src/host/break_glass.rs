//! The set by which a person opens the host for a time: reading it, filling it, emptying it.

use serde_json::{Value, json};

use super::{
    HostError, Writer,
    nft::{BREAK_GLASS, TABLE, as_json, is_absent},
    process,
};

/// A protocol that is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its number (IANA, protocol numbers).
    pub protocol: u32,
    /// For how long it was put there, in seconds; `None`: for ever.
    pub timeout: Option<u64>,
    /// How much of that is left, in seconds.
    pub expires: Option<u64>,
    /// What was said of it.
    pub comment: Option<String>,
}

/// What is in the set now; `None` when there is no such set.
///
/// # Errors
/// When nft is missing, not permitted, or lists what is not a set of protocols.
pub(super) async fn elements() -> Result<Option<Vec<Element>>, HostError> {
    let args = ["-j", "-n", "list", "set", TABLE[0], TABLE[1], BREAK_GLASS];
    let output = process::run("nft", &args, None).await?;
    if is_absent(&output) {
        return Ok(None);
    }
    listed(&as_json(output)?)
}

/// What is in the set by a listing that has the elements of sets.
///
/// # Errors
/// When they are no protocols.
pub fn listed(listing: &Value) -> Result<Option<Vec<Element>>, HostError> {
    let mut objects = listing["nftables"].as_array().into_iter().flatten();
    let Some(set) = objects.find(|object| object["set"]["name"] == BREAK_GLASS) else {
        return Ok(None);
    };
    let elements = set["set"]["elem"].as_array().into_iter().flatten();
    elements.map(element).collect::<Result<_, _>>().map(Some)
}

/// An element as nft lists it: a number, or an object that says more of it.
fn element(listed: &Value) -> Result<Element, HostError> {
    let more = &listed["elem"];
    let value = if more.is_object() { &more["val"] } else { listed };
    let protocol = value.as_u64().and_then(|number| u32::try_from(number).ok());
    let protocol = protocol.ok_or_else(|| {
        HostError::Refused(format!("set {BREAK_GLASS} holds what is not a protocol: {listed}"))
    })?;
    Ok(Element {
        protocol,
        timeout: more["timeout"].as_u64(),
        expires: more["expires"].as_u64(),
        comment: more["comment"].as_str().map(str::to_owned),
    })
}

impl Writer {
    /// Lets every packet of these protocols in for so many seconds; the kernel ends it. What was let in before ends
    /// now.
    ///
    /// # Errors
    /// When nft refuses: there is no such set, because the table is not loaded.
    pub async fn open(
        &self,
        protocols: &[u32],
        seconds: u64,
        comment: &str,
    ) -> Result<(), HostError> {
        let elements = protocols.iter().map(
            |protocol| json!({"elem": {"val": protocol, "timeout": seconds, "comment": comment}}),
        );
        let elements: Vec<Value> = elements.collect();
        let [family, table] = TABLE;
        let add = json!({"add": {"element": {"family": family, "table": table, "name": BREAK_GLASS, "elem": elements}}});
        in_one(&[flush(), add]).await
    }

    /// Ends what [`Writer::open`] began.
    ///
    /// # Errors
    /// As there.
    pub async fn close(&self) -> Result<(), HostError> {
        in_one(&[flush()]).await
    }
}

fn flush() -> Value {
    let [family, table] = TABLE;
    json!({"flush": {"set": {"family": family, "table": table, "name": BREAK_GLASS}}})
}

async fn in_one(commands: &[Value]) -> Result<(), HostError> {
    let document = json!({"nftables": commands}).to_string();
    process::run("nft", &["-j", "-f", "-"], Some(document.as_bytes())).await?.success().map(drop)
}

/// A text listing without what is in the set: a before-image that had it would open the host again.
pub(super) fn shut(listing: &str) -> String {
    let (mut kept, mut in_set, mut in_elements) = (String::new(), false, false);
    for line in listing.split_inclusive('\n') {
        let text = line.trim();
        if text == format!("set {BREAK_GLASS} {{") {
            in_set = true;
        }
        if in_set && text.starts_with("elements = {") {
            in_elements = true;
        }
        if !in_elements {
            kept.push_str(line);
            in_set = in_set && text != "}";
        } else if text.ends_with('}') {
            in_elements = false;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_before_image_never_holds_an_opening() {
        let listing = "table inet holdfast {\n\tset break-glass {\n\t\ttype inet_proto\n\t\tflags timeout\n\t}\n\n\tset friends {\n\t\telements = { 1.2.3.4 }\n\t}\n}\n";
        assert_eq!(shut(listing), listing);
        for elements in [
            "\t\telements = { 6 timeout 5m comment \"x }\" }\n",
            "\t\telements = { 6 timeout 5m comment \"x\",\n\t\t\t     17 timeout 5m }\n",
        ] {
            let opened =
                listing.replace("\t\tflags timeout\n", &format!("\t\tflags timeout\n{elements}"));
            assert_ne!(opened, listing);
            assert_eq!(shut(&opened), listing);
        }
    }

    #[test]
    fn elements_are_read_in_both_forms() {
        let bare = Element { protocol: 6, timeout: None, expires: None, comment: None };
        assert_eq!(element(&json!(6)).unwrap(), bare);
        let said = json!({"elem": {"val": 17, "timeout": 300, "expires": 299, "comment": "a b"}});
        let said = element(&said).unwrap();
        assert_eq!((said.protocol, said.timeout, said.expires), (17, Some(300), Some(299)));
        assert_eq!(said.comment.as_deref(), Some("a b"));
        assert!(element(&json!("tcp")).is_err());
    }
}
