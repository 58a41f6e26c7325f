//! Servers of another version than the host's own PostgreSQL, reached over TCP as a credential says.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;

/// Where one host finds the other's server.
const PORT: u16 = 6543;

/// A password with everything in it that has a meaning somewhere.
const PASSWORD: &str = "p@ss:w\\rd/%";

/// The same in a connection string.
const ENCODED: &str = "p%40ss%3Aw%5Crd%2F%25";

/// Ends a relay, whatever becomes of the test.
struct Ending<'a>(&'a Host, &'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        // It waits for somebody to come.
        drop(self.0.within(|| TcpStream::connect(("127.0.0.1", PORT))));
    }
}

/// Lets what comes to a port of `from` reach PostgreSQL in `to` for as long as `act` runs.
fn relayed(from: &Host, to: &Host, act: impl FnOnce()) {
    let listener = from.within(|| TcpListener::bind(("127.0.0.1", PORT))).unwrap().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for near in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let near = near.unwrap();
                let far = to.within(|| TcpStream::connect(("127.0.0.1", 5432))).unwrap().unwrap();
                for (mut one, mut other) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    thread::spawn(move || {
                        // Either end may go at any time; the other is told.
                        drop(io::copy(&mut one, &mut other));
                        drop(other.shutdown(Shutdown::Write));
                    });
                }
            }
        });
        let _ending = Ending(from, &over);
        act();
    });
}

/// Debian 12 has PostgreSQL 15, Debian 13 has 17.
#[test]
fn a_server_is_dumped_by_a_newer_client_and_not_by_an_older_one() {
    failures_show_at_once();
    let options = || Options { image: Image::Postgres, ..Options::default() };
    let [old, new] =
        [Suite::Bookworm, Suite::Trixie].map(|suite| Host::with(suite, options()).unwrap());
    for host in [&old, &new] {
        prepare(host, &database(rows(&group())));
        let password = PASSWORD.replace('\'', "''");
        sql(host, "signer", &format!("ALTER ROLE \"holdfast-backup\" PASSWORD '{password}'"));
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{profile}credential = true\n"));
        let output = holdfast(host, &["backup", "run", "signer-db"]);
        assert!(
            output.stderr.contains("no credential holdfast-backup.signer-db"),
            "{}",
            output.stderr
        );
    }
    let string = format!("postgresql://holdfast-backup:{ENCODED}@127.0.0.1:{PORT}/signer");
    let credential = "/etc/credstore/holdfast-backup.signer-db";

    relayed(&old, &new, || {
        old.push(credential, &string, 0o644).unwrap();
        let output = holdfast(&old, &["backup", "run", "signer-db"]);
        assert!(output.stderr.contains("others can read it"), "{}", output.stderr);
        assert!(!output.stderr.contains("p%40"), "{}", output.stderr);
        old.push(credential, &string, 0o600).unwrap();
        let output = holdfast(&old, &["backup", "run", "signer-db"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        assert!(
            output.stderr.contains("of version 17, and the newest client here of 15"),
            "{}",
            output.stderr
        );
        assert_eq!(old.sh(&format!("ls {STORE}")).unwrap().stdout, "");
        // Off the host, nothing goes without TLS.
        let elsewhere = string.replace("127.0.0.1", "192.0.2.1") + "?sslmode=prefer";
        old.push(credential, &elsewhere, 0o600).unwrap();
        let output = holdfast(&old, &["backup", "run", "signer-db"]);
        assert!(output.stderr.contains("say sslmode=verify-full"), "{}", output.stderr);
    });

    relayed(&new, &old, || {
        new.push(credential, &string, 0o600).unwrap();
        let manifest = make(&new, true);
        assert_eq!(manifest["server_version"].as_u64().unwrap() / 10_000, 15);
        assert_eq!(
            (&manifest["client_major"], &manifest["proof"]["server_major"]),
            (&17.into(), &17.into())
        );

        // Encrypted for this host, and opened by systemd for the unit alone; the password is in no process's arguments or
        // environment while it is used.
        let encrypt = format!(
            "mkdir -p /etc/credstore.encrypted
             systemd-creds encrypt --with-key=host --name=holdfast-backup.signer-db {credential} /etc/credstore.encrypted/holdfast-backup.signer-db
             rm {credential}"
        );
        new.sh(&encrypt).unwrap().ok().unwrap();
        make(&new, true);
        new.run(["systemctl", "start", "holdfast-backup@signer-db.service"]).unwrap().ok().unwrap();
        new.run(["systemctl", "start", "holdfast-backup-watch@signer-db.service"])
            .unwrap()
            .ok()
            .unwrap();
        sql(
            &old,
            "signer",
            "INSERT INTO sbtc_signer.stacks_blocks SELECT sha256(n::text::bytea), n, sha256(n::text::bytea), '\\x01' FROM generate_series(1000000, 1150000) n",
        );
        let seen = "holdfast backup run signer-db >/tmp/out 2>&1 & run=$!
            for _ in $(seq 6000); do
                pkill -STOP -u holdfast-backup -x pg_dump && break
                kill -0 $run 2>/dev/null || exit 99
                sleep 0.01
            done
            cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >/tmp/seen
            pkill -CONT -u holdfast-backup -x pg_dump; wait $run";
        let ran = new.sh(seen).unwrap();
        if ran.status != Some(99) {
            let seen = String::from_utf8(new.read("/tmp/seen").unwrap()).unwrap();
            assert!(seen.contains("PGPASSFILE=/proc/self/fd/"), "{seen}");
            assert!(!seen.contains("p@ss") && !seen.contains("p%40ss"), "{seen}");
        }
    });
}
