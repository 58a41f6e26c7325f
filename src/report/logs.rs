//! What is kept of each log, as a table for people.

use jiff::Timestamp;

use crate::controls::logs::Row;

const HEAD: [&str; 8] = [
    "SOURCE",
    "KEPT SINCE (UTC)",
    "DAYS",
    "WANTED",
    "SIZE A DAY",
    "WILL HOLD DAYS",
    "GAPS",
    "LOST",
];

/// The table, a line for the head and one for each row.
pub fn lines(rows: &[Row]) -> Vec<String> {
    let mut cells: Vec<[String; 8]> = vec![HEAD.map(str::to_owned)];
    cells.extend(rows.iter().map(row));
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; 8]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        line.trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

fn row(row: &Row) -> [String; 8] {
    let date = |at: Option<Timestamp>| {
        at.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
    };
    // Names and paths come from the profile and from the host.
    let name = crate::cli::out::harmless(&row.name);
    let name =
        name.rsplit_once("/journal/").map_or(name.clone(), |(base, _)| format!("{base}/journal"));
    let forecast = match (row.holds, row.short_on) {
        (None, _) => "-".to_owned(),
        (Some(holds), None) => days(holds),
        (Some(holds), Some(on)) => format!("{}, short on {}", days(holds), on.strftime("%Y-%m-%d")),
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        name,
        date(row.oldest),
        or_none(row.reach.map(days)),
        days(row.keep),
        or_none(row.bytes_per_day.map(size)),
        forecast,
        // Of what nothing is known there is not nothing to be said.
        or_none(row.oldest.map(|_| row.gaps.len().to_string())),
        or_none(row.lost.filter(|_| row.why.is_none()).map(|lost| lost.to_string())),
    ]
}

/// Days to a tenth.
fn days(seconds: u64) -> String {
    let tenths = seconds / 8640;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Bytes in the unit that fits.
fn size(bytes: u64) -> String {
    let (shift, word) = match bytes {
        0..0x10_0000 => (10, "K"),
        0x10_0000..0x4000_0000 => (20, "M"),
        _ => (30, "G"),
    };
    let tenths = (u128::from(bytes) * 10) >> shift;
    format!("{}.{}{word}", tenths / 10, tenths % 10)
}
