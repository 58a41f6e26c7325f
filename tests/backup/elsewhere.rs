//! Another host, on which nothing is left of the one that made the backups but what was fetched, and the public half of its key.

use super::*;

/// The host is gone, and its key with it: what another one fetched, and the key's public half, bring all of it back.
pub(super) fn brought_back(host: &Host, id: &str, file: &str, public: &str) {
    let (_, all_rows) = backup(host, &["rows"]);
    let rows_id = all_rows["backups"][0]["id"].as_str().unwrap().to_owned();
    host.sh(&format!("cp -r {STORE} /root/fetched && rm -r {FOLDER} /var/lib/holdfast/host-key && runuser -u postgres -- createdb -T template0 -E UTF8 elsewhere")).unwrap().ok().unwrap();
    let with = |words: &[&str], key: &str| {
        holdfast(host, &[words, &["--from", "/root/fetched", "--key", key]].concat())
    };
    let into = ["--into", "elsewhere", "--identity", "/root/alice.txt"];
    let words = [&["backup", "restore", id, "--owner", "signer-role"], &into[..]].concat();
    let other = with(&words, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert!(
        other.status == Some(65) && other.stderr.contains("it is signed with another key"),
        "{other}"
    );
    only_a_guarded_folder(host, id, public);
    with(&["backup", "prove", id, "--identity", "/root/alice.txt"], public).ok().unwrap();
    with(&words, public).ok().unwrap();
    let printed = with(&["backup", "restore", id, "--print"], public).ok().unwrap().stdout;
    assert!(printed.contains(&format!("\nfile=/root/fetched/{file} ")), "{printed}");
    sql(host, "elsewhere", "DELETE FROM sbtc_signer.dkg_shares");
    with(&[&["backup", "restore-rows", &rows_id], &into[..]].concat(), public).ok().unwrap();
    let all = "SELECT json_agg(d ORDER BY aggregate_key) FROM sbtc_signer.dkg_shares d";
    assert_eq!(sql(host, "elsewhere", all), sql(host, "signer", all));
    assert!(
        host.sh("ls /var/lib/holdfast/host-key").unwrap().status != Some(0),
        "no key is made to read by another's"
    );
}

/// A folder whose files somebody else could replace between the check and the use is refused, with what to do.
fn only_a_guarded_folder(host: &Host, id: &str, public: &str) {
    let prove =
        |folder: &str| holdfast(host, &["backup", "prove", id, "--from", folder, "--key", public]);
    let spoiled = |script: &str, folder: &str, why: &str| {
        let set_up =
            "rm -rf /srv/in && mkdir /srv/in && cp -r /root/fetched /srv/in/fetched && cd /srv/in";
        host.sh(&format!("{set_up} && {script}")).unwrap().ok().unwrap();
        for words in [
            vec!["prove", id, "--from", folder, "--key", public],
            vec!["restore", id, "--print", "--from", folder, "--key", public],
            vec![
                "restore-rows",
                id,
                "--from",
                folder,
                "--key",
                public,
                "--into",
                "elsewhere",
                "--identity",
                "/root/alice.txt",
            ],
        ] {
            let said = holdfast(host, &[&["backup"], &words[..]].concat());
            let is_told = said.stderr.contains(why) && said.stderr.contains("copy it as root");
            assert!(said.status == Some(1) && is_told, "{script}: {words:?}: {said}");
        }
    };
    let folder = "/srv/in/fetched";
    spoiled("chmod 777 .", folder, "/srv/in may be written to by others (mode 777)");
    spoiled("chmod 775 fetched", folder, "/srv/in/fetched may be written to by others (mode 775)");
    spoiled(
        "chmod 1777 fetched",
        folder,
        "/srv/in/fetched may be written to by others (mode 1777)",
    );
    spoiled("chown postgres fetched", folder, "/srv/in/fetched belongs to the account");
    spoiled("chown postgres .", folder, "/srv/in belongs to the account");
    spoiled(
        &format!("chown postgres fetched/{id}.manifest.json"),
        folder,
        "manifest.json belongs to the account",
    );
    spoiled(
        &format!("chmod 666 fetched/{id}.pgdump.zst.age"),
        folder,
        "pgdump.zst.age may be written to by others",
    );
    spoiled(
        "chown postgres fetched && ln -s /srv/in/fetched /root/link",
        "/root/link",
        "/srv/in/fetched belongs",
    );
    // What it says to type mends it.
    let typed = |folder: &str, to: &str| {
        let refused = prove(folder).stderr;
        let line =
            refused.lines().find_map(|line| line.find("cp -rT ").map(|at| &line[at..])).unwrap();
        let line = line.trim();
        assert!(line.ends_with(&format!(" {to}")), "{line}");
        host.sh(line).unwrap().ok().unwrap();
        prove(to).ok().unwrap();
    };
    host.sh(&format!("chmod -R g+w {folder}")).unwrap().ok().unwrap();
    // Whatever the folder is called, and whatever was copied before.
    typed(folder, "/root/fetched-2");
    host.sh("mv /srv/in/fetched '/srv/in/it is; fetched'").unwrap().ok().unwrap();
    typed("/srv/in/it is; fetched", "/root/fetched-3");
    // Names in /tmp are their owners' alone; and a link is what it leads to.
    host.sh("cp -r /root/fetched /tmp/fetched && rm /root/link && mkdir -m 777 /srv/in/all && ln -s /tmp/fetched /srv/in/all/link").unwrap().ok().unwrap();
    prove("/tmp/fetched").ok().unwrap();
    prove("/srv/in/all/link").ok().unwrap();
}
