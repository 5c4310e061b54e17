//! Features of a host's own, beside the built-in ones: named in the schema, filled after `extract`.
//!
//! `cargo run --release --example own_features`

use hedgerow::http::{Header, HeadersKnown, Request, Version, extract};
use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
use hedgerow::{Engine, Feature, FeatureKind, Row, Schema, Table};

type Failure = Box<dyn std::error::Error>;

/// What this host knows of a visit that no other host does.
struct Visit {
    /// Seconds since the session's last page; none in the first one.
    pause: Option<f32>,
    logged_in: bool,
}

/// Stands for a model that was trained on rows with these columns: below two seconds between two
/// pages, and no login, a visit leans to a bot.
fn table() -> Result<Table, Failure> {
    let feature = |name: &str, kind| Feature {
        name: name.to_owned(),
        kind,
    };
    let split = |feature, border, missing| Split {
        feature,
        test: Test::Above(border),
        missing,
        zero_is_missing: false,
    };
    let ensemble = Ensemble {
        features: vec![
            feature("ua_tool_word", FeatureKind::Flag),
            feature("shop_pause_seconds", FeatureKind::Number),
            feature("shop_logged_in", FeatureKind::Flag),
        ],
        trees: vec![Tree::Oblivious {
            splits: vec![
                split(0, 0.5, Missing::Left),
                split(1, 2.0, Missing::Right),
                split(2, 0.5, Missing::Left),
            ],
            leaves: vec![-2.0, -4.0, 1.0, -3.0, 1.0, -2.0, 3.0, -1.0],
            weights: Vec::new(),
        }],
        bias: 0.0,
    };
    let built = build(&ensemble, &BuildOptions::default())?;
    Ok(Table::from_bytes(&built.bytes)?)
}

/// The scores of a hasty and of a patient visit.
pub fn scores() -> Result<[u8; 2], Failure> {
    let schema = Schema::http()
        .with("shop_pause_seconds", FeatureKind::Number)?
        .with("shop_logged_in", FeatureKind::Flag)?;
    // Once, when the host starts: names are for tables, positions for requests.
    let pause = schema.index_of("shop_pause_seconds").ok_or("no pause")?;
    let logged_in = schema.index_of("shop_logged_in").ok_or("no login")?;

    let engine = Engine::new(schema);
    engine.publish(table()?)?;
    let mut scorer = engine.scorer()?;
    let headers = [
        Header::new(b"host", b"shop.example"),
        Header::new(b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    ];
    let request =
        Request::new(b"GET", b"/", &headers, HeadersKnown::Unordered).version(Version::Http2);
    let mut score = |visit: &Visit| {
        let mut row = Row::MISSING;
        extract(&request, &mut row);
        row.set(pause, visit.pause.unwrap_or(f32::NAN));
        row.set(logged_in, f32::from(u8::from(visit.logged_in)));
        scorer.score(&row).score().ok_or("no score")
    };
    let hasty = score(&Visit {
        pause: Some(0.3),
        logged_in: false,
    })?;
    let patient = score(&Visit {
        pause: None,
        logged_in: true,
    })?;
    Ok([hasty.get(), patient.get()])
}

/// Prints both scores.
pub fn main() -> Result<(), Failure> {
    let [hasty, patient] = scores()?;
    println!("hasty {hasty}, patient {patient}");
    Ok(())
}
