//! A server in a container that nothing but the engine's `exec` reaches.

use super::*;

/// A host with both engines, and with the server and all that belongs to it taken from another image of the same release:
/// an image with both would take minutes to make.
const SETTLE: &str = r#"
set -e
cp --archive --no-clobber /srv/image/usr/. /usr/
useradd --system postgres
systemd-sysusers /usr/share/holdfast/accounts.conf
for who in alice bob; do age-keygen -o /root/$who.txt 2>/dev/null; done
mkdir -p /etc/holdfast
cat >/etc/holdfast/profile.toml <<PROFILE
[[people]]
name = "alice"
age_recipient = "$(age-keygen -y /root/alice.txt)"
[[people]]
name = "bob"
age_recipient = "$(age-keygen -y /root/bob.txt)"
[backup.signer-db]
database = "signer"
to = ["alice", "bob"]
keep_free = "1M"
container = "signer-postgres"
PROFILE
chmod 600 /etc/holdfast/profile.toml
# As in the tests of the firewall: not every machine that tests may count processes in a container.
printf '[containers]\npids_limit = 0\n[engine]\nruntime = "runc"\n' >/etc/containers/containers.conf
"#;

/// A container without any network, with a server in it as the image `postgres` sets one up: `trust` on its socket, its
/// clients on the path.
const START: &str = r#"
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
rm -rf /srv/db /srv/root
install -d -o postgres /srv/db
mkdir -p /srv/root/usr /srv/root/etc /srv/root/var /srv/root/run /srv/root/tmp
for name in bin sbin lib lib64; do ln -s usr/$name /srv/root/$name; done
ln -s /run /srv/root/var/run
cp /etc/passwd /etc/group /srv/root/etc/
tar -C /srv/root -c . | ENGINE import --change "ENV PATH=$bin:/usr/sbin:/usr/bin" - base >/dev/null
runuser -u postgres -- $bin/initdb --username=postgres --auth-local=trust --encoding=UTF8 --locale=C -D /srv/db >/dev/null
ENGINE run --detach --name signer-postgres --network none -v /usr:/usr:ro -v /srv/db:/srv/db --tmpfs /run --tmpfs /tmp \
    base sh -c 'mkdir /run/postgresql && chown postgres /run/postgresql &&
        exec setpriv --reuid postgres --regid postgres --clear-groups postgres -D /srv/db -c listen_addresses=' >/dev/null
for _ in $(seq 600); do ENGINE exec signer-postgres psql -U postgres -c 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.2; done
for name in signer back; do
    ENGINE exec signer-postgres psql -U postgres -v ON_ERROR_STOP=1 -qc "CREATE DATABASE $name ENCODING 'UTF8' TEMPLATE template0"
done
ENGINE exec signer-postgres createuser -U postgres owner
"#;

fn backed_up(host: &Host, engine: &str) {
    host.sh(&START.replace("ENGINE", engine)).unwrap().ok().unwrap();
    let words = [
        engine,
        "exec",
        "-i",
        "signer-postgres",
        "psql",
        "-U",
        "postgres",
        "-q1",
        "-v",
        "ON_ERROR_STOP=1",
        "signer",
    ];
    let data = Database { stacks_blocks: 150_000, ..database(rows(&group())) };
    host.command(words).unwrap().stdin(data.sql()).run().unwrap().ok().unwrap();

    assert_eq!(backup(host, &["role", "signer-db"]).0, 2);
    assert_eq!(backup(host, &["role", "signer-db", "--make"]).0, 0);
    let manifest = make(host, true);
    assert_eq!(manifest["rows"]["sbtc_signer.stacks_blocks"], 150_000);

    // From the units, whose sandboxes would not let them enter a container themselves.
    for unit in ["holdfast-backup@signer-db.service", "holdfast-backup-watch@signer-db.service"] {
        let started = host.run(["systemctl", "start", unit]).unwrap();
        let log = host.sh(&format!("journalctl -q -o cat -u {unit}")).unwrap().stdout;
        assert_eq!(started.status, Some(0), "{log}");
    }

    // What a killed run leaves in the container is ended by the next one, and a look for DKG rows that goes on meanwhile is not.
    let count = |program: &str| {
        let connections = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast {program} signer-db'"
        );
        let words =
            [engine, "exec", "signer-postgres", "psql", "-U", "postgres", "-AtXc", &connections];
        host.run(words).unwrap().ok().unwrap().stdout.trim().to_owned()
    };
    let look = "setsid holdfast backup watch signer-db >/tmp/looked 2>&1 </dev/null & look=$!
        while kill -0 $look 2>/dev/null; do
            pgrep -f '^postgres: .* signer .* idle in transaction' >/dev/null && pkill -STOP -x psql && exit
        done
        exit 99";
    let met = (0..20).any(|_| host.sh(look).unwrap().status == Some(0) && count("psql") == "1");
    assert!(met, "it was over too soon each time");
    let leave = "holdfast backup run signer-db >/tmp/out 2>&1 & run=$!
        for _ in $(seq 6000); do
            pgrep -f '^postgres: .* signer .* COPY' >/dev/null && pkill -STOP -x pg_dump && break
            kill -0 $run 2>/dev/null || exit 99
            sleep 0.01
        done
        kill -9 $run; wait $run || :";
    let met = (0..5).any(|_| host.sh(leave).unwrap().status == Some(0));
    assert!(met, "it was over too soon each time");
    assert_ne!(count("pg_dump"), "0");
    make(host, true);
    assert_eq!((count("pg_dump"), count("psql")), ("0".to_owned(), "1".to_owned()));
    host.sh("pkill -KILL -x 'psql|pg_dump' || :").unwrap().ok().unwrap();

    // Back into the container.
    let id = manifest["id"].as_str().unwrap();
    let mut words = vec!["backup", "restore", id, "--into", "back", "--identity", "/root/bob.txt"];
    // The database is the superuser's there, as images make it.
    let refused = holdfast(host, &words);
    assert!(refused.stderr.contains("say --owner ROLE"), "{}", refused.stderr);
    words.extend(["--owner", "owner"]);
    let restored = holdfast(host, &words);
    assert_eq!(restored.status, Some(0), "{}", restored.stderr);
    let (_, rows) = backup(host, &["rows"]);
    let id = rows["backups"][0]["id"].as_str().unwrap();
    let words = ["restore-rows", id, "--into", "back", "--identity", "/root/bob.txt"];
    let (exit, put) = backup(host, &words);
    let put: Vec<_> =
        put["rows"].as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!((exit, put), (0, vec!["there"; 2]));

    host.run([engine, "rm", "--force", "signer-postgres"]).unwrap().ok().unwrap();
    let output = holdfast(host, &["backup", "run", "signer-db"]);
    assert!(
        output.stderr.contains("pg_dump cannot be run in the container signer-postgres"),
        "{}",
        output.stderr
    );
    host.sh(&format!("rm -rf {STORE}")).unwrap().ok().unwrap();
}

fn by_exec(suite: Suite) {
    failures_show_at_once();
    let image = holdfast_test_host::ensure_image(suite, Image::Postgres).unwrap();
    let options = Options {
        image: Image::Containers,
        capabilities: vec!["CAP_IPC_LOCK".to_owned()],
        nspawn: vec![format!("--bind-ro={}:/srv/image", image.display())],
        ..Options::default()
    };
    let host = Host::with(suite, options).unwrap();
    host.sh(SETTLE).unwrap().ok().unwrap();
    backed_up(&host, "docker");
    // What Docker leaves behind would be in Podman's way.
    host.sh("systemctl stop docker.service docker.socket; nft flush ruleset")
        .unwrap()
        .ok()
        .unwrap();
    backed_up(&host, "podman");
}

mod a_server_in_a_container_is_backed_up_by_exec {
    use super::*;

    #[test]
    fn bookworm() {
        by_exec(Suite::Bookworm);
    }

    #[test]
    fn trixie() {
        by_exec(Suite::Trixie);
    }
}
