//! What stands where on the pages of a sheet. Lengths are points; pages are measured from their lower left corner, as PDF
//! does.

use super::{Paper, Sheet, code::Code, lines};

/// A letter's looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Font {
    Plain,
    Bold,
    /// Every letter is as wide as any other.
    Fixed,
}

/// Something on a page.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Text {
        x: f32,
        y: f32,
        size: f32,
        font: Font,
        text: String,
    },
    /// A black rectangle.
    Box {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
    },
}

pub(super) type Page = Vec<Item>;

/// The margin: most printers leave less.
const MARGIN: f32 = 42.0;

/// The code's side with its quiet zone. Of the largest code each module is half a millimetre wide.
const CODE: f32 = 208.0;

/// What must be left white around a code, in modules (ISO/IEC 18004).
const QUIET: usize = 4;

/// The size of the lines that are typed.
const TYPED: f32 = 9.0;

/// How far its baselines are apart.
const LEADING: f32 = 12.0;

/// The widest letter of the bold font that names have, and of the fixed one, in parts of its size (Adobe's font metrics:
/// `m` is 0.889, few are as wide; each of Courier's is 0.6).
const WIDE: f32 = 0.85;
const FIXED: f32 = 0.6;

/// The characters in a line of a fact and of a step: what the narrower paper has room for.
const FACT: usize = 88;
const STEP: usize = 66;

/// How often it can be noted that somebody opened the envelope.
const OPENINGS: usize = 4;

/// Goes down a page, and to the next one at its end.
struct Pen {
    pages: Vec<Page>,
    top: f32,
    y: f32,
}

impl Pen {
    fn page(&mut self) -> &mut Page {
        if self.pages.is_empty() {
            self.pages.push(Page::new());
        }
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    fn down(&mut self, by: f32) {
        self.y -= by;
        if self.y < MARGIN {
            self.pages.push(Page::new());
            self.y = self.top - by;
        }
    }

    fn put(&mut self, item: Item) {
        self.page().push(item);
    }

    fn text(&mut self, x: f32, size: f32, font: Font, text: impl Into<String>) {
        let (y, text) = (self.y, text.into());
        self.put(Item::Text { x, y, size, font, text });
    }
}

pub(super) fn pages(sheet: &Sheet, code: &Code, paper: Paper) -> Vec<Page> {
    let (width, height) = paper.points();
    let mut pen = Pen { pages: vec![Page::new()], top: height - MARGIN, y: height - MARGIN };
    pen.down(12.0);
    let title = fitting(15.0, WIDE, &sheet.title, width - 2.0 * MARGIN);
    pen.text(MARGIN, title, Font::Bold, &sheet.title);
    pen.down(6.0);
    for (name, value) in &sheet.facts {
        let mut name = *name;
        for part in cut(value) {
            pen.down(LEADING);
            pen.text(MARGIN, 8.0, Font::Plain, std::mem::take(&mut name));
            pen.text(MARGIN + 78.0, 8.0, Font::Fixed, part);
        }
    }
    pen.down(10.0);
    let below = pen.y - CODE;
    draw(code, MARGIN, below, &mut pen);
    let beside = MARGIN + CODE + 8.0;
    for step in sheet.steps.iter().flat_map(|step| wrapped(step)) {
        pen.down(11.0);
        let (font, size) =
            if step.starts_with("  ") { (Font::Fixed, 7.2) } else { (Font::Plain, 8.0) };
        let size = fitting(size, FIXED, &step, width - MARGIN - beside);
        pen.text(beside, size, font, step);
    }
    pen.y = pen.y.min(below);
    pen.down(4.0);
    pen.text(MARGIN, 8.0, Font::Plain, TYPING);
    for line in lines::printed(&sheet.envelope) {
        pen.down(LEADING);
        pen.text(MARGIN, TYPED, Font::Fixed, line);
    }
    pen.down(10.0);
    table(width, &mut pen);
    pen.down(8.0);
    for line in &sheet.below {
        pen.down(9.0);
        pen.text(MARGIN, 7.5, Font::Fixed, line);
    }
    pen.pages
}

/// The size in which a text fits into a width, and no larger than one.
fn fitting(size: f32, letter: f32, text: &str, width: f32) -> f32 {
    size.min(width / (letter * to_f32(text.chars().count().max(1))))
}

/// A value in lines: a recipient of RSA has hundreds of characters.
fn cut(value: &str) -> Vec<String> {
    let letters: Vec<char> = value.chars().collect();
    if letters.is_empty() {
        return vec![String::new()];
    }
    letters.chunks(FACT).map(|part| part.iter().collect()).collect()
}

/// A step in lines; one of a command's ends with what tells the shell that it goes on.
fn wrapped(step: &str) -> Vec<String> {
    let (start, end, indent) =
        if step.starts_with("  ") { ("  ", " \\", "    ") } else { ("", "", "") };
    let mut words = step.trim_start().split(' ');
    let (mut lines, mut line) =
        (Vec::new(), format!("{start}{}", words.next().unwrap_or_default()));
    for word in words {
        if step.len() > STEP && line.len() + 1 + word.len() + end.len() > STEP {
            lines.push(format!("{line}{end}"));
            line = format!("{indent}{word}");
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.push(line);
    lines
}

const TYPING: &str = "Without a scanner, type these lines: number, characters, checksum. Spaces do not count. \
                      Between the first and the last line of age's own.";

fn draw(code: &Code, left: f32, bottom: f32, pen: &mut Pen) {
    let side = to_f32(code.width + 2 * QUIET);
    let module = CODE / side;
    for row in 0..code.width {
        let mut column = 0;
        while column < code.width {
            let run = (column..code.width).take_while(|at| code.is_dark(*at, row)).count();
            if run == 0 {
                column += 1;
                continue;
            }
            let x = left + to_f32(column + QUIET) * module;
            let y = bottom + (side - to_f32(row + QUIET + 1)) * module;
            pen.put(Item::Box { x, y, width: to_f32(run) * module, height: module });
            column += run;
        }
    }
}

/// A small number as a length.
fn to_f32(count: usize) -> f32 {
    u16::try_from(count).map_or(f32::MAX, f32::from)
}

fn table(width: f32, pen: &mut Pen) {
    const ROW: f32 = 17.0;
    const THIN: f32 = 0.5;
    let full = width - 2.0 * MARGIN;
    // All of it on one page.
    if pen.y - to_f32(OPENINGS + 1) * ROW < MARGIN {
        pen.y = 0.0;
    }
    pen.down(ROW);
    for (at, head) in [(0.0, "opened by"), (0.3, "date"), (0.5, "why, and the new bag")] {
        pen.text(MARGIN + 3.0 + at * full, 8.0, Font::Plain, head);
    }
    for row in 0..=OPENINGS {
        let y = pen.y - 4.0;
        pen.put(Item::Box { x: MARGIN, y, width: full, height: THIN });
        if row < OPENINGS {
            pen.down(ROW);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_goes_on_in_the_next_line_and_no_short_step_is_altered() {
        let short = "  sed -E 's/^ *[0-9]+ //; s/ [0-9a-f]{4} *$//; s/ //g' typed";
        assert_eq!(wrapped(short), [short]);
        let name = "k".repeat(64);
        let command = format!("  zbarimg -q --raw scan.png | grep . >{name}.age");
        let lines = wrapped(&command);
        assert_eq!(lines, ["  zbarimg -q --raw scan.png | grep . \\", &format!("    >{name}.age")]);
        // What a shell makes of it.
        let joined = lines.join("\n").replace("\\\n", "");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&joined), words(&command));
        let text = format!("3. Open it with {name}'s identity; it prints the key:");
        assert!(wrapped(&text).iter().all(|line| line.len() <= 80 && !line.ends_with('\\')));
        assert_eq!(cut(&"r".repeat(200)).iter().map(String::len).collect::<Vec<_>>(), [88, 88, 24]);
        assert!((fitting(15.0, WIDE, "COLD COPY OF A KEY: signer", 511.0) - 15.0).abs() < 0.01);
        assert!(fitting(15.0, WIDE, &name, 511.0) * 0.85 * 64.0 <= 511.1);
    }
}
