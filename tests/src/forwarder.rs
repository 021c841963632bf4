//! Where the forwarder is, for programs that start it.

use std::path::{Path, PathBuf};

/// The forwarder beside the running example: in the folder above that of the examples.
///
/// # Errors
///
/// When the system does not say where the running program is.
pub fn built() -> Result<PathBuf, String> {
    let me = std::env::current_exe().map_err(|error| format!("cannot tell where this program is: {error}"))?;
    let folder = me.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    Ok(folder.join(format!("kinesis-forwarder{}", std::env::consts::EXE_SUFFIX)))
}

/// Looks whether a forwarder is there.
///
/// # Errors
///
/// When it is not, with the way to build it.
pub fn check(forwarder: &Path) -> Result<(), String> {
    if forwarder.is_file() {
        return Ok(());
    }
    let way_out = "build it first, with `cargo build -p kinesis-forwarder` and the same profile";
    Err(format!("there is no program {}: {way_out}", forwarder.display()))
}
