//! Keys: those that a command trusts, and the secret ones that sign.

use crate::failure::Failure;
use crate::files;
use hedgerow::watch::{Keys, PublicKey, SecretKey};
use std::path::{Path, PathBuf};

/// The keys that a command trusts.
#[derive(clap::Args)]
pub struct Trust {
    /// Trust the key of this file (`FILE.pub`); may be given several times
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Refuse a table that is not signed
    #[arg(long)]
    require_signature: bool,
}

impl Trust {
    /// Whether anything was said about signatures.
    pub fn is_given(&self) -> bool {
        self.require_signature || !self.trust.is_empty()
    }

    /// Whether what is not signed is refused.
    pub fn requires(&self) -> bool {
        self.require_signature
    }

    /// The keys.
    pub fn keys(&self) -> Result<Keys, Failure> {
        let trusted: Result<Vec<_>, _> = self.trust.iter().map(|path| public(path)).collect();
        Ok(Keys::new(trusted?, self.require_signature))
    }
}

fn public(path: &Path) -> Result<PublicKey, Failure> {
    let text = files::read_text(path, "key", "a public key's file")?;
    PublicKey::parse(&text, &path.display().to_string()).map_err(Failure::from)
}

/// The secret key of a file that nobody else can read.
///
/// # Errors
/// Where it is none, or others can read it.
pub fn secret(path: &Path) -> Result<SecretKey, Failure> {
    let text = files::read_text(path, "key", "a secret key's file")?;
    let key = SecretKey::parse(&text, &path.display().to_string())?;
    files::check_private(path, "key")?;
    Ok(key)
}
