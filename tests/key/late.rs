//! An export that was done in time and is signed after its plan has ended; and one that counts no more, which nobody is asked to
//! sign or to go on with.

use super::*;

/// A ceremony's command at a time that the program is told.
pub(super) fn at(host: &Host, time: &str, verb: &str) -> Output {
    let library = "$(ls /usr/lib/*/faketime/libfaketime.so.1)";
    host.sh(&format!(
        "LD_PRELOAD={library} FAKETIME='{time}' FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 \
         exec holdfast key {verb} {PLAN} --answers /root/k/answers.toml"
    ))
    .unwrap()
}

/// The export's on the first day after the plan's last one.
fn late(host: &Host) -> Output {
    at(host, "2100-01-01 12:00:00", "export")
}

fn answer(host: &Host, id: &str, text: &str) {
    sh(
        host,
        &format!(
            "sed -i '/^\"\\?{id}\"\\? = /d' /root/k/answers.toml; printf '\"%s\" = \"%s\"\\n' '{id}' '{text}' >>/root/k/answers.toml"
        ),
    );
}

/// The newest export.
fn newest(host: &Host) -> String {
    sh(host, "ls /var/lib/holdfast/ceremonies | grep -- -export | tail -n 1").trim().to_owned()
}

fn retire(host: &Host, export: &str) {
    sh(
        host,
        &format!(
            "cd /root && holdfast key retire {export} --reason rotated >statement
            for who in carol dave; do ssh-keygen -q -Y sign -n holdfast-retire@v1 -f k/$who <statement >$who.sig; done
            holdfast key retire {export} --statement statement --operator carol.sig --witness dave.sig"
        ),
    );
}

on_hosts! {
    Image::Postgres;
    /// A plan that has ended carries nothing out, and takes the signatures of what it carried out.
    fn what_is_over_is_signed_or_left(host: &Host) {
        prepare(host);
        replan(host, "$a [[exception]]\\ncheck = \"rehearsal\"\\nreason = \"a test\"");
        // Interrupted, and retired: `resume` is not asked, or this ends here.
        answer(host, "resume", "no");
        answer(host, "medium.usb-2", "no");
        refused(host, "export", 1);
        let interrupted = newest(host);
        let asked = refused(host, "export", 1);
        assert!(asked.contains(&format!("nothing was done; {interrupted} is as it was")), "{asked}");
        retire(host, &interrupted);
        answer(host, "medium.usb-2", "yes");
        let unsigned = done(host, "export");
        assert_ne!(unsigned, interrupted);

        // Done, and retired: nobody is asked for its signatures, but whether they want another.
        retire(host, &unsigned);
        for (witness, exit) in [("no", 1), ("yes", 2)] {
            answer(host, "again.operator", "yes");
            answer(host, "again.witness", witness);
            let output = carry(host, "export");
            assert_eq!(output.status, Some(exit), "{}{}", output.stdout, output.stderr);
        }
        let export = newest(host);
        assert!(export != unsigned && export != interrupted, "{export}");

        let later = late(host);
        let told = (later.status, later.stdout.trim());
        assert_eq!(told, (Some(2), export.as_str()), "{}", later.stderr);
        for (who, role) in [("carol", "operator"), ("dave", "witness")] {
            sh(host, &format!("ssh-keygen -q -Y sign -n holdfast-transcript@v1 -f /root/k/{who} </var/lib/holdfast/ceremonies/{export}/transcript.jsonl >/root/{role}.sig"));
            answer(host, &format!("signature.{role}"), &format!("/root/{role}.sig"));
        }
        let signed = late(host);
        assert_eq!((signed.status, signed.stdout.trim()), (Some(0), export.as_str()), "{}", signed.stderr);
        // When they signed is in the evidence.
        let evidence = sh(host, "tail -n 2 /var/lib/holdfast/evidence/log.jsonl");
        assert_eq!(evidence.matches("\"act\":\"signed\"").count(), 2, "{evidence}");
        assert_eq!(evidence.matches("\"2100-01-01T12:00").count(), 2, "{evidence}");
        // That is all that it does then.
        let over = late(host);
        assert_eq!(over.status, Some(65), "{}{}", over.stdout, over.stderr);
        assert!(over.stderr.contains("the plan ended on 2099-12-31"), "{}", over.stderr);
        assert_eq!(newest(host), export);
    }
}
