//! Sheets of paper, read by others' programs, and keys that take several custodians, put together by Debian's.

use super::*;

/// What stands on a sheet in lines, as somebody would type it.
fn typed(host: &Host, sheet: &str, to: &str) {
    sh(
        host,
        &format!(
            "pdftotext -layout {sheet} - | grep -E '^ *[0-9]+  .* [0-9a-f]{{4}} *$' >{to}; test -s {to}"
        ),
    );
}

/// The step that a sheet itself gives for what was typed.
fn by_hand(host: &Host, typed: &str, to: &str) {
    sh(
        host,
        &format!(
            "(echo -----BEGIN AGE ENCRYPTED FILE-----
              sed -E 's/^ *[0-9]+ //; s/ [0-9a-f]{{4}} *$//; s/ //g' {typed}
              echo -----END AGE ENCRYPTED FILE-----) >{to}"
        ),
    );
}

/// Begins an export at a terminal whose first medium's sheet is typed when it is asked for.
fn export_with_paper(host: &Host) -> String {
    sh(
        host,
        "mkfifo /root/in
        (setsid holdfast key export /root/k/plan.toml </root/in >/root/out 2>/root/said &)
        exec 3>/root/in
        until_said() { for _ in $(seq 1200); do grep -q \"$1\" /root/said && return; sleep 0.1; done; cat /root/said; exit 1; }
        printf 'carol\\ndave\\nyes\\nyes\\nB-1\\nB-1\\n' >&3
        until_said 'print signer.pdf from medium usb-1'
        pdftotext -layout /media/alice/holdfast-*/signer.pdf - | grep -E '^ *[0-9]+  .* [0-9a-f]{4} *$' >/root/typed-1
        printf '/root/typed-1\\nyes\\nB-2\\nB-2\\nlater\\n\\n\\n' >&3
        until_said 'still to be signed'",
    );
    sh(host, "cat /root/out").trim().to_owned()
}

on_hosts! {
    Image::Postgres;
    /// By poppler and zbar, which have nothing of ours, and by hand.
    fn a_sheet_is_read_by_others_and_what_is_typed_wrong_is_found(host: &Host) {
        prepare(host);
        replan(host, "1i paper = \"a4\"");
        sh(host, "printf '\"paper.usb-1\" = \"later\"\\n\"paper.usb-2\" = \"later\"\\n' >>/root/k/answers.toml");
        done(host, "rehearse");
        let marked = sh(host, "pdftotext -layout /media/bob/REHEARSAL-*/signer.pdf -");
        assert!(marked.contains("REHEARSAL: THE KEY IN THIS IS NOBODY'S"), "{marked}");
        let export = export_with_paper(host);
        let page = sh(host, &format!("cat /var/lib/holdfast/ceremonies/{export}/transcript.txt"));
        assert!(page.contains("what was printed for usb-1 was read again"), "{page}");
        assert!(!page.contains("what was printed for usb-2 was read again"), "{page}");

        for who in ["alice", "bob"] {
            let folder = format!("/media/{who}/holdfast-{export}-*");
            let shown = sh(host, &format!("pdftotext -layout {folder}/signer.pdf -"));
            for text in ["COLD COPY OF A KEY: signer", PUBLIC, who, "age -d -i identity.txt signer.age"] {
                assert!(shown.contains(text), "{text} is not on the sheet:\n{shown}");
            }
            sh(host, &format!("pdftoppm -r 150 -gray -png -singlefile {folder}/signer.pdf /root/scan
                zbarimg -q --raw /root/scan.png | grep . >/root/signer.age
                cmp /root/signer.age {folder}/signer.age"));
            let opened = sh(host, &format!("age -d -i /root/k/{who}.txt /root/signer.age"));
            assert_eq!(opened, format!("{KEY}\n"));
            typed(host, &format!("{folder}/signer.pdf"), "/root/typed");
            by_hand(host, "/root/typed", "/root/by-hand.age");
            let opened = sh(host, &format!("age -d -i /root/k/{who}.txt /root/by-hand.age"));
            assert_eq!(opened, format!("{KEY}\n"));
            let (_, shown) = inspect(host, &[&export, "--paper", "/root/typed"]);
            assert_eq!(shown["paper"]["custodian"].as_str(), Some(who), "{shown}");
        }

        // One character of the third line; a line left out; a sheet of the rehearsal.
        for (edit, why) in [
            ("3s/[A-Za-z]/9/", "line 3 of the sheet is not as it is printed"),
            ("3d", "line 3 of the sheet is missing"),
        ] {
            sh(host, &format!("sed 's/ *$//' /root/typed >/root/wrong; sed -i '{edit}' /root/wrong; ! cmp -s /root/typed /root/wrong"));
            let (exit, shown) = inspect(host, &[&export, "--paper", "/root/wrong"]);
            let fault = shown["faults"][0].as_str().unwrap_or_default();
            assert!(exit == Some(2) && fault.contains(why), "{shown}");
        }
        typed(host, "/media/bob/REHEARSAL-*/signer.pdf", "/root/typed");
        let (_, shown) = inspect(host, &[&export, "--paper", "/root/typed"]);
        assert!(shown["faults"][0].as_str().unwrap().contains("no envelope of this ceremony"), "{shown}");
    }
}

/// A third custodian, and two of them needed.
pub(super) fn two_of_three(host: &Host) {
    sh(host, "cd /root/k && age-keygen -o erin.txt 2>/dev/null && mkdir -p /media/erin && mount -t tmpfs -o size=1M medium /media/erin
        sed -i '1i threshold = 2\\npaper = \"letter\"' plan.toml
        printf '[[custodian]]\\nname = \"erin\"\\nrecipient = \"%s\"\\n[[medium]]\\nname = \"usb-3\"\\ncustodian = \"erin\"\\npath = \"/media/erin\"\\nbag = \"B-3\"\\n' \"$(age-keygen -y erin.txt)\" >>plan.toml
        printf '\"medium.usb-3\" = \"yes\"\\n\"bag.usb-3.operator\" = \"B-3\"\\n\"bag.usb-3.witness\" = \"B-3\"\\n\"paper.usb-1\" = \"later\"\\n\"paper.usb-2\" = \"later\"\\n\"paper.usb-3\" = \"later\"\\n' >>answers.toml
        sh sign-plan");
}

on_hosts! {
    Image::Postgres;
    /// With age and perl alone; and shares of a ceremony that was interrupted do not stay beside those of the next try.
    fn it_takes_two_of_three_custodians(host: &Host) {
        prepare(host);
        two_of_three(host);
        done(host, "rehearse");
        sh(host, "sed -i 's/^\"medium.usb-2\" = \"yes\"/\"medium.usb-2\" = \"no\"/' /root/k/answers.toml");
        let left = refused(host, "export", 1);
        assert!(left.contains("medium usb-2 is left for later"), "{left}");
        sh(host, "cp -r /media/alice/holdfast-* /root/first
            sed -i 's/^\"medium.usb-2\" = \"no\"/\"medium.usb-2\" = \"yes\"/' /root/k/answers.toml");
        let export = done(host, "export");
        let folder = |who: &str| format!("/media/{who}/holdfast-{export}-*");

        for who in ["alice", "bob", "erin"] {
            let folder = folder(who);
            let alone = host.sh(&format!("age -d -i /root/k/{who}.txt {folder}/signer.age")).unwrap();
            assert_ne!(alone.status, Some(0), "{who} opens it alone");
            sh(host, &format!("age -d -i /root/k/{who}.txt {folder}/share.age >/dev/shm/{who}"));
            let sheet = sh(host, &format!("pdftotext -layout {folder}/share.pdf -"));
            assert!(sheet.contains("There is no key on this sheet") && !sheet.contains(PUBLIC), "{sheet}");
            sh(host, &format!("pdftoppm -r 150 -gray -png -singlefile {folder}/share.pdf /root/scan
                zbarimg -q --raw /root/scan.png | grep . | cmp - {folder}/share.age"));
        }
        for pair in ["alice bob", "bob erin", "erin alice"] {
            let opened = sh(host, &format!("cd /dev/shm && perl {}/combine.pl {pair} >unlock && age -d -i unlock {}/signer.age", folder("bob"), folder("alice")));
            assert_eq!(opened, format!("{KEY}\n"), "{pair}");
        }
        let one = host.sh(&format!("perl {}/combine.pl /dev/shm/alice", folder("bob"))).unwrap();
        assert!(one.status != Some(0) && one.stderr.contains("too few shares"), "{}", one.stderr);
        // A share of the first try fits none of these.
        let old = host.sh(&format!("cd /dev/shm && age -d -i /root/k/alice.txt /root/first/share.age >old
            perl {}/combine.pl old bob >unlock; age -d -i unlock {}/signer.age", folder("bob"), folder("bob"))).unwrap();
        assert!(old.status != Some(0) && !old.stdout.contains(MIDDLE));
        after::shares_are_put_together_or_refused(host, &format!("{}/combine.pl", folder("bob")));
        after::shares_are_drilled(host, &export);
        let page = sh(host, &format!("cat /var/lib/holdfast/ceremonies/{export}/transcript.txt"));
        assert!(page.contains("it takes 2 of 3 custodians; all 3 sets of so many shares were tried"), "{page}");
        let (_, shown) = inspect(host, &[&export, "--medium", "/media/erin"]);
        assert_eq!(shown["medium"].as_str(), Some("usb-3"), "{shown}");
        sh(host, "rm /dev/shm/*");
        let found = host.sh(&format!("grep -rlaE '{MIDDLE}|AGE-SECRET-KEY-1[0-9A-Z]{{16}}|holdfast-share-v1 [0-9] of' /var/lib/holdfast /run /tmp /var/tmp /var/log /media --exclude=combine.pl 2>/dev/null")).unwrap();
        assert_eq!(found.stdout, "", "a key or a share is there");
    }
}
