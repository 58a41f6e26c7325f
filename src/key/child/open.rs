//! Copies are opened again by their custodians: to see that each can be, and what it opens; or to bring a key back.
//!
//! Identities are read once, into this process and no other, so that they may come from a pipe. After that it answers
//! questions until its input ends: which file key a backup's header holds, and what copies are worth.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read as _, Write},
    process::ChildStdout,
    time::{Duration, Instant},
};

use age::x25519;
use age_core::format::FileKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    process::{ChildError, LONGEST_LINE},
    run::line,
    seal::open,
    split,
    talk::{Order, Put, RowSeen, What},
    unseal::{by_any, hand_over, identity, rows},
};
use crate::{
    backup::dkg::Row,
    host::{shield::Shield, stage::Stage},
    key::{
        material::Material,
        plan::{KeyKind, Network},
    },
    locked::Purpose,
};

/// Who opens: the first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Files and pipes of identities.
    pub identities: Vec<String>,
    /// Whether it goes on where the kernel does not lock its memory.
    pub may_be_unlocked: bool,
}

/// What is asked: every line after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Which file key a header's stanzas hold.
    Unwrap(Vec<Stanza>),
    /// What copies are worth.
    Copies(Box<Copies>),
}

/// A stanza of a header of age (age-encryption.org/v1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stanza {
    /// Its type.
    pub tag: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it wraps.
    pub body: Vec<u8>,
}

/// Copies of keys, and what the keys are wanted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// The keys.
    pub keys: Vec<Wanted>,
    /// The envelopes.
    pub copies: Vec<Copy>,
    /// Whether shares open them, and not identities.
    pub split: bool,
    /// The rows of a backup that a key must open: its place, and the rows.
    pub rows: Option<(usize, Vec<Row>)>,
    /// Where a key is put: its place, and the place.
    pub put: Option<(usize, Put)>,
}

/// A key, as it was when it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What it is.
    pub kind: KeyKind,
    /// Of which network.
    pub network: Network,
    /// Its public half.
    pub public: Option<String>,
    /// Whether a seed is brought back as 32 bytes.
    pub raw: bool,
}

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// What is in it: a key by its place here, or a share.
    pub what: What,
    /// The envelope, armored.
    pub armored: String,
    /// Of a share: the digest of what was put into it.
    pub sha256: Option<String>,
}

/// What came of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Of each copy, in their order: why it is not good.
    pub copies: Vec<Result<(), String>>,
    /// What the key opened.
    pub rows: Vec<RowSeen>,
    /// How long keys were in memory, in microseconds.
    pub held_for_us: u64,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Said {
    /// The identities are read.
    Ready(Shield),
    /// The file key of a header, in hexadecimal; `None`: it is for none of them.
    Unwrapped(Option<String>),
    /// The copies are judged.
    Opened(Opened),
    /// It does not do what was asked, and why.
    Refused(String),
}

/// The child, when it has shielded itself.
pub(super) fn serve(
    order: &Open,
    shield: Shield,
    from: &mut impl BufRead,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut say = |said: &Said| {
        serde_json::to_writer(&mut *to, said)?;
        to.write_all(b"\n")?;
        to.flush()
    };
    let identities = order.identities.iter().map(|path| identity(path));
    let identities: Vec<x25519::Identity> = match identities.collect::<Result<_, _>>() {
        Ok(identities) => identities,
        Err(why) => return say(&Said::Refused(why)),
    };
    say(&Said::Ready(shield))?;
    while let Some(question) = line::<Question>(from)? {
        say(&match question {
            Question::Unwrap(stanzas) => Said::Unwrapped(unwrap(stanzas, &identities)),
            Question::Copies(copies) => {
                judged(&copies, &identities).map_or_else(Said::Refused, Said::Opened)
            }
        })?;
    }
    Ok(())
}

fn unwrap(stanzas: Vec<Stanza>, identities: &[x25519::Identity]) -> Option<String> {
    use age::{Identity as _, secrecy::ExposeSecret as _};
    let stanza = |Stanza { tag, args, body }| age_core::format::Stanza { tag, args, body };
    let stanzas: Vec<_> = stanzas.into_iter().map(stanza).collect();
    let keys = identities.iter().find_map(|identity| identity.unwrap_stanzas(&stanzas)?.ok())?;
    Some(crate::backup::curve::hex(keys.expose_secret()))
}

/// Keys are in memory from the first line of this to the last.
fn judged(asked: &Copies, identities: &[x25519::Identity]) -> Result<Opened, String> {
    let begun = Instant::now();
    let (mut shares, mut results) = (Vec::new(), Vec::new());
    for copy in &asked.copies {
        results.push(match copy.what {
            What::Share(_) => share(copy, identities).map(|text| shares.push(text)),
            What::Key(_) => Ok(()),
        });
    }
    let unlock = asked.split.then(|| {
        let texts: Vec<&str> = shares.iter().map(|text| text.as_str()).collect();
        if texts.is_empty() {
            return Err("no share that opens is given".to_owned());
        }
        split::identity(&texts)
    });
    drop(shares);
    let (mut rows_seen, mut put) = (None, asked.put.as_ref());
    for (copy, result) in asked.copies.iter().zip(&mut results) {
        let What::Key(at) = copy.what else { continue };
        let material = match key(asked, at, copy, identities, unlock.as_ref()) {
            Ok(material) => material,
            Err(why) => {
                *result = Err(why);
                continue;
            }
        };
        if let Some((_, asked)) = asked.rows.as_ref().filter(|(of, _)| *of == at)
            && rows_seen.is_none()
        {
            rows_seen = Some(rows(asked, &material)?);
        }
        if let Some((_, to)) = put.filter(|(of, _)| *of == at) {
            let raw = asked.keys.get(at).is_some_and(|key| key.raw);
            hand_over(to, &material, raw)?;
            put = None;
        }
    }
    let held_for_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Opened { copies: results, rows: rows_seen.unwrap_or_default(), held_for_us })
}

/// What is in the envelope of a share.
fn share(copy: &Copy, identities: &[x25519::Identity]) -> Result<Zeroizing<String>, String> {
    let plain = by_any(identities, &copy.armored).ok_or("none of these identities opens it")?;
    if copy.sha256.as_ref().is_none_or(|known| *known != split::digest(&plain)) {
        return Err("it opens, and is another share than the one that was handed out".into());
    }
    let text = str::from_utf8(&plain).map_err(|_| "it is no text")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What is in the envelope of a key.
fn key(
    asked: &Copies,
    at: usize,
    copy: &Copy,
    identities: &[x25519::Identity],
    unlock: Option<&Result<x25519::Identity, String>>,
) -> Result<Material, String> {
    let wanted = asked.keys.get(at).ok_or("there is no such key")?;
    let plain = match unlock {
        Some(Ok(unlock)) => open(unlock, &copy.armored)?,
        Some(Err(why)) => return Err(why.clone()),
        None => by_any(identities, &copy.armored)
            .ok_or_else(|| "none of these identities opens this copy".to_owned())?,
    };
    let material = Material::parse(wanted.kind, wanted.network, &plain)
        .map_err(|fault| format!("it opens, and holds no key: {fault}"))?;
    if material.facts().public != wanted.public {
        return Err("it opens, and holds another key than the one that was exported".into());
    }
    Ok(material)
}

/// How long it may have the identities: a backup is restored meanwhile, for which its profile has a limit of its own.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// A child that answers questions until it is told no more.
#[derive(Debug)]
struct Session {
    stage: Stage,
    answers: BufReader<ChildStdout>,
}

impl Session {
    fn start(order: &Order) -> Result<(Self, Said), ChildError> {
        let mut stage = Purpose::Ceremony.launch(true, LIMIT).start()?;
        let answers = BufReader::new(stage.stdout.take().ok_or(ChildError::Silent)?);
        let mut session = Self { stage, answers };
        let said = session.ask(order)?;
        Ok((session, said))
    }

    fn ask(&mut self, question: &impl Serialize) -> Result<Said, ChildError> {
        let mut line = serde_json::to_vec(question).map_err(|_| ChildError::Silent)?;
        line.push(b'\n');
        let pipe = self.stage.stdin.as_mut().ok_or(ChildError::Silent)?;
        pipe.write_all(&line).and_then(|()| pipe.flush()).map_err(|_| ChildError::Silent)?;
        let mut said = Vec::new();
        let mut answers = self.answers.by_ref().take(LONGEST_LINE);
        answers.read_until(b'\n', &mut said).map_err(|_| ChildError::Silent)?;
        serde_json::from_slice(&said).map_err(|_| ChildError::Silent)
    }

    fn end(self) -> Result<(), ChildError> {
        let Self { stage, answers } = self;
        drop(answers);
        Ok(stage.end()?)
    }
}

/// The child, as its parent has it. For whatever is encrypted to a custodian it is an identity of age, of which only the file
/// key of that very file comes to the parent.
#[derive(Debug)]
pub struct Opener(RefCell<Session>);

impl Opener {
    /// Starts it, and has it read the identities.
    ///
    /// # Errors
    /// When it cannot be started, or one of them is none.
    pub fn start(order: Open) -> Result<(Self, Shield), ChildError> {
        let (session, said) = Session::start(&Order::Open(order))?;
        match said {
            Said::Ready(shield) => Ok((Self(RefCell::new(session)), shield)),
            Said::Refused(why) => Err(ChildError::Refused(why)),
            Said::Unwrapped(_) | Said::Opened(_) => Err(ChildError::Silent),
        }
    }

    /// Has it judge copies.
    ///
    /// # Errors
    /// When it cannot, or what it was to do with a key failed. That a copy is not good is none.
    pub fn judge(&self, copies: Copies) -> Result<Opened, ChildError> {
        match self.0.borrow_mut().ask(&Question::Copies(Box::new(copies)))? {
            Said::Opened(opened) => Ok(opened),
            Said::Refused(why) => Err(ChildError::Refused(why)),
            Said::Ready(_) | Said::Unwrapped(_) => Err(ChildError::Silent),
        }
    }

    /// Lets it end, and sees that it has.
    ///
    /// # Errors
    /// When it ended badly.
    pub fn end(self) -> Result<(), ChildError> {
        self.0.into_inner().end()
    }
}

impl age::Identity for Opener {
    fn unwrap_stanza(
        &self,
        stanza: &age_core::format::Stanza,
    ) -> Option<Result<FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(
        &self,
        stanzas: &[age_core::format::Stanza],
    ) -> Option<Result<FileKey, age::DecryptError>> {
        let stanza = |it: &age_core::format::Stanza| Stanza {
            tag: it.tag.clone(),
            args: it.args.clone(),
            body: it.body.clone(),
        };
        let question = Question::Unwrap(stanzas.iter().map(stanza).collect());
        // A child that says nothing opens nothing.
        let Ok(Said::Unwrapped(Some(hex))) = self.0.borrow_mut().ask(&question) else {
            return None;
        };
        let bytes = Zeroizing::new(crate::backup::curve::unhex(&Zeroizing::new(hex))?);
        let key: [u8; 16] = bytes.as_slice().try_into().ok()?;
        Some(Ok(FileKey::new(Box::new(key))))
    }
}
