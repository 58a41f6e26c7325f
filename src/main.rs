//! The `holdfast` program: arguments in, exit code out.

#[cfg(not(leaves_memory))]
use std::alloc::System;
use std::process::ExitCode;

use clap::Parser as _;
use holdfast::{
    cli::{self, Cli, Environment, failure::Exit},
    report,
};
#[cfg(not(leaves_memory))]
use zeroizing_alloc::ZeroAlloc;

/// Wipes what is freed, for the sake of the processes that hold keys or what was decrypted with them: age and the parser of
/// TOML keep plain copies and wipe none. `make bench` builds one without, to see what this costs.
#[cfg(not(leaves_memory))]
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

#[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
fn environment() -> Environment {
    let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let args: Vec<String> =
        std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    Environment {
        plain: is_set("NO_COLOR") || std::env::var("TERM").is_ok_and(|term| term == "dumb"),
        sudo_user: std::env::var("SUDO_USER").ok().filter(|user| !user.is_empty()),
        command: format!("holdfast {}", args.join(" ")).trim_end().to_owned(),
    }
}

fn main() -> ExitCode {
    let environment = environment();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A stream that cannot be written to has no reader to tell.
            drop(error.print());
            let is_question = !error.use_stderr();
            return if is_question { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    report::journal::start();
    // One thread: the work is a few reads and a few children, and fewer threads start faster.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            use std::io::Write as _;
            drop(writeln!(std::io::stderr(), "error: cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    runtime.block_on(cli::run(cli, environment)).into()
}
