//! How the child comes by a key: in one buffer of locked memory, which is wiped as soon as it has been read.

use std::{path::Path, time::Duration};

use super::talk::KeyJob;
use crate::{
    host::{page::Page, shield, stage::Launch},
    key::{
        material::{Located, Material, NotThere, in_toml, in_variables},
        plan::From,
    },
};

/// How much is read of a file or a command's output, in bytes. A signer's configuration has a few kilobytes.
const MOST: usize = 256 << 10;

/// A command that prints a key takes milliseconds. It is without a network, as the child itself is.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// The key, and what stands beside it.
///
/// # Errors
/// When there is none, or it is no key of this kind. Nothing of it is quoted.
pub(super) fn read(key: &KeyJob, rehearsal: bool) -> Result<(Material, Located), String> {
    let mut page = Page::new(MOST).map_err(|error| error.chain())?;
    if rehearsal {
        return Ok((thrown_away(key, &mut page)?, Located::default()));
    }
    let parse = |bytes: &[u8]| Material::parse(key.kind, key.network, bytes);
    let mut parsed = None;
    let located = match &key.from {
        From::Toml(path, keys) => {
            let bytes = page.read_file(path).map_err(|error| error.chain())?;
            in_toml(bytes, keys, |text| parsed = Some(parse(text.as_bytes())))
                .map_err(|fault| in_file(path, &fault))?
        }
        From::Variable(path, variable) => {
            let bytes = page.read_file(path).map_err(|error| error.chain())?;
            in_variables(bytes, variable, |text| parsed = Some(parse(text.as_bytes())))
                .map_err(|fault| in_file(path, &fault))?
        }
        From::File(path) => {
            let bytes = page.read_file(path).map_err(|error| error.chain())?;
            parsed = Some(parse(bytes));
            Located::default()
        }
        From::Command(words) => {
            parsed = Some(parse(printed(words, &mut page)?));
            Located::default()
        }
    };
    match parsed {
        Some(Ok(material)) => Ok((material, located)),
        Some(Err(fault)) => Err(fault.to_string()),
        None => Err("nothing was found".into()),
    }
}

fn in_file(path: &str, fault: &NotThere) -> String {
    format!("{path}: {fault}")
}

/// What a command prints.
fn printed<'a>(words: &[String], page: &'a mut Page) -> Result<&'a [u8], String> {
    let (program, args) = words.split_first().ok_or("the command is empty")?;
    let launch = Launch {
        program: Path::new(program),
        args: args.to_vec(),
        env: Vec::new(),
        identity: None,
        isolated: false,
        limit: COMMAND_LIMIT,
    };
    let mut stage = launch.start().map_err(|error| error.chain())?;
    let mut output = stage.stdout.take().ok_or("the command has no output")?;
    let length = page.fill(&mut output).map_err(|error| error.chain())?;
    drop(output);
    // Not its own words: they may hold what it should have printed.
    stage.end().map_err(|_| format!("{program} failed; run it by hand to see why"))?;
    Ok(page.filled(length))
}

/// A key that nothing uses, of the kind of the real one, and read as that is.
fn thrown_away(key: &KeyJob, page: &mut Page) -> Result<Material, String> {
    let seed = shield::random().map_err(|error| error.chain())?;
    let length = page.put_hex(seed.as_slice());
    // One in 2^128 is no key of secp256k1, and hardly more are refused as not random.
    Material::parse(key.kind, key.network, page.filled(length)).map_err(|fault| fault.to_string())
}
