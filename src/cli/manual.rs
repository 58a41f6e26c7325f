//! Manual pages and shell completions, made from the command line itself so that they cannot say anything else.

use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{Cli, failure::Exit};

/// The section of the manual: commands for who administers a host (man-pages(7)).
const SECTION: &str = "8";

/// What a person looks for on a host: path and meaning.
const FILES: [(&str, &str); 5] = [
    ("/etc/holdfast/profile.toml", "the host's own profile"),
    (
        "/usr/share/holdfast/profiles/",
        "profiles to extend; profile.schema.json beside it is for editors",
    ),
    ("/usr/share/doc/holdfast/profile.md", "every key of a profile"),
    ("/var/lib/holdfast/", "transactions with what they replaced, the evidence log, ceremonies"),
    ("/var/backups/holdfast/finished/", "backups and their signed manifests"),
];

/// Names of all pages, without their section, the program's own first.
pub(super) fn names() -> Vec<String> {
    pages().iter().map(name_of).collect()
}

/// The page of this name, as roff.
pub(super) fn page(name: &str) -> Option<String> {
    let pages = pages();
    let command = pages.iter().find(|command| name_of(command) == name)?;
    let mut text = Vec::new();
    // Writing to memory does not fail.
    render(command, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// What a shell is to source for completion.
pub(super) fn completion(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole(), "holdfast", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The command line for people, with every name in it resolved. `help` would get pages of its own for every command.
fn whole() -> Command {
    let all = Cli::command();
    // Completion would offer hidden commands, and a command cannot be taken out of another.
    let mut command = Command::new("holdfast")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommand_value_name("COMMAND")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .args(all.get_arguments().cloned())
        .subcommands(visible(&all).cloned());
    command.build();
    command
}

fn pages() -> Vec<Command> {
    fn below(command: Command, pages: &mut Vec<Command>) {
        let children: Vec<_> = visible(&command).cloned().collect();
        pages.push(command);
        for child in children {
            below(child, pages);
        }
    }
    let mut pages = Vec::new();
    below(whole(), &mut pages);
    pages
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|child| !child.is_hide_set())
}

fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn render(command: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let name = name_of(command);
    let source = format!("holdfast {}", env!("CARGO_PKG_VERSION"));
    let page = Man::new(command.clone().subcommand_help_heading("COMMANDS"))
        .title(name.to_uppercase())
        .section(SECTION)
        .source(source)
        .manual("holdfast");
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    if visible(command).next().is_some() {
        page.render_subcommands_section(out)?;
    }
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in Exit::ALL {
        listed(&mut rest, &(exit as u8).to_string(), meaning);
    }
    if name == "holdfast" {
        rest.control("SH", ["FILES"]);
        for (path, meaning) in FILES {
            listed(&mut rest, path, meaning);
        }
    }
    let others = others(&name);
    if !others.is_empty() {
        rest.control("SH", ["SEE ALSO"]);
        let mut line = Vec::new();
        for other in others {
            if !line.is_empty() {
                line.push(roman(", "));
            }
            line.extend([bold(other), roman(format!("({SECTION})"))]);
        }
        rest.text(line);
    }
    rest.to_writer(out)
}

fn listed(roff: &mut Roff, term: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(meaning)]);
}

/// The page of the command above it, and its sisters' pages.
fn others(name: &str) -> Vec<String> {
    let above = pages().into_iter().find(|page| visible(page).any(|child| name_of(child) == name));
    let Some(above) = above else { return Vec::new() };
    let sisters = visible(&above).map(name_of).filter(|each| each != name);
    std::iter::once(name_of(&above)).chain(sisters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let names = names();
        assert_eq!(names.first().map(String::as_str), Some("holdfast"));
        for name in ["holdfast-apply", "holdfast-backup", "holdfast-backup-restore-rows"] {
            assert!(names.iter().any(|each| each == name), "{name} in {names:?}");
        }
        for word in ["util", "expire", "child", "help"] {
            assert!(!names.iter().any(|each| each.contains(word)), "{word} in {names:?}");
        }
        assert!(page("holdfast-none").is_none());
    }

    #[test]
    fn a_page_says_what_the_help_says() {
        for name in names() {
            let page = page(&name).unwrap();
            assert!(page.contains(&format!(".TH {} 8", name.to_uppercase())), "{name}");
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\""] {
                assert!(page.contains(&format!(".SH {heading}\n")), "{name}: {heading}\n{page}");
            }
            // A page that refers to one which there is not leads nowhere.
            assert_eq!(page.contains(".SH \"SEE ALSO\""), name != "holdfast", "{name}");
        }
    }

    #[test]
    fn shells_learn_of_every_command() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh] {
            let text = completion(shell);
            assert!(text.contains("restore-rows"), "{shell}");
            assert!(!text.contains("locked-child"), "{shell}");
        }
    }
}
