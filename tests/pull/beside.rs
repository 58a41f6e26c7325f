//! The account beside the rest of a profile, and beside backups that are really made.

use super::{BACKUP, Puller, apply, assert_well, do_in, fill};
use crate::{backup, support::*};

on_hosts! {
    /// Beside a profile that manages sshd and names who may log in: each gets in as before, nobody counts the account among
    /// the administrators, and what is changed about it shows and is put back.
    fn it_gets_on_with_the_rest_of_the_profile(host: &Host) {
        let puller = Puller::new(host, "puller");
        let rest = format!(
            "extends = [\"sbtc-signer\"]\n{BACKUP}
             [ssh]\nallow_users = [\"root\"]\nallow_groups = [\"root\"]\n
             [login]\nfrom = [\"10.99.0.0/16\"]\n"
        );
        give(host, &format!("{rest}{}", puller.section()));
        apply(host);
        fill(host);
        let seen = verify(host);
        assert_well(&seen);
        assert!(!seen.observed("login.path/10.99.0.0/16").contains("holdfast-pull"));
        puller.sftp("get *").ok().unwrap();

        // That somebody came is seen; that nobody does, too.
        do_in(host, "journalctl --sync");
        give(host, &format!("{rest}{}fetched_within = \"1h\"\n", puller.section()));
        let seen = verify(host);
        assert_eq!(seen.outcome("pull.session"), "pass", "{}", seen.observed("pull.session"));
        assert!(seen.observed("pull.session").starts_with("the last login was "));
        do_in(host, "sleep 2");
        give(host, &format!("{rest}{}fetched_within = \"1s\"\n", puller.section()));
        assert_eq!(verify(host).outcome("pull.session"), "fail");
        // Anybody can write that somebody came; journald says who wrote it.
        do_in(host, "printf 'MESSAGE_ID=8d45620c1a4348dbb17410da57c60c66\nUSER_ID=holdfast-pull\nMESSAGE=New session\n' | logger --journald && journalctl --sync");
        assert_eq!(verify(host).outcome("pull.session"), "fail");
        give(host, &format!("{rest}{}", puller.section()));

        // An administrator is what they were, and the puller's key opens no other account.
        let admin = Puller::new(host, "admin");
        do_in(host, &format!("echo '{}' >>/root/.ssh/authorized_keys", admin.public()));
        let root = format!("root@{}", admin.peer.host_v4());
        assert_eq!(admin.ssh(&[&root, "id -un"]).text(), "root");
        assert_eq!(admin.ssh(&["-tt", &root, "test -t 0 && echo tty"]).text(), "tty");
        let told = puller.ssh(&[&format!("root@{}", puller.peer.host_v4()), "id"]);
        assert_eq!(told.status, Some(255), "{told}");

        // With no administrator's way left there is nobody's: the account is none.
        let keys = do_in(host, "cat /root/.ssh/authorized_keys; rm /root/.ssh/authorized_keys; passwd -q -l root");
        give(host, &format!("{rest}{}[sysctl.values]\n\"net.ipv4.ip_default_ttl\" = 63\n", puller.section()));
        let output = holdfast(host, &["apply"]);
        assert!(output.status == Some(1) && output.stderr.contains("login.path"), "{output}");
        host.push("/root/.ssh/authorized_keys", keys, 0o600).unwrap();
        give(host, &format!("{rest}{}", puller.section()));
        assert_well(&verify(host));

        // What somebody changes.
        let drop_in = "/etc/ssh/sshd_config.d/00-holdfast-pull.conf";
        do_in(host, &format!("sed -i '/ForceCommand/d' {drop_in}; echo '{}' >>/etc/ssh/holdfast-pull.keys", admin.public()));
        do_in(host, "systemctl reload ssh");
        let seen = verify(host);
        assert_eq!(seen.outcome("pull.config"), "drift");
        assert_eq!(seen.outcome("pull.keys"), "drift");
        assert_eq!(seen.outcome("pull.effective"), "drift");
        assert!(seen.observed("pull.effective").contains("forcecommand is none"), "{}", seen.observed("pull.effective"));
        assert_well(&report(host, "correct"));
        assert_well(&verify(host));
        puller.sftp("get *").ok().unwrap();

        // What it does not put right itself, it says.
        for (script, check, says, back) in [
            (
                "printf 'Match User holdfast-pull\\nPermitTTY yes\\n' >/etc/ssh/sshd_config.d/00-aaa.conf",
                "pull.effective",
                "permittty is yes, expected no",
                "rm /etc/ssh/sshd_config.d/00-aaa.conf",
            ),
            (
                "printf 'DenyUsers hold*\\n' >/etc/ssh/sshd_config.d/99-zzz.conf",
                "pull.effective",
                "denyusers hold* keeps it out",
                "rm /etc/ssh/sshd_config.d/99-zzz.conf",
            ),
            (
                "usermod -s /bin/bash -aG adm holdfast-pull",
                "pull.account",
                "its shell is /bin/bash; it is in other groups: adm",
                "usermod -s /usr/sbin/nologin -G '' holdfast-pull",
            ),
            (
                "ln -s /etc/shadow /var/backups/holdfast/finished/link",
                "pull.store",
                "/var/backups/holdfast/finished/link is no regular file",
                "rm /var/backups/holdfast/finished/link",
            ),
            (
                "chmod 777 /var/backups",
                "pull.store",
                "others may write to /var/backups (mode 0777), so sshd refuses the login",
                "chmod 755 /var/backups",
            ),
        ] {
            do_in(host, script);
            let seen = verify(host);
            assert_eq!(seen.outcome(check), "drift", "{script}");
            assert!(seen.observed(check).contains(says), "{script}: {}", seen.observed(check));
            do_in(host, back);
        }
        // The drop-ins above were never read by sshd; files that came and went leave it behind the folder's time.
        do_in(host, "systemctl reload ssh");
        assert_well(&verify(host));
    }
}

on_hosts! {
    Image::Postgres;
    /// A backup that was really made, fetched by another host while the next one is being made, and opened from what was
    /// fetched.
    fn what_was_fetched_opens(host: &Host) {
        let puller = Puller::new(host, "puller");
        backup::prepare(host, &backup::database(backup::rows(&backup::group())));
        let profile = String::from_utf8(host.read(PROFILE).unwrap()).unwrap();
        let profile = profile.replace("lock_timeout = \"1s\"", "lock_timeout = \"5m\"");
        give(host, &format!("{profile}{}", puller.section()));
        apply(host);
        let manifest = backup::make(host, true);
        assert_well(&verify(host));
        puller.sftp("get -a *").ok().unwrap();
        let file = manifest["archive"]["file"].as_str().unwrap();
        let fetched = std::fs::read(puller.path(file)).unwrap();
        assert_eq!(fetched.len() as u64, manifest["archive"]["bytes"].as_u64().unwrap());
        let sum = puller.peer.run(["sha256sum", &puller.path(file).display().to_string()]).unwrap().ok().unwrap();
        assert!(sum.stdout.starts_with(manifest["archive"]["sha256"].as_str().unwrap()), "{sum}");
        host.push("/root/fetched", fetched, 0o600).unwrap();
        let head = do_in(host, "age -d -i /root/bob.txt /root/fetched | zstd -dq | head -c 5");
        assert_eq!(head, "PGDMP");

        // A backup under way is nowhere for whoever fetches.
        let words = ["runuser", "-u", "postgres", "--", "psql", "-qX", "-d", "signer"];
        let hold = "BEGIN; LOCK sbtc_signer.stacks_blocks IN ACCESS EXCLUSIVE MODE; \\! touch /tmp/held\nSELECT pg_sleep(600);";
        let mut holder = host.command(words).unwrap().stdin(hold.as_bytes()).start().unwrap();
        do_in(host, "for i in $(seq 600); do test -e /tmp/held && break; sleep 0.1; done
            setsid sh -c 'holdfast backup run signer-db >/tmp/run 2>&1; echo $? >/tmp/exit' >/dev/null 2>&1 &
            for i in $(seq 600); do ls /var/backups/holdfast | grep -q unfinished && exit; sleep 0.1; done; exit 1");
        let names = puller.sftp("ls -1a").ok().unwrap().stdout;
        assert!(!names.contains("unfinished") && !names.contains(".lock"), "{names}");
        holder.kill();
        do_in(host, "runuser -u postgres -- psql -qc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()\" >/dev/null
            for i in $(seq 1200); do test -s /tmp/exit && break; sleep 0.1; done; test \"$(cat /tmp/exit)\" = 0 || { cat /tmp/run; exit 1; }");
        let names = puller.sftp("ls -1").ok().unwrap().stdout;
        assert_eq!(names.matches(".pgdump.zst.age").count(), 2, "{names}");

        // What whoever fetched can tell, by the host's public key alone.
        let status = holdfast(host, &["backup", "status", "--format", "json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let key = status["backups"][0]["host_key"].as_str().unwrap().to_owned();
        std::fs::create_dir(puller.path("kept")).unwrap();
        puller.sftp("lcd kept\nget -a *.age\nget *.json").ok().unwrap();
        let kept = puller.path("kept").display().to_string();
        let check = |key: &str| {
            let words = ["backup", "check", &kept, "--key", key, "--newest-within", "1h"];
            let words = [env!("CARGO_BIN_EXE_holdfast")].into_iter().chain(words);
            puller.peer.run(words).unwrap()
        };
        let said = check(&key);
        assert_eq!((said.status, said.stdout.matches(" proven,").count()), (Some(0), 2), "{said}");
        // RFC 8032's first: another host's.
        let other = check("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert!(other.status == Some(2) && other.stdout.contains("signed with another key"), "{other}");
        let path = puller.path("kept").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let said = check(&key);
        assert!(said.status == Some(2) && said.stdout.contains("its bytes are not those that the host signed"), "{said}");
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(check(&key).status, Some(0));
        let id = manifest["id"].as_str().unwrap();
        std::fs::remove_file(puller.path("kept").join(format!("{id}.manifest.json"))).unwrap();
        let said = check(&key);
        assert!(said.status == Some(2) && said.stdout.contains(&format!("the manifest before it, {id}, is gone")), "{said}");
    }
}
