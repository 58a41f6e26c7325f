//! People at a terminal, a real one: what slips they make, and what else asks there.

use super::{paper::two_of_three, *};

/// Somebody at a terminal of their own (script(1) makes it), who reads before they type.
struct Typist<'a> {
    host: &'a Host,
    /// How much they had been shown when they typed last.
    read: usize,
}

impl<'a> Typist<'a> {
    /// Begins a command there.
    fn begins(host: &'a Host, words: &str) -> Self {
        host.push("/root/words", words, 0o600).unwrap();
        sh(
            host,
            "cd /root && rm -f keys shown ended && mkfifo keys && touch shown
            (setsid sh -c 'script -qefc \"sh /root/words\" shown <>keys >/dev/null 2>&1; echo $? >ended' </dev/null >/dev/null 2>&1 &)",
        );
        Self { host, read: 0 }
    }

    /// Begins an export there, as both who they are.
    fn exports(host: &'a Host) -> Self {
        let mut typist = Self::begins(host, &format!("exec holdfast key export {PLAN}"));
        typist.is_there();
        typist
    }

    fn is_there(&mut self) {
        self.answers("operator: type your name", "carol");
        self.answers("witness: type your name", "dave");
        self.answers("witness: look at your own watch", "yes");
    }

    /// What they were shown since they typed last.
    fn shown(&self) -> String {
        sh(self.host, &format!("tail -c +{} /root/shown", self.read + 1))
    }

    /// Waits until they are shown something, after what they typed last.
    fn sees(&self, text: &str) {
        sh(
            self.host,
            &format!(
                "cd /root; for _ in $(seq 900); do
                    over=$(test ! -e ended || echo over)
                    tail -c +{} shown | grep -qF -- '{text}' && exit 0
                    test -z \"$over\" || break
                    sleep 0.1
                done
                echo 'never shown: {text}' >&2; cat shown >&2; exit 1",
                self.read + 1
            ),
        );
    }

    fn types(&mut self, line: &str) {
        self.read = sh(self.host, "stat -c %s /root/shown").trim().parse().unwrap();
        sh(self.host, &format!("printf '%s\\n' '{line}' >/root/keys"));
    }

    /// Types something when they are asked.
    fn answers(&mut self, question: &str, line: &str) {
        self.sees(question);
        self.types(line);
    }

    /// Both read the same number from a bag.
    fn reads_bag(&mut self, medium: &str, number: &str) {
        for role in ["operator", "witness"] {
            let question = format!("{role}: read the number of the bag for medium {medium}");
            self.answers(&question, number);
        }
    }

    fn signs_later(&mut self) {
        self.answers("operator (carol): read the page above", "later");
        self.answers("witness (dave): read the page above", "later");
    }

    /// Waits until the command has ended, and gives its exit code and the last that it showed.
    fn ends(self) -> (i32, String) {
        sh(
            self.host,
            "for _ in $(seq 900); do test -s /root/ended && exit 0; sleep 0.1; done; cat /root/shown; exit 1",
        );
        (sh(self.host, "cat /root/ended").trim().parse().unwrap(), self.shown())
    }
}

fn put_in(host: &Host, who: &str, how: &str) {
    sh(host, &format!("mount {how} /media/{who}"));
}

/// Another medium, in the place of what is mounted there.
fn exchange(host: &Host, who: &str, how: &str) {
    take_out(host, who);
    put_in(host, who, how);
}

const GOOD: &str = "-t tmpfs -o size=1M medium";

/// None, a read-only and a full one, each told, and the medium asked for again; at last a good one is there, and not written
/// yet.
fn none_fits(host: &Host, typist: &mut Typist<'_>, who: &str, medium: &str, bag: &str) {
    let question = format!("is it mounted on /media/{who}?");
    typist.answers(&question, "yes");
    typist.sees(&format!("medium {medium}: /media/{who}: nothing is mounted there; once more"));
    put_in(host, who, "-t tmpfs -o ro medium");
    typist.answers(&question, "yes");
    typist.sees("it is mounted read-only; once more");
    exchange(host, who, "-t tmpfs -o size=4k medium");
    typist.answers(&question, "yes");
    typist.reads_bag(medium, bag);
    typist.sees("is full: nothing on it counts; once more");
    // Nothing holds it while people are asked.
    exchange(host, who, GOOD);
    typist.sees(&question);
}

fn transcript(host: &Host) -> String {
    sh(host, "cat $(ls -d /var/lib/holdfast/ceremonies/*-export* | tail -n 1)/transcript.jsonl")
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

on_hosts! {
    Image::Postgres;
    /// Each of them is told and asked again, and in the record; the key is read once.
    fn slips_at_a_terminal_are_put_right(host: &Host) {
        prepare(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        replan(host, "s/^bag = \"B-2\"/&\\nserial = \"4C530001\"/");
        take_out(host, "alice");
        let mut typist = Typist::exports(host);
        none_fits(host, &mut typist, "alice", "usb-1", "B-1");
        typist.types("yes");
        // The bag is the same, and not read again.
        typist.sees("usb-1: written, and reads back as what was opened");
        assert!(!typist.shown().contains("bag for medium usb-1"), "{}", typist.shown());

        let question = "is it mounted on /media/bob?";
        exchange(host, "bob", "--bind /media/alice");
        typist.answers(question, "yes");
        typist.sees("this is medium usb-1, which is written: take it out, and mount usb-2; once more");
        exchange(host, "bob", GOOD);
        typist.answers(question, "yes");
        typist.reads_bag("usb-2", "B-2");
        typist.answers("serial is not as it should be: usb-2: the device tells none. Why do you accept that?", "");
        typist.sees("serial (usb-2: the device tells none); once more");
        // What is accepted of one stick is not of the next: this one is full.
        exchange(host, "bob", "-t tmpfs -o size=4k medium");
        typist.answers(question, "yes");
        typist.answers("Why do you accept that?", "the label came off");
        typist.answers("Do you accept it, too, because: the label came off?", "yes");
        typist.sees("is full: nothing on it counts; once more");
        exchange(host, "bob", GOOD);
        typist.answers(question, "yes");
        // What looks like a key is no reason, and no end.
        typist.answers("Why do you accept that?", KEY);
        typist.sees("64 or 66 hexadecimal digits are a key, or look like one");
        typist.answers("Why do you accept that?", "it never had one");
        typist.answers("Do you accept it, too, because: it never had one?", "yes");
        typist.sees("usb-2: written, and reads back as what was opened");
        typist.signs_later();
        let (exit, shown) = typist.ends();
        assert_eq!(exit, 2, "{shown}");

        let record = transcript(host);
        assert_eq!((count(&record, "\"step\":\"sealed\""), count(&record, "\"step\":\"refused\"")), (1, 6), "{record}");
        assert!(!record.contains(MIDDLE), "{record}");
        let name = sh(host, "holdfast key inspect | tail -n 1 | cut -d' ' -f1");
        let page = holdfast(host, &["key", "inspect", name.trim()]).stdout;
        assert!(page.contains("medium.usb-1: yes: NOT SO: medium usb-1: /media/alice: nothing is mounted there"), "{page}");
        for who in ["alice", "bob"] {
            let opened = sh(host, &format!("age -d -i /root/k/{who}.txt /media/{who}/holdfast-*/signer.age"));
            assert_eq!(opened, format!("{KEY}\n"));
        }
        a_passphrase_is_asked_first(host, name.trim());
        bags_are_not_guessed(host);
    }
}

/// Of the bag nobody is told the number. That one was wrong is in the record, and not what was typed, which may have been meant
/// for another console; the third one ends it.
fn bags_are_not_guessed(host: &Host) {
    replan(host, "$a # Another plan.");
    let mut typist = Typist::exports(host);
    typist.answers("is it mounted on /media/alice?", "yes");
    let question = "operator: read the number of the bag for medium usb-1";
    let wrong = ["B-7", "four words of nobody", "B-9"];
    for typed in &wrong[..2] {
        typist.answers(question, typed);
        typist.sees("this is not the number that the plan has");
        typist.sees(question);
        assert!(!typist.shown().contains("B-1"), "{}", typist.shown());
    }
    typist.answers(question, wrong[2]);
    let (exit, shown) = typist.ends();
    assert!(exit == 1 && shown.contains("this is not the number"), "{exit}: {shown}");
    assert!(!shown.contains("B-1"), "{shown}");
    let record = transcript(host);
    let line = "\"question\":\"bag.usb-1.operator\",\"answer\":\"another number\"";
    assert_eq!(count(&record, line), 3, "{record}");
    for typed in wrong {
        assert!(!record.contains(typed), "{typed}: {record}");
    }
    // It goes on, and asks again.
    let mut typist = Typist::begins(host, &format!("exec holdfast key export {PLAN}"));
    typist.answers("Go on with it (`yes`)", "yes");
    typist.is_there();
    typist.answers("is it mounted on /media/alice?", "yes");
    typist.answers(question, "stop");
    let (exit, shown) = typist.ends();
    assert!(exit == 1 && shown.contains("`stop` was said to `bag.usb-1.operator`"), "{shown}");
}

/// `age -d` and the drill ask at one terminal, and one after the other.
fn a_passphrase_is_asked_first(host: &Host, export: &str) {
    let mut typist = Typist::begins(host, "exec age -p -o /root/kit.age /root/k/alice.txt");
    typist.answers("Enter passphrase", "four words of nobody");
    typist.answers("Confirm passphrase", "four words of nobody");
    let (exit, shown) = typist.ends();
    assert_eq!(exit, 0, "{shown}");
    // Somebody on SSH could watch: that takes a reason.
    sh(
        host,
        "bash -c 'exec -a \"sshd: root@pts/0\" sleep 3600' >/dev/null 2>&1 </dev/null & echo $! >/root/ssh.pid",
    );
    let drill = format!("holdfast key drill {export} --medium /media/alice --identity -");
    let mut typist = Typist::begins(host, &format!("age -d /root/kit.age | {drill}"));
    typist.sees("Enter passphrase");
    // Until it waits for its input, or for an answer (proc(5), wchan).
    sh(
        host,
        "for _ in $(seq 900); do
            grep -q 'poll\\|tty\\|wait_woken' /proc/$(pgrep -x holdfast)/wchan 2>/dev/null && exit 0
            sleep 0.1
        done; cat /proc/$(pgrep -x holdfast)/wchan /root/shown; exit 1",
    );
    assert!(!typist.shown().contains("is not as it should be"), "{}", typist.shown());
    typist.types("four words of nobody");
    typist.answers("ssh-session is not as it should be", "watched by us");
    let (exit, shown) = typist.ends();
    assert!(exit == 0 && shown.contains("pass"), "{exit}: {shown}");
    sh(host, "kill $(cat /root/ssh.pid)");
}

on_hosts! {
    Image::Postgres;
    /// What was sealed stays as it is until the last medium is written: a share that is on the first fits that on the second.
    fn a_slip_is_no_new_split(host: &Host) {
        prepare(host);
        two_of_three(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        take_out(host, "bob");
        let mut typist = Typist::exports(host);
        typist.answers("is it mounted on /media/alice?", "yes");
        typist.reads_bag("usb-1", "B-1");
        typist.answers("print signer.pdf and share.pdf from medium usb-1", "later");
        typist.sees("is it mounted on /media/bob?");
        sh(host, "cp -a /media/alice /root/first");
        none_fits(host, &mut typist, "bob", "usb-2", "B-2");
        typist.types("yes");
        typist.answers("print signer.pdf and share.pdf from medium usb-2", "later");
        typist.answers("is it mounted on /media/erin?", "yes");
        typist.reads_bag("usb-3", "B-3");
        typist.answers("print signer.pdf and share.pdf from medium usb-3", "later");
        typist.signs_later();
        let (exit, shown) = typist.ends();
        assert_eq!(exit, 2, "{shown}");
        let record = transcript(host);
        assert_eq!((count(&record, "\"step\":\"sealed\""), count(&record, "\"step\":\"refused\"")), (1, 3), "{record}");
        sh(host, "diff -r /root/first /media/alice");
        let opened = sh(host, "umask 077; mkdir /dev/shm/shares && cd /dev/shm/shares
            for who in alice bob; do age -d -i /root/k/$who.txt /media/$who/holdfast-*/share.age >$who; done
            perl /media/bob/holdfast-*/combine.pl alice bob >unlock && age -d -i unlock /media/alice/holdfast-*/signer.age; rm -r /dev/shm/shares");
        assert_eq!(opened, format!("{KEY}\n"));
    }
}
