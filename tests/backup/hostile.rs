//! What somebody has put into the database: it runs neither as holdfast's role, nor as a superuser, nor outlives a proof.

use super::*;

/// What is not to be run raises this.
const RAN: &str = "the code of somebody else ran";

/// Functions that fit what is asked for better than PostgreSQL's own do.
fn in_public() -> String {
    let functions = [
        "json_build_object(text, integer, text, boolean, text, bigint) RETURNS json",
        "json_build_object(text, text, text, sbtc_signer.dkg_shares_status, text, timestamptz, text, text) RETURNS json",
        "concat_ws(text, integer, bigint, bigint) RETURNS text",
    ];
    let each = functions.map(|function| {
        format!("CREATE FUNCTION public.{function} LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{RAN}'; END $$;")
    });
    each.concat()
}

/// As a superuser, who should not; gives what was said.
fn psql(host: &Host, database: &str, sql: &str) -> String {
    let words = ["runuser", "-u", "postgres", "--", "psql", "-qAtX", "-d", database, "-c", sql];
    host.run(words).unwrap().stderr
}

/// Has a server that is restored into do this as it reads the rows of Bitcoin blocks; the database's own does nothing.
fn plant(host: &Host, body: &str) {
    let sql = format!(
        "CREATE OR REPLACE FUNCTION public.act() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN
             IF current_database() <> 'signer' THEN {body} END IF;
             RETURN 1;
         END $$;
         CREATE OR REPLACE FUNCTION public.value(height bigint) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
             IF height = 900001 THEN RETURN public.act(); END IF;
             RETURN 0;
         END $$;
         ALTER TABLE sbtc_signer.bitcoin_blocks
             ADD COLUMN IF NOT EXISTS value int GENERATED ALWAYS AS (public.value(block_height)) STORED;"
    );
    sql_ok(host, &sql);
}

fn sql_ok(host: &Host, text: &str) {
    sql(host, "signer", text);
}

/// Runs a script beside a backup, and gives its exit code, what it said, and its JSON.
fn beside(host: &Host, args: &str, script: &str) -> (i32, Value) {
    let script = format!(
        "holdfast backup run {args} --format json signer-db >/tmp/run.json 2>/tmp/run.err & run=$!
         {script}
         code=0; wait $run || code=$?
         test -s /tmp/run.json || cat /tmp/run.err >&2
         exit $code"
    );
    let output = host.sh(&script).unwrap();
    let json = serde_json::from_slice(&host.read("/tmp/run.json").unwrap());
    host.sh("sleep 1.1").unwrap().ok().unwrap();
    (output.status.unwrap_or(-1), json.unwrap_or_else(|_| panic!("{}", output.stderr)))
}

/// Waits until a program of an account runs.
fn until(account: &str, program: &str) -> String {
    format!(
        "for _ in $(seq 3000); do
             pgrep -u {account} -x {program} >/dev/null && break
             kill -0 $run 2>/dev/null || {{ echo 'it never came to that' >&2; cat /tmp/run.err >&2; exit 99; }}
             sleep 0.02
         done"
    )
}

/// What makes PostgreSQL run what somebody wrote as it plans a question, and what takes it away.
const INDEX: (&str, &str) = (
    "CREATE INDEX planted ON sbtc_signer.dkg_shares ((aggregate_key || public.folded('\\x01')))",
    "DROP INDEX sbtc_signer.planted",
);

/// In the place of the table.
const VIEW: (&str, &str) = (
    "ALTER TABLE sbtc_signer.dkg_shares RENAME TO real;
     CREATE VIEW sbtc_signer.dkg_shares AS SELECT * FROM sbtc_signer.real;",
    "DROP VIEW sbtc_signer.dkg_shares; ALTER TABLE sbtc_signer.real RENAME TO dkg_shares",
);

/// Takes away what shows a status in another way.
const UNCAST: &str = "DROP CAST (sbtc_signer.dkg_shares_status AS json)";

/// What the table's owner can have run as somebody else, each with what takes it away, and what is said of it.
fn planted() -> [(String, &'static str, &'static str); 10] {
    let act = format!("BEGIN RAISE EXCEPTION '{RAN}'; END");
    let made = "uses what somebody made";
    [
        (INDEX.0.to_owned(), INDEX.1, made),
        (
            "CREATE INDEX planted ON sbtc_signer.dkg_shares (created_at) WHERE public.fits('x')".to_owned(),
            INDEX.1,
            made,
        ),
        (
            "CREATE STATISTICS sbtc_signer.planted ON (aggregate_key || public.folded('\\x01')), (1 + signature_share_threshold) FROM sbtc_signer.dkg_shares".to_owned(),
            "DROP STATISTICS sbtc_signer.planted",
            made,
        ),
        (
            "ALTER TABLE sbtc_signer.dkg_shares ADD CONSTRAINT planted CHECK ((encode(aggregate_key, 'hex')::public.fitting) IS NOT NULL)".to_owned(),
            "ALTER TABLE sbtc_signer.dkg_shares DROP CONSTRAINT planted",
            made,
        ),
        (
            "CREATE TABLE public.parent (LIKE sbtc_signer.dkg_shares) PARTITION BY RANGE (public.folded(aggregate_key));
             ALTER TABLE public.parent ATTACH PARTITION sbtc_signer.dkg_shares DEFAULT".to_owned(),
            "ALTER TABLE public.parent DETACH PARTITION sbtc_signer.dkg_shares; DROP TABLE public.parent",
            "or is one",
        ),
        (
            "ALTER TABLE sbtc_signer.dkg_shares ALTER dkg_shares_status TYPE text;
             ALTER TYPE sbtc_signer.dkg_shares_status RENAME TO real_status;
             CREATE DOMAIN sbtc_signer.dkg_shares_status AS text CHECK (public.fits(VALUE))".to_owned(),
            "DROP DOMAIN sbtc_signer.dkg_shares_status; ALTER TYPE sbtc_signer.real_status RENAME TO dkg_shares_status;
             ALTER TABLE sbtc_signer.dkg_shares ALTER dkg_shares_status TYPE sbtc_signer.dkg_shares_status
                 USING dkg_shares_status::sbtc_signer.dkg_shares_status",
            "not of the enum",
        ),
        (
            format!(
                "CREATE FUNCTION public.shown(sbtc_signer.dkg_shares_status) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$ {act} $$;
                 CREATE CAST (sbtc_signer.dkg_shares_status AS json) WITH FUNCTION public.shown(sbtc_signer.dkg_shares_status);"
            ),
            UNCAST,
            "a cast that somebody wrote",
        ),
        (
            format!(
                "CREATE FUNCTION public.acts() RETURNS trigger LANGUAGE plpgsql AS $$ {act} $$;
                 CREATE TRIGGER acts BEFORE INSERT ON sbtc_signer.dkg_shares FOR EACH ROW EXECUTE FUNCTION public.acts();"
            ),
            "DROP TRIGGER acts ON sbtc_signer.dkg_shares",
            "a trigger",
        ),
        (
            format!(
                "CREATE FUNCTION public.made() RETURNS timestamptz LANGUAGE plpgsql AS $$ {act} $$;
                 ALTER TABLE sbtc_signer.dkg_shares ALTER COLUMN created_at SET DEFAULT public.made();"
            ),
            "ALTER TABLE sbtc_signer.dkg_shares ALTER COLUMN created_at SET DEFAULT now()",
            "a default of it uses what somebody made",
        ),
        (VIEW.0.to_owned(), VIEW.1, "no table"),
    ]
}

on_hosts! {
    Image::Postgres;
    /// Names in `public`, a view in a table's place, a cast, a trigger, an index: nothing of it runs as who asks.
    fn nobodys_code_runs_as_who_asks(host: &Host) {
        prepare(host, &database(rows(&group())));
        sql(host, "signer", &in_public());
        // They would be found by who does not see to it.
        let found = psql(host, "signer", "SELECT json_build_object('version', 1, 'may_read', true, 'bytes', 1::bigint)");
        assert!(found.contains(RAN), "{found}");
        make(host, true);
        let (exit, looked) = backup(host, &["watch", "signer-db"]);
        assert_eq!((exit, looked["made"]["rows"].as_array().map(Vec::len)), (0, Some(2)), "{looked:#}");
        let id = looked["made"]["id"].as_str().unwrap().to_owned();

        // Rows go back as a superuser: only into what is a table alone.
        host.sh("runuser -u postgres -- createdb -T template0 -E UTF8 again").unwrap().ok().unwrap();
        sql(host, "again", &Database { rows: vec![], ..Database::default() }.sql());
        sql(host, "again", &in_public());
        let put = || {
            let words = ["backup", "restore-rows", &id, "--into", "again", "--identity", "/root/bob.txt"];
            holdfast(host, &words)
        };
        // What is evaluated as a question is planned, and by whom that is asked; whoever makes it is not harmed by it.
        let unfit = format!("BEGIN IF current_setting('application_name') LIKE 'holdfast%' THEN RAISE EXCEPTION '{RAN}'; END IF;");
        for database in ["again", "signer"] {
            sql(
                host,
                database,
                &format!(
                    "CREATE FUNCTION public.folded(bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$ {unfit} RETURN $1; END $$;
                     CREATE FUNCTION public.fits(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ {unfit} RETURN true; END $$;
                     CREATE DOMAIN public.fitting AS text CHECK (public.fits(VALUE));"
                ),
            );
        }
        // The danger is real: PostgreSQL runs it for the one who only asks.
        sql(host, "signer", INDEX.0);
        let words = "PGAPPNAME=holdfast runuser -u holdfast-backup -- psql -qAtX -d signer -c 'SELECT count(*) FROM sbtc_signer.dkg_shares'";
        assert!(host.sh(words).unwrap().stderr.contains(RAN));
        sql(host, "signer", INDEX.1);

        // Where only the height of a block is asked for, nothing runs either, and what cannot be made again is saved.
        sql(host, "signer", "CREATE INDEX odd ON sbtc_signer.bitcoin_blocks ((block_hash || public.folded('\\x01')))");
        let words = "PGAPPNAME=holdfast runuser -u holdfast-backup -- psql -qAtX -d signer -c 'SELECT max(block_height) FROM sbtc_signer.bitcoin_blocks'";
        assert!(host.sh(words).unwrap().stderr.contains(RAN));
        sql(host, "signer", &group().round(3).row(0).insert());
        let said = holdfast(host, &["backup", "watch", "signer-db", "--format", "json"]);
        let looked: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((said.status, looked["made"]["rows"].as_array().map(Vec::len)), (Some(0), Some(3)), "{said}");
        let is_told = said.stderr.contains("bitcoin_blocks") && said.stderr.contains("uses what somebody made");
        assert!(is_told && !said.stderr.contains(RAN), "{said}");
        // Once; verify has it from the note, and the next look that knows the height takes it out.
        let said = holdfast(host, &["backup", "watch", "signer-db"]).ok().unwrap();
        assert!(!said.stderr.contains("bitcoin_blocks"), "{said}");
        let note: Value = serde_json::from_slice(&host.read("/run/holdfast/watched/backup-signer-db.json").unwrap()).unwrap();
        assert!(note["heightless"].as_str().unwrap().contains("uses what somebody made"), "{note:#}");
        sql(host, "signer", "DROP INDEX sbtc_signer.odd");

        for (plant, undo, why) in planted() {
            sql(host, "again", &plant);
            let said = put();
            assert_eq!(said.status, Some(1), "{plant}: {}", said.stdout);
            assert!(said.stderr.contains(why) && !said.stderr.contains(RAN), "{plant}: {}", said.stderr);
            sql(host, "again", undo);
        }
        put().ok().unwrap();
        assert_eq!(sql(host, "again", "SELECT count(*) FROM sbtc_signer.dkg_shares").trim(), "2");

        // And what is only read.
        for (plant, undo, _) in planted().into_iter().filter(|(_, undo, _)| [INDEX.1, VIEW.1, UNCAST].contains(undo)) {
            sql(host, "signer", &plant);
            for args in [["backup", "watch", "signer-db"], ["backup", "run", "signer-db"]] {
                let said = holdfast(host, &args);
                assert_eq!(said.status, Some(1), "{args:?}: {}", said.stdout);
                let is_refused = said.stderr.contains("would run what somebody else wrote") && !said.stderr.contains(RAN);
                assert!(is_refused, "{args:?}: {}", said.stderr);
            }
            sql(host, "signer", undo);
        }
        make(host, true);

        // What is asked waits for others' locks no longer than the profile says.
        let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "signer"];
        let hold = "BEGIN; LOCK public.__sbtc_migrations IN ACCESS EXCLUSIVE MODE; \\! touch /tmp/held\nSELECT pg_sleep(600);";
        let mut holder = host.command(words).unwrap().stdin(hold.as_bytes()).start().unwrap();
        host.sh("for _ in $(seq 600); do test -e /tmp/held && exit; sleep 0.1; done; exit 1").unwrap().ok().unwrap();
        let said = holdfast(host, &["backup", "run", "signer-db"]);
        assert!(said.stderr.contains("due to lock timeout"), "{}", said.stderr);
        holder.kill();
    }
}

/// Brought back: by nobody who may do anything, unless that is said.
fn brought_back_by_nobody(host: &Host) {
    plant(
        host,
        "BEGIN COPY (SELECT 1) TO PROGRAM 'cat >/tmp/superuser'; EXCEPTION WHEN insufficient_privilege THEN NULL; END;",
    );
    let id = make(host, false)["id"].as_str().unwrap().to_owned();
    host.sh("rm -f /tmp/superuser").unwrap().ok().unwrap();
    let restore = |into: &str, more: &[&str]| {
        host.sh(&format!(
            "runuser -u postgres -- createdb -T template0 -E UTF8 {into} 2>/dev/null || :"
        ))
        .unwrap()
        .ok()
        .unwrap();
        let words = ["backup", "restore", &id, "--into", into, "--identity", "/root/alice.txt"];
        holdfast(host, &[&words, more].concat())
    };
    let said = restore("back", &[]);
    assert!(said.stderr.contains("owned by postgres, a superuser"), "{}", said.stderr);
    let said = restore("back", &["--owner", "signer"]);
    assert!(said.stderr.contains("there is no role signer"), "{}", said.stderr);
    sql(host, "postgres", "CREATE ROLE signer LOGIN");
    restore("back", &["--owner", "signer"]).ok().unwrap();
    let owners =
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'sbtc_signer')
         UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()
         UNION SELECT rolname FROM pg_roles WHERE rolname = 'holdfast-restore'";
    assert_eq!(sql(host, "back", owners).trim(), "signer");
    assert_eq!(host.sh("ls /tmp/superuser").unwrap().status, Some(2));
    sql(host, "postgres", "ALTER DATABASE signer OWNER TO signer");
    restore("back_too", &[]).ok().unwrap();
    assert_eq!(sql(host, "back_too", owners).trim(), "signer");
    assert_eq!(host.sh("ls /tmp/superuser").unwrap().status, Some(2));
    restore("as_postgres", &["--as", "postgres"]).ok().unwrap();
    host.sh("ls /tmp/superuser").unwrap().ok().unwrap();

    // One that fails leaves the database as it was, and no role; one that is killed leaves what the next one clears,
    // whichever database that is for, and whatever becomes of it.
    plant(
        host,
        "IF current_database() = 'fails' THEN RAISE EXCEPTION 'no'; END IF;
         IF current_database() = 'killed' THEN PERFORM pg_sleep(600); END IF;",
    );
    let slow = make(host, true)["id"].as_str().unwrap().to_owned();
    host.sh("for each in fails killed after; do runuser -u postgres -- createdb -T template0 -E UTF8 $each; done").unwrap().ok().unwrap();
    let into = |database: &str| {
        holdfast(
            host,
            &["backup", "restore", &slow, "--into", database, "--identity", "/root/alice.txt"],
        )
    };
    let killed = || sql(host, "killed", owners).trim().to_owned();
    let kill = || {
        let script = format!(
            "holdfast backup restore {slow} --into killed --identity /root/alice.txt & run=$!
             for _ in $(seq 3000); do
                 test \"$(runuser -u postgres -- psql -AtqX -c \"SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'\")\" = 1 && break
                 sleep 0.02
             done
             kill -9 $run; ! wait $run"
        );
        host.sh(&script).unwrap().ok().unwrap();
        assert_eq!(killed(), "holdfast-restore", "what a killed one leaves");
    };
    kill();
    let said = into("fails");
    assert!(said.stderr.contains("pg_restore restored nothing"), "{}", said.stderr);
    assert_eq!((sql(host, "fails", owners).trim(), killed().as_str()), ("postgres", "postgres"));
    kill();
    into("after").ok().unwrap();
    assert_eq!((sql(host, "after", owners).trim(), killed().as_str()), ("signer", "postgres"));
    // One at a time; and that a backup is being proven is nothing to wait for.
    let busy = host.sh(&format!("flock /run/holdfast/restore.lock holdfast backup restore {slow} --into fails --identity /root/alice.txt")).unwrap();
    assert_eq!(busy.status, Some(75), "{}", busy.stderr);
    let said = host.sh(&format!("flock /run/holdfast-proof holdfast backup restore {slow} --into fails --identity /root/alice.txt")).unwrap();
    assert!(said.stderr.contains("pg_restore restored nothing"), "{}", said.stderr);

    // A signer that is connected, whatever its database is called.
    let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "fails"];
    let mut signer = host
        .command(words)
        .unwrap()
        .stdin(b"\\! touch /tmp/connected\nSELECT pg_sleep(600);".as_slice())
        .start()
        .unwrap();
    host.sh("for _ in $(seq 600); do test -e /tmp/connected && exit; sleep 0.1; done; exit 1")
        .unwrap()
        .ok()
        .unwrap();
    let said = restore("fails", &[]);
    assert!(said.stderr.contains("1 other clients are connected to fails"), "{}", said.stderr);
    signer.kill();
}

on_hosts! {
    Image::Postgres;
    /// A dump that starts programs as it is restored: they see nothing of the host and end with the proof; and who brings it
    /// back is no superuser.
    fn what_a_dump_starts_ends_with_its_proof(host: &Host) {
        prepare(host, &database(rows(&group())));
        let sees_nothing = "test ! -e /run/postgresql && test ! -e /proc/1 && ! touch /tmp/x && ! touch /dev/shm/x";
        plant(host, &format!("COPY (SELECT 1) TO PROGRAM '{sees_nothing} && setsid -f sleep 7777 >/dev/null 2>&1 && sleep 2';"));
        for args in ["", "--drill"] {
            let (exit, manifest) = beside(host, args, &until("holdfast-proof", "sleep"));
            assert_eq!((exit, failed(&manifest["proof"])), (0, vec![]), "{:#}", manifest["proof"]);
            assert_nothing_left(host);
        }

        // What it says as it fails is not for those who fetch the manifest.
        plant(host, "RAISE EXCEPTION 'row-of-the-dump';");
        let manifest = make(host, false);
        let said = manifest["proof"].to_string();
        assert!(said.contains("at the rows of bitcoin_blocks") && !said.contains("row-of-the-dump"), "{said}");

        // Room: looked at before, and while it is filled.
        for (size, body, why) in [
            ("64M", "NULL;", "and proving a backup takes"),
            ("128M", "COPY (SELECT 1) TO PROGRAM 'head -c 200M /dev/zero >/run/holdfast-proof/data/x; sleep 60';", "had less than"),
        ] {
            plant(host, body);
            host.sh(&format!("mount -t tmpfs -o size={size},mode=711 tmpfs /run/holdfast-proof")).unwrap().ok().unwrap();
            let said = make(host, false)["proof"].to_string();
            assert!(said.contains(why), "{said}");
            host.sh("umount /run/holdfast-proof").unwrap().ok().unwrap();
            assert_nothing_left(host);
        }

        // A check that takes too long is not done, and says nothing of the backup.
        plant(host, "NULL;");
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!("{profile}time_limit = \"10s\"\n"));
        let stop = format!("{}; pkill -STOP -u holdfast-proof -x pg_amcheck", until("holdfast-proof", "pg_amcheck"));
        let (exit, manifest) = beside(host, "--drill", &stop);
        assert_eq!((exit, failed(&manifest["proof"])), (2, vec![]), "{:#}", manifest["proof"]);
        assert_eq!(manifest["proof"]["proven"], true);
        assert!(manifest["proof"].get("drill").is_none(), "{:#}", manifest["proof"]);
        assert!(manifest["proof"].to_string().contains("time_limit of 10 s"), "{:#}", manifest["proof"]);

        let id = manifest["id"].as_str().unwrap();
        let prove = format!(
            "holdfast backup prove {id} --identity /root/alice.txt --drill --format json >/tmp/run.json 2>/tmp/run.err & run=$!
             {stop}
             wait $run"
        );
        let output = host.sh(&prove).unwrap();
        let proof: Value = serde_json::from_slice(&host.read("/tmp/run.json").unwrap()).unwrap();
        assert_eq!((output.status, &proof["good"], failed(&proof)), (Some(2), &Value::Bool(false), vec![]), "{proof:#}");

        // Who is busy is waited for, and said when that takes too long; nothing is dumped then, and nothing unproven.
        give(host, &format!("{profile}time_limit = \"1s\"\n"));
        for lock in [format!("{FOLDER}/.lock"), "/run/holdfast-proof".to_owned()] {
            let before = shelf(host);
            let busy = host.sh(&format!("flock {lock} holdfast backup run signer-db")).unwrap();
            assert_eq!(busy.status, Some(75), "{lock}: {}", busy.stderr);
            assert_eq!(shelf(host), before, "{lock}");
        }
        give(host, &profile);
        let (exit, manifest) = beside(host, "", "");
        assert_eq!((exit, &manifest["proof"]["proven"]), (0, &Value::Bool(true)));
        for lock in [format!("{FOLDER}/.lock"), "/run/holdfast-proof".to_owned()] {
            host.sh(&format!("flock {lock} sleep 3 & sleep 0.5; holdfast backup run signer-db; code=$?; wait; sleep 1; exit $code")).unwrap().ok().unwrap();
        }

        brought_back_by_nobody(host);

        // What a power cut left of a drill is gone at the next boot, and at no other time.
        let there = "test -e /var/lib/holdfast-drill/data/base";
        let tidy = "systemd-tmpfiles --create --remove --prefix=/var/lib/holdfast-drill";
        host.sh(&format!("mkdir -p /var/lib/holdfast-drill/data/base; {tidy} && {there} && {tidy} --boot && ! {there}")).unwrap().ok().unwrap();
    }
}
