//! Backups that are gone for good: each is missed until a person says that it is lost, and counted from then on.

use super::*;

/// What `backup.shelf` came to, and what it says.
fn shelf_of(host: &Host) -> (String, String) {
    let report = verify(host);
    let check = "backup.shelf/signer-db";
    (report.outcome(check).to_owned(), report.observed(check).to_owned())
}

/// Says that these are lost, as who became root by sudo; gives the ids.
fn forget(host: &Host, args: &str) -> Value {
    let command = format!(
        "SUDO_USER=carol holdfast backup forget signer-db {args} --reason 'the disk burnt' --format json"
    );
    let said = host.sh(&command).unwrap().ok().unwrap();
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&said["by"], &said["reason"]),
        (&Value::from("carol"), &Value::from("the disk burnt"))
    );
    said["forgotten"].clone()
}

fn assert_missed(host: &Host, what: &str) {
    let (outcome, said) = shelf_of(host);
    assert!(outcome == "fail" && said.contains(what), "{outcome}: {said}");
}

fn assert_lost(host: &Host, count: usize) {
    let (outcome, said) = shelf_of(host);
    let told = format!("; {count} are lost, as a person has said");
    assert!(outcome == "pass" && said.contains(&told), "{outcome}: {said}");
    let list = backup(host, &["list"]);
    assert_eq!(list.0, 0, "{:#}", list.1);
}

fn remove(host: &Host, id: &str) {
    host.sh(&format!("mkdir -p /root/kept && cd {STORE} && mv {id}.* /root/kept/"))
        .unwrap()
        .ok()
        .unwrap();
}

/// Whether something says there that it is lost.
fn has_stone(host: &Host, id: &str) -> bool {
    host.sh(&format!("ls {STORE}/{id}*.deleted.json")).unwrap().status == Some(0)
}

/// Takes its files away, as they end, and nothing else: it is missed. Puts them back.
fn goes_again(host: &Host, id: &str, ends: &str) {
    assert!(!has_stone(host, id));
    let before = shelf_of(host);
    let files = ends.split(' ').map(|end| format!("{id}.{end}")).collect::<Vec<_>>().join(" ");
    host.sh(&format!("mkdir /root/again && cd {STORE} && mv {files} /root/again"))
        .unwrap()
        .ok()
        .unwrap();
    assert_missed(host, id);
    host.sh(&format!("mv /root/again/* {STORE}/ && rmdir /root/again")).unwrap().ok().unwrap();
    assert_eq!(shelf_of(host), before);
}

fn id(manifest: &Value) -> String {
    manifest["id"].as_str().unwrap().to_owned()
}

fn state(host: &Host, id: &str) -> String {
    let (_, list) = backup(host, &["list"]);
    let all = list["backups"].as_array().unwrap();
    all.iter().find(|each| each["id"] == id).unwrap()["state"].as_str().unwrap().to_owned()
}

/// Nothing is forgotten that is there, that never was, or without a word.
fn refused(host: &Host, id: &str) {
    let fails = |args: &[&str], exit: i32, why: &str| {
        let said = holdfast(host, &[&["backup", "forget", "signer-db"], args].concat());
        assert!(said.status == Some(exit) && said.stderr.contains(why), "{args:?}: {said}");
    };
    fails(&[id, "--reason", "x"], 65, "it is there, as it was signed");
    fails(&["signer-db-20010101T000000Z", "--reason", "x"], 64, "was ever made");
    fails(&[id, "--reason", " "], 64, "says nothing");
    fails(&["--missing"], 64, "--reason");
    assert_eq!(forget(host, "--missing"), Value::Array(Vec::new()));
}

on_hosts! {
    Image::Postgres;
    fn what_is_lost_is_missed_until_a_person_says_so(host: &Host) {
        prepare(host, &database(rows(&group())));
        let ids: Vec<_> = (0..3).map(|_| id(&make(host, true))).collect();
        let looked = backup(host, &["watch", "signer-db"]).1;
        let rows_id = id(&looked["made"]);
        assert_eq!(shelf_of(host).0, "pass");
        refused(host, &ids[1]);

        // Amid the others, which the next one names; its file alone is still there in part, and its manifest alone is not.
        host.sh(&format!("mkdir /root/part && mv {STORE}/{}.manifest.json /root/part/", ids[1])).unwrap().ok().unwrap();
        let part = holdfast(host, &["backup", "forget", "signer-db", &ids[1], "--reason", "x"]);
        assert!(part.status == Some(65) && part.stderr.contains("still there: it has no manifest"), "{part}");
        host.sh(&format!("mv /root/part/* {STORE}/")).unwrap().ok().unwrap();
        remove(host, &ids[1]);
        assert_missed(host, "is gone");
        assert_eq!(forget(host, &ids[1]), serde_json::json!([ids[1]]));
        assert_lost(host, 1);
        assert_eq!(state(host, &ids[1]), "lost");
        // Another one is missed again: the newest, which only the evidence log names; and rows.
        remove(host, &ids[2]);
        assert_missed(host, &format!("{}: the evidence log says that it was made", ids[2]));
        remove(host, &rows_id);
        assert_missed(host, &rows_id);
        // Which ones can be asked, in the words in which it is done; nothing is written, and no reason wanted.
        let kept = "cat /var/lib/holdfast/evidence/log.jsonl; find /var/backups/holdfast -type f -exec sha256sum {} +";
        let kept = || host.sh(kept).unwrap().ok().unwrap().stdout;
        let before = kept();
        let dry = holdfast(host, &["backup", "forget", "signer-db", "--missing", "--dry-run"]).ok().unwrap().stdout;
        assert_eq!(dry, format!("forgotten {}\nforgotten {rows_id}\n", ids[2]));
        assert!(kept() == before, "a dry run writes nothing");
        assert_eq!(forget(host, "--missing --dry-run"), serde_json::json!([ids[2], rows_id]));
        assert!(kept() == before, "a dry run writes nothing");
        assert_missed(host, &rows_id);
        assert_eq!(forget(host, "--missing"), serde_json::json!([ids[2], rows_id]));
        assert_lost(host, 3);

        // By whom and why is in the evidence, which is whole.
        let log = holdfast(host, &["evidence", "list", "--last", "1000", "--format", "json"]).stdout;
        let log: Value = serde_json::from_str(&log).unwrap();
        let records = log["records"].as_array().unwrap().iter();
        let forgotten: Vec<_> = records.filter(|record| record["kind"] == "forgotten").collect();
        let subjects: Vec<_> = forgotten.iter().map(|record| record["subject"].as_str().unwrap()).collect();
        assert_eq!(subjects, [&ids[1], &ids[2], &rows_id]);
        assert!(forgotten.iter().all(|record| record["payload"]["by"] == "carol" && record["payload"]["reason"] == "the disk burnt"));
        holdfast(host, &["evidence", "verify"]).ok().unwrap();
        let told = holdfast(host, &["backup", "status"]).stdout;
        assert!(told.contains("signer-db: 3 are lost, as a person has said; see: "), "{told}");
        assert_eq!(backup(host, &["status"]).1["backups"][0]["lost"], serde_json::json!([ids[1], ids[2], rows_id]));
        let told = holdfast(host, &["backup", "list"]).stdout;
        assert!(told.contains(&format!("{} lost; carol has said so: the disk burnt", ids[1])), "{told}");
        let told = holdfast(host, &["backup", "restore-rows", &rows_id, "--into", "signer", "--identity", "/root/alice.txt"]);
        assert!(told.status == Some(65) && told.stderr.contains("it is lost, carol has said"), "{told}");

        // What is made next comes after what is there, under a number that none had.
        let next = make(host, true);
        assert_eq!((&next["number"], &next["previous"]["id"]), (&Value::from(4), &Value::from(ids[0].as_str())));
        assert_lost(host, 3);
        // Who fetches them is told, too, and needs no other word.
        let key = backup(host, &["status"]).1["backups"][0]["host_key"].as_str().unwrap().to_owned();
        holdfast(host, &["backup", "check", STORE, "--key", &key]).ok().unwrap();

        // Found again, it counts for what it is.
        host.sh(&format!("mv /root/kept/{}.* {STORE}/", ids[1])).unwrap().ok().unwrap();
        assert_lost(host, 2);
        assert_eq!(state(host, &ids[1]), "proven");
        refused(host, &ids[1]);
        // Once something was made since, it is missed when it goes a second time, whatever was said of the first.
        assert!(has_stone(host, &ids[1]));
        let after = id(&make(host, true));
        goes_again(host, &ids[1], "pgdump.zst.age manifest.json");

        // A folder that was emptied counts on; all that was in it is lost, and what is made since is missed when it goes.
        host.sh(&format!("mv {STORE} /root/moved")).unwrap().ok().unwrap();
        let anew = make(host, true);
        assert_eq!((&anew["number"], &anew["previous"]), (&Value::from(6), &Value::Null));
        let anew = id(&anew);
        assert_missed(host, &format!("{}: the evidence log says that it was made", id(&next)));
        assert_eq!(forget(host, "--missing").as_array().unwrap().len(), 6);
        assert_lost(host, 6);
        make(host, true);
        assert_lost(host, 6);
        remove(host, &anew);
        assert_missed(host, &anew);

        // Put back beside what was made since, nothing is in another's place.
        host.sh(&format!("mv /root/kept/{anew}.* {STORE}/ && cp -aT /root/moved {STORE}")).unwrap().ok().unwrap();
        assert_lost(host, 2);
        let newest = make(host, true);
        assert_eq!(newest["number"], 8);
        assert_eq!(state(host, &after), "proven");
        host.sh(&format!("mv /root/kept/{rows_id}.* {STORE}/")).unwrap().ok().unwrap();
        assert!(has_stone(host, &rows_id));
        let looked = backup(host, &["watch", "signer-db"]).1;
        assert_eq!(looked["made"], Value::Null);
        goes_again(host, &rows_id, "dkg-rows.zst.age dkg-rows.json");
    }
}
