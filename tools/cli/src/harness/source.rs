//! What is scored: recorded requests, or rows, and the table that scores them.

use super::synthetic;
use crate::failure::{self, Failure};
use crate::requests::{self, Recorded};
use crate::rows::{Absent, NPY_MAGIC, Rows};
use crate::{files, tables};
use hedgerow::http::{Header, Request, extract};
use hedgerow::{Row, Schema, Table};
use std::path::Path;

/// The bundled recordings.
pub const REQUESTS: &[u8] = include_bytes!("../../data/requests.ndjson");

/// Whether a request is a bot's, where that is known.
pub fn is_bot(recorded: &Recorded) -> Option<bool> {
    recorded.label.as_deref().map(|label| label == "bot")
}

/// Rows that are held in memory, a kilobyte each.
const ROWS_MAX: usize = 1 << 18;

/// Rows of a made table.
const MADE_ROWS: usize = 1_024;

/// A table, the schema that a host would have for it, and what is scored.
pub struct Source {
    /// The table, as it was named.
    pub name: String,
    pub table: Table,
    pub schema: Schema,
    /// Where the input comes from, for people.
    pub input: String,
    pub inputs: Inputs,
}

/// Requests or rows, owned.
pub enum Inputs {
    Requests(Vec<Recorded>),
    Rows(Vec<Row>),
}

/// The same as threads see it.
pub enum Work<'a> {
    Requests(Vec<Request<'a>>),
    Rows(&'a [Row]),
}

impl Source {
    /// Opens a table and reads its input; else there are the bundled requests for a table of the
    /// built-in features, and for others their golden rows.
    pub fn open(name: &str, input: Option<&Path>) -> Result<Source, Failure> {
        let made = synthetic::trees(name).transpose()?;
        let table = match made {
            Some(trees) => synthetic::table(trees)?,
            None => tables::open(name)?,
        };
        let own = Schema::new(table.features()).map_err(|error| failure::schema(name, &error))?;
        let http = Schema::http();
        let features = table.features();
        let is_http = { features.iter() }.all(|of| http.index_of(&of.name).is_some());
        let (input, inputs) = match input {
            Some(path) => (path.display().to_string(), read(path, &own)?),
            None if is_http => {
                let recorded = requests::parse(REQUESTS, "bundled requests")?;
                ("the bundled requests".into(), Inputs::Requests(recorded))
            }
            None if made.is_some() => {
                ("made rows".into(), Inputs::Rows(synthetic::rows(MADE_ROWS)))
            }
            None => {
                let golden = table.golden_rows();
                let rows: Vec<Row> = golden.map(|row| Row::from_slice(&row.values)).collect();
                ("the table's golden rows".into(), Inputs::Rows(rows))
            }
        };
        let source = Source {
            name: name.to_string(),
            schema: match inputs {
                Inputs::Requests(_) => http,
                Inputs::Rows(_) => own,
            },
            table,
            input,
            inputs,
        };
        if source.count() == 0 {
            let expected = "rows or requests to score";
            return Err(Failure::new("rows", source.input, expected, "none"));
        }
        Ok(source)
    }

    /// How many requests or rows there are.
    pub fn count(&self) -> usize {
        match &self.inputs {
            Inputs::Requests(recorded) => recorded.len(),
            Inputs::Rows(rows) => rows.len(),
        }
    }

    /// The headers of every request, as views, which the work borrows.
    pub fn headers(&self) -> Vec<Vec<Header<'_>>> {
        match &self.inputs {
            Inputs::Requests(recorded) => recorded.iter().map(Recorded::headers).collect(),
            Inputs::Rows(_) => Vec::new(),
        }
    }

    /// What threads work on.
    pub fn work<'a>(&'a self, headers: &'a [Vec<Header<'a>>]) -> Work<'a> {
        match &self.inputs {
            Inputs::Requests(recorded) => {
                let pairs = recorded.iter().zip(headers);
                Work::Requests(
                    pairs
                        .map(|(request, headers)| request.view(headers))
                        .collect(),
                )
            }
            Inputs::Rows(rows) => Work::Rows(rows),
        }
    }

    /// Whether each is a bot's, where labelled.
    pub fn bots(&self) -> Vec<Option<bool>> {
        match &self.inputs {
            Inputs::Requests(recorded) => recorded.iter().map(is_bot).collect(),
            Inputs::Rows(rows) => vec![None; rows.len()],
        }
    }
}

impl Work<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Work::Requests(requests) => requests.len(),
            Work::Rows(rows) => rows.len(),
        }
    }

    /// The place behind one, round the end.
    #[inline]
    pub fn after(&self, at: usize) -> usize {
        if at + 1 < self.count() { at + 1 } else { 0 }
    }

    /// Fills a row, as a host would: from a request, or from values that it has.
    #[inline]
    pub fn fill(&self, at: usize, row: &mut Row) {
        match self {
            Work::Requests(requests) => {
                if let Some(request) = requests.get(at) {
                    extract(request, row);
                }
            }
            Work::Rows(rows) => {
                if let Some(values) = rows.get(at) {
                    row.values_mut().copy_from_slice(values.values());
                }
            }
        }
    }
}

/// Reads a file: NPY and CSV are rows in the order of the table's features, NDJSON is requests.
fn read(path: &Path, own: &Schema) -> Result<Inputs, Failure> {
    let at = path.display().to_string();
    let bytes = files::read(path, files::INPUT_BYTES_MAX)?;
    let start = files::without_mark(&bytes).trim_ascii_start();
    if !bytes.starts_with(NPY_MAGIC) && start.first().is_some_and(|byte| b"{[".contains(byte)) {
        return Ok(Inputs::Requests(requests::parse(&bytes, &at)?));
    }
    let names: Vec<String> = { own.features().iter() }
        .map(|feature| feature.name.clone())
        .collect();
    let rows = Rows::parse(&bytes, &at, &names, Absent::Refuse)?;
    if rows.count() > ROWS_MAX {
        let expected = format!("at most {ROWS_MAX} rows");
        return Err(Failure::new("rows", at, expected, rows.count()));
    }
    Ok(Inputs::Rows(rows.iter().map(Row::from_slice).collect()))
}
