//! An envelope as lines that people type, each with a checksum that says where they went wrong.

use sha2::{Digest as _, Sha256};

use crate::backup::curve::hex;

/// The characters of a line between which people rest.
const GROUP: usize = 8;

/// The digits of a line's checksum. A wrong line has the right one once in 65,536 times; the envelope as a whole is
/// compared afterwards.
const DIGITS: usize = 4;

/// The first and the last line of an armored envelope (C2SP, age.md, "ASCII armor").
const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// Why what was typed is no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum Mistyped {
    #[error("line {0} of the sheet is not as it is printed: type it again")]
    Line(usize),
    #[error("line {0} of the sheet is missing")]
    Missing(usize),
    #[error(
        "what was given as line {0} is no line of a sheet: each has its number, its characters and the 4 digits at its end"
    )]
    NotALine(usize),
    #[error("this is neither an envelope nor the lines of a sheet")]
    Nothing,
}

/// The checksum of a line: what `printf '%s %s' NUMBER CHARACTERS | sha256sum` begins with. With the number, because
/// lines are swapped as easily as characters.
fn checksum(number: usize, characters: &str) -> String {
    let mut digest = hex(&Sha256::digest(format!("{number} {characters}")));
    digest.truncate(DIGITS);
    digest
}

/// An armored envelope as lines for a sheet: number, characters in groups, checksum. What every envelope begins and ends
/// with is not typed.
pub(super) fn printed(armored: &str) -> Vec<String> {
    let body = armored.lines().filter(|line| *line != BEGIN && *line != END && !line.is_empty());
    let line = |(at, characters): (usize, &str)| {
        let groups: Vec<&str> = characters
            .as_bytes()
            .chunks(GROUP)
            .map(|group| str::from_utf8(group).unwrap_or_default())
            .collect();
        let width = 64 + 64 / GROUP - 1;
        format!("{:>2}  {:width$}  {}", at + 1, groups.join(" "), checksum(at + 1, characters))
    };
    body.enumerate().map(line).collect()
}

/// The armored envelope that was typed from a sheet, or read from its code: exactly as it was printed.
///
/// # Errors
/// Which line is wrong.
pub fn typed(text: &str) -> Result<String, Mistyped> {
    let text = text.trim();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Who types a sheet may type what it says stands around its lines, too.
    let lines: Vec<&str> = lines.filter(|line| ![BEGIN, END].contains(line)).collect();
    let is_numbered = lines.first().is_some_and(|line| parts(line).is_some());
    if text.starts_with(BEGIN) && !is_numbered {
        // As a scanner gives it: with its lines, and perhaps with more space between them.
        if !text.ends_with(END) {
            return Err(Mistyped::Nothing);
        }
        return Ok(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")));
    }
    let mut body = Vec::new();
    for line in lines {
        let expected = body.len() + 1;
        // Nothing of it is quoted: what is given by mistake may be the key itself, and this goes into the evidence.
        let (number, characters, sum) = parts(line).ok_or(Mistyped::NotALine(expected))?;
        if number > expected {
            return Err(Mistyped::Missing(expected));
        }
        if number < expected || checksum(number, &characters) != sum {
            return Err(Mistyped::Line(number));
        }
        body.push(characters);
    }
    if body.is_empty() {
        return Err(Mistyped::Nothing);
    }
    Ok(format!("{BEGIN}\n{}\n{END}\n", body.join("\n")))
}

/// Number, characters without the space between them, and checksum.
fn parts(line: &str) -> Option<(usize, String, String)> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let sum = words.pop()?.to_ascii_lowercase();
    if words.len() < 2 || sum.len() != DIGITS {
        return None;
    }
    let number = words.remove(0).trim_end_matches('.').parse().ok()?;
    Some((number, words.concat(), sum))
}
