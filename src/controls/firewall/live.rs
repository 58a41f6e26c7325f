//! Reading the live table: whole, or where its sets are known to hold what they should, without their elements.

use serde_json::Value;

use crate::{
    engine::document,
    host::{HostError, Reader, nft::OwnTable, seen::Tables},
};

/// The live table.
#[derive(Debug)]
pub(super) struct Live {
    /// As nft lists it.
    pub(super) table: Result<OwnTable, HostError>,
    /// Which tables there were when its sets were listed, if nobody changed any meanwhile.
    pub(super) tables: Option<Tables>,
    /// Its sets are known to hold what the document wants, and were not listed.
    pub(super) sets_known: bool,
}

impl Live {
    /// Reads it. Only for the sake of large sets is anything but the whole of it listed.
    pub(super) async fn of(document: &Result<Value, String>, host: &Reader) -> Self {
        let large = document.as_ref().ok().filter(|document| document::has_bulk(document));
        let tables = large.and_then(|_| host.tables().ok());
        let (Some(document), Some(before)) = (large, tables) else {
            return Self { table: host.own_table().await, tables: None, sets_known: false };
        };
        let is_unmoved = || host.tables().is_ok_and(|now| now == before);
        if host.knows_sets(&before, &document::digest(document))
            && let Ok(table @ OwnTable::Json(_)) = host.own_table_declared().await
            && is_unmoved()
        {
            return Self { table: Ok(table), tables: None, sets_known: true };
        }
        let table = host.own_table().await;
        let tables = is_unmoved().then_some(before);
        Self { table, tables, sets_known: false }
    }
}
