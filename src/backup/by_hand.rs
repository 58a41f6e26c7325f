//! How a backup is brought back without holdfast: a script that needs age, zstd and PostgreSQL's programs. Pure.

use super::{judge::DKG_TABLE, manifest::Manifest};

/// The script for a backup whose file is at `path`.
pub fn script(manifest: &Manifest, path: &str) -> String {
    let Manifest { id, database, begun, client_major, archive, recipients, .. } = manifest;
    let who: Vec<_> = recipients.keys().map(String::as_str).collect();
    let (who, sha256) = (who.join(" or "), &archive.sha256);
    let file = format!("file={path}");
    let into = format!("into={database}_back");
    let rows = manifest.rows.get(DKG_TABLE).copied().unwrap_or_default();
    format!(
        "#!/bin/bash
# Brings {id} back without holdfast: with age, zstd and PostgreSQL {client_major}'s programs, or newer ones.
# It is the database {database} as it was at {begun}. {who} can open it.
set -euo pipefail
{file:<90} # wherever it was copied to
{identity:<90} # what age-keygen wrote for {who}
{into:<90} # a new database beside the signer's own
echo \"{sha256}  $file\" | sha256sum --check
runuser -u postgres -- createdb --template=template0 --encoding=UTF8 \"$into\"
age --decrypt --identity \"$identity\" \"$file\" | zstd --decompress --stdout --quiet |
    runuser -u postgres -- pg_restore --exit-on-error --single-transaction --no-owner --no-privileges --dbname=\"$into\"
# Its DKG rows: {rows}
runuser -u postgres -- psql -AtX -d \"$into\" -c 'SELECT count(*) FROM {DKG_TABLE}'
# Start no second signer on it: one key and two signers lose funds.
",
        identity = "identity=identity.txt"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::tests::manifest;

    #[test]
    fn it_names_the_file_its_digest_and_who_opens_it() {
        let manifest = manifest("signer-db-20261121T010000Z", None);
        let text = script(&manifest, "/var/backups/holdfast/x.pgdump.zst.age");
        assert!(
            text.starts_with("#!/bin/bash\n# Brings signer-db-20261121T010000Z back"),
            "{text}"
        );
        for part in [
            "\nfile=/var/backups/holdfast/x.pgdump.zst.age ",
            &format!("echo \"{}  $file\"", manifest.archive.sha256),
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
