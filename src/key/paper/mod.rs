//! A sheet of paper with an envelope on it: as a QR code for whoever has a scanner, as lines with checksums for whoever has
//! to type it, and with the steps that open it without holdfast.
//!
//! ```text
//! Sheet ─layout─▶ pages ─pdf─▶ bytes ─▶ medium ─▶ read back ─raster─▶ decode ─▶ the envelope again, or it does not count
//!                                              └─▶ printer ─▶ scanned or typed ─lines─▶ compared
//! ```
//!
//! Pure. The file is a PDF with the fonts that every reader has, because that is what printers without a computer of
//! their own to ask take, too.

mod code;
mod layout;
mod lines;
mod pdf;
mod raster;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use lines::{Mistyped, typed};
pub use raster::decode;

/// What paper is in the printer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Paper {
    /// 210 mm by 297 mm
    A4,
    /// 8.5 inches by 11
    Letter,
}

impl Paper {
    /// Width and height in points, of which an inch has 72 (ISO 216, ANSI/ASME Y14.1).
    pub const fn points(self) -> (f32, f32) {
        match self {
            Self::A4 => (595.0, 842.0),
            Self::Letter => (612.0, 792.0),
        }
    }
}

/// What stands on a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// What it is, in large letters.
    pub title: String,
    /// What everybody may know: names and values.
    pub facts: Vec<(&'static str, String)>,
    /// How to open it.
    pub steps: Vec<String>,
    /// The envelope, armored.
    pub envelope: String,
    /// Lines that stand below all else: a program that somebody would have to type.
    pub below: Vec<String>,
}

/// Why there is no sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's fields are what its message prints")]
pub enum NoSheet {
    #[error(
        "the envelope has {0} bytes, and a QR code that can be scanned from a print holds {most}: leave `paper` out of the plan",
        most = code::LONGEST
    )]
    TooLong(usize),
    #[error("the QR code of the finished sheet cannot be read")]
    Unreadable,
    #[error("the QR code of the finished sheet holds something else than the envelope")]
    Other,
}

/// Whether there can be a sheet of an envelope, without making one.
///
/// # Errors
/// [`NoSheet::TooLong`]
pub const fn fits(envelope: &str) -> Result<(), NoSheet> {
    if envelope.len() > code::LONGEST { Err(NoSheet::TooLong(envelope.len())) } else { Ok(()) }
}

impl Sheet {
    /// The sheet as a file for a printer. Its code has been read back from that file.
    ///
    /// # Errors
    /// [`NoSheet`]
    pub fn print(&self, paper: Paper) -> Result<Vec<u8>, NoSheet> {
        let code = code::code(&self.envelope)?;
        let pages = layout::pages(self, &code, paper);
        let bytes = pdf::write(&pages, paper);
        if decode(&bytes)? == self.envelope { Ok(bytes) } else { Err(NoSheet::Other) }
    }
}
