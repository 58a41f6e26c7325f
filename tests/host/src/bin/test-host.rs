//! Boots hosts for people to look at and try things on: `test-host boot NAME`, `test-host shell NAME`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the bans steer holdfast to its own doors to the machine; a test harness has none"
)]

use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use holdfast_test_host::{Host, Image, Named, Options, Suite};

const USAGE: &str = "\
usage: test-host image [OPTION...]                    make the image now rather than at the first boot
       test-host boot NAME [OPTION...]                boot a host that stays up
       test-host run NAME -- COMMAND [ARG...]         run a command in it, with its exit status
       test-host shell NAME                           a shell in it
       test-host list                                 the hosts that are up
       test-host stop NAME                            take it down, with all that was in it
OPTION is --suite SUITE (bookworm, or trixie, the default), --containers (with Docker and Podman), --postgres (with a server),
--journals (with systemd-journal-remote), --machine (with a kernel) or --blank (without holdfast).";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match act(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["image", options @ ..] => {
            let (suite, options) = parse(options)?;
            println!("{}", holdfast_test_host::ensure_image(suite, options.image)?.display());
        }
        ["boot", name, options @ ..] if !name.starts_with('-') => {
            let (suite, options) = parse(options)?;
            Host::leave_running(name, suite, &options)?;
            println!("{name} is up: test-host shell {name}");
        }
        ["run", name, "--", command @ ..] if !command.is_empty() => return enter(name, command),
        ["shell", name] => return enter(name, &["bash", "-l"]),
        ["list"] => {
            for host in holdfast_test_host::named()? {
                let state = host.inside().map_or("down".into(), |i| format!("up, PID {}", i.pid()));
                println!("{}\t{state}", host.name);
            }
        }
        ["stop", name] => find(name)?.stop()?,
        ["help" | "-h" | "--help"] => println!("{USAGE}"),
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(64)); // EX_USAGE
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What [`USAGE`] calls options.
fn parse(mut words: &[&str]) -> Result<(Suite, Options)> {
    let (mut suite, mut options) = (Suite::Trixie, Options::default());
    loop {
        match words {
            [] => return Ok((suite, options)),
            ["--suite", name, rest @ ..] => (suite, words) = (name.parse()?, rest),
            ["--blank", rest @ ..] => (options.blank, words) = (true, rest),
            ["--machine", rest @ ..] => (options.image, words) = (Image::Machine, rest),
            ["--postgres", rest @ ..] => (options.image, words) = (Image::Postgres, rest),
            ["--journals", rest @ ..] => (options.image, words) = (Image::Journals, rest),
            ["--containers", rest @ ..] => (options.image, words) = (Image::Containers, rest),
            [word, ..] => bail!("Unknown option {word}\n{USAGE}"),
        }
    }
}

fn find(name: &str) -> Result<Named> {
    let hosts = holdfast_test_host::named()?;
    let known = hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>().join(", ");
    let host = hosts.into_iter().find(|host| host.name == name);
    host.with_context(|| format!("There is no host {name}; there are: {known}"))
}

/// Becomes a command in a host; returns only when it cannot.
fn enter(name: &str, words: &[&str]) -> Result<ExitCode> {
    let inside = find(name)?.inside()?;
    // A terminal of the host's own, as this machine's does not exist in it.
    let script = ["script", "--quiet", "--return", "--command"];
    let is_terminal = std::io::stdin().is_terminal();
    let quoted = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let mut command = if is_terminal {
        inside.command(script.into_iter().chain([quoted.as_str(), "/dev/null"]))?
    } else {
        inside.command(words)?
    };
    command.env("TERM", std::env::var("TERM").unwrap_or_else(|_| "dumb".into()));
    command.stdin(Stdio::inherit());
    Err(command.exec()).context("Cannot enter the host")
}

/// A word as a shell takes it literally.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
