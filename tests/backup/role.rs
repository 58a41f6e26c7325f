//! The role that reads the database: made, held to what it may, and used over TCP with a password.

use super::*;

fn role(host: &Host, args: &[&str]) -> (i32, Vec<String>) {
    let words: Vec<&str> = ["role", "signer-db"].into_iter().chain(args.iter().copied()).collect();
    let (exit, said) = backup(host, &words);
    let faults = said["faults"].as_array().unwrap().iter();
    (exit, faults.map(|fault| fault.as_str().unwrap().to_owned()).collect())
}

on_hosts! {
    Image::Postgres;
    fn the_role_is_made_and_held_to_reading(host: &Host) {
        prepare(host, &database(rows(&group())));
        sql(host, "signer", "DROP OWNED BY \"holdfast-backup\"; DROP ROLE \"holdfast-backup\"");
        assert_eq!(role(host, &[]), (2, vec!["there is no such role".to_owned()]));
        assert_eq!(role(host, &["--make"]), (0, vec![]));
        assert_eq!(role(host, &[]), (0, vec![]));
        make(host, true);
        let words = ["runuser", "-u", "holdfast-backup", "--", "psql", "-qXc", "DELETE FROM sbtc_signer.dkg_shares", "signer"];
        assert!(host.run(words).unwrap().stderr.contains("permission denied"));

        sql(host, "postgres", "ALTER ROLE \"holdfast-backup\" CREATEDB PASSWORD 'x'; GRANT pg_monitor TO \"holdfast-backup\"");
        let (exit, faults) = role(host, &[]);
        assert_eq!(exit, 2);
        assert_eq!(faults, ["it may make databases", "it has a password, which the socket does not ask for", "it is a member of pg_monitor"]);
        assert_eq!(role(host, &["--make"]), (0, vec![]));

        // Over TCP, as a server in a container is reached, with a password.
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let tcp = "host = \"127.0.0.1\"\npassword_file = \"/etc/holdfast/pgpass\"\n";
        give(host, &format!("{profile}{tcp}"));
        let plain = holdfast(host, &["backup", "role", "signer-db", "--sql"]).stdout;
        assert!(plain.contains("CREATE ROLE \"holdfast-backup\" LOGIN NOSUPERUSER") && plain.contains("GRANT pg_read_all_data"), "{plain}");
        let output = holdfast(host, &["backup", "run", "signer-db"]);
        assert_eq!(output.status, Some(1), "{}", output.stdout);
        sql(host, "postgres", "ALTER ROLE \"holdfast-backup\" PASSWORD 'not-so-secret'");
        host.sh("chmod 755 /etc/holdfast; install -m 600 -o holdfast-backup -g holdfast-backup /dev/null /etc/holdfast/pgpass
            echo '127.0.0.1:5432:*:holdfast-backup:not-so-secret' >/etc/holdfast/pgpass").unwrap().ok().unwrap();
        make(host, true);
    }
}
