//! Where output goes: data to stdout, talk to stderr, colours only where a person sees them.

use std::io::{self, IsTerminal as _, Write as _};

use log::Level;

use crate::report::journal;

/// What of the environment decides how output looks; read once, in `main`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// `NO_COLOR` is set, or the terminal is a dumb one.
    pub plain: bool,
    /// `--quiet`.
    pub quiet: bool,
}

/// The colours used, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something is wrong.
    Bad,
    /// Something needs a look.
    Warn,
    /// All is well.
    Good,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    /// SGR parameters (ECMA-48).
    const fn code(self) -> &'static str {
        match self {
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Good => "32",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

/// Standard output and standard error.
#[derive(Debug)]
pub struct Out {
    look: Look,
    stdout_is_terminal: bool,
    talk: Talk,
}

/// Where talk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// To a person.
    Terminal,
    /// To a file or a pipe.
    Stream,
    /// To journald, with a priority.
    Journal,
}

impl Out {
    /// Looks at what the two streams are.
    pub fn new(look: Look) -> Self {
        Self {
            look,
            stdout_is_terminal: io::stdout().is_terminal(),
            talk: if journal::takes_talk() {
                Talk::Journal
            } else if io::stderr().is_terminal() {
                Talk::Terminal
            } else {
                Talk::Stream
            },
        }
    }

    /// Whether standard output takes colours.
    pub fn has_color(&self) -> bool {
        self.stdout_is_terminal && !self.look.plain
    }

    /// Whether standard error takes colours.
    pub fn has_color_on_stderr(&self) -> bool {
        self.talk == Talk::Terminal && !self.look.plain
    }

    /// Whether only what was asked for is to be printed.
    pub fn is_quiet(&self) -> bool {
        self.look.quiet
    }

    /// Text in a tone, for standard output.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        paint(self.has_color(), tone, text)
    }

    /// A line of data.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        unless_closed(out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n")))
    }

    /// Data as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn raw(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        unless_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
    }

    /// A line of talk; none under `--quiet`. A stderr that cannot be written to is nobody's.
    pub fn say(&self, text: impl AsRef<str>) {
        if !self.look.quiet {
            self.talk(Level::Info, text.as_ref(), text.as_ref());
        }
    }

    /// What went wrong: said even under `--quiet`.
    pub fn error(&self, message: &str, hints: &[String]) {
        let message = &harmless(message);
        let color = self.has_color_on_stderr();
        let mut text = format!("{} {message}", paint(color, Tone::Bad, "error:"));
        for hint in hints {
            text.push_str(&format!("\n{} {hint}", paint(color, Tone::Warn, "hint:")));
        }
        if self.talk == Talk::Journal {
            let hints: String = hints.iter().map(|hint| format!("; {hint}")).collect();
            journal::failed(&format!("{message}{hints}"));
        } else {
            self.talk(Level::Error, message, &text);
        }
    }

    /// A finished message of many lines, said even under `--quiet`.
    pub fn always(&self, text: &str) {
        self.talk(Level::Error, text, text);
    }

    /// What should be looked at: said even under `--quiet`.
    pub fn warn(&self, message: &str) {
        let message = &harmless(message);
        let head = paint(self.has_color_on_stderr(), Tone::Warn, "warning:");
        self.talk(Level::Warn, message, &format!("{head} {message}"));
    }

    fn talk(&self, level: Level, plain: &str, shown: &str) {
        match self.talk {
            Talk::Journal => journal::talk(level, plain),
            Talk::Terminal | Talk::Stream => drop(writeln!(io::stderr(), "{shown}")),
        }
    }

    /// How far a change has come: one line that is rewritten on a terminal, one line a step elsewhere.
    pub fn progress(&self, index: usize, total: usize, text: &str) {
        if self.talk == Talk::Terminal && !self.look.quiet {
            drop(write!(io::stderr(), "\r\x1b[K[{}/{total}] {text}", index + 1));
        } else {
            self.say(format!("[{}/{total}] {text}", index + 1));
        }
    }

    /// Ends the line of progress.
    pub fn progress_ends(&self) {
        if self.talk == Talk::Terminal && !self.look.quiet {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

/// A reader that has seen enough is no failure, and does not change what the exit code has to say.
fn unless_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Text without what would make a terminal do something: hosts' files and programs' words are others' work. Lines and
/// tabs stay.
pub fn harmless(text: &str) -> String {
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

fn paint(color: bool, tone: Tone, text: &str) -> String {
    if color { format!("\x1b[{}m{text}\x1b[0m", tone.code()) } else { text.to_owned() }
}
