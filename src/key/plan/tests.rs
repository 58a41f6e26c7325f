use super::*;
use crate::profile::Severity;

/// A plan of which nothing is wrong.
pub(crate) const PLAN: &str = r#"
name = "signer-2026"
written = 2026-11-20
valid_until = 2026-12-31
next_drill = 2027-03-01

[[key]]
name = "signer"
kind = "sbtc-signer"
from = { toml = "/etc/sbtc-signer/signer-config.toml", key = "signer.private_key" }
public = "0314_3d31"

[[custodian]]
name = "alice"
recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
[[custodian]]
name = "bob"
recipient = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"

[operator]
name = "carol"
ssh_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAgMlRsMNt+p/WV0xM8CSGsmk4WKtaGgbDpISnpdk2Lb"
[witness]
name = "dave"
ssh_key = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBG3st2l9ot0haF0MjQrq48YuXBu5/Ooq7PZePgqm2b15AfN7BW05AJmhbAp7Or6SvGqFqmJbOGZFENj4Km+XgUw="

[[medium]]
name = "usb-1"
custodian = "alice"
path = "/media/cold"
serial = "4C530001"
bag = "B-0012"
[[medium]]
name = "usb-2"
custodian = "bob"
path = "/media/cold"
serial = "4C530002"
bag = "B-0013"
"#;

/// The public key of the private key db82…1434.
const PUBLIC: &str = "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2";

pub(crate) fn plan() -> String {
    PLAN.replace("0314_3d31", PUBLIC)
}

/// Every fault as `line:column: message`.
fn faults(text: &str) -> Vec<String> {
    let Err(faulty) = read(Path::new("plan.toml"), text.as_bytes()) else { return Vec::new() };
    let errors = faulty.diagnostics.iter().filter(|each| each.severity == Severity::Error);
    let place = |report: crate::profile::Report| {
        let (line, column) = (report.line.unwrap_or(0), report.column.unwrap_or(0));
        format!("{line}:{column}: {}", report.message)
    };
    errors.map(|each| place(each.report(&faulty.sources))).collect()
}

#[test]
fn a_good_plan_is_read_and_says_what_it_says() {
    let plan = read(Path::new("plan.toml"), plan().as_bytes()).unwrap();
    let told: Vec<&str> = plan.diagnostics.iter().map(|each| each.message.as_str()).collect();
    assert_eq!(told, ["the plan does not say which program carries it out"]);
    let plan = plan.value;
    let keys = ["signer".to_owned(), "private_key".to_owned()];
    let from = From::Toml("/etc/sbtc-signer/signer-config.toml".into(), keys.into());
    assert_eq!(plan.keys[0].from.from(), Some(from));
    assert_eq!(plan.keys[0].network, Network::Mainnet);
    assert_eq!(plan.media.len(), 2);
    assert_eq!(plan.role(RoleName::Witness).name.as_str(), "dave");
}

#[test]
fn the_digest_is_over_the_bytes_as_they_are() {
    assert_eq!(digest(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ne!(digest(plan().as_bytes()), digest(format!("{} ", plan()).as_bytes()));
}

#[test]
fn every_fault_has_its_place_and_its_message() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "name = \"dave\"",
            "name = \"carol\"",
            &["24:8: the operator and the witness are the same person"],
        ),
        (
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBG3st2l9ot0haF0MjQrq48YuXBu5/Ooq7PZePgqm2b15AfN7BW05AJmhbAp7Or6SvGqFqmJbOGZFENj4Km+XgUw=",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAgMlRsMNt+p/WV0xM8CSGsmk4WKtaGgbDpISnpdk2Lb dave",
            &["25:11: the operator and the witness sign with the same key"],
        ),
        (
            "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg",
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            &["18:13: two custodians have one recipient: whoever opens one copy opens both"],
        ),
        (
            "custodian = \"bob\"",
            "custodian = \"eve\"",
            &["17:8: `bob` gets nothing", "35:13: `eve` is no custodian of this plan"],
        ),
        (
            "serial = \"4C530002\"",
            "serial = \"4C530001\"",
            &["37:10: two entries have the serial `4C530001`"],
        ),
        ("bag = \"B-0013\"", "bag = \"B-0012\"", &["38:7: two entries have the bag `B-0012`"]),
        ("name = \"usb-2\"", "name = \"usb-1\"", &["34:8: two entries have the name `usb-1`"]),
        (
            "key = \"signer.private_key\" }",
            "file = \"/x\" }",
            &["10:8: this does not say where the key is"],
        ),
        (
            "key = \"signer.private_key\" }",
            "key = \"signer.\" }",
            &["10:8: this does not say where the key is"],
        ),
        (
            "kind = \"sbtc-signer\"",
            "kind = \"bitcoin\"",
            &["9:8: `bitcoin` is not one of the values this may have"],
        ),
        (
            "kind = \"sbtc-signer\"",
            "kind = \"text\"",
            &["11:10: a secret of the kind `text` has no public half"],
        ),
        (
            "kind = \"sbtc-signer\"",
            "kind = \"ed25519\"",
            &["11:10: this is not a public key of Ed25519"],
        ),
        (
            "valid_until = 2026-12-31",
            "valid_until = 2026-11-19",
            &["4:15: it ends before it was written"],
        ),
        (
            "next_drill = 2027-03-01",
            "next_drill = 2026-11-20",
            &["5:14: the next drill is before the export"],
        ),
        (
            "next_drill = 2027-03-01",
            "next_dril = 2027-03-01",
            &["1:1: the key `next_drill` is missing", "5:1: unknown key `next_dril`"],
        ),
        (
            "path = \"/media/cold\"\nserial = \"4C530001\"",
            "path = \"/dev/sdb1\"",
            &["30:8: this is a device"],
        ),
        (
            "[operator]",
            "[[exception]]\ncheck = \"weather\"\nreason = \"x\"\n[operator]",
            &["21:9: `weather` is not one of the values this may have"],
        ),
        (
            "[operator]",
            "[[exception]]\ncheck = \"swap\"\nreason = \"x\"\n[[exception]]\ncheck = \"swap\"\nreason = \"y\"\n[operator]",
            &["24:9: two entries have the check `swap`"],
        ),
        (
            "name = \"signer-2026\"",
            "name = \"signer-2026\"\nprogram = \"12\"",
            &["3:11: this is not a digest"],
        ),
        ("name = \"signer\"", "name = \"share\"", &["8:8: shares are called that"]),
        ("name = \"signer-2026\"", "name = \"../x\"", &["2:8: `../x` is not the name of a rule"]),
    ];
    for (from, to, expected) in cases {
        let text = plan().replacen(from, to, 1);
        assert_ne!(text, plan(), "{from}");
        assert_eq!(faults(&text), *expected, "{to}");
    }
}

#[test]
fn recipients_that_cannot_decrypt_are_refused_with_the_reason() {
    let bob = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg";
    let cases = [
        ("sk-ssh-ed25519@openssh.com AAAA", "a FIDO key of SSH cannot open files: it only signs"),
        (
            "ssh-ed25519 AAAA",
            "keys of SSH are not taken as recipients: those of hardware cannot open files",
        ),
        (
            // age's own test vector of a `tag` recipient.
            "age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e",
            "copies for a hardware key's recipient could never be drilled: holdfast runs no plugin of age's",
        ),
        ("age1yubikey1qqqq", "this recipient takes a plugin to encrypt to, and holdfast runs none"),
    ];
    for (recipient, why) in cases {
        let text = plan().replace(bob, recipient);
        assert_eq!(faults(&text), [format!("18:13: {why}")]);
    }
}

#[test]
fn custodians_sign_receipts_with_keys_of_their_own() {
    let key = "ssh_key = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAgMlRsMNt+p/WV0xM8CSGsmk4WKtaGgbDpISnpdk2Lb x\"";
    let text = ["alice", "bob"].iter().fold(plan(), |text, who| {
        text.replacen(&format!("name = \"{who}\"\n"), &format!("name = \"{who}\"\n{key}\n"), 1)
    });
    let faults = faults(&text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("two entries have the ssh_key"), "{faults:?}");
}

#[test]
fn no_fault_shows_a_private_key() {
    let secret = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
    for text in [
        plan().replace(PUBLIC, secret),
        plan().replace(PUBLIC, &format!("{secret}01")),
        plan().replace("age1ql3z", "AGE-SECRET-KEY-1QQQQ"),
    ] {
        let faulty = read(Path::new("plan.toml"), text.as_bytes()).unwrap_err();
        let shown = faulty.render(false);
        assert!(!shown.contains(&secret[10..40]) && !shown.contains("SECRET-KEY-1"), "{shown}");
    }
}

/// Somebody names the key in place of the plan.
#[test]
fn nothing_of_a_key_that_was_taken_for_a_plan_is_shown() {
    let key = "db82e7408fbe37e0641087557f3535a34049d19d27f6939f43b47418cd981434";
    let words = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    // The middle of each line: it is no key, and stands where one would.
    let pem =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5v\nbm9uZQAAAAAA = x\n";
    let bytes = b"\x01\xfflegible letters of a raw key..";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (key.into(), "7f3535a3"),
        (format!("{key}01\n").into(), "7f3535a3"),
        (format!("0x{}\r\n", key.to_uppercase()).into(), "7F3535A3"),
        (format!("[signer]\nprivate_key = \"{key}\"\n").into(), "7f3535a3"),
        (format!("SIGNER_SIGNER__PRIVATE_KEY={key}01\n").into(), "7f3535a3"),
        (format!("{key} = 1\n").into(), "7f3535a3"),
        (words.into(), "sausage"),
        (format!("seed = \"{words}\"\n").into(), "sausage"),
        (b"# created: now\nAGE-SECRET-KEY-1QQQQ\n".into(), "1QQQQ"),
        (pem.into(), "bm9uZ"),
        (bytes.into(), "legible"),
    ];
    for (file, secret) in cases {
        let faulty = read(Path::new("plan.toml"), &file).unwrap_err();
        let reports = faulty.diagnostics.iter().map(|each| each.report(&faulty.sources));
        let reports = serde_json::to_string(&reports.collect::<Vec<_>>()).unwrap();
        for shown in [faulty.render(false), faulty.to_string(), reports] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    // Of other kinds nothing tells that they are keys, but that no line of a plan is there.
    for key in [
        "c262bd-85187f-0b1b04-877cc5/1c7af8-35a4e900",
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        "DbgudAgb5k4GQQh1V381NaNAkp0Z0n+TlDRzjUGYBCU=",
        "LEGAL WINNER THANK YEAR WAVE SAUSAGE WORTH USEFUL LEGAL WINNER THANK YELLOW",
        "1. legal\n2. winner\n3. thank\n4. year",
        "key c262bd-85187f",
        "[c262bd-85187f]",
    ] {
        for text in [key.to_owned(), format!("# mine\n{key}\n"), format!("seed = '{key}'\n")] {
            let shown = read(Path::new("p"), text.as_bytes()).unwrap_err().render(false);
            assert!(shown.contains("nothing of it is shown"), "{shown}");
            for word in key.split_whitespace().filter(|word| word.len() > 3) {
                assert!(!shown.contains(word), "{word}: {shown}");
            }
        }
    }
    for wrong in ["name = 1", "[operator]\nnames = 1", "[[ key ]]\nnames = 1", "operator.name = 1"]
    {
        let shown = read(Path::new("p"), wrong.as_bytes()).unwrap_err().render(false);
        assert!(shown.contains(" = 1"), "{shown}");
    }
    // A plan that is only wrong is quoted, its digests and public halves too.
    let shown = read(Path::new("p"), plan().replace("bag = \"B-0013\"", "bags = 1").as_bytes());
    assert!(shown.unwrap_err().render(false).contains("bags = 1"));
    let shown = read(Path::new("p"), plan().replace(PUBLIC, &PUBLIC[..65]).as_bytes());
    assert!(shown.unwrap_err().render(false).contains(&PUBLIC[..65]));
}

#[test]
fn a_plan_that_is_not_utf8_or_not_toml_is_refused_with_its_place() {
    let faulty = read(Path::new("p.toml"), b"name = \"\xff\"").unwrap_err();
    assert!(faulty.render(false).contains("p.toml:1:9"), "{}", faulty.render(false));
    assert!(!faults("name = ").is_empty());
}
