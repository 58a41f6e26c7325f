//! What a log file and those it was rotated to hold.

use super::{
    file::SLACK,
    series::{self, Part, Series, Stretch},
    stamp,
};
use crate::host::{HostError, Reader};

/// How much is read at a time, in bytes: longer than lines are.
const WINDOW: usize = 64 << 10;

/// In how many such parts a line with a time is looked for: what has none is a trace of calls, or a dump.
const UNDATED: u64 = 64;

/// What is kept of a log file. Sizes are in bytes, spans in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// When it was written to.
    pub(super) series: Series,
    /// The file and those it was rotated to.
    pub(super) files: u64,
    /// What they take.
    pub(super) bytes: u64,
    /// Files whose lines bear no time that is known, or are compressed, and span longer than what is a gap: when they were
    /// last written to is all that is known of them.
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
    for (modified, file, size) in files {
        text.bytes = text.bytes.saturating_add(size);
        if size == 0 {
            continue;
        }
        let dated = if is_packed(&file) {
            None
        } else {
            lines(host, &file, size, max_gap, now).map_err(|error| error.chain())?
        };
        if let Some(part) = dated {
            parts.push(part);
            continue;
        }
        // It goes on where the one before it ended. Of the first it is not known where it begins, only that something
        // was written when it ended; of one that is written to, that is always now.
        let before = parts.iter().flat_map(|part| &part.stretches).map(|each| each.last).max();
        let last = modified.min(now);
        let first = before.unwrap_or(last).min(last);
        let is_proof = before.is_some() || file != path;
        if is_proof {
            let stretches = vec![Stretch { first, last, entries: 0 }];
            parts.push(Part { stretches, future: 0 });
        }
        // No gap fits in between.
        if !is_proof || last - first > max_gap {
            text.undated.push(file);
        }
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
    let windows = size.div_ceil(WINDOW as u64);
    let of = |index: u64| Ok::<_, HostError>(times(&window(index * WINDOW as u64)?, index == 0));
    // When a window begins: where no line in it bears a time, that of the next that does, or of the last that did.
    let begin = |index: u64| {
        for at in index..windows.min(index + UNDATED) {
            if let Some(time) = of(at)?.first() {
                return Ok(Some(*time));
            }
        }
        for at in (index.saturating_sub(UNDATED)..index).rev() {
            if let Some(time) = of(at)?.last() {
                return Ok(Some(*time));
            }
        }
        Ok::<_, HostError>(None)
    };
    // The place of an entry is that of the window it is in: few files have more than some thousand of them.
    let mut is_dated = true;
    let begins = series::part(windows, now + SLACK, max_gap, |index| {
        let time = begin(index)?;
        is_dated &= time.is_some();
        Ok::<_, HostError>(time.unwrap_or_default())
    })?;
    if !is_dated {
        return Ok(None);
    }
    // Where windows lie far apart, and at the end, each line counts.
    let mut all = Part { stretches: Vec::new(), future: begins.future };
    let mut place = 0;
    for stretch in begins.stretches {
        all.stretches.push(Stretch { entries: 0, ..stretch });
        place += stretch.entries;
        let times = of(place.saturating_sub(1))?;
        let within = series::part(times.len() as u64, now + SLACK, max_gap, |index| {
            let time = usize::try_from(index).ok().and_then(|at| times.get(at));
            Ok::<_, HostError>(time.copied().unwrap_or_default())
        })?;
        all.future = all.future.saturating_add(within.future);
        all.stretches
            .extend(within.stretches.into_iter().map(|each| Stretch { entries: 0, ..each }));
    }
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

    /// A file that is written to is always as old as the last line: that proves nothing, and the next look would take it
    /// for a deletion.
    #[test]
    fn lines_without_a_time_are_dated_by_the_file_once_it_is_rotated() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        std::fs::write(root.path().join("a.log"), "hello\nworld\n").unwrap();
        let now = u64::try_from(crate::host::clock::now().as_second()).unwrap();
        let text = read(&host, "/a.log", DAY, now).unwrap().unwrap();
        assert_eq!((text.undated, text.series.oldest()), (vec!["/a.log".to_owned()], None));

        let rotated = root.path().join("a.log.1");
        std::fs::write(&rotated, "hello\n").unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(100 * DAY);
        std::fs::File::options().append(true).open(&rotated).unwrap().set_modified(then).unwrap();
        let text = read(&host, "/a.log", DAY, now).unwrap().unwrap();
        assert_eq!(text.undated, ["/a.log"]);
        assert!((now - text.series.oldest().unwrap()).abs_diff(100 * DAY) < 600);
    }

    /// What is rotated each day and compressed hides no gap that is longer than what lies between.
    #[test]
    fn compressed_files_hide_no_longer_gap_than_they_span() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        let now = u64::try_from(crate::host::clock::now().as_second()).unwrap();
        for days in 1..=5 {
            let path = root.path().join(format!("a.log.{days}.gz"));
            std::fs::write(&path, "x").unwrap();
            let then = std::time::SystemTime::UNIX_EPOCH
                + std::time::Duration::from_secs(now - days * (DAY + 60));
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
        }
        std::fs::write(root.path().join("a.log"), log([now - 3600, now - 60])).unwrap();
        let read = |max_gap| read(&host, "/a.log", max_gap, now).unwrap().unwrap();
        assert_eq!(read(2 * DAY).undated, [""; 0]);
        assert_eq!(read(DAY).undated.len(), 4);
        assert_eq!(read(2 * DAY).series.oldest(), Some(now - 5 * (DAY + 60)));
    }

    /// Local time where it is later than in Greenwich, or a clock that is now behind: what lies ahead is not counted, and
    /// takes nothing else with it.
    #[test]
    fn lines_from_the_future_take_nothing_else_with_them() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        let now = 1_795_255_200;
        let begin = now - 100 * DAY;
        let put = |moments: &mut dyn Iterator<Item = u64>| {
            std::fs::write(root.path().join("debug.log"), log(moments)).unwrap();
        };
        // Two hours ahead, in many windows and in one.
        for step in [60, 3600 * 12] {
            put(&mut (begin..now + 7200).step_by(step));
            let series = read(&host, "/debug.log", DAY, now).unwrap().unwrap().series;
            assert_eq!(series.oldest(), Some(begin), "{step}");
            assert_eq!(series.gaps(0, now, DAY), [], "{step}");
        }
        put(&mut (begin..now + 7200).step_by(60));
        assert!(read(&host, "/debug.log", DAY, now).unwrap().unwrap().series.future > 0);
    }

    /// A dump that is longer than what is read at a time, in the middle and at the end.
    #[test]
    fn lines_without_a_time_among_others() {
        let root = tempfile::tempdir().unwrap();
        let host = Reader::below(root.path());
        let now = 1_795_255_200;
        let dump = "  at somewhere\n".repeat(20_000);
        let hours = |from: u64, to: u64| log((now - from * DAY..now - to * DAY).step_by(3600));
        let text = [hours(100, 50), dump.clone(), hours(50, 0), dump].concat();
        std::fs::write(root.path().join("a.log"), text).unwrap();
        let text = read(&host, "/a.log", DAY, now).unwrap().unwrap();
        assert_eq!((text.undated.len(), text.series.oldest()), (0, Some(now - 100 * DAY)));
        assert_eq!(text.series.gaps(0, now, DAY), []);
        assert_eq!(text.series.newest(), Some(now - 3600));
    }
}
