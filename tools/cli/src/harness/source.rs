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
const REQUESTS: &[u8] = include_bytes!("../../data/requests.ndjson");

/// Rows that are held in memory, a kilobyte each.
const ROWS_MAX: usize = 1 << 18;

/// Rows of a synthetic table.
const SYNTHETIC_ROWS: usize = 1_024;

/// A table, the schema that a host would have for it, and what is scored.
pub struct Source {
    /// The table, as it was named.
    pub name: String,
    pub table: Table,
    pub schema: Schema,
    /// Where the input comes from, for people.
    pub input: String,
    pub work: Work,
    /// Whether each input is a bot's; `None` without a label.
    pub bots: Vec<Option<bool>>,
}

/// The inputs as threads see them. Requests are views on memory that stays as long as the process.
pub enum Work {
    Requests(Vec<Request<'static>>),
    Rows(Vec<Row>),
}

/// Inputs and their labels.
type Inputs = (Work, Vec<Option<bool>>);

fn of_requests(recorded: Vec<Recorded>) -> Inputs {
    let recorded: &'static [Recorded] = recorded.leak();
    let headers: Vec<Vec<Header<'static>>> = recorded.iter().map(Recorded::headers).collect();
    let pairs = recorded.iter().zip(&*headers.leak());
    let views = pairs
        .map(|(request, headers)| request.view(headers))
        .collect();
    let is_bot = |request: &Recorded| request.label.as_deref().map(|label| label == "bot");
    (Work::Requests(views), recorded.iter().map(is_bot).collect())
}

fn of_rows(rows: Vec<Row>) -> Inputs {
    let bots = vec![None; rows.len()];
    (Work::Rows(rows), bots)
}

fn bundled() -> Result<Inputs, Failure> {
    Ok(of_requests(requests::parse(REQUESTS, "bundled requests")?))
}

impl Source {
    /// Opens a table of the built-in features, and reads requests of a file, else the bundled ones.
    pub fn recorded(name: &Path, input: Option<&Path>) -> Result<Source, Failure> {
        let (work, bots) = match input {
            Some(path) => of_requests(requests::read(path)?),
            None => bundled()?,
        };
        Ok(Source {
            name: name.display().to_string(),
            table: tables::open(name)?,
            schema: Schema::http(),
            input: "recorded requests".into(),
            work,
            bots,
        })
    }

    /// Opens a table and reads its input; else there are the bundled requests for a table of the
    /// built-in features, and for others their golden rows.
    pub fn open(name: &Path, input: Option<&Path>) -> Result<Source, Failure> {
        let trees = name.to_str().and_then(synthetic::trees).transpose()?;
        let table = match trees {
            Some(trees) => synthetic::table(trees)?,
            None => tables::open(name)?,
        };
        let features = table.features();
        let http = Schema::http();
        let is_http = { features.iter() }.all(|of| http.index_of(&of.name).is_some());
        let own = Schema::new(features).map_err(|error| failure::schema(name.display(), &error))?;
        let (input, (work, bots)) = match input {
            Some(path) => (path.display().to_string(), read(path, &own)?),
            None if is_http => ("the bundled requests".into(), bundled()?),
            None if trees.is_some() => {
                ("made rows".into(), of_rows(synthetic::rows(SYNTHETIC_ROWS)))
            }
            None => {
                let golden = table.golden_rows().map(|row| Row::from_slice(&row.values));
                ("the table's golden rows".into(), of_rows(golden.collect()))
            }
        };
        if work.count() == 0 {
            let expected = "rows or requests to score";
            return Err(Failure::new("rows", input, expected, "none"));
        }
        let schema = match work {
            Work::Requests(_) => http,
            Work::Rows(_) => own,
        };
        Ok(Source {
            name: name.display().to_string(),
            table,
            schema,
            input,
            work,
            bots,
        })
    }
}

impl Work {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Work::Requests(requests) => requests.len(),
            Work::Rows(rows) => rows.len(),
        }
    }

    /// The place after one, round the end.
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
        return Ok(of_requests(requests::parse(&bytes, &at)?));
    }
    let names: Vec<String> = { own.features().iter() }
        .map(|feature| feature.name.clone())
        .collect();
    let rows = Rows::parse(&bytes, &at, &names, Absent::Refuse)?;
    if rows.count() > ROWS_MAX {
        let expected = format!("at most {ROWS_MAX} rows");
        return Err(Failure::new("rows", at, expected, rows.count()));
    }
    Ok(of_rows(rows.iter().map(Row::from_slice).collect()))
}
