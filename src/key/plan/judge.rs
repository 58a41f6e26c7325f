//! What is wrong with a plan whose every value is good by itself.

use crate::{
    key::{kit::SHARE, signature},
    profile::{
        Diagnostic, Span,
        document::At,
        types::{Invalid, SignerPublicKey, SshKey, Text},
    },
};

use super::schema::{Key, KeyKind, Medium, Network, Plan, RoleName};

pub(super) fn judge(plan: &Plan, top: At<'_>, found: &mut Vec<Diagnostic>) {
    for (at, key) in plan.keys.iter().enumerate() {
        self::key(key, top.key("key").item(at), found);
    }
    if let Some(at) = plan.keys.iter().position(|key| key.name.as_str() == SHARE) {
        found.push(
            Diagnostic::error(top.key("key").item(at).key("name").span(), "shares are called that")
                .help("give the key another name"),
        );
    }
    for (at, medium) in plan.media.iter().enumerate() {
        self::medium(plan, medium, top.key("medium").item(at), found);
    }
    once("key", "name", plan.keys.iter().map(|key| key.name.as_str()), top, found);
    once("custodian", "name", plan.custodians.iter().map(|each| each.name.as_str()), top, found);
    once("medium", "name", plan.media.iter().map(|each| each.name.as_str()), top, found);
    let serials = plan.media.iter().map(|each| each.serial.as_ref().map_or("", Text::as_str));
    once("medium", "serial", serials, top, found);
    once("medium", "bag", plan.media.iter().map(|each| each.bag.as_str()), top, found);
    let checks: Vec<_> = plan.exceptions.iter().map(|each| each.check.id()).collect();
    once("exception", "check", checks.iter().copied(), top, found);
    recipients(plan, top, found);
    threshold(plan, top, found);
    people(plan, top, found);
    days(plan, top, found);
    if plan.program.is_none() {
        found.push(
            Diagnostic::warning(
                top.key("name").span(),
                "the plan does not say which program carries it out",
            )
            .help("add `program = \"…\"` with what `sha256sum /usr/bin/holdfast` prints on a machine that you trust"),
        );
    }
    if let Some(program) = &plan.program
        && !is_hex(program, 64)
    {
        found.push(
            Diagnostic::error(top.key("program").span(), "this is not a digest")
                .help("write the 64 hexadecimal digits that `sha256sum /usr/bin/holdfast` prints"),
        );
    }
}

fn is_hex(text: &Text, digits: usize) -> bool {
    text.as_str().len() == digits && text.as_str().chars().all(|c| c.is_ascii_hexdigit())
}

/// Values that no two entries of a list may share. An empty one is no value.
fn once<'a>(
    list: &str,
    key: &str,
    values: impl Iterator<Item = &'a str>,
    top: At<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let values: Vec<_> = values.collect();
    for (at, value) in values.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
        if let Some(first) = values[..at].iter().position(|other| other == value) {
            let place = |at| top.key(list).item(at).key(key).span();
            found.push(
                Diagnostic::error(place(at), format!("two entries have the {key} `{value}`"))
                    .and(place(first), "the first is here")
                    .help(format!("the {key} of each is its own")),
            );
        }
    }
}

fn key(key: &Key, at: At<'_>, found: &mut Vec<Diagnostic>) {
    if key.from.from().is_none() {
        found.push(
            Diagnostic::error(at.key("from").span(), "this does not say where the key is")
                .help("write one of: { toml = \"/PATH\", key = \"TABLE.KEY\" }, { env = \"/PATH\", variable = \"NAME\" }, { file = \"/PATH\" }, { command = [\"/PATH\", \"ARGUMENT\"] }"),
        );
    }
    let span = at.key("public").span();
    let fault = match (key.kind, &key.public) {
        (_, None) => None,
        (KeyKind::SbtcSigner, Some(text)) => text.as_str().parse::<SignerPublicKey>().err(),
        (KeyKind::Ed25519, Some(text)) => (!is_hex(text, 64)).then(|| {
            Invalid::new("this is not a public key of Ed25519")
                .help("write its 64 hexadecimal digits")
        }),
        (KeyKind::Text, Some(_)) => Some(
            Invalid::new("a secret of the kind `text` has no public half")
                .help("leave `public` out"),
        ),
    };
    if let Some(Invalid { message, help, secret }) = fault {
        let mut diagnostic = Diagnostic::error(span, message);
        (diagnostic.help, diagnostic.secret) = (help, secret);
        found.push(diagnostic);
    }
    if key.kind != KeyKind::SbtcSigner && key.network != Network::Mainnet {
        found.push(
            Diagnostic::error(at.key("network").span(), "only an sbtc-signer is of a network")
                .help("leave `network` out"),
        );
    }
}

fn medium(plan: &Plan, medium: &Medium, at: At<'_>, found: &mut Vec<Diagnostic>) {
    if plan.custodians.iter().all(|custodian| custodian.name != medium.custodian) {
        let message = format!("`{}` is no custodian of this plan", medium.custodian);
        found.push(
            Diagnostic::error(at.key("custodian").span(), message)
                .help("name one of the `[[custodian]]` entries"),
        );
    }
    if medium.serial.is_none() {
        let message =
            format!("any stick is `{}`: the plan does not say its serial number", medium.name);
        found.push(
            Diagnostic::warning(at.key("name").span(), message)
                .help("add `serial = \"…\"` with what `lsblk -o NAME,SERIAL` says of it"),
        );
    }
    if medium.path.as_str().starts_with("/dev/") {
        found.push(
            Diagnostic::error(at.key("path").span(), "this is a device")
                .help("mount it, and name the folder on which it is mounted"),
        );
    }
}

fn recipients(plan: &Plan, top: At<'_>, found: &mut Vec<Diagnostic>) {
    for (at, custodian) in plan.custodians.iter().enumerate() {
        let here = top.key("custodian").item(at);
        let same = |other: usize| plan.custodians[other].recipient == custodian.recipient;
        if let Some(first) = (0..at).find(|other| same(*other)) {
            let message = "two custodians have one recipient: whoever opens one copy opens both";
            found.push(
                Diagnostic::error(here.key("recipient").span(), message)
                    .and(top.key("custodian").item(first).key("recipient").span(), "the first")
                    .help("each custodian makes an identity of their own with `age-keygen`"),
            );
        }
        if custodian.recipient.takes_hardware() {
            let message = "copies for a hardware key's recipient could never be drilled: holdfast runs no plugin of age's";
            found.push(
                Diagnostic::error(here.key("recipient").span(), message)
                    .help("make an identity with `age-keygen`, lock its file to the hardware key (`age -r age1tag1…`), and give its `age1…` recipient"),
            );
        }
        if plan.media.iter().all(|medium| medium.custodian != custodian.name) {
            let message = format!("`{}` gets nothing", custodian.name);
            found.push(
                Diagnostic::error(here.key("name").span(), message)
                    .help("give them a `[[medium]]`"),
            );
        }
    }
    if let ([only], None) = (plan.custodians.as_slice(), plan.threshold) {
        let message = format!("only `{}` can open what comes of this", only.name);
        found.push(
            Diagnostic::warning(top.key("custodian").item(0).span(), message)
                .help("name a second custodian: one identity is lost more easily than two"),
        );
    }
}

/// Every set of so many custodians is tried: of 7 there are no more than 35.
const MOST_SHARES: usize = 7;

fn threshold(plan: &Plan, top: At<'_>, found: &mut Vec<Diagnostic>) {
    let Some(needed) = plan.threshold.map(usize::from) else { return };
    let span = top.key("threshold").span();
    let count = plan.custodians.len();
    if count > MOST_SHARES {
        found.push(
            Diagnostic::error(
                span,
                format!("a key is split among 7 custodians at most, not {count}"),
            )
            .help("name fewer custodians, or leave `threshold` out"),
        );
    } else if needed < 2 || needed > count {
        found.push(
            Diagnostic::error(span, format!("{needed} of {count} custodians cannot be asked for"))
                .help(
                    "2 at least, and no more than there are; without `threshold` each opens alone",
                ),
        );
    } else if needed == count {
        found.push(
            Diagnostic::warning(span, "when one custodian is lost, so are the keys")
                .help("name one custodian more than it takes"),
        );
    }
}

fn people(plan: &Plan, top: At<'_>, found: &mut Vec<Diagnostic>) {
    let (operator, witness) = (top.key("operator"), top.key("witness"));
    if plan.operator.name == plan.witness.name {
        let message = "the operator and the witness are the same person";
        found.push(
            Diagnostic::error(witness.key("name").span(), message)
                .and(operator.key("name").span(), "the operator")
                .help("a witness is somebody else"),
        );
    }
    let (one, other) = (&plan.operator.ssh_key, &plan.witness.ssh_key);
    if (one.algorithm(), one.encoded()) == (other.algorithm(), other.encoded()) {
        let message = "the operator and the witness sign with the same key";
        found.push(
            Diagnostic::error(witness.key("ssh_key").span(), message)
                .and(operator.key("ssh_key").span(), "the operator's")
                .help("a witness has a key of their own"),
        );
    }
    for role in RoleName::ALL {
        let algorithm = plan.role(role).ssh_key.algorithm();
        if !signature::ALGORITHMS.contains(&algorithm) {
            let span = top.key(role.as_str()).key("ssh_key").span();
            found.push(not_taken(span, algorithm));
        }
    }
    let signs = plan.custodians.iter().map(|it| it.ssh_key.as_ref().map_or("", SshKey::encoded));
    once("custodian", "ssh_key", signs, top, found);
    for (at, custodian) in plan.custodians.iter().enumerate() {
        let algorithm = custodian.ssh_key.as_ref().map(SshKey::algorithm);
        if let Some(algorithm) = algorithm.filter(|it| !signature::ALGORITHMS.contains(it)) {
            let span = top.key("custodian").item(at).key("ssh_key").span();
            found.push(not_taken(span, algorithm));
        }
    }
}

fn not_taken(span: Span, algorithm: &str) -> Diagnostic {
    let known = signature::ALGORITHMS.join(", ");
    Diagnostic::error(span, format!("signatures by {algorithm} keys are not taken"))
        .help(format!("use a key that is one of: {known}"))
}

fn days(plan: &Plan, top: At<'_>, found: &mut Vec<Diagnostic>) {
    if plan.valid_until.date() < plan.written.date() {
        found.push(
            Diagnostic::error(top.key("valid_until").span(), "it ends before it was written")
                .and(top.key("written").span(), "written here"),
        );
    }
    if plan.next_drill.date() <= plan.written.date() {
        found.push(
            Diagnostic::error(top.key("next_drill").span(), "the next drill is before the export")
                .help("a drill opens the copies again, some months after they were made"),
        );
    }
}
