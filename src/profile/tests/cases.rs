//! `tests/cases/profile/NAME/`: a `profile.toml` with whatever it extends, and in `expected.txt`
//! all that is said of it, word for word. `SNAPSHOTS=overwrite` writes the expected text anew.

use std::path::{Path, PathBuf};

use snapbox::{Assert, Data};

use super::{options, repository};
use crate::profile::source::SourceFile;
use crate::profile::{Facts, RealSources, Sources, load};

/// The case's folder as if it were the current one, with permissions nobody can object to.
struct Folder(PathBuf);

impl Sources for Folder {
    fn read(&self, path: &Path, limit: usize) -> std::io::Result<SourceFile> {
        let file = RealSources.read(&self.0.join(path), limit)?;
        Ok(SourceFile { facts: None, ..file })
    }

    fn identity(&self, path: &Path) -> std::io::Result<PathBuf> {
        RealSources.identity(&self.0.join(path))
    }

    fn folders(&self, _: &Path) -> Vec<(PathBuf, Facts)> {
        Vec::new()
    }
}

#[test]
fn every_case_says_what_is_expected() {
    let root = repository().join("tests/cases/profile");
    let mut cases: Vec<_> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "the cases are gone from {}", root.display());
    let mut stale = Vec::new();
    for case in cases {
        let sources = Folder(case.clone());
        let said = match load(Path::new("profile.toml"), &sources, &options()) {
            Ok(loaded) => {
                let profile = serde_json::to_string_pretty(&loaded.profile).unwrap();
                format!("{}{profile}\n", loaded.render_warnings(false))
            }
            Err(failed) => format!("{}\n{failed}\n", failed.render(false)),
        };
        let check = || {
            Assert::new()
                .action_env("SNAPSHOTS")
                .eq(said, Data::read_from(&case.join("expected.txt"), None).raw());
        };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err() {
            stale.push(case.file_name().unwrap().to_owned());
        }
    }
    assert!(stale.is_empty(), "not as expected: {stale:?}");
}
