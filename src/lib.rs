//! holdfast: holds a Debian host to a TOML profile.

pub mod profile;
