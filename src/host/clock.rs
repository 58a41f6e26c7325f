//! The one place that asks what time it is.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Now, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one permitted place")]
pub fn now() -> Timestamp {
    whole(Timestamp::now())
}

/// Now to the millisecond, for names of what may come several times in a second.
#[expect(clippy::disallowed_methods, reason = "the one permitted place")]
pub fn now_in_milliseconds() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// A time in whole seconds: finer ones are noise to people and break text comparisons of reports and records.
pub fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Today in UTC, the day against which waivers end.
pub fn today() -> Date {
    now().to_zoned(TimeZone::UTC).date()
}

/// A moment on the clock that nobody sets: how long this boot has lasted, suspends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which boot: the kernel's random number for it.
    pub boot: String,
    /// Since it began.
    pub up: Duration,
}

/// How long this boot has lasted, suspends included; in this the kernel also says when a process was started.
pub(super) fn up() -> nix::Result<Duration> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)?;
    Ok(Duration::from(now))
}

/// The clock by which the kernel ends what ends by itself: nobody sets it, and it stands still in a suspend.
pub(super) fn running() -> nix::Result<Duration> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    Ok(Duration::from(now))
}

/// Whole seconds since boot, suspends included: a clock that nobody can set.
pub fn since_boot() -> u64 {
    up().map(|up| up.as_secs()).unwrap_or_default()
}
