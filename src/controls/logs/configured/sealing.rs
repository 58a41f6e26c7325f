//! Whether journal files are really sealed: `Seal=yes` does nothing until there is a key.

use super::{LOG, checks};
use crate::{
    engine::check::{Judgement, Verdict},
    host::{HostError, Reader},
};

/// Reads whether there is a sealing key, journalctl(1), `--setup-keys`.
pub(super) fn read(host: &Reader) -> Result<Option<String>, String> {
    let ask = || {
        let id = host.files().text("/etc/machine-id")?.unwrap_or_default();
        let path = format!("{LOG}/{}/fss", id.trim());
        Ok(host.files().size(&path)?.map(|_| path))
    };
    ask().map_err(|error: HostError| error.chain())
}

/// Where the profile asks for sealing.
pub(super) fn judge(found: &Result<Option<String>, String>) -> Judgement {
    let verdict = match found {
        Err(why) => Verdict::Unknown { why: format!("{why}; run holdfast as root") },
        Ok(Some(path)) => Verdict::Holds { observed: format!("there is a sealing key, {path}") },
        Ok(None) => Verdict::Differs {
            observed: "there is no sealing key: nothing is sealed; run: journalctl --setup-keys \
                       (Debian 13's needs the package libgcrypt20)"
                .to_owned(),
        },
    };
    Judgement::new(checks::SEALED, "journald has a key to seal its files with", verdict)
}
