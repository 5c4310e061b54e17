//! Tests of figures, ratios, targets and their written forms.

use super::*;

fn figure(name: &str, kernel: Option<&'static str>, measure: Measure, means: &[f64]) -> Figure {
    Figure::new(name, kernel, measure, means, 10).expect("rounds")
}

fn model() -> ModelResults {
    let own = |kernel, measure, ns: f64| {
        let name = format!("hedgerow {kernel}");
        figure(&name, Some(kernel), measure, &[ns])
    };
    ModelResults {
        name: "R1".into(),
        about: "a model".into(),
        figures: vec![
            own("avx2", Measure::One, 100.0),
            own("portable", Measure::One, 400.0),
            own("avx2", Measure::Batch(64), 20.0),
            own("portable", Measure::Batch(64), 80.0),
            figure(EXPORT, None, Measure::One, &[1_000.0]),
            figure(
                "CatBoost 1.2.10, Python",
                None,
                Measure::Batch(20_000),
                &[130.0],
            ),
        ],
    }
}

#[test]
fn figures_are_minimum_and_median_of_rounds() {
    let odd = figure("x", None, Measure::One, &[5.0, 1.0, 3.0]);
    assert_eq!((odd.min, odd.median, odd.rounds), (1.0, 3.0, 3));
    let even = figure("x", None, Measure::One, &[8.0, 1.0, 3.0, 4.0]);
    assert_eq!((even.min, even.median), (1.0, 3.5));
    assert_eq!(Figure::new("x", None, Measure::One, &[], 0), None);
}

#[test]
fn ratios_are_the_less_favourable_of_minima_and_medians() {
    let own = figure("own", None, Measure::One, &[1.0, 4.0, 4.0]);
    let peer = figure("peer", None, Measure::One, &[10.0, 12.0, 12.0]);
    assert_eq!(times(&peer, &own), 3.0);
    let steady = figure("own", None, Measure::One, &[2.0, 2.0, 2.0]);
    assert_eq!(times(&peer, &steady), 5.0);
}

#[test]
fn peers_are_held_against_the_best_kernel_of_their_measure() {
    let model = model();
    let best = |measure| model.best(measure).map(|best| best.name.as_str());
    assert_eq!(best(Measure::One), Some("hedgerow avx2"));
    assert_eq!(best(Measure::Cold), None);
    let times: Vec<_> = model.figures.iter().map(|f| model.times(f)).collect();
    let expected = [1.0, 4.0, 1.0, 4.0, 10.0, 6.5];
    assert_eq!(times, expected.map(Some));
    let cold = figure(EXPORT, None, Measure::Cold, &[5.0]);
    assert_eq!(model.times(&cold), None);
}

#[test]
fn targets_are_met_missed_or_not_measured() {
    let models = [model()];
    let outcome = |at: usize| TARGETS[at].outcome(&models);
    let told = |at: usize| (outcome(at).measured, outcome(at).outcome);
    // No AVX-512 in the model's figures.
    assert_eq!(outcome(0).measured, None);
    assert!(outcome(0).outcome.starts_with("not measured: this machine"));
    assert_eq!(told(1), (Some(10.0), "met".into()));
    assert_eq!(told(2), (Some(2.5), "met".into()));
    // No such model.
    assert!(outcome(3).outcome.starts_with("not measured: the peer"));
    let batch = TARGETS.len() - 1;
    assert_eq!(told(batch), (Some(6.5), "NOT MET".into()));
    assert_eq!(outcome(batch).kernel, Some("avx2"));
}

#[test]
fn a_target_is_met_at_its_figure_and_not_below() {
    let mut at = model();
    at.figures[4] = figure(EXPORT, None, Measure::One, &[200.0]);
    assert_eq!(TARGETS[1].outcome(&[at.clone()]).outcome, "met");
    at.figures[4] = figure(EXPORT, None, Measure::One, &[199.0]);
    assert_eq!(TARGETS[1].outcome(&[at]).outcome, "NOT MET");
}

#[test]
fn every_target_names_a_peer_that_is_measured() {
    let source = concat!(
        include_str!("subjects/catboost.rs"),
        include_str!("subjects/lightgbm.rs"),
        include_str!("subjects/python.rs"),
        include_str!("subjects/treelite.rs"),
        include_str!("subjects/xgboost.rs"),
    );
    for target in TARGETS {
        assert!(
            source.contains(&format!("\"{}\"", target.peer)),
            "{target:?}"
        );
    }
}

#[test]
fn numbers_are_written_as_people_read_them() {
    let cases = [
        (0.0, "0"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1_234.0, "1,234"),
        (20_000.0, "20,000"),
        (1_234_567.0, "1,234,567"),
        (64.0, "64"),
        (99.97, "100"),
    ];
    for (value, text) in cases {
        assert_eq!(grouped(value), text);
    }
}

#[test]
fn csv_and_json_hold_every_figure() {
    let models = [model()];
    let text = csv(&models);
    assert_eq!(text.lines().count(), 1 + models[0].figures.len());
    assert!(text.contains("R1,\"CatBoost 1.2.10, exported C++\",\"one row\",1000.000,1000.000,10"));
    let outcomes: Vec<Outcome> = TARGETS.iter().map(|t| t.outcome(&models)).collect();
    let json = json(&models, &outcomes);
    assert_eq!(json["models"][0]["figures"][4]["times_hedgerow"], 10.0);
    assert_eq!(
        json["targets"].as_array().map(Vec::len),
        Some(TARGETS.len())
    );
}
