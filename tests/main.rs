//! Every test that needs a booted Debian host, in one binary: they share their support, and link once.
//!
//! `make test` makes what they need (the package, the images). Each test boots hosts of its own and leaves nothing.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and read files of hosts they made themselves"
)]

#[macro_use]
mod support;

mod backup;
mod backup_chain;
mod backup_joint;
mod backup_watch;
mod boot;
mod cli;
mod confirm;
mod containers;
mod early;
mod engine;
mod evidence;
mod exposure;
mod firewall;
mod from_config;
mod gap;
mod journal;
mod key;
mod kill;
mod lease;
mod login;
mod logs;
mod logs_around;
mod logs_config;
mod logs_losses;
mod logs_room;
mod logs_sources;
mod neighbours;
mod package;
mod pull;
mod recovery;
mod services;
mod ssh;
mod sysctl;
mod vm;

/// A file in this folder that is not listed above would never run.
#[test]
fn every_file_is_listed() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|e| e == "rs") && name != "main" {
            assert!(listed.contains(&format!("mod {name};")), "tests/{name}.rs is not listed");
        }
    }
}
