//! An envelope as a QR code.

use qrcode::{EcLevel, QrCode, Version};

use super::NoSheet;

/// The modules of a code, a row after the other.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// How many there are in a row.
    pub(super) width: usize,
    dark: Vec<bool>,
}

impl Code {
    pub(super) fn is_dark(&self, column: usize, row: usize) -> bool {
        self.dark.get(row * self.width + column).copied().unwrap_or(false)
    }
}

/// Larger codes are read unreliably from a print (reference, keys-backups.md §1.4): 125 modules in a row.
const LARGEST: i16 = 27;

/// What that one holds, in bytes, with the least correction (ISO/IEC 18004, table 7: 27-L).
pub(super) const LONGEST: usize = 1465;

/// The code of a text that survives the most damage while it can still be scanned.
pub(super) fn code(text: &str) -> Result<Code, NoSheet> {
    super::fits(text)?;
    let bytes = text.as_bytes();
    let fitting = [EcLevel::H, EcLevel::Q, EcLevel::M, EcLevel::L].into_iter().find_map(|level| {
        let code = QrCode::with_error_correction_level(bytes, level).ok()?;
        matches!(code.version(), Version::Normal(version) if version <= LARGEST).then_some(code)
    });
    let code = fitting.ok_or(NoSheet::TooLong(bytes.len()))?;
    let width = code.width();
    let dark = code.to_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect();
    Ok(Code { width, dark })
}
