//! How a backup is brought back without holdfast: a script that needs age, zstd and PostgreSQL's programs. Pure.

use super::{arguments::restore_words, judge::DKG_TABLE, manifest::Manifest, server::SETS_MORE};
use crate::host::shell::word;

/// The script for a backup whose file is at `path`.
pub fn script(manifest: &Manifest, path: &str) -> String {
    let Manifest { id, database, begun, client_major, archive, recipients, .. } = manifest;
    let who: Vec<_> = recipients.keys().map(String::as_str).collect();
    let (who, sha256) = (said(&who.join(" or ")), word(&archive.sha256));
    let file = format!("file={}", word(path));
    let into = format!("into={}", word(&format!("{database}_back")));
    let rows = manifest.of.rows.get(DKG_TABLE).copied().unwrap_or_default();
    format!(
        "#!/bin/bash
# Brings {id} back without holdfast: with age, zstd and PostgreSQL {client_major}'s programs, or newer ones;
# those of {SETS_MORE} and newer only into a server of {SETS_MORE} or newer.
# It is the database {database} as it was at {begun}. {who} can open it.
set -euo pipefail
{file:<90} # wherever it was copied to
{identity:<90} # what age-keygen wrote for {who}
{into:<90} # a new database beside the signer's own
{owner:<90} # the role that the signer logs in as
as() {{ runuser -u \"$1\" -- \"${{@:2}}\"; }}
test \"$(sha256sum <\"$file\" | cut -c 1-64)\" = {sha256} ||
    {{ echo \"$file is not the file that was made\" >&2; exit 1; }}
test \"$(as postgres psql -AtqX -v owner=\"$owner\" <<<\"SELECT count(*) FROM pg_roles WHERE rolname = :'owner'\")\" = 1 ||
    {{ echo \"there is no role $owner: runuser -u postgres -- createuser $owner\" >&2; exit 1; }}
server=$(as postgres psql -AtqX -c \"SHOW server_version_num\")
restorer=$(as nobody pg_restore --version)
restorer=${{restorer#*) }}
restorer=${{restorer%%[!0-9]*}}
test \"$restorer\" -lt {SETS_MORE} || test \"$server\" -ge {SETS_MORE}0000 ||
    {{ echo \"no server before {SETS_MORE} takes what pg_restore of $restorer says: put pg_restore of $((server / 10000)) first in PATH\" >&2; exit 1; }}
# What is in a dump runs as who restores it: as nobody, who may do nothing outside of the new database.
as postgres createuser --no-superuser nobody
as postgres createdb --owner=nobody --template=template0 --encoding=UTF8 \"$into\"
age --decrypt --identity \"$identity\" \"$file\" | zstd --decompress --stdout --quiet |
    as nobody pg_restore {restore} --dbname=\"$into\"
# Its DKG rows: {rows}
as nobody psql -AtX -d \"$into\" -c 'SELECT count(*) FROM {DKG_TABLE}'
as postgres psql -qX -v ON_ERROR_STOP=1 -v owner=\"$owner\" -d \"$into\" <<<'REASSIGN OWNED BY nobody TO :\"owner\"; DROP OWNED BY nobody; DROP ROLE nobody'
# Start no second signer on it: one key and two signers lose funds.
",
        id = said(id),
        database = said(database),
        identity = "identity=identity.txt",
        owner = "owner=signer",
        restore = restore_words(),
    )
}

/// A text in a comment, which ends with its line.
fn said(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { '?' } else { each }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{arguments::RESTORE, manifest::tests::manifest};

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
            &format!("= {} ||\n", manifest.archive.sha256),
            &format!("as nobody pg_restore {} --dbname", RESTORE.join(" ")),
            "those of 17 and newer only into a server of 17 or newer.\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // Before anything is made.
        let asked =
            text.find("\ntest \"$restorer\" -lt 17 || test \"$server\" -ge 170000 ||").unwrap();
        assert!(asked < text.find("createuser --no-superuser").unwrap(), "{text}");
    }

    #[test]
    fn nothing_in_a_name_is_a_command() {
        let mut manifest = manifest("signer-db-20261121T010000Z", None);
        manifest.id = "x\nrm -rf /".to_owned();
        manifest.database = "a$(reboot)'; b\n".to_owned();
        let text = script(&manifest, "/srv/it's \"here\"/$x\ny");
        assert!(text.contains("# Brings x?rm -rf / back"), "{text}");
        assert!(text.contains("\nfile='/srv/it'\\''s \"here\"/$x\ny' "), "{text}");
        assert!(text.contains("\ninto='a$(reboot)'\\''; b\n_back' "), "{text}");
    }
}
