//! What commands that change a directory share: who changes it, what is checked before, and what
//! they say.

use crate::failure::Failure;
use crate::trust::Trust;
use crate::{Report, tables};
use hedgerow::refusal::printable;
use hedgerow::watch::publish::Published;
use hedgerow::watch::{Admission, Keys};
use hedgerow::{Engine, PreparedTable, Table};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Who changes a directory, and how long to wait for one that does already.
#[derive(clap::Args)]
pub struct Change {
    /// Wait this long for another publisher, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    wait: f64,
    /// Your name in the ledger; else the user's
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0 to 86400 seconds".into()),
    }
}

impl Change {
    /// How long to wait.
    pub fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait)
    }

    /// Who it is.
    pub fn who(&self) -> String {
        who(self.by.as_deref())
    }
}

/// A name that was given; else the user's, of the environment or of `/etc/passwd`.
pub fn who(given: Option<&str>) -> String {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|user: &String| !user.is_empty())
    };
    let user = || variable("USER").or_else(|| variable("LOGNAME"));
    let id = rustix::process::getuid().as_raw();
    let listed = || user_name(&std::fs::read_to_string("/etc/passwd").ok()?, id);
    let name = given.map(Into::into).or_else(user).or_else(listed);
    name.unwrap_or_else(|| format!("user {id}"))
}

/// The name of a user in the text of `/etc/passwd`.
fn user_name(passwd: &str, id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let name = fields.first().filter(|name| !name.is_empty())?;
        (fields.get(2)?.parse() == Ok(id)).then(|| name.to_string())
    })
}

/// Every check of an engine's admission that needs no running table.
pub fn admit(
    name: impl AsRef<Path>,
    schema: impl AsRef<Path>,
    trust: &Trust,
) -> Result<Arc<PreparedTable>, Failure> {
    admit_with(name, schema, trust.keys()?)
}

/// As [`admit`], with keys.
///
/// # Errors
/// The first check that it does not pass.
pub fn admit_with(
    name: impl AsRef<Path>,
    schema: impl AsRef<Path>,
    keys: Keys,
) -> Result<Arc<PreparedTable>, Failure> {
    let (name, schema) = (name.as_ref(), schema.as_ref());
    let refused = |refused| Failure::refused(name, refused);
    if tables::is_default(name) {
        let table = tables::open(name)?;
        keys.check(table.bytes()).map_err(refused)?;
        let schema = tables::schema_for(schema, &table)?;
        let prepared = PreparedTable::new(table, &schema);
        let prepared = prepared.map_err(|refused| tables::refused(name, refused, &schema));
        return prepared.map(Arc::new);
    }
    let schema = match tables::is_model(schema) {
        true => tables::schema_for(schema, &Table::open(name).map_err(refused)?)?,
        false => tables::schema(schema)?,
    };
    let admission = Admission { keys, kernel: None };
    let engine = Engine::new(schema);
    let admitted = admission.admit(&engine, name, None);
    admitted.map_err(|rejected| tables::refused(name, rejected.refusal, engine.schema()))
}

/// What was published.
pub fn report(done: &str, directory: &Path, published: &Published) -> Report {
    let pointer = &published.pointer;
    let mut text = format!(
        "{done}: generation {} of {}, table {}",
        pointer.generation,
        directory.display(),
        pointer.content_id
    );
    if let Some(from) = pointer.from_generation {
        let _ = write!(text, ", which was generation {from}");
    }
    text.push('\n');
    if !published.pruned.is_empty() {
        let _ = writeln!(text, "{} old tables were removed", published.pruned.len());
    }
    text.push_str(&warned(&published.warnings));
    let json = json!({
        "ok": true,
        "generation": pointer.generation,
        "content_id": pointer.content_id,
        "from_generation": pointer.from_generation,
        "forced": pointer.forced,
        "at": pointer.at,
        "origin": pointer.origin,
        "pruned": published.pruned,
        "warnings": published.warnings,
    });
    Report::done(text, json)
}

/// Warnings, a line each.
pub fn warned(warnings: &[String]) -> String {
    let line = |warning: &String| format!("warning: {}\n", printable(warning));
    warnings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::user_name;

    #[test]
    fn users_have_names() {
        let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n:x:7:\nbad";
        assert_eq!(user_name(passwd, 0).as_deref(), Some("root"));
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(user_name(passwd, 7), None);
        assert_eq!(user_name(passwd, 100), None);
    }
}
