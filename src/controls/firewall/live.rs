//! Reading the live table: whole, or where its sets are known to hold what they should, without their elements.

use super::{Expected, compare::Difference};
use crate::{
    controls::Sight,
    engine::document::Desired,
    host::{
        HostError, clock,
        nft::{self, OwnTable},
        seen::Tables,
    },
};

/// The live table.
#[derive(Debug)]
pub(super) struct Live {
    /// As nft lists it, without the elements of large sets.
    pub(super) table: Result<OwnTable, HostError>,
    /// What these have too much, and lack.
    pub(super) in_large: Vec<Difference>,
    /// Which tables there were when its sets were listed, if nobody changed any meanwhile.
    pub(super) tables: Option<Tables>,
    /// Its sets are known to hold what the document wants, and were not listed.
    pub(super) sets_known: bool,
}

impl Live {
    /// Reads it. Only for the sake of large sets is anything but the whole of it listed.
    pub(super) async fn of(document: &Result<Desired, String>, sight: &Sight<'_>) -> Self {
        let host = sight.host;
        let Some(document) = document.as_ref().ok().filter(|document| document.has_bulk()) else {
            sight.looped().await;
            let table = host.own_table().await;
            return Self { table, in_large: Vec::new(), tables: None, sets_known: false };
        };
        let is_unmoved = |before: &Tables| host.tables().is_ok_and(|now| now == *before);
        let declared = sight.tables().await;
        if let (Some(before), Ok(listing)) = (&declared.before, &declared.listing)
            && host.knows_sets(before, document.sets())
            && let Some(table @ OwnTable::Json(_)) = nft::own_of(listing)
            && is_unmoved(before)
        {
            return Self { table: Ok(table), in_large: Vec::new(), tables: None, sets_known: true };
        }
        // Where the kernel does not tell, everything is listed.
        let before = host.tables().ok();
        let mut table = host.own_table().await;
        let tables = before.filter(is_unmoved);
        // At once, and never twice in memory: in nft's JSON 100,000 networks take 140 MB, and the units may have 256.
        let in_large = match &mut table {
            Ok(OwnTable::Json(listing)) => {
                Expected::of(document.commands(), clock::now()).take_bulk(listing)
            }
            _ => Vec::new(),
        };
        Self { table, in_large, tables, sets_known: false }
    }
}
