//! The one place that asks what time it is.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use nix::time::{ClockId, clock_gettime};

/// Now, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one permitted place")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    // Reports and records carry whole seconds; finer ones are noise to people and break text comparisons.
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Today in UTC, the day against which waivers end.
pub fn today() -> Date {
    now().to_zoned(TimeZone::UTC).date()
}

/// Whole seconds since boot, sleep included: a clock that nobody can set (`CLOCK_BOOTTIME`).
pub fn since_boot() -> u64 {
    let since = clock_gettime(ClockId::CLOCK_BOOTTIME);
    since.ok().and_then(|since| u64::try_from(since.tv_sec()).ok()).unwrap_or_default()
}
