//! A Stacks node: `node.p2p_bind`. Nothing else of it is meant for the public: not `rpc_bind`, not `prometheus_bind`.

use std::net::SocketAddr;

use toml::Value;

use super::{
    ports::{Fault, Ports, is_loopback},
    signer::{at, table},
};
use crate::profile::types::Port;

/// stacks-core's own (stackslib/src/config): on every address.
const DEFAULT_PORT: u16 = 20444;

/// Where the node's peers reach it.
pub(super) fn ports(text: Option<&str>) -> Result<Ports, Fault> {
    let text = text.ok_or_else(|| Fault::new("the node has no configuration file"))?;
    let table = table(text)?;
    if !matches!(table.get("node"), Some(Value::Table(_))) {
        return Err(Fault::new("there is no [node]: is this a Stacks node's configuration?"));
    }
    let mut found = Ports::default();
    match at(&table, &["node", "p2p_bind"])? {
        None => found.tcp.extend(Port::new(DEFAULT_PORT)),
        Some(Value::String(bind)) => {
            let bind: SocketAddr = bind.trim().parse().map_err(|_| {
                Fault::new("node.p2p_bind is not an address and a port, such as 0.0.0.0:20444")
            })?;
            let port = Port::new(bind.port()).ok_or_else(|| {
                Fault::new("node.p2p_bind leaves the port to the kernel: name one")
            })?;
            if !is_loopback(bind.ip()) {
                found.tcp.insert(port);
            }
        }
        Some(_) => return Err(Fault::new("node.p2p_bind is not a text")),
    }
    Ok(found)
}
