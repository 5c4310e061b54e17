//! The traffic windows against an exact model that keeps everything, within the stated errors.

#[path = "common/mod.rs"]
mod common;

use common::Random;
use hedgerow::Row;
use hedgerow::http::{FEATURES as HTTP, Header, HeadersKnown, Request, extract};
use hedgerow::schema::check_features;
use hedgerow::traffic::{
    ClientKey, FEATURES, Facts, HTTP_BASE, TrafficError, Windows, position, random_seed,
};
use hedgerow::{Feature, Schema};
use std::collections::{HashSet, VecDeque};

const SECOND: u64 = 1_000_000_000;

/// What one client did, all of it.
#[derive(Default)]
struct Model {
    /// The clock as the client's windows see it.
    times: VecDeque<u64>,
    first: u64,
    paths: Vec<(u64, u64)>,
    agents: Vec<(u64, u64)>,
    gaps: Vec<f64>,
    repeats: Vec<f64>,
    assets: Vec<f64>,
    bare: Vec<f64>,
    errors: Vec<f64>,
}

/// Mean and variance with the documented weights: 1/n for the first 64, then 1/64.
fn weighted(values: &[f64]) -> (f64, f64) {
    let mut weights = Vec::new();
    let mut left = 1.0;
    for at in (1..=values.len()).rev() {
        let own = 1.0 / at.min(64) as f64;
        weights.push(left * own);
        left *= 1.0 - own;
    }
    let pairs = || weights.iter().zip(values.iter().rev());
    let mean: f64 = pairs().map(|(weight, value)| weight * value).sum();
    let variance = pairs().map(|(weight, value)| weight * (value - mean).powi(2));
    (mean, variance.sum())
}

impl Model {
    fn observe(&mut self, path: Option<u64>, agent: u64, facts: &Facts<'_>, now: u64) {
        if self
            .times
            .back()
            .is_some_and(|last| last - now.min(*last) > SECOND)
        {
            *self = Model::default();
        }
        let now = self.times.back().map_or(now, |last| now.max(*last));
        match self.times.back() {
            Some(last) => self.gaps.push((now - last) as f64 / 1e9),
            None => self.first = now,
        }
        self.times.push_back(now);
        if let Some(path) = path {
            if let Some((_, before)) = self.paths.last() {
                self.repeats.push(f64::from(*before == path));
            }
            self.paths.push((now, path));
        }
        self.agents.push((now, agent));
        self.assets.extend(facts.asset.map(f64::from));
        self.bare.extend(facts.referer.map(|has| f64::from(!has)));
    }

    /// Requests whose age is at most this.
    fn count(&self, now: u64, age: u64) -> f32 {
        self.times.iter().filter(|time| now - **time <= age).count() as f32
    }

    fn check(&self, values: &[f32]) {
        let get = |name: &str| values[usize::from(position(name).expect(name))];
        if self.times.len() < 2 {
            assert!(values.iter().all(|value| value.is_nan()), "{values:?}");
            return;
        }
        let now = *self.times.back().expect("a request");
        for (name, window) in [("1s", 1), ("10s", 10), ("60s", 60)] {
            let window = window * SECOND;
            let got = get(&format!("traffic_requests_{name}"));
            let (least, most) = (self.count(now, window / 8 * 7), self.count(now, window - 1));
            assert!(
                least <= got && got <= most,
                "{name}: {least} <= {got} <= {most}"
            );
        }
        let age = (now - self.first) as f64 / 1e9;
        near("age", get("traffic_age"), age, 1e-6, 1e-6 * age);
        different("paths", get("traffic_paths"), &self.paths, now);
        different("agents", get("traffic_agents"), &self.agents, now);
        let (mean, variance) = weighted(&self.gaps);
        near(
            "gap",
            get("traffic_gap_mean"),
            mean.min(86_400.0),
            1e-6,
            1e-5 * mean,
        );
        let variation = get("traffic_gap_variation");
        if self.gaps.len() < 4 || mean == 0.0 {
            assert!(variation.is_nan(), "{variation} of {:?}", self.gaps);
        } else {
            let exact = (variance.sqrt() / mean).min(16.0);
            near("variation", variation, exact, 1e-3, 1e-3 * exact);
        }
        for (name, list) in [
            ("traffic_error_share", &self.errors),
            ("traffic_asset_share", &self.assets),
            ("traffic_no_referer_share", &self.bare),
            ("traffic_repeat_share", &self.repeats),
        ] {
            match list.len() {
                0..4 => assert!(get(name).is_nan(), "{name}"),
                _ => near(name, get(name), weighted(list).0, 1e-5, 0.0),
            }
        }
    }
}

fn near(name: &str, got: f32, exact: f64, absolute: f64, relative: f64) {
    let error = (f64::from(got) - exact).abs();
    assert!(
        error <= absolute + relative,
        "{name}: {got}, exactly {exact}"
    );
}

/// Between what one minute and what two minutes held: never above, and not six standard
/// deviations below.
fn different(name: &str, got: f32, things: &[(u64, u64)], now: u64) {
    let within = |seconds: u64| {
        let young = things
            .iter()
            .filter(|(time, _)| now - time <= seconds * SECOND);
        young.map(|(_, thing)| thing).collect::<HashSet<_>>().len() as f64
    };
    let (one, two) = (within(59), within(120));
    if got.is_nan() {
        assert_eq!(one, 0.0, "{name}");
        return;
    }
    let most = 64.0 * (64.0 / (64.0 - two).max(0.5)).ln();
    assert!(
        f64::from(got) <= most + 0.001,
        "{name}: {got}, at most {most}"
    );
    let bits = 64.0 * (1.0 - (-f64::from(got) / 64.0).exp());
    let load = one / 64.0;
    let expected = 64.0 * (1.0 - (-load).exp());
    let spread = (64.0 * (-load).exp() * (1.0 - (1.0 + load) * (-load).exp())).sqrt();
    assert!(
        bits >= expected - 6.0 * spread - 1.0,
        "{name}: {got} for {one}"
    );
}

fn in_range(values: &[f32]) {
    for (doc, value) in FEATURES.iter().zip(values) {
        let fits = value.is_nan() || (doc.min..=doc.max).contains(value);
        assert!(fits, "{}: {value}", doc.name);
    }
}

/// How clients come in one history.
#[derive(Clone, Copy)]
enum Pace {
    Timer(u64),
    Chance(u64),
    Bursts,
    Any,
}

/// The time of the next request: forward, or by a clock that jumps.
fn next(now: u64, pace: Pace, jumps: bool, random: &mut Random) -> u64 {
    if jumps && random.below(200) == 0 {
        return match random.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - random.below(100 * SECOND),
            3 => now.saturating_sub(random.below(SECOND + 2)),
            4 => now.saturating_sub(random.below(200 * SECOND)),
            _ => now.saturating_add(random.next() >> random.below(40)),
        };
    }
    let step = match pace {
        Pace::Timer(step) => step,
        Pace::Chance(mean) => (-(1.0 - random.unit()).ln() * mean as f64) as u64,
        Pace::Bursts if random.below(15) == 0 => random.below(90 * SECOND),
        Pace::Bursts => random.below(SECOND / 20),
        Pace::Any => match random.below(5) {
            0 => 0,
            1 => random.below(1_000),
            2 => random.below(SECOND),
            3 => random.below(20 * SECOND),
            _ => [125_000_000, 875_000_000, SECOND, 10 * SECOND, 60 * SECOND]
                [random.below(5) as usize],
        },
    };
    now.saturating_add(step)
}

fn history(seed: u64, jumps: bool) {
    let random = &mut Random::new(seed);
    let mut windows = Windows::new(1_024, u128::from(seed)).expect("windows");
    let pace = [
        Pace::Timer(1 + random.below(3 * SECOND)),
        Pace::Chance(1 + random.below(10 * SECOND)),
        Pace::Bursts,
        Pace::Any,
    ][random.below(4) as usize];
    let mut now = [0, random.below(100 * SECOND), random.next() / 2][random.below(3) as usize];
    let clients = 1 + random.below(3);
    let mut models: Vec<Model> = (0..clients).map(|_| Model::default()).collect();
    let variety = 1 + random.below(150);
    for _ in 0..600 {
        now = next(now, pace, jumps, random);
        let client = random.below(clients);
        let path = (random.below(10) != 0).then(|| random.below(variety));
        let agent = random.below(1 + variety / 20);
        let bytes = (path.unwrap_or_default().to_le_bytes(), agent.to_le_bytes());
        let facts = Facts {
            path: path.map(|_| bytes.0.as_slice()),
            agent: Some(&bytes.1),
            asset: [Some(false), Some(true), None][random.below(3) as usize],
            referer: [Some(false), Some(true), None][random.below(3) as usize],
        };
        let name = client.to_le_bytes();
        let seen = windows.observe(&ClientKey::bytes(&name), &facts, now);
        let model = &mut models[client as usize];
        model.observe(path, agent, &facts, now);
        in_range(seen.values());
        model.check(seen.values());
        let status = [200, 301, 404, 500, 0, 99, 600, 65_535][random.below(8) as usize];
        windows.finish(seen.id(), status);
        let valid = (100..=599).contains(&status);
        model
            .errors
            .extend(valid.then_some(f64::from(u8::from(status >= 400))));
    }
}

const HISTORIES: u64 = if cfg!(debug_assertions) { 20 } else { 1_000 };

#[test]
fn values_are_within_the_stated_errors_of_the_exact_ones() {
    for seed in 0..HISTORIES {
        history(seed, false);
    }
}

#[test]
fn a_clock_that_jumps_is_harmless() {
    for seed in 0..HISTORIES {
        history(seed, true);
    }
}

/// The whole of `u64` in steps, then from its end to its beginning.
#[test]
fn any_time_any_key_and_any_status_are_fine() {
    let random = &mut Random::new(9);
    let mut windows = Windows::new(64, 1).expect("windows");
    let long = vec![b'/'; 100_000];
    for round in 0..100_000_u64 {
        let bits = random.below(64);
        let now = random.next() >> bits;
        let key = random.next().to_le_bytes();
        let key = match round % 3 {
            0 => ClientKey::bytes(&key[..(round % 9) as usize]),
            1 => ClientKey::address([key[0] & 7, 0, 0, 0].into()),
            _ => ClientKey::address([u16::from(key[0]), 0, 0, 0, 1, 2, 3, 4].into()),
        };
        let path = &long[..if round % 1_000 == 0 { long.len() } else { 30 }];
        let facts = Facts {
            path: Some(path),
            agent: Some(path),
            asset: None,
            referer: None,
        };
        let seen = windows.observe(&key, &facts, now);
        in_range(seen.values());
        windows.finish(seen.id(), random.next() as u16);
    }
}

#[test]
fn counts_stop_at_their_maximum() {
    let mut windows = Windows::new(8, 1).expect("windows");
    let key = ClientKey::bytes(b"one");
    let mut last = [0.0; 12];
    for round in 0..1_200_000_u64 {
        // Eight parts of a second, each with more than fits.
        let now = round / 75_000 * 125_000_000;
        last = *windows.observe(&key, &Facts::default(), now).values();
    }
    let at = usize::from(position("traffic_requests_1s").expect("a feature"));
    assert_eq!(last[at], 8.0 * 65_535.0);
    assert_eq!(last[at], FEATURES[at].max);
}

#[test]
fn the_schema_is_http_and_traffic() {
    let schema = Schema::http_with_traffic();
    assert_eq!(check_features(schema.features()), Ok(()));
    let names = schema
        .features()
        .iter()
        .map(|feature| feature.name.as_str());
    let docs = HTTP.iter().chain(FEATURES).map(|doc| doc.name);
    assert!(names.eq(docs));
    for doc in FEATURES {
        assert!(doc.name.starts_with("traffic_") && doc.min == 0.0 && doc.max > 0.0);
        assert!(!doc.missing.is_empty() && doc.why.ends_with('.'));
        let at = position(doc.name).map(|at| at + HTTP_BASE);
        assert_eq!(schema.index_of(doc.name), at);
    }
    let feature = |name: &str| Feature {
        name: name.to_owned(),
        kind: FEATURES[0].kind,
    };
    assert!(schema.features().contains(&feature("traffic_age")));
}

#[test]
fn values_go_where_the_base_says() {
    let mut windows = Windows::new(8, 1).expect("windows");
    let headers = [Header::new(b"User-Agent", b"curl/8.5.0")];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let mut row = Row::from_slice(&[7.0; 256]);
    extract(&request, &mut row);
    let before = row.clone();
    let key = ClientKey::address([192, 0, 2, 1].into());
    let _ = windows.observe(&key, &Facts::of(&request), 5);
    let seen = windows.observe(&key, &Facts::of(&request), SECOND / 2);
    assert_eq!(seen.values()[0], 2.0);
    for base in [HTTP_BASE, 200, 250, 255] {
        let mut row = before.clone();
        seen.fill(&mut row, base);
        let base = usize::from(base);
        let end = (base + FEATURES.len()).min(256);
        for (at, value) in row.values().iter().enumerate() {
            let expected = match at {
                at if (base..end).contains(&at) => seen.values()[at - base],
                at => before.values()[at],
            };
            assert_eq!(value.to_bits(), expected.to_bits(), "{at}");
        }
    }
}

/// Who comes once a minute keeps its place, wherever in a second it comes.
#[test]
fn a_client_is_idle_after_a_whole_minute() {
    let mut windows = Windows::new(8, 1).expect("windows");
    let observe = |windows: &mut Windows, client: u8, now: u64| {
        for _ in 0..3 {
            let _ = windows.observe(&ClientKey::bytes(&[client]), &Facts::default(), now);
        }
    };
    (0..6).for_each(|client| observe(&mut windows, client, SECOND * 9 / 10));
    assert_eq!(windows.stats().established, 6);
    observe(&mut windows, 6, SECOND * 601 / 10);
    assert_eq!((windows.stats().displaced, windows.stats().crowded), (0, 1));
    observe(&mut windows, 7, SECOND * 62);
    assert_eq!(windows.stats().displaced, 1);
}

#[test]
fn windows_are_of_a_size_that_can_be() {
    for clients in [0, 1, 4, 12, 8_191, 131_072, usize::MAX] {
        let refused = Windows::new(clients, 1).map(|_| ());
        assert_eq!(refused, Err(TrafficError::Clients { got: clients }));
    }
    let text = TrafficError::Clients { got: 12 }.to_string();
    assert!(
        text.contains("8 to 65536") && text.contains("got 12"),
        "{text}"
    );
    assert_eq!(Windows::bytes(8_192), 1_114_112);
    assert_eq!(Windows::bytes(65_536), 8_912_896);
    assert!(Windows::new(65_536, random_seed()).is_ok());
    assert_ne!(random_seed(), random_seed());
}
