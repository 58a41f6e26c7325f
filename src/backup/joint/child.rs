//! What the process that has the keys does, from its first line to its last.

use std::io::{Read, Write};

use zeroize::Zeroizing;

use super::{
    configured::configured,
    key_file::key,
    talk::{Answer, Job, Judged, KeyWord, Order, RowWord},
};
use crate::{
    backup::dkg::{By, Flaw, SignerKey, Verdict, prove},
    host::{HostError, Reader, secret, shield},
};

/// A hundred generations of rows are 300 kB.
const LONGEST: u64 = 64 << 20;

/// Its whole life.
///
/// # Errors
/// When nobody takes its answer.
pub async fn run(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<()> {
    shield::be_silent_in_panics();
    let answer = match secret::keep_in_memory() {
        Ok(()) => answer(from, &Reader::live(), secret::open_nothing_more).await,
        Err(error) => Answer::Refused(error.chain()),
    };
    serde_json::to_writer(&mut *to, &answer)?;
    to.flush()
}

async fn answer(
    from: &mut impl Read,
    host: &Reader,
    shut: impl FnOnce() -> Result<(), HostError>,
) -> Answer {
    match serde_json::from_reader::<_, Order>(from.take(LONGEST)) {
        Ok(Order::Judge(job)) => judge(job, host, shut),
        Ok(Order::Configured(chain)) => {
            Answer::Configured(Box::new(configured(&chain, host).await))
        }
        Err(_) => Answer::Refused("what the process was told is no order".into()),
    }
}

/// Reads the keys, shuts the door behind them, and judges.
fn judge(job: Job, host: &Reader, shut: impl FnOnce() -> Result<(), HostError>) -> Answer {
    let read: Vec<_> = job.files.iter().map(|file| read(host, file)).collect();
    if let Err(error) = shut() {
        return Answer::Refused(error.chain());
    }
    let (mut words, mut keys) = (Vec::new(), Vec::new());
    for (file, read) in job.files.into_iter().zip(read) {
        let public = read.map(|key| {
            let public = key.public().to_string();
            keys.push(key);
            public
        });
        words.push(KeyWord { file, public });
    }
    let rows = prove(&job.rows, By::Keys(&keys)).iter().map(word).collect();
    Answer::Judged(Judged { keys: words, rows })
}

fn read(host: &Reader, file: &str) -> Result<SignerKey, String> {
    let text = host.files().text(file).map_err(|error| error.chain())?;
    let text = Zeroizing::new(text.ok_or("it is not there")?);
    key(&text)
}

fn word(verdict: &Verdict) -> RowWord {
    match verdict {
        Verdict::Opens { .. } => RowWord::Opens(verdict.to_string()),
        Verdict::Flawed(Flaw::NotInSet(_)) | Verdict::NoKeys | Verdict::Whole { .. } => {
            RowWord::NoKey
        }
        Verdict::Flawed(_) => RowWord::Flawed(verdict.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_test_dkg::Group;

    use super::*;
    use crate::backup::dkg::Row;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    async fn judged(files: &[(&str, String)], rows: &[String]) -> Judged {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            #[expect(clippy::disallowed_methods, reason = "a fixture")]
            std::fs::write(root.path().join(name), text).unwrap();
        }
        let job = Job {
            files: files
                .iter()
                .map(|(name, _)| format!("/{name}"))
                .chain(["/none".into()])
                .collect(),
            rows: Row::from_lines(&rows.join("\n")).unwrap(),
        };
        let (job, mut is_shut) = (serde_json::to_vec(&Order::Judge(job)).unwrap(), false);
        let shut = || {
            is_shut = true;
            Ok(())
        };
        let answer = answer(&mut job.as_slice(), &Reader::below(root.path()), shut).await;
        assert!(is_shut);
        let said = serde_json::to_string(&answer).unwrap();
        for (_, text) in files {
            assert!(!said.contains(&text[..32]), "{said}");
        }
        match answer {
            Answer::Judged(judged) => judged,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_generation_opens_its_own_rows_and_no_others() {
        let (now, before) = (Group::new("now", 5, 3), Group::new("before", 5, 3));
        let key = |group: &Group| hex(&group.private_key(0));
        let mut damaged = now.round(2).row(0);
        let end = damaged.encrypted_private_shares.len() - 1;
        damaged.encrypted_private_shares[end] ^= 1;
        let rows = [
            now.round(1).row(0).json(),
            damaged.json(),
            now.round(3).row(1).json(),
            before.round(4).row(0).json(),
        ];
        let one = judged(&[("now", key(&now))], &rows).await;
        assert_eq!(one.keys[0].public, Ok(hex(&now.public_key(0))));
        assert_eq!(one.keys[1].public, Err("it is not there".into()));
        assert!(matches!(&one.rows[0], RowWord::Opens(words) if words.contains("its share fits")));
        for row in &one.rows[1..3] {
            assert!(
                matches!(row, RowWord::Flawed(words) if words.contains("another signer's row, or damaged"))
            );
        }
        assert_eq!(one.rows[3], RowWord::NoKey);
        let both = judged(&[("before", key(&before)), ("now", key(&now))], &rows).await;
        assert_eq!(both.rows[..3], one.rows[..3]);
        assert!(matches!(&both.rows[3], RowWord::Opens(_)));
        assert_eq!(judged(&[], &rows[..1]).await.rows, [RowWord::NoKey]);
    }

    #[tokio::test]
    async fn who_cannot_shut_the_door_says_nothing_of_rows() {
        let shut = || Err(HostError::Refused("no".into()));
        let order = Order::Judge(Job { files: Vec::new(), rows: Vec::new() });
        let (order, host) = (serde_json::to_vec(&order).unwrap(), Reader::below("/"));
        assert!(matches!(answer(&mut order.as_slice(), &host, shut).await, Answer::Refused(_)));
        assert!(matches!(answer(&mut &b"{}"[..], &host, || Ok(())).await, Answer::Refused(_)));
    }
}
