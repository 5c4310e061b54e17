//! `compile`: a model of another library to a table.

use crate::failure::Failure;
use crate::rows::{Absent, Rows};
use crate::{Report, files, rules, tables};
use hedgerow::limits::{GOLDEN_ROWS_MAX, SCORE_MAP_LEN};
use hedgerow::model::{BuildOptions, Built, Ensemble, Node, Tree, build, logistic_score_map};
use hedgerow::{Feature, PreparedTable, Schema, Table};
use hedgerow_import::Link;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Compile a model of another library into a table
///
/// Example: hedgerow compile model.json -o bots.hedge --positive bot --schema http
///
/// Scores go from 1 (certainly automated) to 99 (certainly human). `--positive` has no default: a
/// model with label 1 = bot, which is usual, needs `bot`; a model with label 1 = human needs
/// `human`. The wrong one turns every score round: people would get the scores of bots.
///
/// Models are CatBoost JSON, from model.save_model("model.json", format="json"); LightGBM text,
/// from booster.save_model("model.txt"); or XGBoost JSON or UBJ, from
/// booster.save_model("model.json"). Categorical splits come over where categories are whole
/// numbers, as which a row gives them; a CatBoost model with some is saved with its training data:
/// model.save_model("model.json", format="json", pool=pool). What does not come over exactly is
/// refused by name, as are LightGBM models of numbers that 32 bits do not tell apart, such as
/// seconds since 1970. Margins are the exact sums of a model's leaves, rounded once: XGBoost itself
/// adds in 32 bits, and is some millionths off. With `--schema http` the model's features must have
/// the names of the built-in schema, which are the columns that `hedgerow extract` writes. A schema
/// file of one's own lists names and kinds (number, flag or category):
///
///   [[features]]
///   name = "requests_per_minute"
///   kind = "number"
///
/// A file of detections lists conditions that must all hold, each with one of above, at_most,
/// equals, missing and present; without `active = true` a detection is a shadow:
///
///   [[detections]]
///   id = 7
///   name = "probe by a tool"
///   score = 2
///   active = true
///   conditions = [
///     { feature = "target_probe", equals = 1 },
///     { feature = "ua_tool_word", equals = 1 },
///   ]
///
/// A file of verified bots; a bot with an agent token is verified only where the User-Agent holds
/// it, too:
///
///   [{ "name": "Googlebot", "category": "search-engine", "agent": "googlebot",
///      "ranges": ["66.249.64.0/19", "2001:4860:4801:10::/64"] }]
///
/// SOURCE_DATE_EPOCH in the environment fixes the time stamp, so that the same model gives the
/// same bytes.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    model: Model,
    /// The table to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// A model, and what goes into its table beside it.
#[derive(clap::Args)]
pub struct Model {
    /// A model file; its kind is told by its content: CatBoost JSON, LightGBM text,
    /// XGBoost JSON or UBJ
    #[arg(value_name = "MODEL")]
    file: PathBuf,
    /// Whose features: `http`, `http-traffic` (with the windows of clients), a schema file (TOML or
    /// JSON), or `model` for the model's own names
    #[arg(long, value_name = "NAME|FILE", default_value = "model")]
    schema: OsString,
    /// Rows to store with their margins as a proof, up to 256 (CSV or NPY); else some are made up
    /// from the model's borders
    #[arg(long, value_name = "ROWS")]
    golden: Option<PathBuf>,
    /// What the model's class 1 means, `human` or `bot`; required. For `bot`, margins are negated
    #[arg(long, value_enum)]
    positive: Option<Positive>,
    /// A JSON array of the 98 smallest margins of the scores 2 to 99; else score = 100 × P(human),
    /// for which the model's objective has to be a logistic one
    #[arg(long, value_name = "FILE")]
    score_map: Option<PathBuf>,
    /// JSON to keep in the table under `training`
    #[arg(long, value_name = "FILE")]
    provenance: Option<PathBuf>,
    /// Detections, in TOML or JSON: rules that give a score of their own, or only watch
    #[arg(long, value_name = "FILE")]
    detections: Option<PathBuf>,
    /// Verified bots, in JSON: names, categories, agent tokens and address ranges
    #[arg(long, value_name = "FILE")]
    verified_bots: Option<PathBuf>,
    /// The publisher's running number
    #[arg(long, value_name = "N", default_value_t = 0)]
    generation: u64,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Positive {
    Human,
    Bot,
}

impl Positive {
    /// The class of a command line. There is no default: a wrong one turns every score round.
    fn of(args: &Model) -> Result<Positive, Failure> {
        let expected = "human or bot: what class 1 of the model means (a model with label 1 = bot \
                        needs --positive bot)";
        { args.positive }.ok_or_else(|| Failure::usage("--positive", expected, "nothing"))
    }

    fn name(self) -> &'static str {
        match self {
            Positive::Human => "human",
            Positive::Bot => "bot",
        }
    }
}

/// What a score means by the provenance of a table; `None` if the table does not note it.
pub fn meaning(provenance: &Value) -> Option<&'static str> {
    match provenance["positive"].as_str()? {
        "human" => Some("99 = class 1 of the model = human, 1 = class 0 = bot"),
        "bot" => Some("99 = class 0 of the model = human, 1 = class 1 = bot"),
        _ => None,
    }
}

/// Compiles a model.
pub fn run(args: &Args) -> Result<Report, Failure> {
    // Before the model is read: an argument that makes no sense is told as such.
    check_output(&args.output)?;
    Positive::of(&args.model)?;
    let Model {
        file,
        schema,
        golden,
        score_map,
        provenance,
        detections,
        verified_bots,
        ..
    } = &args.model;
    let beside = [golden, score_map, provenance, detections, verified_bots];
    let beside = beside.into_iter().flatten().map(PathBuf::as_path);
    let read: Vec<&Path> = { beside }
        .chain([file.as_path(), Path::new(schema)])
        .collect();
    files::check_output(&args.output, &read)?;
    write(Draft::of(&args.model)?, &args.output)
}

fn check_output(output: &Path) -> Result<(), Failure> {
    match files::is_stream(output) {
        true => Err(Failure::usage("--output", "a file for the table", "-")),
        false => Ok(()),
    }
}

/// Compiles a draft, and writes the table to a file.
///
/// # Errors
/// Where it cannot become a table, or the file cannot be written: nothing is left behind then.
pub fn write(draft: Draft, output: &Path) -> Result<Report, Failure> {
    check_output(output)?;
    let name = output.display().to_string();
    let warnings = draft.warnings.clone();
    let meaning = meaning(&draft.provenance).unwrap_or_default();
    let (prepared, built) = draft.compile(&name)?;
    files::write_bytes(output, &built.bytes)?;
    Ok(report(&name, &prepared, &built, meaning, &warnings))
}

/// A model that came over, before it is compiled.
pub struct Draft {
    /// The features and trees.
    pub ensemble: Ensemble,
    /// What is compiled beside them.
    options: BuildOptions,
    /// What is told of their origin.
    pub provenance: Value,
    schema: Option<Schema>,
    warnings: Vec<String>,
}

impl Draft {
    /// Reads a model and everything that goes with it.
    ///
    /// # Errors
    /// Where a file cannot be read, or is not what it must be.
    pub fn of(args: &Model) -> Result<Draft, Failure> {
        let positive = Positive::of(args)?;
        let file = args.file.display().to_string();
        let bytes = files::read(&args.file, hedgerow_import::MODEL_BYTES_MAX as u64)?;
        let imported =
            hedgerow_import::import(&bytes).map_err(|refused| Failure::refused(&file, refused))?;
        let provenance = provenance(&imported.provenance(), positive, args)?;
        let mut warnings = Vec::new();
        let score_map = match &args.score_map {
            Some(path) => read_score_map(path)?,
            None => probabilities(&imported.source.link, &file, &mut warnings)?,
        };
        let mut ensemble = imported.ensemble;
        let schema = match tables::is_model(&args.schema) {
            true => None,
            false => Some(tables::schema(&args.schema)?),
        };
        if let Some(schema) = &schema {
            adopt_kinds(&mut ensemble.features, schema, args)?;
        }
        if positive == Positive::Bot {
            negate(&mut ensemble);
        }
        let detections = match &args.detections {
            Some(path) => rules::detections(path)?,
            None => Vec::new(),
        };
        if let Some(schema) = &schema {
            rules::adopt_features(&mut ensemble.features, &detections, schema);
        }
        let options = BuildOptions {
            generation: args.generation,
            created_at: created_at()?,
            score_map,
            golden: match &args.golden {
                Some(path) => golden_rows(path, &ensemble)?,
                None => made_up_rows(&ensemble),
            },
            provenance: String::new(),
            detections,
            bots: match &args.verified_bots {
                Some(path) => rules::bots(path)?,
                None => Vec::new(),
            },
        };
        Ok(Draft {
            ensemble,
            options,
            provenance,
            schema,
            warnings,
        })
    }

    /// Compiles it. What was made has passed what a host will check.
    fn compile(mut self, output: &str) -> Result<(PreparedTable, Built), Failure> {
        self.options.provenance = self.provenance.to_string();
        let built = build(&self.ensemble, &self.options)?;
        let refused = |refused| Failure::refused(output, refused);
        let table = Table::from_bytes(&built.bytes).map_err(refused)?;
        let own = Schema::new(table.features())
            .map_err(|error| crate::failure::schema(output, &error))?;
        let schema = self.schema.as_ref().unwrap_or(&own);
        Ok((PreparedTable::new(table, schema).map_err(refused)?, built))
    }
}

fn report(
    output: &str,
    prepared: &PreparedTable,
    built: &Built,
    meaning: &str,
    warnings: &[String],
) -> Report {
    let table = prepared.table();
    let error = built.margin_error_max;
    let mut text = format!(
        "{output}: {} bytes, id {}\nscore {meaning}\n",
        table.byte_count(),
        table.content_id()
    );
    text.push_str(&tables::headroom(table));
    let _ = writeln!(
        text,
        "margins differ from the model's by at most {error:.1e}"
    );
    text.push_str(&crate::publishing::warned(warnings));
    let json = json!({
        "ok": true,
        "table": output,
        "bytes": table.byte_count(),
        "content_id": table.content_id(),
        "headroom": tables::headroom_json(table),
        "margin_error_max": error,
        "score_meaning": meaning,
        "warnings": warnings,
    });
    Report::done(text, json)
}

/// Seconds since 1970; `SOURCE_DATE_EPOCH` overrides the clock, for builds that repeat.
pub fn created_at() -> Result<u64, Failure> {
    let Some(fixed) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        return Ok(now.map_or(0, |since| since.as_secs()));
    };
    let fixed = fixed.to_string_lossy();
    let wrong = |_| Failure::usage("SOURCE_DATE_EPOCH", "seconds since 1970", &fixed);
    fixed.parse().map_err(wrong)
}

/// Takes the kinds of a schema's features over; every feature of the model must be there.
fn adopt_kinds(features: &mut [Feature], schema: &Schema, args: &Model) -> Result<(), Failure> {
    for (index, feature) in features.iter_mut().enumerate() {
        let known = schema
            .features()
            .iter()
            .find(|known| known.name == feature.name);
        let Some(known) = known else {
            let at = format!("{}: feature {index}", args.file.display());
            let schema = args.schema.display();
            let expected = format!("a feature of the schema {schema}{}", tables::OTHER_SCHEMA);
            return Err(Failure::new(
                "schema",
                at,
                expected,
                format!("\"{}\"", feature.name),
            ));
        };
        feature.kind = known.kind;
    }
    Ok(())
}

fn negate(ensemble: &mut Ensemble) {
    ensemble.bias = -ensemble.bias;
    for tree in &mut ensemble.trees {
        match tree {
            Tree::Oblivious { leaves, .. } => leaves.iter_mut().for_each(|leaf| *leaf = -*leaf),
            Tree::Any { nodes } => {
                for node in nodes {
                    if let Node::Leaf { value } = node {
                        *value = -*value;
                    }
                }
            }
        }
    }
}

fn provenance(imported: &Value, positive: Positive, args: &Model) -> Result<Value, Failure> {
    let mut all = imported.clone();
    all["positive"] = json!(positive.name());
    if let Some(path) = &args.provenance {
        let text = files::read_text(path, "provenance", "JSON")?;
        let training: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::new("provenance", path.display(), "JSON", error))?;
        all["training"] = training;
    }
    Ok(all)
}

/// The score map of a model whose margins are log-odds, in units of its own. Those of any other
/// would become scores that mean nothing.
fn probabilities(
    link: &Link,
    file: &str,
    warnings: &mut Vec<String>,
) -> Result<[f64; SCORE_MAP_LEN], Failure> {
    let per_margin = match link {
        Link::LogOdds { per_margin } => *per_margin,
        Link::Other(objective) => {
            let expected = "an objective whose margins are log-odds, or --score-map FILE";
            return Err(Failure::new(
                "objective",
                file,
                expected,
                format!("\"{objective}\""),
            ));
        }
        Link::Unknown => {
            warnings.push(format!(
                "{file} names no objective: its margins are taken for log-odds (if they are not, \
                 give --score-map FILE)"
            ));
            1.0
        }
    };
    Ok(logistic_score_map().map(|margin| margin / per_margin))
}

fn read_score_map(path: &Path) -> Result<[f64; SCORE_MAP_LEN], Failure> {
    let expected = format!("a JSON array of {SCORE_MAP_LEN} margins");
    let text = files::read_text(path, "score-map", &expected)?;
    let margins: Vec<f64> = serde_json::from_str(&text)
        .map_err(|error| Failure::new("score-map", path.display(), &expected, error))?;
    let count = margins.len();
    let wrong = |_| {
        Failure::new(
            "score-map",
            path.display(),
            &expected,
            format!("{count} margins"),
        )
    };
    margins.try_into().map_err(wrong)
}

/// At most 256 rows of a file, evenly spread.
fn golden_rows(path: &Path, ensemble: &Ensemble) -> Result<Vec<Vec<f32>>, Failure> {
    let names: Vec<String> = ensemble.features.iter().map(|f| f.name.clone()).collect();
    let rows = Rows::read(path, &names, Absent::Refuse)?;
    if rows.count() == 0 {
        return Err(Failure::new(
            "rows",
            path.display(),
            "at least one row",
            "none",
        ));
    }
    let step = rows.count().div_ceil(GOLDEN_ROWS_MAX).max(1);
    Ok(rows.iter().step_by(step).map(<[f32]>::to_vec).collect())
}

/// Rows that stand on, just above and just below borders, with some values missing; the same for
/// the same model.
fn made_up_rows(ensemble: &Ensemble) -> Vec<Vec<f32>> {
    let mut borders: Vec<Vec<f32>> = vec![Vec::new(); ensemble.features.len()];
    // A set that splits share, of any size, is taken once a feature.
    let mut known = HashSet::new();
    for split in ensemble.trees.iter().flat_map(Tree::splits) {
        let edges = split.test.edges();
        if let Some(borders) = borders.get_mut(usize::from(split.feature))
            && (edges.len() == 1 || known.insert((split.feature, edges.as_ptr())))
        {
            borders.extend_from_slice(edges);
        }
    }
    let mut state = 1u64;
    let mut below = move |end: usize| {
        // A linear congruential generator's upper bits are random enough to spread rows.
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % end
    };
    let mut value = |borders: &Vec<f32>| match (borders.len(), below(10)) {
        (0, _) => 0.0,
        (_, 0) => f32::NAN,
        (count, how) => {
            let border = borders[below(count)];
            [border, border.next_up(), border.next_down()][how % 3]
        }
    };
    (0..64)
        .map(|_| borders.iter().map(&mut value).collect())
        .collect()
}
