//! The account by which another host fetches finished backups, tried with real clients from that other host: what it gets,
//! and all that it does not.

use std::path::PathBuf;

use holdfast_test_host::{Peer, Running};

use crate::support::*;

mod beside;
mod documents;

/// Where sshd locks the account in.
const SERVED: &str = "/var/backups/holdfast/finished";

/// A backup's file, as large as a few dozen of SFTP's requests, and its manifest.
const FILES: [&str; 2] =
    ["signer-db-20260101T000000Z.pgdump.zst.age", "signer-db-20260101T000000Z.manifest.json"];

/// A custodian and a database, of which nothing is dumped here.
const BACKUP: &str = r#"
[[people]]
name = "alice"
age_recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
[backup.signer-db]
database = "signer"
to = ["alice"]
"#;

/// A host that fetches backups, with a key of its own.
struct Puller {
    peer: Peer,
    folder: tempfile::TempDir,
}

impl Puller {
    fn new(host: &Host, name: &str) -> Self {
        let puller = Self { peer: host.peer(name).unwrap(), folder: tempfile::tempdir().unwrap() };
        let key = puller.key();
        let words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &key];
        puller.peer.run(words).unwrap().ok().unwrap();
        puller
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self) -> String {
        self.path("key").display().to_string()
    }

    fn public(&self) -> String {
        std::fs::read_to_string(self.path("key.pub")).unwrap().trim().to_owned()
    }

    /// The section that lets it fetch.
    fn section(&self) -> String {
        format!("[pull]\nkeys = [\"{}\"]\nfrom = [\"{}\"]\n", self.public(), self.peer.v4())
    }

    fn to(&self) -> String {
        format!("holdfast-pull@{}", self.peer.host_v4())
    }

    /// A program of OpenSSH's that asks nobody anything, with the key, run in this host's folder.
    fn program(&self, program: &str, words: &[&str]) -> Vec<String> {
        let folder = format!("--chdir={}", self.folder.path().display());
        let key = self.key();
        let words = ["env", &folder, program]
            .into_iter()
            .chain(SSH.into_iter().skip(1))
            .chain(["-o", "ConnectTimeout=20", "-o", "LogLevel=INFO", "-i", &key])
            .chain(words.iter().copied());
        words.map(str::to_owned).collect()
    }

    /// Runs `ssh` with its input at its end.
    fn ssh(&self, words: &[&str]) -> Output {
        self.peer.run(self.program("ssh", words)).unwrap()
    }

    /// Carries out commands of `sftp`, up to the first that fails.
    fn sftp(&self, batch: &str) -> Output {
        let words = self.program("sftp", &["-b", "-", &self.to()]);
        self.peer.command(words).unwrap().stdin(format!("{batch}\n")).run().unwrap()
    }

    /// A session that does nothing until it is ended, with these options; waits until the host has it.
    fn stay(&self, host: &Host, options: &[&str]) -> Running {
        let to = self.to();
        let words: Vec<&str> = options.iter().copied().chain(["-s", &to, "sftp"]).collect();
        let ssh = self.program("ssh", &words);
        // Its input is a pipe that nobody closes and nobody waits for. It has an agent.
        let pipe = self.path("pipe").display().to_string();
        let script =
            format!("rm -f {pipe}; mkfifo {pipe}; exec 3<>{pipe}; exec ssh-agent \"$@\" <&3 3<&-");
        let words = ["sh", "-c", &script, "sh"].into_iter().map(str::to_owned).chain(ssh);
        let running = self.peer.command(words).unwrap().start().unwrap();
        do_in(
            host,
            "for i in $(seq 600); do pgrep -u holdfast-pull -f internal-sftp && exit; sleep 0.1; done; exit 1",
        );
        running
    }
}

/// That nothing is found but that no backup was ever made: of these hosts most have no database.
fn assert_well(report: &Report) {
    let findings = report.findings();
    let others: Vec<_> = findings.iter().filter(|line| !line.contains("\"backup.")).collect();
    assert!(others.is_empty(), "{others:#?}");
}

/// Applies, which must succeed.
fn apply(host: &Host) -> Report {
    let report = report(host, "apply");
    assert_well(&report);
    assert!(report.json["transaction"].is_u64(), "{:#}", report.json);
    report
}

fn do_in(host: &Host, script: &str) -> String {
    host.sh(script).unwrap().ok().unwrap().stdout
}

/// All that there is of accounts, and of the account.
fn accounts(host: &Host) -> String {
    do_in(
        host,
        "cd /etc && sha256sum passwd shadow group gshadow; stat -c '%n %a %U %G' passwd shadow group gshadow; id holdfast-pull 2>&1 || :; ps -o user= -u holdfast-pull 2>/dev/null || :",
    )
}

/// Puts finished files on the shelf, and beside them what no other host is to see.
fn fill(host: &Host) {
    do_in(
        host,
        &format!(
            "cd {SERVED} && head -c 3000000 /dev/urandom >{0} && echo '{{}}' >{1} && chmod 644 {0} {1}
             cd .. && umask 077 && echo half >signer-db-20260102T000000Z.pgdump.zst.age.unfinished && touch .lock",
            FILES[0], FILES[1]
        ),
    );
}

on_hosts! {
    /// It lists and reads finished files. Everything else that SFTP, SSH and their clients know is refused, and nothing on
    /// the host is another thing for it.
    fn another_host_reads_finished_backups_and_does_nothing_else(host: &Host) {
        let puller = Puller::new(host, "puller");
        let stranger = Puller::new(host, "stranger");
        give(host, &format!("{BACKUP}{}", puller.section()));
        apply(host);
        fill(host);
        assert_well(&verify(host));

        // What it is for.
        let listed = puller.sftp("ls -1").ok().unwrap().stdout;
        let names: Vec<&str> = listed.lines().filter(|line| !line.starts_with("sftp>")).collect();
        assert_eq!(names, [FILES[1], FILES[0]], "{listed}");
        puller.sftp("ls -la\nget -a *").ok().unwrap();
        let mut sums = do_in(host, &format!("cd {SERVED} && sha256sum *"));
        std::fs::write(puller.path("SUMS"), &sums).unwrap();
        let check = format!("cd {} && sha256sum -c SUMS", puller.folder.path().display());
        puller.peer.run(["sh", "-c", &check]).unwrap().ok().unwrap();
        puller.sftp("get -a *.age\nget *.json").ok().unwrap();
        // Half of it is there already: the rest is fetched.
        let half = std::fs::read(puller.path(FILES[0])).unwrap();
        std::fs::write(puller.path(FILES[0]), &half[..half.len() / 2]).unwrap();
        puller.sftp(&format!("reget {}", FILES[0])).ok().unwrap();
        puller.peer.run(["sh", "-c", &check]).unwrap().ok().unwrap();

        // What SFTP knows beside that. What the host's own timers do meanwhile would not be the puller's doing.
        do_in(host, "systemctl stop 'holdfast-backup*.timer' 'holdfast-backup*.service'");
        let before = host.snapshot(&["/var/backups", "/etc", "/tmp", "/root", "/home"]).unwrap();
        let file = FILES[0];
        for command in [
            "put SUMS".to_owned(),
            format!("put SUMS {file}"),
            format!("reput SUMS {}", FILES[1]),
            format!("rm {file}"),
            format!("rename {file} other"),
            format!("rename -l {file} other"),
            format!("chmod 777 {file}"),
            format!("chown 1 {file}"),
            format!("chgrp 1 {file}"),
            format!("copy {file} other"),
            format!("ln {file} other"),
            format!("ln -s {file} other"),
            "ln -s /etc/passwd passwd".to_owned(),
            "mkdir folder".to_owned(),
            "rmdir /".to_owned(),
            "df".to_owned(),
            "get /etc/passwd".to_owned(),
            "get ../../../../../../etc/passwd".to_owned(),
            format!("get ../{file}.unfinished"),
            "get ../signer-db-20260102T000000Z.pgdump.zst.age.unfinished".to_owned(),
            "get ../.lock".to_owned(),
            "get /proc/self/environ".to_owned(),
            format!("get {SERVED}/{file}"),
            "cd /var".to_owned(),
        ] {
            let output = puller.sftp(&command);
            assert_ne!(output.status, Some(0), "{command}: {output}");
            assert!(!output.stderr.contains("Connection closed"), "{command}: {output}");
        }
        let above = puller.sftp("ls -1 ..\nls -1 /").ok().unwrap().stdout;
        let names: Vec<&str> = above.lines().filter(|line| !line.starts_with("sftp>")).collect();
        let bare: Vec<&str> = names.iter().map(|name| name.trim_start_matches(['.', '/'])).collect();
        assert_eq!(bare, [FILES[1], FILES[0], FILES[1], FILES[0]], "{above}");

        // What SSH knows.
        let to = puller.to();
        let told = puller.ssh(&[&to, "id; touch /tmp/ran"]);
        assert!(!told.stdout.contains("uid="), "{told}");
        let told = puller.ssh(&["-tt", &to]);
        assert!(told.stderr.contains("PTY allocation request failed"), "{told}");
        let told = puller.ssh(&["-W", "127.0.0.1:22", &to]);
        assert!(told.status != Some(0) && told.stdout.is_empty(), "{told}");
        assert!(told.stderr.contains("prohibited"), "{told}");
        // -L and -D ask the host for the same as -W, at the first connection.
        for forwarding in [
            ["-R", "9998:127.0.0.1:22"],
            ["-R", "/tmp/socket:127.0.0.1:22"],
            ["-R", "9997"],
        ] {
            let words = ["-N", "-o", "ExitOnForwardFailure=yes", forwarding[0], forwarding[1], &to];
            let told = puller.ssh(&words);
            assert!(told.status == Some(255) && told.stderr.contains("orwarding failed"), "{forwarding:?}: {told}");
        }
        let told = puller.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-w", "any:any", &to]);
        assert_ne!(told.status, Some(0), "{told}");
        // Agent and graphics, looked for on the host while the session lasts.
        let ssh = puller.program("ssh", &["-A", "-Y", &to]);
        let words = ["ssh-agent", "env", "DISPLAY=127.0.0.1:7"].into_iter().map(str::to_owned);
        let told = puller.peer.run(words.chain(ssh)).unwrap();
        assert!(told.stderr.contains("X11 forwarding request failed"), "{told}");
        let mut session = puller.stay(host, &["-A"]);
        let mine = do_in(host, "find / /tmp /dev/shm -xdev -user holdfast-pull -not -path '/proc/*'
            ss -xl | grep -F -e /agent. -e .ssh/agent || :; ss -tlnp | grep -e ':60[0-9][0-9] ' || :");
        assert_eq!(mine.trim(), "", "what the session has on the host");
        session.kill();
        // Old scp and rsync run programs of their own; today's scp is SFTP, and fetches.
        let from = format!("{to}:/{}", FILES[1]);
        let got = puller.path("got").display().to_string();
        assert_ne!(puller.peer.run(puller.program("scp", &["-O", &from, &got])).unwrap().status, Some(0));
        assert!(!puller.path("got").exists());
        puller.peer.run(puller.program("scp", &[&from, &got])).unwrap().ok().unwrap();
        let sums_file = puller.path("SUMS").display().to_string();
        assert_ne!(puller.peer.run(puller.program("scp", &[&sums_file, &format!("{to}:/new")])).unwrap().status, Some(0));
        let told = puller.ssh(&[&to, "rsync --server --sender -logDtpre.iLsfxCIvu . /"]);
        assert_eq!(told.text(), "This service allows sftp connections only.");
        // The account is none for anything else.
        let told = host.run(["su", "holdfast-pull", "-c", "id"]).unwrap();
        assert!(told.status != Some(0) && told.stdout.contains("not available"), "{told}");

        assert_eq!(changes(&before, &host.snapshot(&["/var/backups", "/etc", "/tmp", "/root", "/home"]).unwrap()), Vec::<String>::new());
        do_in(host, "systemctl start --all 'holdfast-backup*.timer'");
        sums = do_in(host, &format!("cd {SERVED} && sha256sum *"));
        assert_eq!(sums, std::fs::read_to_string(puller.path("SUMS")).unwrap());

        // Other keys, other places, no key. Last, because sshd 10 keeps those out for a while that failed.
        std::fs::copy(puller.path("key"), stranger.path("copied")).unwrap();
        let copied = stranger.path("copied").display().to_string();
        let to = stranger.to();
        for words in [vec![to.as_str(), "id"], vec!["-i", &copied, &to, "id"]] {
            let told = stranger.ssh(&words);
            assert!(told.status == Some(255) && told.stderr.contains("Permission denied (publickey)"), "{told}");
        }
        do_in(host, "echo holdfast-pull:secret | chpasswd");
        let told = puller.ssh(&["-o", "PubkeyAuthentication=no", &puller.to()]);
        assert!(told.stderr.contains("Permission denied (publickey)"), "no password is asked for: {told}");
        assert_eq!(verify(host).outcome("pull.account"), "drift");
    }
}

on_hosts! {
    /// What an apply makes, a roll-back takes away to the byte, the account too, and whoever is reading just then.
    fn a_roll_back_leaves_nothing(host: &Host) {
        let puller = Puller::new(host, "puller");
        give(host, &format!("{BACKUP}{}", puller.section()));
        let state = || (accounts(host), host.snapshot(&["/etc/ssh", "/var/backups"]).unwrap());
        let before = state();
        let id = apply(host).transaction();
        puller.sftp("ls").ok().unwrap();
        let session = puller.stay(host, &[]);
        let output = holdfast(host, &["rollback", &id.to_string()]);
        assert_eq!(output.status, Some(0), "{output}");
        assert_ne!(session.wait().unwrap().status, Some(0), "the session was ended");
        assert_ne!(puller.sftp("ls").status, Some(0));
        let after = state();
        assert_eq!(after.0, before.0);
        assert_eq!(changes(&before.1, &after.1), Vec::<String>::new());

        // The same by the sandboxed unit, where nobody confirms it.
        let output = host.run(["holdfast", "apply", "--confirm-within", "10s"]).unwrap();
        assert!(output.stdout.contains("not confirmed yet"), "{output}");
        let session = puller.stay(host, &[]);
        do_in(host, "for i in $(seq 1200); do id holdfast-pull >/dev/null 2>&1 || exit 0; sleep 0.1; done; exit 1");
        assert_ne!(session.wait().unwrap().status, Some(0), "the session was ended");
        do_in(host, "for i in $(seq 1200); do systemctl is-active -q 'holdfast-expire@*.service' || exit 0; sleep 0.1; done; exit 1");
        let after = state();
        assert_eq!(after.0, before.0);
        assert_eq!(changes(&before.1, &after.1), Vec::<String>::new());
    }
}
