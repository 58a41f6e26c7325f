//! Backups against the key on chain, on booted hosts. The Stacks node is a stand-in that listens in the host's own network: a
//! real one cannot run in a test. Its answers have the shape of a node's; what is asked, and how, is in `holdfast-test-node`.

use holdfast_test_node::{Answers, Authority, Node, Reply};
use serde_json::Value;

use crate::{
    backup::{backup, database, failed, group, prepare, sql},
    support::*,
};

/// Whose contract it is.
const DEPLOYER: &str = "SM3VDXK3WZZSA84XXFKAFAF15NNZX32CTSG82JFQ4";

/// Where the signer's configuration is.
const CONFIG: &str = "/etc/sbtc-signer/signer-config.toml";

/// A private key that nothing may repeat.
const SECRET: &str = "5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e2e5e01";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a backup, and gives its exit code, manifest, and what came of the comparison.
fn compared(host: &Host) -> (i32, Value, String) {
    let (exit, manifest) = backup(host, &["run", "signer-db"]);
    let (text, own) = (manifest.to_string(), hex(&group().private_key(0)));
    assert!(!text.contains(&SECRET[..16]) && !text.contains(&own[..16]), "{text}");
    host.sh("sleep 1.1").unwrap().ok().unwrap();
    let verdict = manifest["chain"]["verdict"].as_str().unwrap_or_default().to_owned();
    (exit, manifest, verdict)
}

/// Has the watch ask, and gives the key on chain, or why there is none. It asks as a backup does, and is done sooner.
fn asked(host: &Host) -> Result<String, String> {
    let (exit, looked) = backup(host, &["watch", "signer-db"]);
    assert_eq!(exit, 0, "{looked:#}");
    let word = |name: &str| looked["chain"][name].as_str().map(str::to_owned);
    match word("fault") {
        Some(fault) => Err(fault),
        None => Ok(looked["chain"]["answer"]["key"].as_str().unwrap_or("none").to_owned()),
    }
}

on_hosts! {
    Image::Postgres;
    /// Each verdict, from the restored rows and a node's answer; what no node can be believed for is neither good nor bad.
    fn restored_rows_are_held_to_the_chain(host: &Host) {
        let group = group();
        let [first, second] = [1, 2].map(|number| group.round(number).row(0));
        let keys = [&first, &second].map(|row| row.aggregate_key.clone());
        prepare(host, &database(vec![first, second]));
        let good = || Answers { deployer: Some(DEPLOYER.into()), ..Answers::with_key(900_051, &keys[1]) };
        let node = host.within(|| Node::start(good(), None).unwrap()).unwrap();
        let configure = |key: &str| {
            let config = format!("[signer]\nprivate_key = \"{key}\"\ndeployer = \"{DEPLOYER}\"\n");
            host.push(CONFIG, &config, 0o600).unwrap();
        };
        host.sh("mkdir -p /etc/sbtc-signer").unwrap().ok().unwrap();
        configure(&hex(&group.private_key(0)));
        let plain = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let own = hex(&group.public_key(0));
        let section = |node: &str, patience: &str| format!(
            "{plain}[backup.signer-db.chain]\nnode = \"{node}\"\ntime_limit = \"{patience}\"\nlook_every = \"0s\"\n"
        );
        give(host, &section(&node.url(), "1m"));

        let (exit, manifest, verdict) = compared(host);
        assert_eq!((exit, verdict.as_str()), (0, "equal"), "{:#}", manifest["chain"]);
        assert_eq!(manifest["chain"]["answer"]["deployer"], DEPLOYER);
        let rows = manifest["proof"]["checks"].as_array().unwrap().iter().filter(|check| {
            check["name"].as_str().unwrap().starts_with("dkg.row/")
                && check["text"].as_str().unwrap().contains(&own)
        });
        assert_eq!(rows.count(), 2, "{:#}", manifest["proof"]);
        let (_, status) = backup(host, &["status"]);
        assert_eq!(status["backups"][0]["chain"]["verdict"], "equal");
        // A custodian who opens it hears the same.
        let id = manifest["id"].as_str().unwrap();
        let (exit, proof) = backup(host, &["prove", id, "--identity", "/root/alice.txt"]);
        let chain = proof["checks"].as_array().unwrap().iter().find(|check| check["name"] == "chain");
        assert_eq!((exit, &chain.unwrap()["outcome"]), (0, &Value::from("pass")), "{proof:#}");

        // Another signer's database: by the chain it is right. Whose it is, its own configuration tells.
        configure(SECRET);
        let (exit, manifest, verdict) = compared(host);
        let newest = format!("dkg.row/{}", hex(&keys[1]));
        assert_eq!((exit, verdict.as_str(), failed(&manifest["proof"])), (2, "equal", vec![newest.as_str()]), "{:#}", manifest["proof"]);
        configure(&hex(&group.private_key(0)));

        // A proxy that the environment names is not asked.
        node.asked();
        let proxies = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"].map(|name| (name, "http://127.0.0.1:9"));
        let run = host.run_env(&proxies, ["holdfast", "backup", "watch", "signer-db"]).unwrap();
        assert!(run.stdout.contains(&format!("the key on chain is {}", hex(&keys[1]))), "{}{}", run.stdout, run.stderr);
        assert_eq!(node.asked().len(), 3);

        // The chain is behind, ahead, without a key; the node is behind, of another network, silent.
        let third = group.round(3).row(0).aggregate_key;
        let testnet = Answers { info: Answers::of(0x8000_0000, 900_051, "").info, ..good() };
        let refusal = Reply::json(r#"{"okay":false,"cause":"Unchecked(NoSuchContract)"}"#);
        let cases = [
            (Answers::with_key(900_051, &keys[0]), 0, "rotation-pending"),
            (Answers::with_key(900_051, &third), 2, "absent"),
            (Answers::of(1, 900_051, "020000000100"), 2, "not-bootstrapped"),
            (Answers::with_key(900_000, &keys[1]), 0, "stale-node"),
            (testnet, 0, "stale-node"),
            (Answers { call: refusal, ..good() }, 0, "unknown"),
        ];
        for (answers, expected_exit, expected) in cases {
            node.now(answers.clone());
            let (exit, manifest, verdict) = compared(host);
            assert_eq!((exit, verdict.as_str()), (expected_exit, expected), "{answers:?}: {:#}", manifest["chain"]);
            let failed = failed(&manifest["proof"]);
            assert_eq!(failed, if exit == 2 { vec!["chain"] } else { vec![] }, "{expected}");
            let checks = manifest["proof"]["checks"].as_array().unwrap();
            let outcome = &checks.iter().find(|check| check["name"] == "chain").unwrap()["outcome"];
            let word = if exit == 2 { "fail" } else { "cannot-check" };
            assert_eq!(outcome, word, "{expected}: an unknown is never a pass");
        }

        // What the rows themselves lack needs no node: a failed round.
        node.now(good());
        sql(host, "signer", "UPDATE sbtc_signer.dkg_shares SET dkg_shares_status = 'failed'");
        let (exit, _, verdict) = compared(host);
        assert_eq!((exit, verdict.as_str()), (2, "not-verified"));
    }
}

on_hosts! {
    Image::Postgres;
    /// Whatever a node does instead of answering, and whoever answers in its place, is said and gives no key.
    fn only_the_right_node_is_believed(host: &Host) {
        let group = group();
        let row = group.round(1).row(0);
        let key = hex(&row.aggregate_key);
        prepare(host, &database(vec![row.clone()]));
        let good = || Answers { deployer: Some(DEPLOYER.into()), ..Answers::with_key(900_051, &row.aggregate_key) };
        let node = host.within(|| Node::start(good(), None).unwrap()).unwrap();
        let config = format!("[signer]\nprivate_key = \"{SECRET}\"\ndeployer = \"{DEPLOYER}\"\n");
        host.sh("mkdir -p /etc/sbtc-signer").unwrap().ok().unwrap();
        host.push(CONFIG, &config, 0o600).unwrap();
        let plain = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let section = |node: &str, patience: &str| format!(
            "{plain}[backup.signer-db.chain]\nnode = \"{node}\"\ntime_limit = \"{patience}\"\nlook_every = \"0s\"\n"
        );
        give(host, &section(&node.url(), "1m"));
        assert_eq!(asked(host), Ok(key.clone()));

        // The deployer stands beside the private key: nobody reads either but the process that is locked for it.
        let words = ["strace", "-f", "-qq", "-s", "200", "-o", "/root/trace", "-e", "trace=execve,openat,mlockall,connect", "holdfast", "-q", "backup", "watch", "signer-db"];
        host.run(words).unwrap().ok().unwrap();
        let trace = String::from_utf8(host.read("/root/trace").unwrap()).unwrap();
        let (child, _) = trace.lines().find(|line| line.contains("\"locked-child\"")).unwrap().split_once(' ').unwrap();
        let of_child = |words: &str| trace.lines().position(|line| line.starts_with(child) && line.contains(words));
        assert!(of_child("mlockall(") < of_child(CONFIG) && of_child("mlockall(").is_some(), "{trace}");
        let readers = trace.lines().filter(|line| line.contains(CONFIG)).map(|line| line.split_once(' ').unwrap().0);
        assert_eq!(readers.filter(|reader| *reader != child).count(), 0, "{trace}");

        let fault = |words: &str| {
            let fault = asked(host).unwrap_err();
            assert!(fault.contains(words), "not {words:?}: {fault}");
            assert!(!fault.contains(&SECRET[..16]), "{fault}");
        };
        let wrong = [
            (Reply::json(r#"{"okay":false,"cause":"Unchecked(NoSuchContract)"}"#), "could not make the call: Unchecked(NoSuchContract)"),
            (Reply::Cut, "/v2/contracts/call-read/"),
            (Reply::Flood, "sent more than"),
            (Reply::Elsewhere("http://127.0.0.1:9/".into()), "sends on to another address"),
            (Reply::Noise, "/v2/contracts/call-read/"),
            (Reply::json("{\"okay\":true,\"result\":\"0x0200000020\"}"), "it says that it has 32 bytes"),
            (Reply::json(format!("{{\"okay\":true,\"result\":\"0x0200000021{}\"}}", "ff".repeat(33))), "is no compressed public key"),
            (Reply::json("<html>"), "not what a Stacks node gives"),
        ];
        for (call, words) in wrong {
            node.now(Answers { call, ..good() });
            fault(words);
        }
        // Slow: nothing comes, or a byte now and then.
        give(host, &section(&node.url(), "1s"));
        for call in [Reply::Silence, Reply::Drip] {
            node.now(Answers { call, ..good() });
            fault("did not answer within 1s");
        }
        give(host, &section(&node.url(), "1m"));

        // Served another way; and the contract of somebody else.
        node.now(Answers { call: Reply::Of(404, "no".into()), ..good() });
        assert_eq!(asked(host), Ok(key.clone()));
        node.now(good());
        host.push("/etc/sbtc-signer/signer.env", "SIGNER_SIGNER__DEPLOYER=SP000000000000000000002Q6VF78\n", 0o600).unwrap();
        give(host, &format!("{}env_file = \"/etc/sbtc-signer/signer.env\"\n", section(&node.url(), "1m")));
        fault("gives no contract SP000000000000000000002Q6VF78");

        // By TLS, to one who proves who they are, and only if the profile names them.
        let (ours, theirs) = (Authority::new("ours").unwrap(), Authority::new("theirs").unwrap());
        host.push("/etc/ssl/own.pem", ours.pem(), 0o644).unwrap();
        let tls = |certificate| host.within(|| Node::start(good(), Some(&certificate)).unwrap()).unwrap();
        let [trusted, other] = [&ours, &theirs].map(|who| tls(who.certify("127.0.0.1", false).unwrap()));
        let named = |node: &Node| format!(
            "{}ca_file = \"/etc/ssl/own.pem\"\nothers = [\"https://127.0.0.1:{}\"]\n", section("http://127.0.0.1:9", "1m"), node.port()
        );
        give(host, &named(&other));
        fault("is not who its certificate");
        give(host, &named(&trusted));
        assert_eq!(asked(host), Ok(key));
    }
}

on_hosts! {
    Image::Postgres;
    /// What `verify` says of rows and chain, from what was kept: it asks nobody.
    fn verify_says_whether_the_key_on_chain_is_backed_up(host: &Host) {
        let group = group();
        let rows: Vec<_> = (1..4).map(|number| group.round(number).row(0)).collect();
        prepare(host, &database(rows[..1].to_vec()));
        let answers = |row: usize| Answers::with_key(900_051, &rows[row].aggregate_key);
        let node = host.within(|| Node::start(answers(0), None).unwrap()).unwrap();
        let plain = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        give(host, &format!(
            "{plain}[backup.signer-db.chain]\nnode = \"{}\"\ndeployer = \"{DEPLOYER}\"\n", node.url()
        ));
        let (dkg, chain) = ("backup.dkg/signer-db", "backup.chain/signer-db");
        let outcomes = |asks: usize| {
            let report = report(host, "verify");
            assert_eq!(node.asked().len(), asks, "verify asks nobody");
            (report.outcome(dkg).to_owned(), report.outcome(chain).to_owned())
        };
        let words = |dkg: &str, chain: &str| (dkg.to_owned(), chain.to_owned());
        // Nobody has looked yet. The uptime in a container is its machine's: for how long that may last is not said here.
        let (looked, asked) = outcomes(0);
        assert!(looked != "pass" && asked == "cannot-check", "{looked} {asked}");
        let watch = || {
            // As if it were time to ask again: an answer counts for longer than any machine is slow.
            host.sh("rm -f /run/holdfast/watched/backup-signer-db.json").unwrap().ok().unwrap();
            let (exit, looked) = backup(host, &["watch", "signer-db"]);
            assert_eq!(exit, 0, "{looked:#}");
            node.asked();
        };
        watch();
        assert_eq!(outcomes(0), words("pass", "pass"));
        let (_, status) = backup(host, &["status"]);
        let told = status["backups"][0]["rows"].as_array().unwrap();
        assert!(told.len() == 2 && told.iter().all(|row| row["outcome"] == "pass"), "{status:#}");

        // The group has rotated, and this signer has no such row.
        node.now(answers(1));
        watch();
        assert_eq!(outcomes(0), words("pass", "fail"));
        sql(host, "signer", &rows[1].insert());
        watch();
        assert_eq!(outcomes(0), words("pass", "pass"));
        // Verified here, and not yet on chain.
        sql(host, "signer", &rows[2].insert());
        watch();
        assert_eq!(outcomes(0), words("pass", "cannot-check"));
        node.now(answers(2));
        watch();
        assert_eq!(outcomes(0), words("pass", "pass"));

        // Backups that somebody deletes are none.
        host.sh("rm /var/backups/holdfast/finished/*.dkg-rows.zst.age").unwrap().ok().unwrap();
        assert_eq!(outcomes(0), words("fail", "fail"));
        watch();
        assert_eq!(outcomes(0), words("pass", "pass"));
        // A row that is gone from the database.
        sql(host, "signer", "DELETE FROM sbtc_signer.dkg_shares WHERE created_at = (SELECT min(created_at) FROM sbtc_signer.dkg_shares)");
        assert_eq!(backup(host, &["watch", "signer-db"]).0, 2);
        node.asked();
        assert_eq!(outcomes(0), words("fail", "pass"));
        assert!(report(host, "verify").observed(dkg).contains("no signer deletes one"));
    }
}
