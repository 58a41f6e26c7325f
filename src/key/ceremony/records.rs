//! What comes after a ceremony, beside its transcript: drills, challenges, proofs. Each record is lines of JSON, and each line
//! has the number and the digest of the one before it, the first one that of the transcript's beginning: a line that is
//! altered, taken out or moved shows, and so does a record of another ceremony. That the last one is missing shows in the
//! evidence, which has each act.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CeremonyError, Going, RECORD};
use crate::key::transcript::digest;

/// A line of a record.
#[derive(Debug, Serialize, Deserialize)]
struct Line<T> {
    /// From 1 up, without a gap.
    number: u64,
    /// The digest of the line before, without its end.
    previous: String,
    #[serde(flatten)]
    what: T,
}

/// A record, as far as it goes.
struct Lines<T> {
    all: Vec<T>,
    last: String,
}

/// Reads a record. What stands behind its last whole line was cut off, and is not read: the next line takes its place.
///
/// # Errors
/// The number of the first line that does not follow the one before it.
fn read<T: DeserializeOwned>(bytes: &[u8], anchor: String) -> Result<Lines<T>, u64> {
    let mut lines = Lines { all: Vec::new(), last: anchor };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for bytes in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let number = lines.all.len() as u64 + 1;
        let line: Line<T> = serde_json::from_slice(bytes).map_err(|_| number)?;
        if line.number != number || line.previous != lines.last {
            return Err(number);
        }
        lines.last = digest(bytes);
        lines.all.push(line.what);
    }
    Ok(lines)
}

/// What the first line of every record of a ceremony follows: its own first line.
fn anchor(going: &Going) -> Result<String, CeremonyError> {
    let bytes = going.binder.read(RECORD)?.unwrap_or_default();
    Ok(digest(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default()))
}

fn lines<T: DeserializeOwned>(going: &Going, file: &str) -> Result<Lines<T>, CeremonyError> {
    let bytes = going.binder.read(file)?.unwrap_or_default();
    read(&bytes, anchor(going)?).map_err(|number| {
        let path = going.path(file);
        CeremonyError::No(format!(
            "{}: line {number} does not follow the line before it: one was altered, removed, added or moved",
            path.display()
        ))
    })
}

/// Appends a line to a record; when this returns it is on the disk.
///
/// # Errors
/// When what is there cannot be believed, or it cannot be written.
pub(super) fn note<T>(going: &Going, file: &str, what: &T) -> Result<(), CeremonyError>
where
    T: Serialize + DeserializeOwned,
{
    let Lines { all, last } = lines::<T>(going, file)?;
    let line = Line { number: all.len() as u64 + 1, previous: last, what };
    // Only maps with keys that are not strings cannot be written, and there are none.
    let line = serde_json::to_vec(&line).unwrap_or_default();
    Ok(going.binder.append(file, &line)?)
}

/// All that a record says, the oldest first.
///
/// # Errors
/// When it cannot be read, or not be believed.
pub(super) fn noted<T: DeserializeOwned>(
    going: &Going,
    file: &str,
) -> Result<Vec<T>, CeremonyError> {
    lines(going, file).map(|lines| lines.all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    struct Said {
        said: String,
    }

    fn record(words: &[&str]) -> Vec<String> {
        let mut last = "begun".to_owned();
        let each = words.iter().zip(1..).map(|(said, number)| {
            let what = Said { said: (*said).to_owned() };
            let line = serde_json::to_string(&Line { number, previous: last.clone(), what });
            last = digest(line.as_ref().unwrap().as_bytes());
            line.unwrap()
        });
        each.collect()
    }

    fn said(lines: &[String]) -> Result<Vec<String>, u64> {
        let bytes = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let lines = read::<Said>(bytes.as_bytes(), "begun".into())?;
        Ok(lines.all.into_iter().map(|it| it.said).collect())
    }

    #[test]
    fn lines_that_were_altered_removed_or_moved_show() {
        let lines = record(&["a", "b", "c"]);
        assert_eq!(said(&lines), Ok(vec!["a".into(), "b".into(), "c".into()]));
        let altered: Vec<String> = lines.iter().map(|it| it.replace("\"b\"", "\"x\"")).collect();
        assert_eq!(said(&altered), Err(3), "the line after it tells");
        assert_eq!(said(&[lines[0].clone(), lines[2].clone()]), Err(2));
        assert_eq!(said(&[lines[1].clone(), lines[0].clone()]), Err(1));
        assert_eq!(said(&lines[1..]), Err(1));
        assert_eq!(said(&["{}".into()]), Err(1));
        assert!(read::<Said>(format!("{}\n", lines[0]).as_bytes(), "another".into()).is_err());
    }

    #[test]
    fn what_was_cut_off_is_not_read() {
        let lines = record(&["a", "b"]);
        let torn = format!("{}\n{}", lines[0], &lines[1][..20]);
        let read = read::<Said>(torn.as_bytes(), "begun".into());
        assert_eq!(read.map(|lines| lines.all.len()), Ok(1));
    }
}
