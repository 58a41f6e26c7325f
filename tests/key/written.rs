//! What is written by whatever comes after an export: no key, no identity and no share, but into the one file that a key is
//! brought back into.

use super::{
    memory::{bytes_of, hex, middle},
    *,
};

/// What every envelope begins with: who writes one to the process that opens it, or prints one, was watched.
const ENVELOPE: &str = "BEGIN AGE ENCRYPTED FILE";

/// What must be nowhere, by name: bytes in hexadecimal.
pub(super) struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// A key and identities, as text and as bytes; and any identity at all, by how it begins.
    pub(super) fn new(host: &Host, key: &str, custodians: &[&str]) -> Self {
        let text = &key[20..44];
        let mut all = Self(vec![("the key's bytes".into(), text.to_owned())]);
        all.add("the key", text.as_bytes());
        all.add("the key in capitals", text.to_uppercase().as_bytes());
        all.add("an identity", b"AGE-SECRET-KEY-1");
        for who in custodians {
            let identity = sh(host, &format!("grep ^AGE-SECRET-KEY /root/k/{who}.txt"));
            all.0.push((format!("{who}'s identity"), middle(identity.trim().as_bytes())));
            all.0.push((format!("the bytes of {who}'s identity"), middle(&bytes_of(&identity))));
        }
        all
    }

    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.push((name.to_owned(), hex(bytes)));
    }

    /// Each as grep and strace spell it: every byte as `\xNN`.
    fn spelt(&self) -> impl Iterator<Item = (&str, String)> {
        let spelt = |hex: &str| {
            (0..hex.len()).step_by(2).map(|at| format!("\\x{}", &hex[at..at + 2])).collect()
        };
        self.0.iter().map(move |(name, hex)| (name.as_str(), spelt(hex)))
    }

    /// None is in what a command of holdfast's writes, sends and starts. It comes to its good end, and what is public is seen.
    pub(super) fn none_by(&self, host: &Host, command: &str) -> String {
        let output = watched(host, "", command, "written");
        assert_eq!(output.status, Some(0), "{command}: {}{}", output.stdout, output.stderr);
        for (name, spelt) in self.spelt() {
            let count = sh(host, &format!("grep -cF '{spelt}' /root/written || true"));
            assert_eq!(count.trim(), "0", "{command}: {name} was written");
        }
        let public = hex(ENVELOPE.as_bytes());
        let public = Self(vec![(ENVELOPE.into(), public)]);
        let (_, public) = public.spelt().next().unwrap();
        if !command.contains("--receipt") {
            sh(host, &format!("grep -qF '{public}' /root/written"));
        }
        output.stdout
    }

    /// None is in any file that outlasts it, nor in the journal; and the same search finds each that is put there.
    fn nowhere(&self, host: &Host) {
        let places = "/var /media /run /tmp /dev/shm /home /etc/holdfast /opt /srv";
        assert_eq!(self.found(host, places), "", "a secret is there");
        sh(host, "journalctl -a --no-pager >/root/journal");
        assert_eq!(self.found(host, "/root/journal"), "", "a secret is in the journal");
        for (name, hex) in &self.0 {
            sh(host, &format!("perl -e 'print \"x\", pack \"H*\", \"{hex}\"' >/dev/shm/planted"));
            assert_eq!(self.found(host, "/dev/shm"), "/dev/shm/planted\n", "{name}");
        }
        sh(host, "rm /dev/shm/planted /root/journal");
    }

    /// The files that have any of them. Not by grep, which looks at lines: some bytes are the end of one.
    fn found(&self, host: &Host, places: &str) -> String {
        let needles: Vec<&str> = self.0.iter().map(|(_, hex)| hex.as_str()).collect();
        let search = r#"@needles = map { pack "H*", $_ } splice @ARGV; $/ = "\0"; @names = <STDIN>; chomp @names; undef $/;
            for $name (@names) {
                open($file, "<:raw", $name) or next;
                $bytes = <$file>;
                print "$name\n" if grep { index($bytes, $_) >= 0 } @needles;
            }"#;
        let needles = needles.join(" ");
        sh(host, &format!("find {places} -type f -print0 | perl -e '{search}' {needles}"))
    }
}

/// Answers with which one may watch.
pub(super) const ANSWERS: &str = "/root/watched.toml";

pub(super) fn may_be_watched(host: &Host) {
    let exception = "\"exception.traced\" = \"a test\"";
    sh(host, &format!("cp /root/k/answers.toml {ANSWERS}; echo '{exception}' >>{ANSWERS}"));
}

/// Drills, restores, challenges and receipts. The process that opens does not let itself be watched; what it starts and where it
/// writes is seen from its parent, from what is left, and from its own arguments and environment (`memory`).
pub(super) fn nothing_secret(host: &Host, export: &str, backup: &str, key: &str) {
    let secrets = Secrets::new(host, key, &["alice", "bob"]);
    may_be_watched(host);
    // The search finds an identity in what is written of one.
    sh(host, "strace -xx -s 1000000 -e trace=write -o /root/written cat /root/k/alice.txt");
    let (_, identity) = secrets.spelt().find(|(name, _)| *name == "alice's identity").unwrap();
    sh(host, &format!("grep -qF '{identity}' /root/written"));

    let given = |verb: &str, who: &str| {
        format!(
            "key {verb} {export} --medium /media/{who} --identity /root/k/{who}.txt --answers {ANSWERS}"
        )
    };
    secrets.none_by(host, &given("drill", "alice"));
    secrets.none_by(host, &format!("{} --backup {backup}", given("drill", "alice")));
    secrets.none_by(host, &format!("{} --to /root/back", given("restore", "bob")));
    assert_eq!(sh(host, "cat /root/back; rm /root/back"), key);
    let credential = "--credential /root/cred --credential-name k --with-key host";
    secrets.none_by(host, &format!("{} {credential}", given("restore", "alice")));
    assert_eq!(sh(host, "systemd-creds decrypt --name=k /root/cred -; rm /root/cred").trim(), key);
    for verb in [format!("key prove {export}"), format!("key challenge {PLAN}")] {
        let challenge = secrets.none_by(host, &format!("{verb} alice"));
        host.push("/root/challenge", &challenge, 0o600).unwrap();
        sh(
            host,
            "cd /root; rm -f receipt*; age -d -i k/alice.txt challenge >receipt
            ssh-keygen -q -Y sign -n holdfast-receipt@v1 -f k/alice.ssh receipt",
        );
        let receipt = "--receipt /root/receipt --signature /root/receipt.sig";
        secrets.none_by(host, &format!("{verb} alice {receipt}"));
    }
    secrets.nowhere(host);
}

/// A verification key of the journal's (journalctl(1), `--verify-key`), of which nothing tells that it is a key.
const SEALING: &str = "c262bd-85187f-0b1b04-877cc5/1c7af8-35a4e900";

/// That a key is named in place of the plan happens.
pub(super) fn no_key_is_quoted(host: &Host, key: &str) {
    sh(
        host,
        &format!(
            "umask 077; printf '{key}' >/root/hex; printf 'SIGNER_SIGNER__PRIVATE_KEY={key}01\\n' >/root/env
            perl -e 'print pack \"H*\", \"{key}\"' >/root/raw; cp /etc/sbtc-signer/signer-config.toml /root/config
            echo {SEALING} >/root/journal; perl -e 'print pack \"H*\", \"{key}\"' | base64 >/root/base64"
        ),
    );
    let identity = sh(host, "grep ^AGE-SECRET-KEY /root/k/alice.txt");
    let pem = sh(host, "sed -n 3p /root/k/carol");
    for file in [
        "/root/hex",
        "/root/env",
        "/root/raw",
        "/root/config",
        "/root/journal",
        "/root/base64",
        "/root/k/alice.txt",
        "/root/k/carol",
    ] {
        for words in [
            &["plan", file][..],
            &["rehearse", file],
            &["export", file],
            &["challenge", file, "alice"],
        ] {
            let refused = holdfast(host, &[&["key"], words].concat());
            let told = format!("{}{}", refused.stdout, refused.stderr);
            assert!(refused.status == Some(65) && told.contains(file), "{words:?}: {told}");
            // Of a file that has no line of a plan's none is quoted at all.
            assert!(!told.contains(" | "), "{words:?}: {told}");
            for secret in [&key[20..30], &identity[20..30], &pem[20..30], &SEALING[10..30]] {
                assert!(!told.contains(secret), "{words:?}: {told}");
            }
        }
    }
    sh(host, "rm /root/hex /root/env /root/raw /root/config /root/journal /root/base64");
}
