//! The published vectors of age (C2SP/CCTV, `age/testdata`), which the crate that we open envelopes with carries: each opens,
//! or does not, as it says of itself, with what a drill and a restore open with.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use age::armor::{ArmoredWriter, Format};
use sha2::{Digest as _, Sha256};

use super::seal::{LARGEST, open};
use crate::backup::curve::hex;

/// Where the crate is, by cargo's own word: wherever this machine keeps it.
#[expect(clippy::disallowed_methods, reason = "a test asks cargo, which runs it")]
fn testkit() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // Of other platforms' crates nothing need be here.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let age = packages.iter().find(|package| package["name"] == "age").unwrap();
    let manifest = PathBuf::from(age["manifest_path"].as_str().unwrap());
    manifest.with_file_name("tests/testdata/testkit")
}

/// A vector: lines of `name: value`, an empty one, and the file (C2SP/CCTV, age/README.md).
struct Vector {
    name: String,
    head: Vec<(String, String)>,
    file: Vec<u8>,
}

impl Vector {
    #[expect(clippy::disallowed_methods, reason = "a test reads what cargo has unpacked")]
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let head = str::from_utf8(&bytes[..end]).unwrap().lines();
        let head = head.filter_map(|line| line.split_once(": "));
        Self {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            head: head.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            file: bytes[end + 2..].to_vec(),
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.head.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The file as a medium has one: armored. `None`: it says that it is, and is no text at all.
    fn armored(&self) -> Option<String> {
        if self.all("armored") == ["yes"] {
            return String::from_utf8(self.file.clone()).ok();
        }
        let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        armor.write_all(&self.file).unwrap();
        String::from_utf8(armor.finish().unwrap()).ok()
    }
}

/// Headers without the short last line of a stanza, which the crate still reads, as age wrote them before its first release.
/// They are authenticated like any other.
const LENIENT: [&str; 2] = ["stanza_missing_body", "stanza_missing_final_line"];

#[test]
fn published_vectors_open_or_do_not_as_they_say() {
    let (mut opened, mut refused) = (0, 0);
    for entry in fs::read_dir(testkit()).unwrap() {
        let vector = Vector::read(&entry.unwrap().path());
        let Some(armored) = vector.armored() else { continue };
        // Of identities we have those of X25519 only: what is for others must not open with them, nor anything that is
        // compressed, which no envelope is, nor longer than one.
        let identities = vector.all("identity");
        let identities: Vec<age::x25519::Identity> =
            identities.iter().filter_map(|text| text.parse().ok()).collect();
        let is_ours = vector.all("passphrase").is_empty()
            && vector.all("compressed").is_empty()
            && identities.len() == vector.all("identity").len()
            && armored.len() <= LARGEST;
        let plain = identities.iter().find_map(|identity| open(identity, &armored).ok());
        let name = &vector.name;
        if LENIENT.contains(&name.as_str()) {
            continue;
        }
        if is_ours && vector.all("expect") == ["success"] {
            let plain = plain.unwrap_or_else(|| panic!("{name} does not open"));
            assert_eq!(vector.all("payload"), [hex(&Sha256::digest(&plain))], "{name}");
            opened += 1;
        } else if is_ours || armored.len() > LARGEST {
            assert!(plain.is_none(), "{name} opens");
            refused += 1;
        }
    }
    // Both kinds are there: this was no empty folder.
    assert!(opened >= 10 && refused >= 50, "{opened} opened, {refused} refused");
}
