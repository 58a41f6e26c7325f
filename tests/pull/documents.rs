//! What docs/pull.md says, done to the letter: fetched by its script and its service, checked by holdfast and by its script of
//! stock tools, with backups that are really made, by a host that is broken into.

use serde_json::Value;

use super::{Puller, SERVED, apply, assert_well, do_in};
use crate::{backup, support::*};

/// The block of docs/pull.md that comes after these words.
fn block(after: &str) -> String {
    let text = repository("docs/pull.md");
    let rest = text.split_once(after).unwrap().1;
    let rest = rest.split_once("```").unwrap().1;
    rest.split_once('\n').unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// Does as root what is to be done once, with this host as the one that is fetched from, too; gives the key that fetches.
fn set_up(host: &Host, puller: &Puller) -> String {
    let to = puller.peer.host_v4();
    let once = block("As root, once:");
    do_in(host, &format!("echo '{to} signer-1.example.org' >>/etc/hosts\nset -e\n{once}"));
    for name in ["fetch-backups", "check-backups"] {
        let script = block(&format!("`/usr/local/bin/{name}` (mode 755):"));
        host.push(format!("/usr/local/bin/{name}"), script, 0o755).unwrap();
    }
    do_in(host, "cat /srv/signer-1/key.pub").trim().to_owned()
}

/// Its service and its timer, for a host with this public key.
fn install(host: &Host, key: &str) {
    for end in ["service", "timer"] {
        let path = format!("/etc/systemd/system/fetch-signer-1.{end}");
        let unit = block(&format!("`{path}`:")).replace("--key KEY", &format!("--key {key}"));
        host.push(&path, unit, 0o644).unwrap();
    }
    // Stopped at once: it might come amid what follows.
    do_in(
        host,
        "systemctl daemon-reload && systemctl enable -q --now fetch-signer-1.timer && systemctl stop fetch-signer-1.timer",
    );
}

/// Fetches and checks as the timer would; whether all is well.
fn fetch(host: &Host) -> bool {
    host.run(["systemctl", "start", "fetch-signer-1.service"]).unwrap().status == Some(0)
}

/// What both ways of checking say by this key; 0: nothing.
fn check(host: &Host, key: &str) -> [Output; 2] {
    let ours = "holdfast backup check backups --newest-within 26h --key";
    ["/usr/local/bin/check-backups", ours].map(|program| {
        let script =
            format!("cd /srv/signer-1 && exec runuser -u fetch-signer-1 -- {program} {key}");
        host.sh(&script).unwrap()
    })
}

/// Backups that are made from here on wait for a lock; gives what ends that.
fn hold(host: &Host) -> holdfast_test_host::Running {
    let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "signer"];
    let hold = "BEGIN; LOCK sbtc_signer.stacks_blocks IN ACCESS EXCLUSIVE MODE; \\! touch /tmp/held\nSELECT pg_sleep(600);";
    let holder = host.command(words).unwrap().stdin(hold.as_bytes()).start().unwrap();
    do_in(host, "for i in $(seq 600); do test -e /tmp/held && exit; sleep 0.1; done; exit 1");
    holder
}

/// A second backup, met amid its dump and looked at from outside over and over until it is finished: what has a name is
/// whole.
fn watch_a_backup_being_made(host: &Host, puller: &Puller) {
    let mut holder = hold(host);
    do_in(host, "setsid sh -c 'holdfast backup run signer-db >/tmp/run 2>&1; echo $? >/tmp/exit' >/dev/null 2>&1 &
        for i in $(seq 600); do ls /var/backups/holdfast | grep -q unfinished && exit; sleep 0.1; done; exit 1");
    let names = puller.sftp("ls -1a").ok().unwrap().stdout;
    assert!(!names.contains("unfinished") && !names.contains(".lock"), "{names}");
    let unfinished = do_in(host, "cd /var/backups/holdfast && ls *.unfinished");
    for path in ["", "../", "/../", "../../"] {
        assert_ne!(puller.sftp(&format!("get {path}{}", unfinished.trim())).status, Some(0));
    }
    holder.kill();
    do_in(
        host,
        "runuser -u postgres -- psql -qc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()\" >/dev/null",
    );
    let mut looks = 0;
    loop {
        let ended = host.sh("cat /tmp/exit").unwrap();
        std::fs::create_dir(puller.path(&format!("look{looks}"))).unwrap();
        puller.sftp(&format!("lcd look{looks}\n-get *")).ok().unwrap();
        looks += 1;
        if ended.stdout.trim() == "0" {
            break;
        }
        assert!(ended.stdout.is_empty(), "{}", do_in(host, "cat /tmp/run"));
    }
    let sums = do_in(host, &format!("cd {SERVED} && sha256sum *"));
    std::fs::write(puller.path("SUMS"), &sums).unwrap();
    for look in 0..looks {
        let script = format!(
            "cd {}/look{look} && sha256sum --ignore-missing -c ../SUMS",
            puller.folder.path().display()
        );
        puller.peer.run(["sh", "-c", &script]).unwrap().ok().unwrap();
    }
    let script =
        format!("cd {}/look{} && sha256sum -c ../SUMS", puller.folder.path().display(), looks - 1);
    puller.peer.run(["sh", "-c", &script]).unwrap().ok().unwrap();
    assert_eq!(sums.lines().count(), 6, "{sums}");
}

on_hosts! {
    Image::Postgres;
    /// Backups that were really made are fetched, checked and opened; what is wrong with what was fetched is told; who has
    /// broken into the host reaches nothing that was; and a roll-back deletes no backup.
    fn it_is_as_the_documents_say(host: &Host) {
        let puller = Puller::new(host, "puller");
        backup::prepare(host, &backup::database(backup::rows(&backup::group())));
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let profile = profile.replace("lock_timeout = \"1s\"", "lock_timeout = \"5m\"");
        let other = set_up(host, &puller);
        let pull = format!(
            "[pull]\nkeys = [\"{}\", \"{other}\"]\nfrom = [\"{}\", \"{}\"]\n",
            puller.public(), puller.peer.v4(), puller.peer.host_v4()
        );
        give(host, &format!("{profile}{pull}"));
        let id = apply(host).transaction();
        assert_well(&verify(host));
        // Two dumps and the rows, and nothing that comes by itself meanwhile.
        do_in(host, "systemctl stop holdfast-backup-watch@signer-db.timer holdfast-backup-watch@signer-db.service && holdfast -q backup watch signer-db");
        let manifest = backup::make(host, true);
        assert_eq!(verify(host).outcome("pull.store"), "pass");
        watch_a_backup_being_made(host, &puller);

        let status = holdfast(host, &["backup", "status", "--format", "json"]).stdout;
        let status: Value = serde_json::from_str(&status).unwrap();
        let key = status["backups"][0]["host_key"].as_str().unwrap();
        install(host, key);
        assert!(fetch(host), "{}", do_in(host, "journalctl -u fetch-signer-1"));
        let sums = |folder: &str| do_in(host, &format!("cd {folder} && sha256sum *"));
        let served = sums(SERVED);
        assert_eq!(sums("/srv/signer-1/backups"), served);
        let archive = manifest["archive"]["file"].as_str().unwrap();
        assert!(served.contains(&format!("{}  {archive}\n", manifest["archive"]["sha256"].as_str().unwrap())));
        let script = format!("age -d -i /root/bob.txt /srv/signer-1/backups/{archive} | zstd -dq | head -c 5");
        assert_eq!(do_in(host, &script), "PGDMP");

        // Root of the broken-into host serves something else under the old names: what is here stays as it is.
        do_in(host, &format!("cp -a {SERVED} /root/served && cd {SERVED} && for i in *; do echo else >$i; done && rm {archive}
            echo more >'a b-20260101T000000Z.age' && echo more >.hidden-20260101T000000Z.age && cp /root/served/{archive} x-20260101T000000Z.age"));
        assert!(fetch(host), "{}", do_in(host, "journalctl -u fetch-signer-1"));
        let names = do_in(host, "ls -A /srv/signer-1/incoming /srv/signer-1/backups");
        assert!(!names.contains("a b") && !names.contains("hidden"), "{names}");
        do_in(host, "rm /srv/signer-1/backups/x-*");
        assert_eq!(sums("/srv/signer-1/backups"), served);
        do_in(host, &format!("rm -r {SERVED} && mv /root/served {SERVED}"));

        // What was fetched is not what the host signed, and both ways of checking say so.
        let all_is_well = |key: &str| check(host, key).map(|output| output.status == Some(0));
        assert_eq!(all_is_well(key), [true, true]);
        assert_eq!(check(host, key)[1].stdout.matches(" proven,").count(), 3);
        let first = manifest["id"].as_str().unwrap();
        let last = do_in(host, "cd /srv/signer-1/backups && ls *.manifest.json | tail -n 1");
        let last = last.trim().trim_end_matches(".manifest.json");
        for (script, says) in [
            (
                format!("printf '\\377' | dd of={archive} bs=1 seek=1000 conv=notrunc status=none; printf '\\376' | dd of={archive} bs=1 seek=1001 conv=notrunc status=none"),
                ["not the one that the host signed", "its bytes are not those that the host signed"],
            ),
            (format!("truncate -s -1 {archive}"), ["not the one that the host signed", " bytes and not "]),
            (format!("rm {archive}"), ["not the one that the host signed", "its file is gone"]),
            (format!("rm {first}.*"), ["is gone or another one", "the manifest before it, "]),
            (
                format!("cp {last}.manifest.json {first}.manifest.json"),
                ["of another backup", "its manifest is another's"],
            ),
            (
                "for i in *.dkg-rows.zst.age; do echo more >>$i; done".to_owned(),
                [".dkg-rows.zst.age: not the one that the host signed", " bytes and not "],
            ),
            ("rm *.dkg-rows.zst.age".to_owned(), [".dkg-rows.zst.age: not the one that the host signed", "its file is gone"]),
            ("sed -i '1s/verified/failed/' *.dkg-rows.json".to_owned(), [".dkg-rows.json: not signed with this key", "it was altered"]),
            (format!("sed -i '1s/\"proven\":true/\"proven\":false/' {last}.manifest.json"), ["not signed with this key", "it was altered"]),
            (
                format!("rm {archive}; sed '1s/.*/{{\"deleted\":{{\"id\":\"{first}\",/' {first}.manifest.json >{first}.deleted.json"),
                ["not signed with this key", "what says that its file was deleted is not to be believed"],
            ),
        ] {
            do_in(host, &format!("cp -a /srv/signer-1/backups /root/kept && cd /srv/signer-1/backups && {script}"));
            for (output, says) in check(host, key).into_iter().zip(says) {
                assert!(output.status.is_some_and(|status| status != 0) && output.stdout.contains(says), "{script}: {output}");
            }
            do_in(host, "rm -r /srv/signer-1/backups && mv /root/kept /srv/signer-1/backups");
        }
        // RFC 8032's first key: another host's.
        let another = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(all_is_well(another), [false, false]);
        // What is damaged here is fetched again once it is deleted.
        do_in(host, &format!("rm /srv/signer-1/backups/{archive}"));
        assert!(fetch(host), "{}", do_in(host, "journalctl -u fetch-signer-1"));
        assert_eq!(sums("/srv/signer-1/backups"), served);
        // Nobody notices on the other host that nothing new comes, but by its age.
        do_in(host, "touch -d '2 days ago' /srv/signer-1/backups/*");
        assert_eq!(all_is_well(key), [true, true], "a file's own time counts for nothing");
        do_in(host, "sed -i 's/ -le 93600 / -le -1 /' /usr/local/bin/check-backups");
        assert!(check(host, key)[0].stdout.contains("no proven backup of the last 26 hours"));
        do_in(host, "sed -i 's/ -le -1 / -le 93600 /' /usr/local/bin/check-backups");
        // Nor are the rows, which come when they come, or what was not proven, a backup of today.
        let unproven = "sed -i '1s/\"proof\":{\"proven\":true/\"proof\":{\"proven\":false/' *.manifest.json";
        for script in [unproven, "rm *.manifest.json *.pgdump.zst.age"] {
            do_in(host, &format!("cp -a /srv/signer-1/backups /root/kept && cd /srv/signer-1/backups && {script}"));
            let [by_hand, own] = check(host, key);
            assert!(by_hand.stdout.contains("no proven backup of the last 26 hours"), "{by_hand}");
            assert!(own.status == Some(2) && own.stdout.contains("no backup of the whole database is proven"), "{own}");
            do_in(host, "rm -r /srv/signer-1/backups && mv /root/kept /srv/signer-1/backups");
        }

        // Rolled back, nobody fetches any more, and the backups are still there.
        let output = holdfast(host, &["rollback", &id.to_string()]);
        assert_eq!(output.status, Some(0), "{output}");
        assert!(!fetch(host));
        assert_eq!(sums(SERVED), served);
        assert_ne!(host.run(["id", "holdfast-pull"]).unwrap().status, Some(0));
    }
}
