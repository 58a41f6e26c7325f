//! Tests of the profile as a whole: cases on disk, generated documents, properties.

mod cases;
mod faults;
mod generated;
mod merging;
mod properties;
mod values;

use std::path::{Path, PathBuf};

use jiff::civil;

use super::{MemorySources, Options, load};
use crate::profile::{LoadFailed, Loaded};

/// The day on which all tests take place.
const TODAY: civil::Date = civil::date(2026, 11, 21);

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn options() -> Options {
    let mut options = Options::new(nix::unistd::geteuid().as_raw(), TODAY);
    options.search = vec!["shipped".into()];
    options
}

/// Loads `profile.toml` from files in memory.
fn load_text(files: &[(&str, &str)]) -> Result<Loaded, LoadFailed> {
    let mut sources = MemorySources::default();
    for (path, text) in files {
        sources.insert(path, *text);
    }
    load(Path::new("profile.toml"), &sources, &options())
}

/// Loads one text and gives the messages of everything found.
fn messages(text: &str) -> Vec<String> {
    let found = match load_text(&[("profile.toml", text)]) {
        Ok(loaded) => loaded.diagnostics,
        Err(failed) => failed.diagnostics,
    };
    found.into_iter().map(|each| each.message).collect()
}
