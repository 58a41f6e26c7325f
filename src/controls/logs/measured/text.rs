//! What a log file and those it was rotated to hold.

use super::{
    file::SLACK,
    series::{self, Part, Series, Stretch},
    stamp,
};
use crate::host::{HostError, Reader};

/// How much is read at a time, in bytes: longer than lines are.
const WINDOW: usize = 64 << 10;

/// What is kept of a log file. Sizes are in bytes, spans in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// When it was written to.
    pub(super) series: Series,
    /// The file and those it was rotated to.
    pub(super) files: u64,
    /// What they take.
    pub(super) bytes: u64,
    /// Files whose lines bear no time that is known: when they were last written to is all that is known of them.
    pub(super) undated: Vec<String>,
}

/// Reads a log file and those it was rotated to; `None` when there is none of them.
///
/// # Errors
/// When one of them cannot be read.
pub(super) fn read(
    host: &Reader,
    path: &str,
    max_gap: u64,
    now: u64,
) -> Result<Option<Text>, String> {
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let names = host.files().list(if dir.is_empty() { "/" } else { dir });
    let names = names.map_err(|error| error.chain())?;
    let mut files = Vec::new();
    for each in names.iter().filter(|each| is_rotated(each, name)) {
        let path = format!("{dir}/{each}");
        let size = host.files().size(&path).map_err(|error| error.chain())?;
        let modified = host.files().modified_at(&path).map_err(|error| error.chain())?;
        // A folder may have such a name.
        if let (Some(size), Some(modified), false) = (size, modified, host.files().is_dir(&path)) {
            files.push((modified.as_micros() / 1_000_000, path, size));
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    files.sort();
    let mut text = Text { files: files.len() as u64, ..Text::default() };
    let mut parts: Vec<Part> = Vec::new();
    for (modified, path, size) in files {
        text.bytes = text.bytes.saturating_add(size);
        if size == 0 {
            continue;
        }
        let dated = if is_packed(&path) {
            None
        } else {
            lines(host, &path, size, max_gap, now).map_err(|error| error.chain())?
        };
        let part = dated.unwrap_or_else(|| {
            text.undated.push(path);
            // It goes on where the one before it ended; of the first it is not known where it begins.
            let before = parts.iter().flat_map(|part| &part.stretches).map(|each| each.last).max();
            let first = before.unwrap_or(modified).min(modified);
            Part { stretches: vec![Stretch { first, last: modified, entries: 0 }], future: 0 }
        });
        parts.push(part);
    }
    text.series = Series::join(parts, max_gap);
    Ok(Some(text))
}

/// Whether a file is this log or was rotated from it: `debug.log`, `debug.log.1`, `debug.log-20261121.gz`.
fn is_rotated(each: &str, name: &str) -> bool {
    let Some(rest) = each.strip_prefix(name) else { return false };
    let rest = PACKED.iter().find_map(|suffix| rest.strip_suffix(suffix)).unwrap_or(rest);
    let rest = rest.strip_prefix(['.', '-']).unwrap_or(rest);
    rest.chars().all(|c| c.is_ascii_digit() || "-_.T".contains(c))
}

const PACKED: [&str; 4] = [".gz", ".xz", ".zst", ".bz2"];

fn is_packed(path: &str) -> bool {
    PACKED.iter().any(|suffix| path.ends_with(suffix))
}

/// When the lines of a file were written; `None` where they bear no time.
fn lines(
    host: &Reader,
    path: &str,
    size: u64,
    max_gap: u64,
    now: u64,
) -> Result<Option<Part>, HostError> {
    let window = |at: u64| {
        let bytes = host.files().window(path, at, WINDOW)?.unwrap_or_default();
        Ok::<_, HostError>(String::from_utf8_lossy(&bytes).into_owned())
    };
    // The place of an entry is that of the window it is in: few files have more than some thousand of them.
    let windows = size.div_ceil(WINDOW as u64);
    let mut is_dated = true;
    let begins = series::part(windows, u64::MAX, max_gap, |index| {
        let text = window(index * WINDOW as u64)?;
        let times = times(&text, index == 0);
        is_dated &= !times.is_empty();
        Ok::<_, HostError>(times.first().copied().unwrap_or_default())
    })?;
    if !is_dated {
        return Ok(None);
    }
    // Where windows lie far apart, and at the end, each line counts.
    let mut all = Part::default();
    let mut place = 0;
    for stretch in begins.stretches {
        let last_window = place + stretch.entries.saturating_sub(1);
        let times = times(&window(last_window * WINDOW as u64)?, last_window == 0);
        let from = if last_window == place { times.first().copied() } else { Some(stretch.first) };
        let within = series::part(times.len() as u64, now + SLACK, max_gap, |index| {
            Ok::<_, HostError>(
                usize::try_from(index)
                    .ok()
                    .and_then(|at| times.get(at))
                    .copied()
                    .unwrap_or_default(),
            )
        })?;
        all.future = all.future.saturating_add(within.future);
        if let Some(from) = from.filter(|from| *from <= now + SLACK) {
            all.stretches.push(Stretch { first: from, last: stretch.last.max(from), entries: 0 });
        }
        all.stretches
            .extend(within.stretches.into_iter().map(|each| Stretch { entries: 0, ..each }));
        place = last_window + 1;
    }
    all.stretches.retain(|each| each.last <= now + SLACK);
    Ok(Some(all))
}

/// The times of all whole lines that bear one; where the text does not begin a file, what it begins with is no whole line.
fn times(text: &str, begins_file: bool) -> Vec<u64> {
    let skipped = usize::from(!begins_file);
    text.lines().skip(skipped).filter_map(stamp::of_line).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out the logs they read")]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn log(moments: impl IntoIterator<Item = u64>) -> String {
        let line = |moment: u64| {
            let moment = jiff::Timestamp::from_second(i64::try_from(moment).unwrap()).unwrap();
            format!("{moment} UpdateTip: new best=0000000000000000000000 height=1\n")
        };
        moments.into_iter().map(line).collect()
    }

    #[test]
    fn names_that_logs_are_rotated_to() {
        for name in [
            "debug.log",
            "debug.log.1",
            "debug.log.2.gz",
            "debug.log-20261121",
            "debug.log-20261121-1.zst",
        ] {
            assert!(is_rotated(name, "debug.log"), "{name}");
        }
        for name in ["debug.logs", "debug.log.lock", "a-debug.log", "debug.log.old"] {
            assert!(!is_rotated(name, "debug.log"), "{name}");
        }
    }

    #[test]
    fn a_rotated_log_is_read_as_one() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        let put = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let now = 1_795_255_200;
        let hourly = |from: u64, to: u64| (from..to).step_by(3600);
        assert_eq!(read(&host, "/debug.log", DAY, now).unwrap(), None);
        // A hundred days in two files, of which each has many windows; four days are missing.
        let begin = now - 100 * DAY;
        put("debug.log.1", &log(hourly(begin, begin + 30 * DAY)));
        put("debug.log", &log(hourly(begin + 34 * DAY, now)));
        let text = read(&host, "/debug.log", DAY, now).unwrap().unwrap();
        assert_eq!((text.files, text.series.oldest()), (2, Some(begin)));
        let gaps = text.series.gaps(0, now, DAY);
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!((gaps[0].from, gaps[0].to), (begin + 30 * DAY - 3600, begin + 34 * DAY));
        assert_eq!(text.series.newest(), Some(now - 3600));

        // In the middle of a file, far from its end.
        put(
            "debug.log.1",
            &log(hourly(begin, begin + 10 * DAY).chain(hourly(begin + 13 * DAY, begin + 34 * DAY))),
        );
        let text = read(&host, "/debug.log", DAY, now).unwrap().unwrap();
        let gaps = text.series.gaps(0, now, DAY);
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!((gaps[0].from, gaps[0].to), (begin + 10 * DAY - 3600, begin + 13 * DAY));
    }

    #[test]
    fn lines_without_a_time_are_dated_by_the_file() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        std::fs::write(root.path().join("a.log"), "hello\nworld\n").unwrap();
        let now = u64::try_from(crate::host::clock::now().as_second()).unwrap();
        let text = read(&host, "/a.log", DAY, now).unwrap().unwrap();
        assert_eq!(text.undated, ["/a.log"]);
        assert!(now - text.series.oldest().unwrap() < 600);
    }
}
