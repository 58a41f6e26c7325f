//! What PostgreSQL's programs are told, in the one place from which a dump is made, proven and brought back: what is proven
//! with other arguments than it is restored with is not proven.

/// What `pg_dump` is told of its format: compressed later, by a better program.
pub const DUMP: [&str; 2] = ["--format=custom", "--compress=0"];

/// What `pg_restore` is told: one error is one too many and leaves nothing; and what belongs to another server than the one
/// that is restored into (roles, tablespaces, labels, what replicates) is left out. Who restores owns all of it.
pub const RESTORE: [&str; 9] = [
    "--exit-on-error",
    "--single-transaction",
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
];

/// The same as words for a shell.
pub fn restore_words() -> String {
    RESTORE.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_restores_as_a_proof_does() {
        let readme = include_str!("../../README.md").replace(" \\\n    ", " ");
        assert!(readme.contains(&format!("pg_restore {} -d", restore_words())));
    }
}
