//! Pages as PDF. Their content is not compressed: what is printed is read back from it.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str};

use super::{
    Paper,
    layout::{Font, Item, Page},
};

impl Font {
    const ALL: [Self; 3] = [Self::Plain, Self::Bold, Self::Fixed];

    /// One of the fonts that every reader of PDF has (ISO 32000-1, 9.6.2.2).
    const fn base(self) -> &'static [u8] {
        match self {
            Self::Plain => b"Helvetica",
            Self::Bold => b"Helvetica-Bold",
            Self::Fixed => b"Courier",
        }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Self::Plain => b"F1",
            Self::Bold => b"F2",
            Self::Fixed => b"F3",
        }
    }
}

pub(super) fn write(pages: &[Page], paper: Paper) -> Vec<u8> {
    let mut next = 1;
    let mut fresh = || {
        let reference = Ref::new(next);
        next += 1;
        reference
    };
    let (catalog, tree) = (fresh(), fresh());
    let fonts = Font::ALL.map(|font| (font, fresh()));
    let references: Vec<(Ref, Ref)> = pages.iter().map(|_| (fresh(), fresh())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(references.iter().map(|(page, _)| *page)).count(count);
    for (font, reference) in fonts {
        let mut written = pdf.type1_font(reference);
        written.base_font(Name(font.base())).encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    let (width, height) = paper.points();
    for (items, (reference, stream)) in pages.iter().zip(&references) {
        let mut page = pdf.page(*reference);
        page.parent(tree).media_box(Rect::new(0.0, 0.0, width, height)).contents(*stream);
        let mut resources = page.resources();
        let mut dictionary = resources.fonts();
        for (font, reference) in fonts {
            dictionary.pair(Name(font.name()), reference);
        }
        dictionary.finish();
        resources.finish();
        page.finish();
        pdf.stream(*stream, &content(items));
    }
    pdf.finish()
}

fn content(items: &[Item]) -> Vec<u8> {
    let mut content = Content::new();
    for item in items {
        match item {
            Item::Text { x, y, size, font, text } => {
                content.begin_text().set_font(Name(font.name()), *size).next_line(*x, *y);
                content.show(Str(&plain(text))).end_text();
            }
            Item::Box { x, y, width, height } => {
                content.rect(*x, *y, *width, *height).fill_nonzero();
            }
        }
    }
    content.finish().to_vec()
}

/// What the fonts' encoding has; anything else is shown as what it is not.
fn plain(text: &str) -> Vec<u8> {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c as u8 } else { b'?' }).collect()
}
