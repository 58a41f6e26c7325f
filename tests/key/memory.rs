//! Who has a key in memory, and when: the child while it holds one, and nobody else, and nobody afterwards. What is looked for
//! is taken from the middle: an allocator writes over the beginning of what is freed.

use std::collections::BTreeMap;

use super::*;

/// Starts something that holds on where a test wants to look at it: a command of the plan that prints the key and does not
/// end, systemd's program that is handed a key and waits. The ceremony's own terminal is a pipe, and a full one is
/// what a process waits at that has done its work.
const HELD: &str = r#"
cd /root
cat >hold <<'HOLD'
touch /root/holding
until [ -e /root/go ]; do sleep 0.05; done
rm /root/holding /root/go
HOLD
printf '#!/bin/sh\ncat /root/key\nexec sh /root/hold\n' >slow
printf '#!/bin/sh\nsh /root/hold\nexec /root/systemd-creds "$@"\n' >creds
chmod 755 slow creds
sed -n 's/^private_key = "\(.*\)"/\1/p' /etc/sbtc-signer/signer-config.toml >key
ssh-keygen -q -t ed25519 -N '' -C alice -f k/alice.ssh
sed -i "/^name = \"alice\"/a ssh_key = \"$(cat k/alice.ssh.pub)\"" k/plan.toml
sed -i 's|^from = .*|from = { command = ["/root/slow"] }|' k/plan.toml
sh k/sign-plan
cp /usr/bin/systemd-creds systemd-creds
mount --bind creds /usr/bin/systemd-creds
mkfifo full
# A reader that reads nothing, and 64 KiB, which is all that a pipe takes (pipe(7)).
(setsid sh -c 'exec 3<>/root/full; head -c 65536 /dev/zero >&3; touch /root/is-full; exec sleep 3600' >/dev/null 2>&1 </dev/null &)
until [ -e is-full ]; do sleep 0.05; done
"#;

/// The bytes of a key of age, which is written in bech32 (BIP 173): five bits a letter, and a checksum of six.
pub(super) fn bytes_of(identity: &str) -> Vec<u8> {
    const LETTERS: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let data = identity.trim().strip_prefix("AGE-SECRET-KEY-1").unwrap();
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in data[..data.len() - 6].chars() {
        bits = bits << 5 | u32::try_from(LETTERS.find(letter).unwrap()).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    assert_eq!(bytes.len(), 32);
    bytes
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The middle of something, as [`scan`] takes it.
pub(super) fn middle(bytes: &[u8]) -> String {
    hex(&bytes[bytes.len() / 4..bytes.len() * 3 / 4])
}

/// What is looked for, by name.
struct Needles(String);

impl Needles {
    /// The key as text and as bytes, alice's identity as text and as bytes, and any identity at all: the one with which the
    /// child opens what it sealed is nowhere else.
    fn new(host: &Host) -> Self {
        let identity = sh(host, "grep ^AGE-SECRET-KEY /root/k/alice.txt");
        let upper = MIDDLE.to_uppercase();
        let mut all = Self("any =AGE-SECRET-KEY-1[A-Z0-9]{40}\n".into());
        all.add("text", &hex(MIDDLE.as_bytes()));
        all.add("upper", &hex(upper.as_bytes()));
        all.add("bytes", MIDDLE);
        all.add("identity", &middle(identity.trim().as_bytes()));
        all.add("raw-identity", &middle(&bytes_of(&identity)));
        all.add("public", &hex(&PUBLIC.as_bytes()[10..50]));
        all
    }

    fn add(&mut self, name: &str, what: &str) {
        self.0.push_str(&format!("{name} {what}\n"));
    }

    /// How often each is in a process, and how often where it could be swapped out.
    fn scan(&self, host: &Host, pid: &str) -> BTreeMap<String, [u32; 2]> {
        let words = ["perl", "/root/scan.pl", pid];
        let seen = host.command(words).unwrap().stdin(self.0.as_bytes()).run().unwrap();
        let seen = seen.ok().unwrap().stdout;
        let line = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0].to_owned(), [words[1].parse().unwrap(), words[2].parse().unwrap()])
        };
        seen.lines().map(line).collect()
    }

    /// That nothing secret is in a process, which was read: it has the public half, where it is told to have it.
    fn none_in(&self, host: &Host, pid: &str, has_public: bool, what: &str) {
        let seen = self.scan(host, pid);
        for (name, [count, _]) in &seen {
            match name.as_str() {
                "public" => assert!(*count > 0 || !has_public, "{what}: it was not read: {seen:?}"),
                _ => assert_eq!(*count, 0, "{what}: {name}: {seen:?}"),
            }
        }
    }
}

/// Waits until something of the script is so.
fn until(host: &Host, test: &str) {
    sh(
        host,
        &format!(
            "for _ in $(seq 3000); do {test} && exit 0; sleep 0.1; done; cat /root/out; exit 1"
        ),
    );
}

/// The only process of a name.
fn pid(host: &Host, name: &str) -> String {
    let pids = sh(host, &format!("pgrep -x {name}"));
    assert_eq!(pids.lines().count(), 1, "{name}: {pids}");
    pids.trim().to_owned()
}

fn no_child(host: &Host, what: &str) {
    let children = host.sh("pgrep -x exe || true").unwrap();
    assert_eq!(children.stdout, "", "{what}: the process that held the key lives on");
}

/// Begins an export at a terminal, and answers until the key is read.
fn at_terminal(host: &Host) {
    sh(host, &format!("cd /root && rm -f in && mkfifo in && ulimit -c unlimited
        (setsid holdfast key export {PLAN} <in >out 2>&1 &)
        (setsid sh -c 'exec 3>/root/in; printf \"carol\\ndave\\nyes\\nyes\\nB-1\\nB-1\\n\" >&3; exec sleep 3600' >/dev/null 2>&1 </dev/null &)"));
}

/// Runs what ends with a line on standard output, until it waits to write that line; `look` looks; then it is let go.
fn at_its_end(host: &Host, words: &str, look: impl FnOnce(&str)) {
    sh(
        host,
        &format!(
            "cd /root && (setsid sh -c '{words} >full 2>out; echo $? >ended' </dev/null >/dev/null 2>&1 &)"
        ),
    );
    // What writes to a full pipe sleeps in the kernel's pipe_write (proc(5), wchan), or has said why it does not.
    until(
        host,
        "test -e /root/ended || grep -qx 'anon_pipe_write\\|pipe_write' /proc/$(pgrep -x holdfast)/wchan 2>/dev/null",
    );
    let early = sh(host, "cat /root/ended 2>/dev/null && cat /root/out || true");
    assert_eq!(early, "", "{words} ended before its last line");
    let holdfast = pid(host, "holdfast");
    look(&holdfast);
    sh(host, "timeout 600 head -c 65537 /root/full >/dev/null");
    until(host, "test -s /root/ended");
    let ended = sh(
        host,
        "cat /root/ended; rm /root/ended; timeout 1 cat /root/full >/dev/null || true; head -c 65536 /dev/zero >/root/full",
    );
    assert!(["0", "2"].contains(&ended.trim()), "{words}: {ended}: {}", sh(host, "cat /root/out"));
}

on_hosts! {
    Image::Postgres;
    /// While the child holds it, and after an export, one for which it takes both custodians, a drill, a restore and a proof.
    fn nobody_has_the_key_in_memory_but_the_child_that_holds_it(host: &Host) {
        prepare(host);
        let needles = Needles::new(host);
        done(host, "rehearse");
        sh(host, HELD);
        done(host, "rehearse");

        at_terminal(host);
        until(host, "test -e /root/holding");
        let [parent, child] = ["holdfast", "exe"].map(|name| pid(host, name));
        // The same search finds the very key in the process that holds it, in memory that is not swapped out.
        let seen = needles.scan(host, &child);
        assert!(seen["text"][0] > 0 && seen["text"][1] == 0, "{seen:?}");
        assert_eq!(seen["any"][0] + seen["identity"][0], 0, "{seen:?}");
        needles.none_in(host, &parent, true, "the parent, while the child holds the key");
        for pid in [&parent, &child] {
            not_told(host, pid, "key export");
        }
        let status = sh(host, &format!("cat /proc/{child}/limits; awk '/VmSwap/ {{ print \"swapped\", $2 }}' /proc/{child}/status"));
        assert!(status.contains("Max core file size        0                    0"), "{status}");
        assert!(status.contains("swapped 0"), "{status}");
        not_dumped(host, &child);
        until(host, "! pgrep -x holdfast");
        // Its command died with it, and left what says that it holds.
        let told = sh(host, "cat /root/out; rm /root/holding");
        assert!(told.contains("signal"), "{told}");

        // In the next, between two media nobody is there who could open what is on one.
        replan(host, "$a # Another plan: a ceremony of its own.");
        done(host, "rehearse");
        at_terminal(host);
        until(host, "test -e /root/holding");
        sh(host, "touch /root/go");
        until(host, "grep -q 'medium usb-2 for bob' /root/out");
        no_child(host, "between two media");
        let parent = pid(host, "holdfast");
        needles.none_in(host, &parent, true, "the parent, between two media");
        dumped_without_the_key(host, &parent);

        let mut export = String::new();
        let carry = format!("touch go; holdfast key export {PLAN} --answers /root/k/answers.toml");
        at_its_end(host, &carry, |pid| {
            no_child(host, "an export");
            needles.none_in(host, pid, true, "an export");
            sh(host, "ls /var/lib/holdfast/ceremonies | grep -- -export | tail -n 1").trim().clone_into(&mut export);
        });
        let opened = sh(host, "age -d -i /root/k/bob.txt /media/bob/holdfast-*/signer.age");
        assert_eq!(opened, format!("{KEY}\n"));
        afterwards(host, &needles, &export);
        with_shares(host, needles);
    }
}

/// Neither arguments nor environment of a process have a secret.
fn not_told(host: &Host, pid: &str, what: &str) {
    let told = sh(host, &format!("cat /proc/{pid}/environ /proc/{pid}/cmdline | tr '\\0' ' '"));
    assert!(told.contains(what) || told.contains("locked-child"), "{told}");
    assert!(!told.contains(MIDDLE) && !told.contains("AGE-SECRET-KEY"), "{told}");
}

/// A drill, a restore, and a challenge.
fn afterwards(host: &Host, needles: &Needles, export: &str) {
    let given = format!("{export} --medium /media/alice --identity /root/k/alice.txt");
    at_its_end(host, &format!("holdfast key drill {given}"), |pid| {
        no_child(host, "a drill");
        needles.none_in(host, pid, false, "a drill");
    });
    at_its_end(host, &format!("holdfast key prove {export} alice"), |pid| {
        needles.none_in(host, pid, false, "a challenge");
    });

    sh(host, "echo 'restore = \"yes\"' >>/root/k/answers.toml");
    sh(
        host,
        &format!(
            "cd /root && (setsid holdfast key restore {given} --answers k/answers.toml --credential /root/cred --credential-name k --with-key host </dev/null >out 2>&1 &)"
        ),
    );
    until(host, "test -e /root/holding");
    let [parent, child] = ["holdfast", "exe"].map(|name| pid(host, name));
    let seen = needles.scan(host, &child);
    assert!(seen["text"][0] > 0 && seen["raw-identity"][0] > 0, "it has neither: {seen:?}");
    assert!(seen.values().all(|[_, swappable]| *swappable == 0), "{seen:?}");
    needles.none_in(host, &parent, false, "the parent of a restore");
    for pid in [&parent, &child] {
        not_told(host, pid, "key restore");
    }
    not_dumped(host, &child);
    sh(host, "touch /root/go; rm -f /root/cred");
    until(host, "! pgrep -x holdfast");
}

/// It takes both: neither a share nor what they unlock with is in the process that writes them.
fn with_shares(host: &Host, mut needles: Needles) {
    sh(host, "umount /usr/bin/systemd-creds; rm -r /media/alice/* /media/bob/*");
    replan(host, "1i threshold = 2");
    done(host, "rehearse");
    let carry = format!("touch go; holdfast key export {PLAN} --answers /root/k/answers.toml");
    at_its_end(host, &carry, |pid| {
        let share = sh(host, "age -d -i /root/k/alice.txt /media/alice/holdfast-*/share.age");
        let digits = share.split_whitespace().max_by_key(|word| word.len()).unwrap();
        needles.add("share", &middle(digits.as_bytes()));
        no_child(host, "an export with shares");
        needles.none_in(host, pid, true, "an export with shares");
    });
    // The same search finds one in a process that has it.
    sh(
        host,
        "cd /root && (share=$(age -d -i k/alice.txt /media/alice/holdfast-*/share.age) key=$(cat key) setsid sleep 3601 >/dev/null 2>&1 </dev/null &)",
    );
    until(host, "pgrep -xf 'sleep 3601' >/dev/null");
    let holder = sh(host, "pgrep -xf 'sleep 3601'");
    let seen = needles.scan(host, holder.trim());
    assert!(
        seen["share"][1] > 0 && seen["text"][1] > 0,
        "the search finds nothing at all: {seen:?}"
    );
}

fn dumps(host: &Host) -> String {
    sh(
        host,
        "find / -xdev -name 'core*' -type f -newer /root/scan.pl -size +1M 2>/dev/null || true",
    )
}

/// Has the kernel dump a process, which it does not.
fn not_dumped(host: &Host, child: &str) {
    sh(
        host,
        &format!(
            "kill -ABRT {child}; for _ in $(seq 600); do grep -q 'State:.Z' /proc/{child}/status 2>/dev/null && exit 0; test -e /proc/{child} || exit 0; sleep 0.1; done; exit 1"
        ),
    );
    assert_eq!(dumps(host), "", "the process that held the key was dumped");
}

/// Has the kernel dump one of which it may, if it does: all of it is in the dump but the key.
fn dumped_without_the_key(host: &Host, parent: &str) {
    sh(
        host,
        &format!(
            "kill -ABRT {parent}; for _ in $(seq 600); do kill -0 {parent} 2>/dev/null || exit 0; sleep 0.1; done; exit 1"
        ),
    );
    // Where the machine hands dumps to a program of its own, none is here.
    let pattern = sh(host, "cat /proc/sys/kernel/core_pattern");
    if !pattern.starts_with(['|', '/']) {
        let dump = dumps(host);
        let count = |text: &str| sh(host, &format!("grep -aoc {text} {} || true", dump.trim()));
        assert_ne!(count(PUBLIC).trim(), "0", "{dump}: this is no dump of it");
        assert_eq!(count(MIDDLE).trim(), "0", "{dump}: the key is in it");
        sh(host, &format!("rm {}", dump.trim()));
    }
}
