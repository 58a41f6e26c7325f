//! The committed schema and reference are those of this code, and the shipped profiles are good.

use std::path::Path;

use snapbox::{Assert, Data};

use super::{options, repository};
use crate::profile::{Loaded, RealSources, load, reference_markdown, schema_json};

/// On a difference, `SNAPSHOTS=overwrite cargo test --lib profile` writes the file anew.
fn committed(path: &str, text: String) {
    let committed = Data::read_from(&repository().join(path), None).raw();
    Assert::new().action_env("SNAPSHOTS").eq(text, committed);
}

#[test]
fn the_committed_schema_is_current() {
    committed("docs/profile.schema.json", schema_json());
}

#[test]
fn the_committed_reference_is_current() {
    committed("docs/profile.md", reference_markdown());
}

#[test]
fn every_key_says_what_it_means() {
    fn walk(path: &str, schema: &serde_json::Value) {
        for (key, value) in schema.get("properties").and_then(|all| all.as_object()).unwrap() {
            let path = format!("{path}.{key}");
            let text = value.get("description").and_then(|text| text.as_str()).unwrap_or("");
            assert!(!text.is_empty(), "{path} has no description");
            for inner in [Some(value), value.get("items")].into_iter().flatten() {
                if inner.get("properties").is_some() {
                    walk(&path, inner);
                }
            }
        }
    }
    walk("", &serde_json::from_str(&schema_json()).unwrap());
}

fn shipped(name: &str) -> Loaded {
    let mut options = options();
    // Who owns the checkout is none of this test's business.
    options.search = vec![repository().join("profiles")];
    let path = Path::new("profiles").join(name);
    let path = repository().join(path);
    match load(&path, &RealSources, &options) {
        Ok(loaded) => loaded,
        Err(failed) => panic!("{}", failed.render(false)),
    }
}

#[test]
fn shipped_profiles_load_without_a_word() {
    for name in ["baseline.toml", "sbtc-signer.toml", "example-host.toml"] {
        let loaded = shipped(name);
        let said: Vec<_> = loaded
            .diagnostics
            .iter()
            .filter(|each| matches!(each.place, crate::profile::Place::Span(_)))
            .collect();
        assert!(said.is_empty(), "{name}: {}", loaded.render_warnings(false));
    }
}

#[test]
fn the_example_is_the_signer_made_narrower() {
    let loaded = shipped("example-host.toml");
    let firewall = loaded.profile.firewall.as_ref().unwrap();
    let names: Vec<_> = firewall.allow.iter().map(|allow| allow.name.as_str()).collect();
    assert_eq!(names, ["ssh", "signer-p2p", "stacks-p2p", "bitcoin-p2p"]);
    assert_eq!(firewall.allow[0].tcp().len(), 1, "the inherited ports stay");
    assert_eq!(firewall.allow[0].from.as_ref().unwrap().len(), 2);
    let origin = |path: &[&str]| {
        let at = loaded.origin(path).unwrap();
        at.file.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(origin(&["ssh", "permit_root_login"]), "example-host.toml");
    assert_eq!(origin(&["ssh", "max_auth_tries"]), "baseline.toml");
    assert_eq!(origin(&["journal", "rate_limit_burst"]), "sbtc-signer.toml");
    assert_eq!(origin(&["firewall", "allow", "signer-p2p"]), "example-host.toml");
    assert!(firewall.allow[1].tcp().is_empty(), "the signer's own configuration says them");
    let files: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(files, ["baseline.toml", "sbtc-signer.toml", "example-host.toml"]);
    assert_eq!(loaded.digest.len(), 64);
    let json = serde_json::to_string(&loaded.profile).unwrap();
    let again: crate::profile::Profile = serde_json::from_str(&json).unwrap();
    assert_eq!(again, loaded.profile);
}
