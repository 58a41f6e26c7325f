//! The links by which systemd enables, aliases and masks a unit: all of its links, and those of the units that its
//! `Also=` sets up together with it.
//!
//! Only links about that unit are looked at. What was enabled by a package or a person in the meantime is none of a
//! roll-back's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{HostError, Reader, files::Files};
use crate::engine::change::{FileState, Folder, UnitLinks};

/// Where enabling and masking make links: for good, and until the next boot.
pub(super) const LINK_DIRS: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];

/// Where unit files are, the first one that has it counts.
const UNIT_DIRS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// The links about a unit as they are now, and the folders of links that there are.
///
/// # Errors
/// When a folder or link cannot be read.
pub fn unit_links(reader: &Reader, unit: &str) -> Result<UnitLinks, HostError> {
    let files = reader.files();
    let units = together(files, unit)?;
    let mut found = UnitLinks { links: BTreeMap::new(), folders: BTreeMap::new() };
    for dir in LINK_DIRS {
        add_folder(files, dir, &mut found.folders)?;
        for name in files.list(dir)? {
            let path = format!("{dir}/{name}");
            let is_link_folder =
                [".wants", ".requires", ".upholds"].iter().any(|suffix| name.ends_with(suffix));
            if is_link_folder && !files.is_link(&path) {
                add_folder(files, &path, &mut found.folders)?;
                for name in files.list(&path)? {
                    add_link(files, format!("{path}/{name}"), &units, &mut found.links)?;
                }
            } else {
                add_link(files, path, &units, &mut found.links)?;
            }
        }
    }
    Ok(found)
}

fn add_folder(
    files: &Files,
    path: &str,
    folders: &mut BTreeMap<String, Folder>,
) -> Result<(), HostError> {
    let state = files.state(path)?;
    if let (FileState::Directory { .. }, Some(mtime)) = (&state, files.modified_at(path)?) {
        folders.insert(path.to_owned(), Folder { state, mtime });
    }
    Ok(())
}

fn add_link(
    files: &Files,
    path: String,
    units: &BTreeSet<String>,
    links: &mut BTreeMap<String, FileState>,
) -> Result<(), HostError> {
    if !files.is_link(&path) {
        return Ok(());
    }
    let state = files.state(&path)?;
    let FileState::Symlink { target, .. } = &state else { return Ok(()) };
    if units.contains(last(&path)) || units.contains(last(target)) {
        links.insert(path, state);
    }
    Ok(())
}

fn last(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// A unit and those that are set up with it, for that is what their `Also=` says.
///
/// # Errors
/// When a unit file is there and cannot be read.
pub fn set_up_together(reader: &Reader, unit: &str) -> Result<BTreeSet<String>, HostError> {
    together(reader.files(), unit)
}

fn together(files: &Files, unit: &str) -> Result<BTreeSet<String>, HostError> {
    let mut units = BTreeSet::new();
    let mut open = vec![unit.to_owned()];
    while let Some(unit) = open.pop() {
        if !units.contains(&unit) {
            open.extend(also(&unit_file(files, &unit)?));
            units.insert(unit);
        }
    }
    Ok(units)
}

/// The text of a unit's file below whatever masks it; that of the template for an instance; empty without one.
fn unit_file(files: &Files, unit: &str) -> Result<String, HostError> {
    let template = match (unit.split_once('@'), unit.rsplit_once('.')) {
        (Some((stem, _)), Some((_, suffix))) => Some(format!("{stem}@.{suffix}")),
        _ => None,
    };
    for name in std::iter::once(unit.to_owned()).chain(template) {
        for dir in UNIT_DIRS {
            match files.text(&format!("{dir}/{name}"))? {
                Some(text) if !text.is_empty() => return Ok(text),
                _ => {}
            }
        }
    }
    Ok(String::new())
}

/// The units in `Also=` of the `[Install]` section.
fn also(text: &str) -> Vec<String> {
    let mut in_install = false;
    let mut units = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_install = line == "[Install]";
        } else if let Some((key, value)) = line.split_once('=')
            && in_install
            && key.trim() == "Also"
        {
            units.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_about_a_unit_are_found_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path.trim_start_matches('/'));
        for dir in [
            "/etc/systemd/system/multi-user.target.wants",
            "/etc/systemd/system/sockets.target.wants",
            "/usr/lib/systemd/system",
        ] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        let unit = "[Unit]\nAlso=no.service\n[Install]\nAlias=other.service\nAlso=a.socket\n";
        #[expect(clippy::disallowed_methods, reason = "a fixture")]
        std::fs::write(at("/usr/lib/systemd/system/a.service"), unit).unwrap();
        for (path, target) in [
            ("multi-user.target.wants/a.service", "/lib/systemd/system/a.service"),
            ("multi-user.target.wants/b.service", "/lib/systemd/system/b.service"),
            ("sockets.target.wants/a.socket", "/lib/systemd/system/a.socket"),
            ("other.service", "/lib/systemd/system/a.service"),
            ("no.service", "/dev/null"),
        ] {
            symlink(target, at("/etc/systemd/system").join(path)).unwrap();
        }
        let found = unit_links(&Reader::below(root.path()), "a.service").unwrap();
        let links: Vec<&str> =
            found.links.keys().map(|path| path.strip_prefix(LINK_DIRS[0]).unwrap()).collect();
        assert_eq!(
            links,
            [
                "/multi-user.target.wants/a.service",
                "/other.service",
                "/sockets.target.wants/a.socket"
            ]
        );
        assert_eq!(found.folders.len(), 3);

        // Masked, it is still known by what is below the mask.
        symlink("/dev/null", at("/etc/systemd/system/a.service")).unwrap();
        let found = unit_links(&Reader::below(root.path()), "a.service").unwrap();
        assert_eq!(found.links.len(), 4);
    }

    #[test]
    fn an_instance_is_set_up_by_its_template() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("usr/lib/systemd/system");
        std::fs::create_dir_all(&dir).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a fixture")]
        std::fs::write(dir.join("a@.service"), "[Install]\nAlso=a.socket b.socket\n").unwrap();
        let reader = Reader::below(root.path());
        let units = together(reader.files(), "a@one.service").unwrap();
        assert_eq!(Vec::from_iter(units), ["a.socket", "a@one.service", "b.socket"]);
    }
}
