//! Servers of the major versions that Debian has none of, beside its own.

use super::*;

/// Starts a server of a major version with a signer's database and another that is empty; and runs SQL there.
struct Server<'a> {
    host: &'a Host,
    major: u32,
}

impl Server<'_> {
    fn port(&self) -> u32 {
        6000 + self.major
    }

    fn start(&self, database: &Database) {
        let (major, port) = (self.major, self.port());
        let bin = format!("/usr/lib/postgresql/{major}/bin");
        let script = format!(
            "set -e
             install -d -o postgres /srv/{major}
             runuser -u postgres -- {bin}/initdb --auth=peer --encoding=UTF8 --locale=C -D /srv/{major}
             runuser -u postgres -- {bin}/pg_ctl -s -w -D /srv/{major} -l /srv/{major}/log -o '-p {port} -k /tmp' start"
        );
        self.host.sh(&script).unwrap().ok().unwrap();
        self.sql("postgres", "CREATE ROLE \"signer-role\"");
        for name in ["signer", "back"] {
            self.sql(
                "postgres",
                &format!("CREATE DATABASE {name} ENCODING UTF8 TEMPLATE template0"),
            );
        }
        self.sql("signer", &database.sql());
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let psql = format!("/usr/lib/postgresql/{}/bin/psql", self.major);
        let port = self.port().to_string();
        let words = [
            "runuser",
            "-u",
            "postgres",
            "--",
            &psql,
            "-h",
            "/tmp",
            "-p",
            &port,
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            database,
        ];
        let run = self.host.command(words).unwrap().stdin(sql.as_bytes());
        run.run().unwrap().ok().unwrap().stdout
    }

    /// What its rows are, in an order.
    fn rows(&self, database: &str) -> String {
        self.sql(database, "SELECT * FROM sbtc_signer.dkg_shares ORDER BY aggregate_key")
    }

    fn restore(&self, id: &str) -> Output {
        let words = [
            "backup",
            "restore",
            id,
            "--into",
            "back",
            "--identity",
            "/root/alice.txt",
            "--owner",
            "signer-role",
        ];
        holdfast(self.host, &words)
    }

    /// Restores a backup into the empty database, and empties that again.
    fn restores(&self, id: &str) {
        self.restore(id).ok().unwrap();
        assert_eq!(self.rows("back"), self.rows("signer"));
        self.sql("postgres", "DROP DATABASE back");
        self.sql("postgres", "CREATE DATABASE back ENCODING UTF8 TEMPLATE template0");
    }
}

on_hosts! {
    Image::Majors;
    /// PostgreSQL 14, 16 and 18 beside Debian's own: each is dumped, proven and drilled with the programs of its version, or
    /// with the next newer ones, and restored into that very server.
    fn each_version_is_backed_up(host: &Host) {
        let database = database(rows(&group()));
        prepare(host, &database);
        let own = if host.suite() == Suite::Bookworm { 15 } else { 17 };
        let servers = [14, 16, 18].map(|major| Server { host, major });
        let mut profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        for server in &servers {
            let (major, port) = (server.major, server.port());
            profile += &format!("[backup.of-{major}]\ndatabase = \"signer\"\nto = [\"alice\", \"bob\"]\nkeep_free = \"1M\"\nsocket = \"/tmp\"\nport = {port}\n");
        }
        give(host, &profile);
        let versions = |manifest: &Value| (manifest["server_version"].as_u64().unwrap() / 10_000, manifest["client_major"].as_u64().unwrap(), manifest["proof"]["server_major"].as_u64().unwrap());
        assert_eq!(versions(&make(host, true)), (own, own, own));
        let id = |manifest: &Value| manifest["id"].as_str().unwrap().to_owned();
        let mut made_by = Vec::new();
        for server in &servers {
            server.start(&database);
            let (name, major) = (format!("of-{}", server.major), u64::from(server.major));
            holdfast(host, &["backup", "role", &name, "--make"]).ok().unwrap();
            let quick = made(host, &["run", &name], true);
            assert_eq!(versions(&quick), (major, major, major));
            server.restores(&id(&quick));
            let drilled = made(host, &["run", "--drill", &name], true);
            assert_eq!(versions(&drilled), (major, major, major));
            server.restores(&id(&drilled));
            made_by.push(id(&drilled));
        }

        // Without its own programs by the next newer ones: that is told, because what they make no older server takes.
        host.sh("mkdir /root/aside && mv /usr/lib/postgresql/16/bin/pg_* /root/aside").unwrap().ok().unwrap();
        let output = holdfast(host, &["backup", "run", "--drill", "of-16", "--format", "json"]);
        let newer: Value = serde_json::from_str(&output.stdout).unwrap();
        let next = if own == 15 { 18 } else { 17 };
        assert_eq!(versions(&newer), (16, next, next));
        let told = "not into this one of 16: install postgresql-client-16";
        assert!(output.stderr.contains(told), "{}", output.stderr);
        let refused = |id: &str, why: &str| {
            let output = servers[1].restore(id);
            assert!(output.stderr.contains(why), "{}", output.stderr);
            assert_eq!(output.status, Some(1));
            assert_eq!(servers[1].sql("back", "SELECT count(*) FROM pg_tables WHERE schemaname = 'sbtc_signer'").trim(), "0");
        };
        refused(&id(&newer), "restore it into a server of 17 or newer");
        // The run is good, and verify goes on saying it.
        let said = verify(host);
        let told = format!("{} comes back only into a server of {next} or newer, not into its own of 16: install postgresql-client-16, from", id(&newer));
        assert_eq!((said.outcome("backup.proof/of-16"), said.observed("backup.proof/of-16").contains(&told)), ("fail", true));
        assert_eq!(said.outcome("backup.proof/of-14"), "pass");
        // What its own programs made waits for them.
        refused(&made_by[1], "apt-get install postgresql-client-16");
        host.sh("mv /root/aside/* /usr/lib/postgresql/16/bin").unwrap().ok().unwrap();
        servers[1].restores(&made_by[1]);

        // By the script, too: with newer programs before it makes anything.
        let script = holdfast(host, &["backup", "restore", &made_by[1], "--print"]).ok().unwrap().stdout;
        let script = script.replace("=identity.txt", "=/root/alice.txt").replace("=signer ", "=signer-role ");
        host.push("/root/restore", script, 0o700).unwrap();
        let by = |major: u32| {
            let path = format!("PATH=/usr/lib/postgresql/{major}/bin:/usr/sbin:/usr/bin:/sbin:/bin");
            host.run(["env", "-i", "PGHOST=/tmp", "PGPORT=6016", &path, "/root/restore"]).unwrap()
        };
        let newer = by(18);
        let is_told = newer.stderr.contains("no server before 17 takes what pg_restore of 18 says: put pg_restore of 16 first in PATH");
        assert!(newer.status == Some(1) && is_told, "{newer}");
        let left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'nobody') + (SELECT count(*) FROM pg_database WHERE datname = 'signer_back')";
        assert_eq!(servers[1].sql("postgres", left).trim(), "0");
        by(16).ok().unwrap();
        assert_eq!(servers[1].rows("signer_back"), servers[1].rows("signer"));
    }
}
