//! What a custodian gets: envelopes, sheets of paper with the same, and words for somebody who has nothing but these, their
//! identity and `age`. Pure.

use super::{
    child::talk::{Sealed, What},
    material::Facts,
    paper::{NoSheet, Paper, Sheet},
    plan::{Medium, Plan},
    transcript::{Begun, Kind, SealedKey, digest},
};

/// The file that says how to open the envelopes.
pub const README: &str = "README.txt";

/// What a custodian's share is called, in the place of a key's name.
pub const SHARE: &str = "share";

/// The program that puts shares together, where there is no holdfast.
const COMBINE: (&str, &str) = ("combine.pl", include_str!("combine.pl"));

/// An envelope, and the sheet of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What is in it.
    pub what: What,
    /// The key's name, or [`SHARE`].
    pub name: String,
    /// Its file.
    pub file: String,
    /// The envelope, armored.
    pub envelope: String,
    /// The digest of what is in it, of a share: by it somebody who opened one sees that it is the right one.
    pub opens_to: Option<String>,
    /// The sheet's file, what is in that, and the number that stands on it.
    pub sheet: Option<(String, Vec<u8>, String)>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kit {
    /// The envelopes.
    pub pieces: Vec<Piece>,
    /// The words and the program.
    pub others: Vec<(String, Vec<u8>)>,
}

impl Kit {
    /// Everything that is written: names and contents. Envelopes come first, in their order.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let envelopes = self.pieces.iter().map(|it| (it.file.clone(), it.envelope.clone().into()));
        let sheets = self.pieces.iter().filter_map(|it| it.sheet.clone());
        let sheets = sheets.map(|(file, bytes, _)| (file, bytes));
        envelopes.chain(sheets).chain(self.others.iter().cloned()).collect()
    }
}

/// Of what a kit is made, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The ceremony.
    pub begun: &'a Begun,
    /// Its plan.
    pub plan: &'a Plan,
    /// The medium.
    pub medium: &'a Medium,
    /// The custodian's place in the plan.
    pub custodian: usize,
    /// What everybody may know of the keys.
    pub keys: &'a [SealedKey],
}

/// A custodian's kit.
///
/// # Errors
/// When an envelope is too long for paper, and paper is wanted.
pub fn kit(about: About<'_>, sealed: &Sealed) -> Result<Option<Kit>, NoSheet> {
    let mut pieces = Vec::new();
    let mut add = |what, name: &str, envelope: &str, opens_to| {
        let (name, file, envelope) = (name.to_owned(), format!("{name}.age"), envelope.to_owned());
        pieces.push(Piece { what, name, file, envelope, opens_to, sheet: None });
    };
    for (at, key) in sealed.keys.iter().enumerate() {
        let Some(envelope) = key.envelopes.get(about.custodian) else { return Ok(None) };
        add(What::Key(at), &key.name, envelope, None);
    }
    if let Some(split) = &sealed.split {
        let Some(share) = split.shares.get(about.custodian) else { return Ok(None) };
        add(What::Share(about.custodian), SHARE, &share.envelope, Some(share.sha256.clone()));
    }
    let mut others = Vec::new();
    if about.plan.threshold.is_some() {
        others.push((COMBINE.0.to_owned(), COMBINE.1.as_bytes().to_vec()));
    }
    if let Some(paper) = about.plan.paper {
        for piece in &mut pieces {
            piece.sheet = Some(about.sheet(piece, paper)?);
        }
    }
    others.push((README.to_owned(), about.readme(&pieces).into_bytes()));
    Ok(Some(Kit { pieces, others }))
}

/// Whoever finds something of a rehearsal is not to take it for a key.
const NOBODYS: &str = "REHEARSAL: THE KEY IN THIS IS NOBODY'S";

const NEVER: &str = "Two signers must never run with one key, not even for a moment.";

fn known(facts: &Facts) -> impl Iterator<Item = (&'static str, &String)> {
    let all = [
        ("public key", &facts.public),
        ("PeerId", &facts.peer_id),
        ("Stacks address", &facts.stacks_address),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
}

impl About<'_> {
    fn facts(&self, piece: &Piece) -> Option<&Facts> {
        let What::Key(at) = piece.what else { return None };
        self.keys.get(at).map(|key| &key.facts)
    }

    /// Whoever has the identity of this recipient opens it.
    fn recipient(&self) -> String {
        let found = self.plan.custodians.get(self.custodian);
        found.map_or(String::new(), |custodian| custodian.recipient.to_string())
    }

    /// How many of how many, where it takes several.
    fn needed(&self) -> Option<(u8, usize)> {
        self.plan.threshold.map(|needed| (needed, self.plan.custodians.len()))
    }

    fn sheet(&self, piece: &Piece, paper: Paper) -> Result<(String, Vec<u8>, String), NoSheet> {
        let Self { begun, plan, medium, .. } = self;
        let is_share = matches!(piece.what, What::Share(_));
        let title = match (begun.kind, is_share) {
            (Kind::Rehearsal, _) => NOBODYS.to_owned(),
            (Kind::Export, true) => {
                "A SHARE OF AN UNLOCK KEY. There is no key on this sheet".into()
            }
            (Kind::Export, false) => format!("COLD COPY OF A KEY: {}", piece.name),
        };
        let copy = plan.media.iter().position(|each| each.name == medium.name).unwrap_or(0) + 1;
        let serial = format!("{}/{}/{}", begun.ceremony, medium.name, piece.name);
        let mut facts = vec![
            ("for", format!("{}, copy {copy} of {}", medium.custodian, plan.media.len())),
            ("recipient", self.recipient()),
            ("sheet", serial.clone()),
            ("medium", format!("{}, bag {}", medium.name, medium.bag)),
            ("plan", begun.plan.clone()),
            ("envelope", format!("sha256 {}", digest(piece.envelope.as_bytes()))),
        ];
        if is_share {
            facts.push((COMBINE.0, format!("sha256 {}", digest(COMBINE.1.as_bytes()))));
        }
        if let Some(sha256) = &piece.opens_to {
            facts.push(("opens to", format!("share-{}.txt, sha256 {sha256}", self.custodian + 1)));
        }
        if let Some(found) = self.facts(piece) {
            facts.extend(known(found).map(|(name, value)| (name, value.clone())));
        }
        let mut below = Vec::new();
        if is_share {
            below.extend(COMBINE.1.lines().map(str::to_owned));
        }
        let (envelope, steps) = (piece.envelope.clone(), self.steps(piece));
        let bytes = Sheet { title, facts, steps, envelope, below }.print(paper)?;
        Ok((format!("{}.pdf", piece.name), bytes, serial))
    }

    /// What stands beside the code.
    fn steps(&self, piece: &Piece) -> Vec<String> {
        let (file, owner) = (&piece.file, &self.medium.custodian);
        let mut steps: Vec<String> = [
            "1. Take a Debian machine without a network, and once",
            "  apt-get install age zbar-tools",
            "(any age of version 1: https://age-encryption.org)",
            "2. Scan the code:",
        ]
        .map(str::to_owned)
        .into();
        steps.push(format!("  zbarimg -q --raw scan.png | grep . >{file}"));
        steps.push("or type the lines below as they stand, and then".into());
        steps.push("  (echo -----BEGIN AGE ENCRYPTED FILE-----".into());
        steps.push("  sed -E 's/^ *[0-9]+ //; s/ [0-9a-f]{4} *$//; s/ //g' typed".into());
        steps.push(format!("  echo -----END AGE ENCRYPTED FILE-----) >{file}"));
        match (self.needed(), matches!(piece.what, What::Share(_))) {
            (None, _) => {
                steps.push(format!("3. Open it with {owner}'s identity; it prints the key:"));
                steps.push(format!("  age -d -i identity.txt {file}"));
            }
            (Some((needed, count)), true) => {
                steps.push(format!("3. Open it with {owner}'s identity:"));
                steps.push(format!(
                    "  age -d -i identity.txt {file} >share-{}.txt",
                    self.custodian + 1
                ));
                steps
                    .push(format!("4. With {needed} of the {count} shares (combine.pl is below):"));
                steps.push("  perl combine.pl share-*.txt >unlock.txt".into());
                steps.push("which opens the keys, on sheets of their own.".into());
            }
            (Some((needed, count)), false) => {
                steps.push(format!(
                    "3. It takes {needed} of {count} shares, which are on other sheets."
                ));
                steps.push("They come to unlock.txt, and that prints the key:".into());
                steps.push(format!("  age -d -i unlock.txt {file}"));
            }
        }
        steps.push(NEVER.into());
        steps
    }

    /// For whoever has the medium.
    fn readme(&self, pieces: &[Piece]) -> String {
        let Self { begun, medium, .. } = self;
        let mut text = match begun.kind {
            Kind::Export => "COLD COPY OF A KEY\n".to_owned(),
            Kind::Rehearsal => format!("{NOBODYS}\n"),
        };
        let who = match self.needed() {
            None => format!("For {}, who alone can open it.", medium.custodian),
            Some((needed, count)) => format!(
                "For {}, one of {count} custodians: {needed} of them can open it, and fewer cannot.",
                medium.custodian
            ),
        };
        text.push_str(&format!(
            "\n{who} Medium {}, bag {}.\nSealed to {}.\nCeremony {}, plan {}.\n",
            medium.name,
            medium.bag,
            self.recipient(),
            begun.ceremony,
            begun.plan
        ));
        for piece in pieces {
            let sha256 = digest(piece.envelope.as_bytes());
            text.push_str(&format!("\n{}\n  sha256 {sha256}\n", piece.file));
            if let Some(sha256) = &piece.opens_to {
                let number = self.custodian + 1;
                text.push_str(&format!("  opens to share-{number}.txt: sha256 {sha256}\n"));
            }
            for (name, value) in self.facts(piece).into_iter().flat_map(known) {
                text.push_str(&format!("  {name} {value}\n"));
            }
            if let Some((file, ..)) = &piece.sheet {
                text.push_str(&format!("  the same for a printer: {file}\n"));
            }
        }
        text.push_str(
            "
ceremony.json is the plan and the record up to when this was written; no secret is in it. With it
`holdfast key drill` and `holdfast key restore` open this medium on any machine. Without holdfast it takes
the envelope, the identity and age alone.

To open an envelope, on a machine without a network, with your identity file:

  apt-get install age        (any age of version 1 or newer: https://age-encryption.org)
",
        );
        text.push_str(&match self.needed() {
            None => "  age --decrypt --identity IDENTITY-FILE FILE.age\n".to_owned(),
            Some((needed, _)) => format!(
                "  age --decrypt --identity IDENTITY-FILE share.age >share-{}.txt
  perl combine.pl share-*.txt >unlock.txt        (with {needed} custodians' shares)
  age --decrypt --identity unlock.txt FILE.age

Whoever has unlock.txt opens all copies: make it in memory (/dev/shm), and remove it at once.
",
                self.custodian + 1
            ),
        });
        text.push_str(&format!(
            "
It prints the key. Do not print it on a screen that others see, and not into a file that stays.
{NEVER}
"
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::shield::Shield,
        key::{
            child::talk,
            paper::decode,
            plan::{self, tests::plan},
        },
    };

    fn envelope(what: &str) -> String {
        format!("-----BEGIN AGE ENCRYPTED FILE-----\n{what}\n-----END AGE ENCRYPTED FILE-----\n")
    }

    fn sealed(split: bool) -> Sealed {
        let key = |name: &str| talk::SealedKey {
            name: name.into(),
            facts: Facts::default(),
            envelopes: ["a", "b"].map(|who| envelope(&format!("{name}{who}"))).into(),
            opened: 1,
            held_for_us: 1,
        };
        let share = |number: u8| talk::SealedShare {
            number,
            sha256: format!("d{number}"),
            envelope: envelope(&format!("share{number}")),
        };
        let split =
            split.then(|| talk::Split { needed: 2, shares: vec![share(1), share(2)], tried: 1 });
        Sealed { keys: vec![key("signer")], shield: Shield::default(), split, lived_us: 1 }
    }

    fn made(kind: Kind, more: &str, split: bool) -> Kit {
        let text = plan().replace("next_drill", &format!("{more}\nnext_drill"));
        let plan = plan::read(std::path::Path::new("p"), text.as_bytes()).unwrap().value;
        let begun = Begun { kind, ceremony: "c".into(), plan: "d".into(), ..Begun::default() };
        let facts = Facts { public: Some("0314".into()), ..Facts::default() };
        let keys = [SealedKey { name: "signer".into(), facts, opened: 1, held_for_us: 1 }];
        let about =
            About { begun: &begun, plan: &plan, medium: &plan.media[1], custodian: 1, keys: &keys };
        kit(about, &sealed(split)).unwrap().unwrap()
    }

    fn text(kit: &Kit, file: &str) -> String {
        let files = kit.files();
        let found = files.iter().find(|(name, _)| name == file).unwrap();
        String::from_utf8_lossy(&found.1).into_owned()
    }

    #[test]
    fn a_kit_without_paper_is_envelopes_and_words() {
        let kit = made(Kind::Export, "", false);
        let names: Vec<String> = kit.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["signer.age", "README.txt"]);
        assert_eq!(text(&kit, "signer.age"), envelope("signerb"));
        let readme = text(&kit, README);
        assert!(readme.starts_with("COLD COPY OF A KEY\n\nFor bob, who alone can open it."));
        assert!(readme.contains("  public key 0314\n"), "{readme}");
        assert!(readme.contains("\nceremony.json is the plan"), "{readme}");
        assert!(text(&made(Kind::Rehearsal, "", false), README).starts_with(NOBODYS));
    }

    #[test]
    fn ciphertext_and_what_unlocks_it_are_on_sheets_of_their_own() {
        let kit = made(Kind::Export, "threshold = 2\npaper = \"letter\"", true);
        let names: Vec<String> = kit.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["signer.age", "share.age", "signer.pdf", "share.pdf", "combine.pl", "README.txt"]
        );
        let [key, share] = kit.pieces.as_slice() else { panic!("{names:?}") };
        let bytes = |piece: &Piece| piece.sheet.clone().unwrap().1;
        assert_eq!(decode(&bytes(key)).unwrap(), envelope("signerb"));
        assert_eq!(decode(&bytes(share)).unwrap(), envelope("share2"));
        let shown = |piece: &Piece| String::from_utf8_lossy(&bytes(piece)).into_owned();
        assert!(
            shown(key).contains("COLD COPY OF A KEY: signer") && !shown(key).contains("share2")
        );
        assert!(shown(share).contains("There is no key on this sheet"));
        assert!(!shown(share).contains("signerb") && !shown(share).contains("0314"));
        assert!(shown(share).contains("share-2.txt, sha256 d2"), "whose share it is");
        assert!(text(&kit, README).contains("  opens to share-2.txt: sha256 d2\n"));
        assert!(shown(share).contains("perl combine.pl share-*.txt >unlock.txt"));
        assert!(text(&kit, README).contains("one of 2 custodians: 2 of them can open it"));
        // Whoever finds one of a rehearsal sees what it is.
        let kit = made(Kind::Rehearsal, "paper = \"a4\"", false);
        assert!(text(&kit, "signer.pdf").contains("REHEARSAL: THE KEY IN THIS IS NOBODY"));
    }
}
