//! Where in a file a signer's private key stands: alone, as a variable, or in the signer's configuration. No fault quotes
//! anything of the file.

use crate::{
    backup::dkg::SignerKey,
    controls::firewall::services::{env_file, signer},
};

/// The variable that the signer is started with (stacks-sbtc/sbtc, signer/src/config).
pub(super) const VARIABLE: &str = "SIGNER_SIGNER__PRIVATE_KEY";

/// The key of a file with this text.
///
/// # Errors
/// Why there is none that a signer would start with.
pub(super) fn key(text: &str) -> Result<SignerKey, String> {
    let alone = text.trim();
    if !alone.is_empty() && alone.chars().all(|c| c.is_ascii_alphanumeric()) {
        return parse(alone);
    }
    if let Some(value) = env_file::value(text, VARIABLE).map_err(|fault| fault.to_string())? {
        return parse(&value);
    }
    let found = in_config(text).map_err(|fault| {
        format!("it has no line {VARIABLE}=, and as a signer's configuration: {fault}")
    })?;
    found.ok_or_else(|| format!("it has neither signer.private_key nor {VARIABLE}"))
}

/// The key of a signer's configuration; none where it has none.
///
/// # Errors
/// Why there is none that a signer would start with.
pub(super) fn in_config(text: &str) -> Result<Option<SignerKey>, String> {
    let table = signer::table(text).map_err(|fault| fault.to_string())?;
    let value =
        signer::at(&table, &["signer", "private_key"]).map_err(|fault| fault.to_string())?;
    let Some(value) = value else { return Ok(None) };
    parse(value.as_str().ok_or("signer.private_key is no text in quotes")?).map(Some)
}

/// The key of these digits.
pub(super) fn parse(digits: &str) -> Result<SignerKey, String> {
    SignerKey::from_hex(digits).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";

    #[test]
    fn each_form_of_a_file_has_the_same_key() {
        let public = key(KEY).unwrap().public();
        for text in [
            format!("{KEY}\n"),
            format!("{KEY}01"),
            format!("# the signer's\nPOSTGRES_PASSWORD=x\nSIGNER_SIGNER__PRIVATE_KEY={KEY}\n"),
            format!("export signer_signer__private_key='{KEY}01'\n"),
            format!("[signer]\nnetwork = \"mainnet\"\nprivate_key = \"{KEY}\"\n"),
        ] {
            assert_eq!(key(&text).unwrap().public(), public);
        }
        let config = format!("[signer]\nprivate_key = \"{KEY}01\"\n");
        assert_eq!(in_config(&config).unwrap().unwrap().public(), public);
        assert!(in_config("[signer]\ndeployer = \"x\"\n").unwrap().is_none());
    }

    #[test]
    fn what_has_no_key_is_said_and_not_quoted() {
        let cases = [
            (String::new(), "it has neither"),
            ("[signer]\nnetwork = \"mainnet\"\n".into(), "it has neither signer.private_key"),
            ("[signer]\nprivate_key = 3\n".into(), "no text in quotes"),
            (format!("signer = \"{KEY}\"\n"), "signer is not a table"),
            ("POSTGRES_PASSWORD=x\n".into(), "it has no line SIGNER_SIGNER__PRIVATE_KEY="),
            (format!("{KEY}02"), "ends in 01"),
            (KEY[1..].into(), "this has 63 characters"),
            (format!("SIGNER_SIGNER__PRIVATE_KEY=${KEY}\n"), "is not plain"),
            (format!("[signer]\nprivate_key = \"{KEY}\" {KEY}\n"), "not TOML"),
        ];
        for (text, words) in cases {
            let fault = key(&text).unwrap_err();
            assert!(fault.contains(words), "{fault}");
            assert!(!fault.contains(&KEY[1..9]), "{fault}");
        }
    }
}
