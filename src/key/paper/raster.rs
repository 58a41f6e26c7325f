//! What a printer would make of a sheet, as far as its code goes: the file's own rectangles as black and white dots, read
//! by a decoder that knows nothing of how they came there.

use super::NoSheet;

/// Dots for each point: 288 in an inch, as a plain printer or scanner has.
const SCALE: f32 = 4.0;

/// Larger pages are none of ours, in dots.
const LARGEST: usize = 8192;

struct Raster {
    width: usize,
    height: usize,
    dark: Vec<bool>,
}

/// The text in the only QR code of a sheet's first page.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn decode(pdf: &[u8]) -> Result<String, NoSheet> {
    let raster = raster(pdf).ok_or(NoSheet::Unreadable)?;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(raster.width, raster.height, |x, y| {
            if raster.dark.get(y * raster.width + x).copied().unwrap_or(false) { 0 } else { 255 }
        });
    match image.detect_grids().as_slice() {
        [grid] => grid.decode().map(|(_, text)| text).map_err(|_| NoSheet::Unreadable),
        _ => Err(NoSheet::Unreadable),
    }
}

/// The rectangles that the first page fills.
fn raster(pdf: &[u8]) -> Option<Raster> {
    let (width, height) = media_box(pdf)?;
    let (columns, rows) = (dots(width)?, dots(height)?);
    let mut raster = Raster { width: columns, height: rows, dark: vec![false; columns * rows] };
    let content = between(pdf, b"stream\n", b"\nendstream")?;
    let (mut numbers, mut pending) = (Vec::new(), Vec::new());
    for word in words(content) {
        match word {
            b"re" => {
                let [x, y, width, height] = *numbers.last_chunk::<4>()?;
                pending.push((x, y, width, height));
                numbers.clear();
            }
            b"f" => {
                for rectangle in pending.drain(..) {
                    raster.fill(rectangle, height)?;
                }
            }
            word => match str::from_utf8(word).ok().and_then(|word| word.parse::<f32>().ok()) {
                Some(number) => numbers.push(number),
                None => numbers.clear(),
            },
        }
    }
    Some(raster)
}

impl Raster {
    fn fill(&mut self, (x, y, width, height): (f32, f32, f32, f32), page: f32) -> Option<()> {
        let (left, right) = (dots(x)?, dots(x + width)?);
        let (top, bottom) = (dots(page - y - height)?, dots(page - y)?);
        for row in top..bottom.min(self.height) {
            for column in left..right.min(self.width) {
                *self.dark.get_mut(row * self.width + column)? = true;
            }
        }
        Some(())
    }
}

/// The nearest dot; `None` off any page of ours.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just before")]
fn dots(points: f32) -> Option<usize> {
    let dots = (points * SCALE).round();
    (0.0..8192.0).contains(&dots).then_some(dots as usize).filter(|dots| *dots < LARGEST)
}

fn media_box(pdf: &[u8]) -> Option<(f32, f32)> {
    let numbers = between(pdf, b"/MediaBox", b"]")?;
    let text = str::from_utf8(numbers).ok()?.trim_start().trim_start_matches('[');
    let numbers: Vec<f32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match *numbers.as_slice() {
        [_, _, width, height] => Some((width, height)),
        _ => None,
    }
}

fn between<'a>(bytes: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|it| it == what);
    let rest = &bytes[find(bytes, before)? + before.len()..];
    Some(&rest[..find(rest, after)?])
}

/// The words of a page's content, without the texts that are shown.
fn words(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut depth = 0_u32;
    let mut escaped = false;
    content
        .split(move |byte| {
            // Strings stand in parentheses; a backslash takes the meaning of what follows.
            match byte {
                _ if escaped => escaped = false,
                b'\\' if depth > 0 => escaped = true,
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && byte.is_ascii_whitespace()
        })
        .filter(|word| !word.is_empty())
}
