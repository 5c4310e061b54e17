//! `key` and `sign`: keys that sign tables, and the keys that are trusted.

use crate::failure::Failure;
use crate::trust::secret;
use crate::{Report, files, tables};
use clap::Subcommand;
use hedgerow::watch::{PublicKey, SecretKey};
use serde_json::json;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Make and show keys that sign tables
///
/// Example: hedgerow key new ops.key
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key: FILE is secret, FILE.pub is what engines trust
    New {
        /// The secret key's file, which must not be there yet
        file: PathBuf,
        /// What people call the key; else the file's name
        #[arg(long)]
        name: Option<String>,
    },
    /// Show the public half of a key
    Show {
        /// The file of either half
        file: PathBuf,
    },
}

/// Makes or shows a key.
pub fn run(args: &Args) -> Result<Report, Failure> {
    match &args.command {
        Command::New { file, name } => new(file, name.as_deref()),
        Command::Show { file } => {
            let at = file.display().to_string();
            let text = files::read_text(file, "key", "a key's file")?;
            let key = match SecretKey::parse(&text, &at) {
                Ok(secret) => secret.public(),
                Err(_) => PublicKey::parse(&text, &at)?,
            };
            Ok(shown(&key, None))
        }
    }
}

fn shown(key: &PublicKey, made: Option<(&Path, &Path)>) -> Report {
    let mut text = format!("name   {}\npublic {}\n", key.name(), key.id());
    let (mut secret_file, mut public_file) = (None, None);
    if let Some((secret, public)) = made {
        (secret_file, public_file) = (Some(secret.display()), Some(public.display()));
        text.push_str(&format!(
            "secret key in {}, for signing alone; public key in {}, for engines\n",
            secret.display(),
            public.display()
        ));
    }
    let json = json!({
        "ok": true,
        "name": key.name(),
        "public": key.id(),
        "secret_file": secret_file.map(|path| path.to_string()),
        "public_file": public_file.map(|path| path.to_string()),
    });
    Report::done(text, json)
}

fn new(file: &Path, name: Option<&str>) -> Result<Report, Failure> {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy());
    let name = name.or(stem.as_deref()).unwrap_or_default();
    let key = SecretKey::new(name)?;
    let mut of_public = file.as_os_str().to_owned();
    of_public.push(".pub");
    let of_public = PathBuf::from(of_public);
    // The public one first: where it is there already, no secret is written at all.
    write_new(&of_public, 0o644, &key.public().text())?;
    if let Err(failure) = write_new(file, 0o600, &key.secret_text()) {
        let _ = fs::remove_file(&of_public);
        return Err(failure);
    }
    Ok(shown(&key.public(), Some((file, &of_public))))
}

/// Writes a file that was not there. Where that fails, nothing of it stays.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let failed = |error| Failure::io(path, "a new file in a writable folder", error);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        failed(error)
    })
}

/// Sign a table
///
/// The table's content and its id stay as they are. A signature that it had is replaced.
///
/// Example: hedgerow sign bots.hedge --key ops.key
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SignArgs {
    /// The table, or `default`
    table: OsString,
    /// The secret key's file
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the signed table; else it takes the place of the one that is signed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Signs a table.
pub fn sign(args: &SignArgs) -> Result<Report, Failure> {
    let output = match (&args.output, tables::is_default(&args.table)) {
        (Some(output), _) => output.clone(),
        (None, true) => {
            return Err(Failure::usage(
                "--output",
                "a file for the signed table",
                "none",
            ));
        }
        (None, false) => PathBuf::from(&args.table),
    };
    if files::is_stream(&output) {
        return Err(Failure::usage("--output", "a file", output.display()));
    }
    files::check_output(&output, &[&args.key])?;
    let table = tables::open(&args.table)?;
    let key = secret(&args.key)?;
    let signed = key.sign(table.bytes());
    files::write_bytes(&output, &signed)?;
    let public = key.public();
    let text = format!(
        "{}: table {} signed by {} ({})\n",
        output.display(),
        table.content_id(),
        public.name(),
        public.id()
    );
    let json = json!({
        "ok": true,
        "table": output.display().to_string(),
        "content_id": table.content_id(),
        "name": public.name(),
        "public": public.id(),
    });
    Ok(Report::done(text, json))
}
