//! A PostgreSQL that lives for a proof: without network, of an account of its own, gone afterwards.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::server::{Connection, ServerError, account, choose, versions};
use crate::host::{
    HostError, Reader,
    scratch::{Claim, Place, Scratch},
    stage::{Floor, Stage},
};

/// The account of the ephemeral server: it owns nothing, and is no role of any other server.
pub const PROVER: &str = "holdfast-proof";

/// How long an ephemeral server may take to start on a busy machine; it takes a tenth of a second on an idle one.
pub(super) const START_LIMIT: Duration = Duration::from_secs(120);

/// How often it is asked whether it has.
const POLL: Duration = Duration::from_millis(20);

/// A server that lives for a proof.
#[derive(Debug)]
pub struct Ephemeral {
    /// How it is reached.
    pub connection: Connection,
    /// Its programs.
    pub bin: PathBuf,
    /// Its major version.
    pub major: u32,
    stage: Option<Stage>,
    scratch: Scratch,
}

/// One whose folder is being made, while its programs can be used already.
#[derive(Debug)]
pub struct Begun {
    /// How it will be reached.
    pub connection: Connection,
    /// Its programs.
    pub bin: PathBuf,
    major: u32,
    place: Place,
    limit: Duration,
    initdb: Stage,
    scratch: Scratch,
}

/// It is thrown away: what a crash would cost is of no interest.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "min_wal_size=2MB",
    "max_connections=8",
    "max_worker_processes=0",
    "dynamic_shared_memory_type=mmap",
];

/// In memory, a few tables: little of it.
const SMALL: &[&str] = &["shared_buffers=16MB", "max_wal_size=16MB"];

/// On a disk, the whole database: with the smallest numbers its indexes would take several times as long. What a rows' copy
/// writes ahead in the transaction that made its table is nothing (`wal_level=minimal`).
const LARGE: &[&str] = &["shared_buffers=128MB", "maintenance_work_mem=128MB", "max_wal_size=1GB"];

impl Ephemeral {
    /// Begins one of this major version or the next newer one that is there. `limit`: how long a program that uses it may
    /// take.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn begin(
        reader: &Reader,
        claim: &Claim,
        major: u32,
        place: Place,
        limit: Duration,
    ) -> Result<Begun, ServerError> {
        let identity = account(reader, PROVER)?;
        let servers = versions(reader, "postgres")?;
        let (major, bin) = choose(&servers, major).ok_or(ServerError::NoServer(major))?;
        let scratch = Scratch::make(claim, identity, place)?;
        let mut connection = Connection::new(identity, &scratch.socket(), PROVER);
        connection.isolated = true;
        connection.env.push(("PGDATABASE", "postgres".to_owned()));

        let initdb = bin.join("initdb");
        let data = format!("--pgdata={}", scratch.data());
        let args = [
            data.as_str(),
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=peer",
            "--auth-host=reject",
            "--wal-segsize=1",
        ];
        let initdb = connection.launch(&initdb, &args, START_LIMIT).start()?;
        Ok(Begun { connection, bin: bin.clone(), major, place, limit, initdb, scratch })
    }

    fn wait(&self) -> Result<(), ServerError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if self.connection.ask(&self.bin, "SELECT 1").is_ok() {
                return Ok(());
            }
            let runs = self.stage.as_ref().is_some_and(Stage::runs);
            if !runs || Instant::now() > deadline {
                return Err(ServerError::NoStart);
            }
            thread::sleep(POLL);
        }
    }

    /// Whether it was stopped because too little was left where its data are, and how much that is.
    pub fn starved(&self) -> Option<Floor> {
        let was_starved = self.stage.as_ref().is_some_and(Stage::was_starved);
        was_starved.then(|| self.scratch.floor())
    }

    /// A file that its programs can read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<String, HostError> {
        self.scratch.file(name, text)
    }
}

impl Begun {
    /// Starts it, and waits until it answers. Must be called from the thread that began it.
    ///
    /// # Errors
    /// [`ServerError`].
    pub fn start(self) -> Result<Ephemeral, ServerError> {
        let Self { connection, bin, major, place, limit, initdb, scratch } = self;
        initdb.answer()?;
        let postgres = bin.join("postgres");
        let (data, socket) = (scratch.data(), scratch.socket());
        let mut args = vec!["-D", data.as_str(), "-k", socket.as_str()];
        let sizes = match place {
            Place::Memory => SMALL,
            Place::Disk { .. } => LARGE,
        };
        args.extend(SETTINGS.iter().chain(sizes).flat_map(|setting| ["-c", *setting]));
        // All is restored, and then all is checked, each within the limit; it is not to be gone before either says so.
        let limit = limit.saturating_mul(3).saturating_add(START_LIMIT);
        // It runs what is in the dump.
        let stage = connection.launch(&postgres, &args, limit).start_alone(&scratch.floor())?;
        let server = Ephemeral { connection, bin, major, stage: Some(stage), scratch };
        server.wait()?;
        Ok(server)
    }
}

/// How long it may take to end by itself: what it would save is not wanted.
const STOP_LIMIT: Duration = Duration::from_secs(10);

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if let Some(stage) = self.stage.take() {
            // "Immediate shutdown" (PostgreSQL's documentation, "Shutting Down the Server").
            stage.stop(Signal::SIGQUIT, STOP_LIMIT);
        }
    }
}
