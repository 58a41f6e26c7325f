//! Words for a person's shell: holdfast prints lines to type, and starts no shell itself.

/// A word for a shell, whatever is in it.
pub fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_whatever_is_in_it() {
        for (text, quoted) in [
            ("/srv/in_1.2-3", "/srv/in_1.2-3"),
            ("", "''"),
            ("/srv/a b", "'/srv/a b'"),
            ("$(reboot)`x`*~", "'$(reboot)`x`*~'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(word(text), quoted);
        }
    }
}
