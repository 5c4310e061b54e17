//! What an operator's key signed last, kept on the operator's machine.
//!
//! The store keeps 64 values of a key. An intruder who writes as many removes what was signed, and
//! can put an old signed value in its place. The operator's own last values, with their signatures,
//! are another place to go on from.

use crate::NAME;
use hedgerow::refusal::printable;
use hedgerow::watch::SecretKey;
use hedgerow_cli::files;
use std::env::var_os;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_128;

/// The values that a key signed last, one file each. Without a folder nothing is kept.
pub struct SignedValues {
    folder: Option<PathBuf>,
}

/// Bytes of a value at most.
const BYTES_MAX: u64 = 1 << 20;

impl SignedValues {
    /// Returns those of a key in a store: of these servers, under this fleet's name.
    pub fn of(secret: Option<&SecretKey>, servers: &str, fleet: &str) -> SignedValues {
        let folder = secret.zip(state_folder()).map(|(secret, state)| {
            let store = format!("{servers}\n{fleet}\n{}", secret.public().text());
            state.join(format!("{:032x}", xxh3_128(store.as_bytes())))
        });
        SignedValues { folder }
    }

    /// Returns the last value of a key of the store.
    pub fn last(&self, key: &str) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(key);
        path.exists().then(|| files::read(&path, BYTES_MAX).ok())?
    }

    /// Keeps a value that the store has taken. The change is made, so that a failure is a warning.
    pub fn keep(&self, key: &str, bytes: &[u8]) {
        let Some(folder) = &self.folder else {
            return;
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let kept = match made {
            Ok(()) => files::write_bytes(&folder.join(key), bytes).map_err(|e| e.to_string()),
            Err(error) => Err(format!("{}: {error}", folder.display())),
        };
        if let Err(why) = kept {
            let why = printable(&why);
            eprintln!("{NAME}: warning: what was signed is not kept here: {why}");
        }
    }
}

/// The folder of the operator's state, unless it is switched off or no variable names one.
fn state_folder() -> Option<PathBuf> {
    let named = |name| var_os(name).map(PathBuf::from);
    if let Some(folder) = named("HEDGEROW_FLEET_STATE") {
        return (!folder.as_os_str().is_empty()).then_some(folder);
    }
    let state = named("XDG_STATE_HOME").filter(|path| path.is_absolute());
    let state = state.or_else(|| named("HOME").map(|home| home.join(".local/state")));
    Some(state?.join("hedgerow/fleet"))
}
