//! The sBTC signer: `signer.p2p.listen_on`, or `SIGNER_SIGNER__P2P__LISTEN_ON`, which wins.
//!
//! As `stacks-sbtc/sbtc` has it (signer/src/config): a list of `tcp://address:port` and `quic-v1://address:port`, which is
//! UDP. Empty entries are passed over; a missing port, a user, a path or another scheme is refused at its start.

use std::net::IpAddr;

use toml::{Table, Value};
use url::Url;

use super::ports::{Fault, Ports, is_loopback};
use crate::profile::types::Port;

/// The variable that wins over the file. The signer does not mind its case.
pub(super) const VARIABLE: &str = "SIGNER_SIGNER__P2P__LISTEN_ON";

/// More listening addresses than a signer can have any use for.
const MOST: usize = 64;

/// Where the signer listens. `text` is its configuration file's, `None` where it has none.
pub(super) fn ports(text: Option<&str>, variable: Option<&str>) -> Result<Ports, Fault> {
    let entries = match (variable, text) {
        (Some(list), _) => list.split(',').map(str::to_owned).collect(),
        (None, Some(text)) => in_file(&table(text)?)?,
        (None, None) => return Err(Fault::new(format!("there is neither a file nor {VARIABLE}"))),
    };
    if entries.len() > MOST {
        return Err(Fault::new(format!("listen_on has more than {MOST} addresses")));
    }
    let mut found = Ports::default();
    for (index, entry) in entries.iter().map(|entry| entry.trim()).enumerate() {
        if !entry.is_empty() {
            let nth = |why: &str| Fault::new(format!("entry {} of listen_on {why}", index + 1));
            listen(entry, &mut found).map_err(nth)?;
        }
    }
    Ok(found)
}

/// Reads TOML. The parser's own words may quote the file, so only the place is kept.
pub(crate) fn table(text: &str) -> Result<Table, Fault> {
    text.parse::<Table>().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        Fault { line, why: "this is not TOML".to_owned() }
    })
}

/// The value at a path of keys; a fault where something on the way is not a table.
pub(crate) fn at<'a>(table: &'a Table, path: &[&str]) -> Result<Option<&'a Value>, Fault> {
    let Some((last, tables)) = path.split_last() else { return Ok(None) };
    let mut here = table;
    for (depth, key) in tables.iter().enumerate() {
        match here.get(*key) {
            None => return Ok(None),
            Some(Value::Table(inner)) => here = inner,
            Some(_) => {
                let name = path[..=depth].join(".");
                return Err(Fault::new(format!("{name} is not a table")));
            }
        }
    }
    Ok(here.get(*last))
}

fn in_file(table: &Table) -> Result<Vec<String>, Fault> {
    let list = match at(table, &["signer", "p2p", "listen_on"])? {
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Fault::new("signer.p2p.listen_on is not a list")),
        None => return Err(Fault::new("signer.p2p.listen_on is not set")),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let all: Option<Vec<_>> = list.iter().map(text).collect();
    all.ok_or_else(|| Fault::new("signer.p2p.listen_on has an entry that is not a text"))
}

fn listen(entry: &str, found: &mut Ports) -> Result<(), &'static str> {
    let url = Url::parse(entry).map_err(|_| "is not an address such as tcp://0.0.0.0:4122")?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "" | "/");
    if !is_plain {
        return Err("has more than a scheme, an address and a port");
    }
    let ports = match url.scheme() {
        "tcp" => &mut found.tcp,
        "quic-v1" => &mut found.udp,
        _ => return Err("is neither tcp:// nor quic-v1://"),
    };
    let port = url.port().ok_or("names no port, which the signer refuses")?;
    let port = Port::new(port).ok_or("leaves the port to the kernel: name one")?;
    let host = url.host_str().unwrap_or_default();
    if host == "localhost" {
        return Ok(());
    }
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = address.map_err(|_| "has a name where an address of this host belongs")?;
    if !is_loopback(address) {
        ports.insert(port);
    }
    Ok(())
}
