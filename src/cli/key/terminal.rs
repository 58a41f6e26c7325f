//! Questions to people, a line each.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal as _, Read as _},
};

use crate::{
    cli::{
        failure::{Exit, Failure},
        out::{Out, Tone, harmless},
    },
    host::terminal,
    key::questions::{Answerer, Ask, Question, Secret, Unanswered, looks_secret},
};

/// Nobody types more in answer to a question: the kernel's own limit of a line that is typed (termios(3)).
const LONGEST_ANSWER: u64 = 4096;

/// Said to people who type what may be a key: a digest in a reason is a slip like any other.
const DIGITS: &str = "64 or 66 hexadecimal digits are a key, or look like one: they are not taken, and stand in no record; \
     name a digest by its first digits";

/// Where answers are typed.
#[derive(Debug)]
enum Input {
    Standard,
    /// The terminal itself, where standard input is an identity. Whoever writes that one may still be asking people for a
    /// passphrase there: nobody is asked anything before it is there, or has ended.
    Controlling(BufReader<File>),
}

/// People at a terminal. Nothing that they are asked for is secret.
#[derive(Debug)]
pub(super) struct Terminal<'a> {
    out: &'a Out,
    input: Input,
}

impl<'a> Terminal<'a> {
    /// Whoever is at standard input.
    pub(super) fn new(out: &'a Out) -> Self {
        Self { out, input: Input::Standard }
    }

    /// Whoever is at the terminal that this process belongs to, where standard input is an identity.
    pub(super) fn controlling(out: &'a Out) -> Result<Self, Failure> {
        let terminal = terminal::controlling().map_err(|_| {
            let text = "standard input is the identity, and there is no terminal to ask anybody at";
            Failure::new(Exit::Usage, text).hint("--answers FILE")
        })?;
        Ok(Self { out, input: Input::Controlling(BufReader::new(terminal)) })
    }

    fn line(&mut self) -> io::Result<Line> {
        match &mut self.input {
            Input::Standard => line(&mut io::stdin().lock()),
            Input::Controlling(terminal) => line(terminal),
        }
    }
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Text(String),
    /// More than a line may have, or no text.
    NoText,
    /// Nobody is there any more.
    End,
}

/// Reads a line, whole: what is too long is no answer to this question, and not to the next one either.
fn line(input: &mut impl BufRead) -> io::Result<Line> {
    let mut bytes = Vec::new();
    let mut is_long = false;
    loop {
        bytes.clear();
        let count = input.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut bytes)?;
        if count == 0 && !is_long {
            return Ok(Line::End);
        }
        if bytes.ends_with(b"\n") || (count as u64) < LONGEST_ANSWER {
            break;
        }
        is_long = true;
    }
    if is_long {
        return Ok(Line::NoText);
    }
    Ok(String::from_utf8(bytes).map_or(Line::NoText, Line::Text))
}

impl Ask for Terminal<'_> {
    fn show(&mut self, text: &str) {
        self.out.always(text);
    }

    fn ask(&mut self, question: &Question) -> Result<String, Unanswered> {
        let default = match question.default.as_deref() {
            None => String::new(),
            Some("") => " [nothing]".to_owned(),
            Some(default) => format!(" [{default}]"),
        };
        // What a device says of itself is in some questions, and moves no cursor.
        let text: String = question.text.chars().filter(|c| !c.is_control()).collect();
        let text = self.out.paint(Tone::Strong, &text);
        if let Input::Controlling(_) = self.input {
            terminal::await_input().map_err(Unanswered::Io)?;
        }
        loop {
            self.out.always(&format!("\n{text}{default}\n  ({})", question.consequence));
            let line = match self.line().map_err(Unanswered::Io)? {
                Line::End => return Err(Unanswered::Nobody),
                Line::NoText => {
                    self.out.always("this is no line of text");
                    continue;
                }
                Line::Text(line) => line,
            };
            match (line.trim(), &question.default) {
                ("", Some(default)) => return Ok(default.clone()),
                ("", None) => {}
                (answer, _) => match looks_secret(answer) {
                    None => return Ok(answer.to_owned()),
                    Some(Secret::Digits) if self.answerer() == Answerer::People => {
                        self.out.always(DIGITS);
                    }
                    // The lines after it may be more of the same, and would be answers.
                    Some(_) => return Err(Unanswered::Secret(question.id.clone())),
                },
            }
        }
    }

    fn again(&mut self, why: &str) -> bool {
        let is_somebody = self.answerer() == Answerer::People;
        if is_somebody {
            self.out.always(&format!("{}; once more, or `stop`", harmless(why)));
        }
        is_somebody
    }

    fn answerer(&self) -> Answerer<'_> {
        match &self.input {
            Input::Controlling(_) => Answerer::People,
            Input::Standard if io::stdin().is_terminal() => Answerer::People,
            Input::Standard => Answerer::Pipe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_whole_or_not_at_all() {
        let long = "x".repeat(10_000);
        let text = format!("yes\n{long}\n\u{e4}\n");
        let mut input = text.as_bytes();
        assert_eq!(line(&mut input).unwrap(), Line::Text("yes\n".into()));
        assert_eq!(line(&mut input).unwrap(), Line::NoText);
        assert_eq!(line(&mut input).unwrap(), Line::Text("\u{e4}\n".into()), "not the rest of it");
        assert_eq!(line(&mut input).unwrap(), Line::End);
        assert_eq!(line(&mut &b"\xff\nyes"[..]).unwrap(), Line::NoText);
        assert_eq!(line(&mut &b"yes"[..]).unwrap(), Line::Text("yes".into()));
        assert_eq!(line(&mut long.as_bytes()).unwrap(), Line::NoText);
    }
}
