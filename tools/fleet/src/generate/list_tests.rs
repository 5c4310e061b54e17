//! Each problem by its name, with the rows that it names; and lists that pass.

use super::*;
use hedgerow::RefusalKind;

const ROWS: usize = 60;

fn place() -> Place {
    Place {
        database: "default".into(),
        table: "http_requests_features".into(),
    }
}

fn column(database: Option<&str>, name: &str, r#type: &str) -> Column {
    Column {
        database: database.map(Into::into),
        table: database.map(|_| place().table),
        name: name.into(),
        r#type: r#type.into(),
    }
}

fn list(database: Option<&str>) -> Vec<Column> {
    (0..ROWS)
        .map(|index| column(database, &format!("f{index:02}"), "Float32"))
        .collect()
}

fn features() -> Vec<Feature> {
    let feature = |column: Column| Feature {
        name: column.name,
        kind: FeatureKind::Number,
    };
    list(None).into_iter().map(feature).collect()
}

const BOUNDS: Bounds = Bounds {
    change_max: 0.1,
    unused: false,
    types: false,
};

fn last(recorded: Option<Recorded>) -> Last {
    Last {
        name: "generation 3".into(),
        features: features(),
        recorded,
    }
}

fn refused(columns: &[Column], last: Option<&Last>) -> Refusal {
    check(columns, &place(), &features(), last, BOUNDS).unwrap_err()
}

fn holds(failure: &Refusal, kind: RefusalKind, words: &[&str]) {
    assert_eq!(failure.kind(), Some(kind), "{failure}");
    for word in words {
        assert!(failure.to_string().contains(word), "{word}: {failure}");
    }
}

#[test]
fn a_sound_list_passes_and_is_recorded() {
    for database in [None, Some("default")] {
        let recorded = check(&list(database), &place(), &features(), None, BOUNDS).unwrap();
        assert_eq!(recorded.types.len(), ROWS);
        let same = last(Some(recorded));
        check(&list(database), &place(), &features(), Some(&same), BOUNDS).unwrap();
    }
}

#[test]
fn the_doubled_list_is_refused_by_its_duplicates_and_by_its_database() {
    // What the query without a database gives: each name twice, 120 rows, under the capacity.
    let mut doubled: Vec<Column> = list(None).into_iter().chain(list(None)).collect();
    doubled.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(doubled.len() < FEATURES_MAX);
    let words = [
        "120 rows",
        "60 names",
        "row 1 f00 and row 2 f00",
        "and 52 more",
    ];
    holds(&refused(&doubled, None), RefusalKind::ListDuplicate, &words);
    let both: Vec<Column> = list(Some("default"))
        .into_iter()
        .chain(list(Some("r0")))
        .collect();
    let words = ["60 rows of another", "row 61 r0.http_requests_features.f00"];
    holds(&refused(&both, None), RefusalKind::ListForeign, &words);
}

#[test]
fn each_problem_is_named() {
    holds(&refused(&[], None), RefusalKind::ListEmpty, &["no rows"]);
    let mut bad = list(None);
    bad[4].name = "with\nbreak".into();
    holds(&refused(&bad, None), RefusalKind::ListName, &["row 5"]);
    let many: Vec<Column> = (0..=FEATURES_MAX)
        .map(|index| column(None, &format!("g{index}"), "Float32"))
        .collect();
    holds(
        &refused(&many, None),
        RefusalKind::ListOverCapacity,
        &["257 rows", "256"],
    );
    let gone = refused(&list(None)[2..], None);
    holds(
        &gone,
        RefusalKind::ListVanished,
        &["2 that are not there: f00, f01"],
    );
    let mut more = list(None);
    more.push(column(None, "new", "UInt8"));
    holds(
        &refused(&more, None),
        RefusalKind::ListUnknown,
        &["row 61 new"],
    );
    let unused = Bounds {
        unused: true,
        ..BOUNDS
    };
    check(&more, &place(), &features(), None, unused).unwrap();
    for wrong in [
        "String",
        "DateTime",
        "Array(Float32)",
        "Enum8('a' = 1)",
        "",
        "Tuple",
    ] {
        let mut typed = list(None);
        typed[7].r#type = wrong.into();
        holds(
            &refused(&typed, None),
            RefusalKind::ListType,
            &["row 8 f07"],
        );
    }
    for right in [
        "Nullable(Float64)",
        "UInt64",
        "Decimal(9, 2)",
        "LowCardinality(UInt16)",
    ] {
        let mut typed = list(None);
        typed[7].r#type = right.into();
        check(&typed, &place(), &features(), None, BOUNDS).unwrap();
    }
}

#[test]
fn a_list_is_held_against_the_last_one() {
    let recorded = check(&list(None), &place(), &features(), None, BOUNDS).unwrap();
    let mut typed = list(None);
    typed[7].r#type = "Float64".into();
    let failure = refused(&typed, Some(&last(Some(recorded.clone()))));
    let words = ["row 8 f07 was Float32 and is Float64", "generation 3"];
    holds(&failure, RefusalKind::ListTypeChanged, &words);
    // Without a list of its own, the last table's features tell.
    let mut other = last(None);
    other.features[2].kind = FeatureKind::Flag;
    let failure = refused(&list(None), Some(&other));
    holds(
        &failure,
        RefusalKind::ListTypeChanged,
        &["f02 was a flag and is a number"],
    );
    let mut fewer = recorded.clone();
    for index in 0..7 {
        fewer.types.remove(&format!("f{index:02}"));
    }
    let failure = refused(&list(None), Some(&last(Some(fewer.clone()))));
    holds(
        &failure,
        RefusalKind::ListCountChanged,
        &["53 features", "got 60"],
    );
    fewer.types.insert("f00".into(), "Float32".into());
    fewer.types.insert("f01".into(), "Float32".into());
    check(
        &list(None),
        &place(),
        &features(),
        Some(&last(Some(fewer))),
        BOUNDS,
    )
    .unwrap();
}
