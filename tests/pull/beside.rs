//! The account beside the rest of a profile, and what is done to it.

use super::{BACKUP, Puller, apply, assert_well, do_in, fill};
use crate::support::*;

/// What it does not put right itself, it says.
fn what_it_does_not_put_right(host: &Host) {
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
            "install -m 644 /etc/passwd /var/backups/holdfast/finished/signer.dump",
            "pull.store",
            "/var/backups/holdfast/finished/signer.dump is of no backup",
            "rm /var/backups/holdfast/finished/signer.dump",
        ),
        (
            "printf 'UsePAM no\\n' >/etc/ssh/sshd_config.d/00-bbb.conf",
            "pull.effective",
            "usepam is no",
            "rm /etc/ssh/sshd_config.d/00-bbb.conf",
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
}

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

        // Nobody confirms by fetching; an administrator does.
        let rest = format!("{rest}[sysctl.values]\n\"net.ipv4.ip_default_ttl\" = 65\n");
        give(host, &format!("{rest}{}", puller.section()));
        let output = host.run(["holdfast", "apply", "--confirm-within", "1h"]).unwrap();
        assert!(output.stdout.contains("not confirmed yet"), "{output}");
        puller.sftp("ls").ok().unwrap();
        let told = puller.ssh(&[&puller.to(), "holdfast confirm"]);
        assert!(!told.stdout.contains("confirmed"), "{told}");
        let output = holdfast(host, &["status", "--format", "json"]);
        let status: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        assert!(status["pending"].is_object(), "{status:#}");
        let confirmed = admin.ssh(&[&root, "holdfast confirm"]);
        assert!(confirmed.status == Some(0) && confirmed.stdout.contains("confirmed by root"), "{confirmed}");

        // With no administrator's way left there is nobody's: the account is none.
        let keys = do_in(host, "cat /root/.ssh/authorized_keys; rm /root/.ssh/authorized_keys; passwd -q -l root");
        give(host, &format!("{}{}", rest.replace("= 65", "= 63"), puller.section()));
        let output = holdfast(host, &["apply"]);
        assert!(output.status == Some(1) && output.stderr.contains("login.path"), "{output}");
        host.push("/root/.ssh/authorized_keys", keys, 0o600).unwrap();
        give(host, &format!("{rest}{}", puller.section()));
        assert_well(&verify(host));

        // What the firewall keeps out fetches nothing.
        let block = format!("[[firewall.block]]\nname = \"others\"\nnetworks = [\"{}/32\"]\n", puller.peer.v4());
        assert_eq!(verify(host).outcome("pull.path"), "pass");
        give(host, &format!("{rest}{}{block}", puller.section()));
        assert!(verify(host).observed("pull.path").ends_with("firewall.block others lists it"));
        give(host, &format!("{rest}{}", puller.section()));

        // What somebody changes.
        let drop_in = "/etc/ssh/sshd_config.d/00-holdfast-pull.conf";
        do_in(host, &format!("sed -i '/ForceCommand/d' {drop_in}; echo '{}' >>/etc/ssh/holdfast-pull.keys", admin.public()));
        do_in(host, "systemctl reload ssh");
        let seen = verify(host);
        assert_eq!(seen.outcome("pull.config"), "drift");
        assert_eq!(seen.outcome("pull.keys"), "drift");
        assert_eq!(seen.outcome("pull.effective"), "drift");
        assert!(seen.observed("pull.effective").contains("forcecommand is none"), "{}", seen.observed("pull.effective"));
        do_in(host, "userdel -f holdfast-pull");
        assert_eq!(verify(host).outcome("pull.account"), "drift");
        // It ends with 2: there is no backup yet.
        do_in(host, "systemctl start holdfast-correct.service || test \"$(systemctl show -P ExecMainStatus holdfast-correct)\" = 2");
        assert_well(&verify(host));
        puller.sftp("get *").ok().unwrap();

        what_it_does_not_put_right(host);
        // The drop-ins above were never read by sshd; files that came and went leave it behind the folder's time.
        do_in(host, "systemctl reload ssh");
        assert_well(&verify(host));
    }
}
