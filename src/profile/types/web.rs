//! Addresses on the web.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::format::{Invalid, Scalar, scalar};

/// An `http` or `https` address. Whatever shows or serialises it leaves the password out; only
/// [`HttpUrl::expose`] gives it away.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpUrl(Url);

/// What stands where a password was.
const REDACTED: &str = "redacted";

impl HttpUrl {
    /// The address with whatever secret it holds.
    pub const fn expose(&self) -> &Url {
        &self.0
    }

    /// Whether there is a password in it.
    pub fn has_password(&self) -> bool {
        self.0.password().is_some()
    }
}

impl FromStr for HttpUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The text itself is not repeated in messages: it may hold a password.
        let help = "write an address that begins with http:// or https://";
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(Invalid::new("this web address has a space or control character in it"));
        }
        let url = Url::parse(text).map_err(|error| {
            Invalid::new(format!("this is not a web address: {error}")).help(help)
        })?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            other => Err(Invalid::new(format!("`{other}` is not http or https")).help(help)),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.has_password() {
            return f.write_str(self.0.as_str());
        }
        let mut shown = self.0.clone();
        // Cannot fail: an http address has a host, which is all that is asked for.
        match shown.set_password(Some(REDACTED)) {
            Ok(()) => f.write_str(shown.as_str()),
            Err(()) => f.write_str(REDACTED),
        }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

impl Scalar for HttpUrl {
    const FORMAT: &'static str = "holdfast-http-url";
    const NOUN: &'static str = "a web address";
    const DESCRIPTION: &'static str =
        "An http or https address. With a password in it, the file must not be readable by others.";
    const EXAMPLES: &'static [&'static str] = &["https://git.example.org/ops/profiles"];
    const PATTERN: Option<&'static str> = Some("^https?://");
}
scalar!(HttpUrl);
