//! The timers, the sandboxed units, and what `verify` says of backups.

use super::*;

const TIMERS: [&str; 3] = [
    "holdfast-backup@signer-db.timer",
    "holdfast-backup-drill@signer-db.timer",
    "holdfast-backup-watch@signer-db.timer",
];

fn outcomes(report: &Report) -> [&str; 4] {
    ["age", "proof", "drill", "shelf"]
        .map(|check| report.outcome(&format!("backup.{check}/signer-db")))
}

on_hosts! {
    Image::Postgres;
    /// An apply enables the timers; what they start does its work in its sandbox; verify reads what came of it.
    fn timers_make_backups_and_verify_tells_of_them(host: &Host) {
        for unit in ["backup", "backup-drill", "backup-watch"] {
            for kind in ["service", "timer"] {
                let path = format!("/usr/lib/systemd/system/holdfast-{unit}@.{kind}");
                let output = host.run(["systemd-analyze", "verify", &path]).unwrap().ok().unwrap();
                assert!(!output.stderr.contains("holdfast"), "{}", output.stderr);
            }
            // systemd's own score, 0 (tight) to 10 (open): it becomes other accounts and reaches servers by TCP.
            let path = format!("/usr/lib/systemd/system/holdfast-{unit}@.service");
            host.run(["systemd-analyze", "security", "--offline=true", "--threshold=45", &path]).unwrap().ok().unwrap();
        }
        prepare(host, &database(rows(&group())));
        let report = report(host, "apply");
        // What never ran is a finding from the beginning, and no reason to take the timers back.
        assert_eq!((report.exit, &report.json["outcome"]), (2, &Value::from("committed")));
        assert_eq!(outcomes(&report), ["fail", "fail", "fail", "pass"], "{:#}", report.json);
        for timer in TIMERS {
            assert_eq!(report.outcome(&format!("services.enabled/{timer}")), "pass");
            host.run(["systemctl", "is-enabled", "--quiet", timer]).unwrap().ok().unwrap();
            host.run(["systemctl", "is-active", "--quiet", timer]).unwrap().ok().unwrap();
        }
        let started = |unit: &str| {
            let output = host.run(["systemctl", "start", unit]).unwrap();
            let log = host.sh(&format!("journalctl -q -o cat -u '{unit}'")).unwrap().stdout;
            (output.status, log)
        };
        let (exit, log) = started("holdfast-backup@signer-db.service");
        assert_eq!(exit, Some(0), "{log}");
        assert_eq!(outcomes(&verify(host)), ["pass", "pass", "fail", "pass"]);
        host.sh("sleep 1.1").unwrap().ok().unwrap();
        let (exit, log) = started("holdfast-backup-drill@signer-db.service");
        assert_eq!(exit, Some(0), "{log}");
        let (exit, log) = started("holdfast-backup-watch@signer-db.service");
        assert_eq!(exit, Some(0), "{log}");
        let report = verify(host);
        assert_eq!(outcomes(&report), ["pass"; 4]);
        assert_passes(&report);
        assert!(report.observed("backup.drill/signer-db").contains("recovery took"));
        assert_nothing_left(host);
        // The sandboxed verify sees the same.
        host.run(["systemctl", "start", "holdfast-verify.service"]).unwrap().ok().unwrap();

        // A timer that somebody stops is drift, and comes back.
        host.run(["systemctl", "disable", "--now", TIMERS[0]]).unwrap().ok().unwrap();
        assert_eq!(verify(host).outcome(&format!("services.enabled/{}", TIMERS[0])), "drift");
        correct(host);
        host.run(["systemctl", "is-active", "--quiet", TIMERS[0]]).unwrap().ok().unwrap();

        // Nor may somebody make another thing of a unit; what an operator adds to it is no fault.
        assert_eq!(verify(host).outcome("backup.units/signer-db"), "pass");
        let drop_in = "/etc/systemd/system/holdfast-backup@.service.d/own.conf";
        for (text, outcome) in [("[Unit]\nOnFailure=page.service\n", "pass"), ("[Service]\nEnvironment=LD_PRELOAD=/tmp/x.so\n", "drift"), ("[Service]\nExecStart=\nExecStart=/bin/true\n", "drift")] {
            host.push(drop_in, text, 0o644).unwrap();
            host.run(["systemctl", "daemon-reload"]).unwrap().ok().unwrap();
            let report = verify(host);
            assert_eq!(report.outcome("backup.units/signer-db"), outcome, "{}", report.observed("backup.units/signer-db"));
        }
        assert!(verify(host).observed("backup.units/signer-db").contains("own.conf sets ExecStart"));
        host.sh("rm -r /etc/systemd/system/holdfast-backup@.service.d; systemctl daemon-reload").unwrap().ok().unwrap();

        // A backup that is worth nothing fails its unit, and is a finding at once; what was good before still counts.
        host.sh("sleep 1.1").unwrap().ok().unwrap();
        sql(host, "signer", "DELETE FROM sbtc_signer.dkg_shares");
        let cursor = "journalctl --sync; journalctl -q -n 1 --show-cursor -o cat | sed -n 's/^-- cursor: //p'";
        let cursor = host.sh(cursor).unwrap().ok().unwrap().stdout;
        let (exit, log) = started("holdfast-backup@signer-db.service");
        assert_ne!(exit, Some(0), "{log}");
        // Nobody asked: OnFailure= did.
        let filed = format!(
            "for _ in $(seq 300); do
                journalctl -q -o cat --after-cursor='{}' HOLDFAST_CHECK=backup.proof/signer-db | grep -q . && exit
                sleep 0.2
            done
            systemctl status holdfast-verify.service; exit 1",
            cursor.trim()
        );
        host.sh(&filed).unwrap().ok().unwrap();
        let report = verify(host);
        assert!(report.observed("backup.units/signer-db").contains("its last run failed"), "{:#}", report.json);
        assert_eq!(outcomes(&report)[0], "pass");
        assert_ne!(outcomes(&report)[1], "pass");
        assert!(report.observed("backup.proof/signer-db").contains("no DKG row"), "{:#}", report.json);
        host.sh(&format!("rm $(ls {STORE}/*.manifest.json | head -1)")).unwrap().ok().unwrap();
        let report = verify(host);
        assert!(report.observed("backup.shelf/signer-db").contains("has no manifest"), "{:#}", report.json);
        // No manifest names the newest; that it is gone the evidence log tells.
        host.sh(&format!("cd {STORE} && newest=$(ls *.manifest.json | tail -1) && rm ${{newest%.manifest.json}}.*")).unwrap().ok().unwrap();
        let report = verify(host);
        let said = report.observed("backup.shelf/signer-db").to_owned();
        assert!(said.contains("the evidence log says that it was made, and nothing of it is there"), "{said}");
        // Nor does the next one cover it up, which takes its place.
        let (gone, there) = (said.rsplit("; ").next().unwrap(), || backup(host, &["list"]).1["backups"].as_array().unwrap().len());
        let before = there();
        host.sh("sleep 1.1").unwrap().ok().unwrap();
        started("holdfast-backup@signer-db.service");
        assert_eq!(there(), before + 1);
        let report = verify(host);
        assert!(report.observed("backup.shelf/signer-db").contains(gone), "{:#}", report.json);
    }
}
