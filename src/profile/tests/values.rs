//! Every kind of value: what it takes, how it is written back, what it refuses.

use std::fmt::Debug;

use crate::profile::types::{
    Algorithm, CheckId, Cidr, FORMATS, HttpUrl, KeysFile, MaxStartups, Port, PortRange, Rate,
    RuleName, Scalar, Size, SshKey, SysctlKey, SysctlValue, Text, TimeSpan, TimeZoneName, UnitName,
    Until, UserName,
};

/// Texts and how each is written back.
fn takes<T: Scalar + Debug + PartialEq>(cases: &[(&str, &str)]) {
    for (text, canonical) in cases {
        let value: T = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(value.to_string(), *canonical, "{text}");
        let again = canonical.parse::<T>().unwrap();
        assert_eq!(again.to_string(), *canonical);
    }
}

/// Texts and a part of what is said of each, message and help.
fn refuses<T: Scalar + Debug>(cases: &[(&str, &str)]) {
    for (text, part) in cases {
        let invalid = text.parse::<T>().expect_err(text);
        let said = format!("{}\n{}", invalid.message, invalid.help.unwrap_or_default());
        assert!(said.contains(part), "{text:?} should say {part:?}, but says:\n{said}");
    }
}

#[test]
fn durations() {
    takes::<TimeSpan>(&[
        ("90d", "90d"),
        ("1h30m", "1h30m"),
        ("30s", "30s"),
        ("90min", "1h30m"),
        ("2w", "14d"),
        ("0s", "0s"),
        ("36500d", "36500d"),
    ]);
    refuses::<TimeSpan>(&[
        ("", "not a duration"),
        ("90", "a unit"),
        ("d", "not a duration"),
        ("-1d", "not a duration"),
        ("1 d", "not a duration"),
        ("1.5h", "not a duration"),
        ("3M", "months differ"),
        ("1m1h", "out of order"),
        ("1m1m", "out of order"),
        ("36501d", "too long"),
        ("99999999999999999999d", "too long"),
        ("18446744073709551615w", "too long"),
    ]);
}

#[test]
fn rates_and_dates() {
    takes::<Rate>(&[("10/minute", "10/minute"), ("1/second", "1/second")]);
    refuses::<Rate>(&[
        ("0/minute", "from 1"),
        ("10", "slash"),
        ("+1/day", "slash"),
        ("1/week", "day"),
    ]);
    takes::<Until>(&[("2027-01-31", "2027-01-31")]);
    refuses::<Until>(&[
        ("2027-02-30", "there is no day"),
        ("2027-01-31T00:00:00", "not a date"),
        ("31.1.2027", "not a date"),
    ]);
    let until: Until = "2027-01-31".parse().unwrap();
    assert!(!until.is_over(jiff::civil::date(2027, 1, 31)), "the day itself counts");
    assert!(until.is_over(jiff::civil::date(2027, 2, 1)));
}

#[test]
fn sizes() {
    takes::<Size>(&[
        ("20G", "20G"),
        ("1024M", "1G"),
        ("1536K", "1536K"),
        ("1000", "1000"),
        ("0", "0"),
    ]);
    refuses::<Size>(&[
        ("20GB", "as in"),
        ("20g", "as in"),
        ("1.5G", "as in"),
        ("", "not a size"),
        ("G", "not a size"),
        ("99999999T", "too large"),
        ("9223372036854775808", "too large"),
    ]);
}

#[test]
fn ports_and_networks() {
    takes::<Port>(&[("1", "1"), ("65535", "65535")]);
    refuses::<Port>(&[("0", "1 to 65535"), ("65536", "1 to 65535"), ("http", "1 to 65535")]);
    takes::<PortRange>(&[("22", "22"), ("20000-20010", "20000-20010"), ("5 - 5", "5")]);
    refuses::<PortRange>(&[
        ("20-10", "\"10-20\""),
        ("0-5", "no port"),
        ("1-70000", "no port"),
        ("ssh", "as in 22"),
        ("1-2-3", "not a port"),
    ]);
    takes::<Cidr>(&[
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.9", "203.0.113.9/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ]);
    refuses::<Cidr>(&[
        ("203.0.113.9/24", "\"203.0.113.0/24\""),
        ("203.0.113.0/33", "0 to 32"),
        ("2001:db8::/129", "0 to 128"),
        ("::ffff:1.2.3.4", "IPv6 clothes"),
        ("example.org", "as in"),
        ("300.1.1.1/8", "not a network"),
    ]);
}

#[test]
fn names() {
    takes::<UserName>(&[("alice", "alice"), ("_apt", "_apt"), ("www-data", "www-data")]);
    refuses::<UserName>(&[("Alice", "NAME_REGEX"), ("1a", "NAME_REGEX"), ("a b", "NAME_REGEX")]);
    takes::<TimeZoneName>(&[("Europe/Lisbon", "Europe/Lisbon"), ("UTC", "UTC")]);
    refuses::<TimeZoneName>(&[("../etc/passwd", "time zone"), ("lisbon", "time zone")]);
    takes::<UnitName>(&[
        ("ssh.service", "ssh.service"),
        ("getty@tty1.service", "getty@tty1.service"),
    ]);
    refuses::<UnitName>(&[
        ("ssh", "ssh.service"),
        ("getty@.service", "template"),
        (".service", "nothing before"),
        ("a b.service", "only letters"),
        ("../x.service", "only letters"),
    ]);
    takes::<RuleName>(&[("signer-p2p", "signer-p2p")]);
    refuses::<RuleName>(&[("Signer", "a-z"), ("", "a-z")]);
    takes::<CheckId>(&[
        ("ssh.effective", "ssh.effective"),
        ("sysctl.live/net.ipv4.a", "sysctl.live/net.ipv4.a"),
    ]);
    refuses::<CheckId>(&[("ssh", "as in"), ("ssh.effective/", "as in"), ("ssh..x", "as in")]);
    let check: CheckId = "ssh.effective".parse().unwrap();
    assert!(check.covers("ssh.effective") && check.covers("ssh.effective/ciphers"));
    assert!(!check.covers("ssh.effective2") && !check.covers("ssh"));
    takes::<Text>(&[("  why ", "why")]);
    refuses::<Text>(&[(" ", "empty"), ("a\nb", "one line")]);
}

#[test]
fn sysctls() {
    takes::<SysctlKey>(&[
        ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
        ("net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
    ]);
    refuses::<SysctlKey>(&[
        ("ip_forward", "whole"),
        ("net..ipv4", "each part"),
        ("net/../../etc/passwd", "each part"),
        ("net.//.x", "each part"),
        ("/etc/passwd", "each part"),
        ("kernel.a b", "only letters"),
    ]);
    let key: SysctlKey = "net.ipv4.conf.eth0/100.rp_filter".parse().unwrap();
    assert_eq!(key.path(), "net/ipv4/conf/eth0.100/rp_filter");
    takes::<SysctlValue>(&[("32768\t60999", "32768 60999"), ("1", "1")]);
    refuses::<SysctlValue>(&[("1\nnet.x = 2", "one line")]);
}

#[test]
fn ssh() {
    takes::<Algorithm>(&[("aes256-gcm@openssh.com", "aes256-gcm@openssh.com")]);
    refuses::<Algorithm>(&[
        ("+aes256-ctr", "prefixes"),
        ("a,b", "each algorithm"),
        ("a b", "only letters"),
        ("a\nPermitRootLogin yes", "only letters"),
    ]);
    takes::<KeysFile>(&[
        (".ssh/authorized_keys", ".ssh/authorized_keys"),
        ("/etc/ssh/keys/%u", "/etc/ssh/keys/%u"),
    ]);
    refuses::<KeysFile>(&[
        ("%x", "tokens"),
        ("../x", ".."),
        ("a b", "only letters"),
        ("x\"", "only letters"),
    ]);
    takes::<MaxStartups>(&[("10:30:100", "10:30:100")]);
    refuses::<MaxStartups>(&[
        ("10", "as in"),
        ("10:0:100", "as in"),
        ("10:30:5", "as in"),
        ("::", "as in"),
    ]);
}

#[test]
fn public_keys() {
    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    const SK: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo=";
    const SK_ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEc3NoOg==";
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyA==";
    let with_comment = format!("{ED25519}   alice   laptop ");
    let tidy = format!("{ED25519} alice laptop");
    takes::<SshKey>(&[(ED25519, ED25519), (SK, SK), (SK_ECDSA, SK_ECDSA), (&with_comment, &tidy)]);
    let renamed = ED25519.replace("ssh-ed25519", "ecdsa-sha2-nistp256");
    let cut = &ED25519[..ED25519.len() - 4];
    let options = format!("no-pty,command=\"x\" {ED25519}");
    refuses::<SshKey>(&[
        (&renamed, "the key inside says"),
        (cut, "not a whole"),
        (&ED25519[..ED25519.len() - 1], "not base64"),
        ("ssh-ed25519", "missing"),
        (RSA_1024, "1024 bits"),
        ("ssh-dss AAAA", "DSA"),
        (&options, "options"),
        ("hello", "begins with one of"),
        ("", "begins with one of"),
        ("a\nb", "one line"),
    ]);
    let private = "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNza".parse::<SshKey>().unwrap_err();
    assert!(private.secret && !private.to_string().contains("b3Bl"));
    assert!(SK.parse::<SshKey>().unwrap().is_hardware());
}

#[test]
fn web_addresses_keep_their_password() {
    let url: HttpUrl = "https://bob:hunter2@git.example.org/x".parse().unwrap();
    assert!(url.has_password());
    let json = serde_json::to_string(&url).unwrap();
    for shown in [url.to_string(), format!("{url:?}"), json] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("bob"), "{shown}");
    }
    assert_eq!(url.expose().password(), Some("hunter2"));
    refuses::<HttpUrl>(&[
        ("ftp://x", "not http"),
        ("example.org", "not a web address"),
        ("https://", "not a web address"),
        ("https://a b", "space"),
    ]);
}

#[test]
fn examples_are_good() {
    for format in FORMATS {
        assert!(!format.examples.is_empty(), "{} has no example", format.name);
        for example in format.examples {
            (format.check)(example).unwrap_or_else(|error| panic!("{}: {error}", format.name));
        }
    }
}
