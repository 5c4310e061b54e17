//! A table whose scores say what a host knows of a request, for tests of what is in front of it.
//!
//! The request has to be that of a Chromium of version 90 or later for another host than localhost.

use hedgerow::model::{BuildOptions, Ensemble, Missing, Node, Split, Test, Tree, build};
use hedgerow::{Feature, FeatureKind};
use std::fmt;

/// The agent of requests to a host with this table.
pub const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                         Chrome/140.0.0.0 Safari/537.36";

/// What a host knows of a request, each as one of three states.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Known([u8; 4]);

/// The names of the states, by fact.
const STATES: [[&str; 3]; 4] = [
    ["proxy", "client", "forward proxy"],
    ["unknown address", "private address", "public address"],
    ["unknown scheme", "http", "https"],
    ["version 1 or unknown", "version 2", "JA4 known"],
];

impl Known {
    /// Reads a score of the table.
    pub fn of(score: u8) -> Known {
        let mut code = score.saturating_sub(1);
        Known([0; 4].map(|_: u8| {
            let state = code % 3;
            code /= 3;
            state
        }))
    }
}

impl fmt::Display for Known {
    /// As in `client, private address, http, version 1 or unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().zip(STATES);
        let names = names.filter_map(|(state, names)| names.get(usize::from(*state)).copied());
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const FEATURES: [(&str, FeatureKind); 6] = [
    ("headers_forwarded", FeatureKind::Flag),
    ("peer_private", FeatureKind::Flag),
    ("secure_headers_on_http", FeatureKind::Flag),
    ("hints_missing", FeatureKind::Flag),
    ("tls_ciphers_browser", FeatureKind::Flag),
    ("http_2_or_3", FeatureKind::Flag),
];

/// A test of a feature, and the state of the fact where it holds.
type Rule = (u16, f32, u8);

/// Holds where a feature is known, as every value of a flag is above it.
const KNOWN: f32 = -1.0;
const SET: f32 = 0.5;

/// For each fact two rules, the first of which comes first; the state is 0 where none holds.
const RULES: [[Rule; 2]; 4] = [
    [(0, SET, 2), (0, KNOWN, 1)],
    [(1, SET, 1), (1, KNOWN, 2)],
    [(2, KNOWN, 1), (3, KNOWN, 2)],
    [(4, KNOWN, 2), (5, SET, 1)],
];

/// The table.
pub fn table() -> Vec<u8> {
    let mut nodes = Vec::new();
    grow(&mut nodes, &RULES, 0, 1);
    let features = FEATURES.iter().map(|(name, kind)| Feature {
        name: (*name).into(),
        kind: *kind,
    });
    let ensemble = Ensemble {
        features: features.collect(),
        trees: vec![Tree::Any { nodes }],
        bias: 0.0,
    };
    let built = build(&ensemble, &BuildOptions::default());
    built.expect("a table").bytes
}

/// Adds the nodes for the facts that are left. Returns the first one's place.
fn grow(nodes: &mut Vec<Node>, facts: &[[Rule; 2]], code: u32, factor: u32) -> u32 {
    let here = nodes.len();
    let Some(([first, second], rest)) = facts.split_first() else {
        // The middle of the band of a score, of which 1 + code is the number.
        let share = (f64::from(code) + 0.5) / 99.0;
        let value = (share / (1.0 - share)).ln();
        nodes.push(Node::Leaf { value });
        return here as u32;
    };
    nodes.push(Node::Leaf { value: 0.0 });
    nodes.push(Node::Leaf { value: 0.0 });
    let mut state = |state: u8| grow(nodes, rest, code + factor * u32::from(state), factor * 3);
    let places = [state(0), state(second.2), state(first.2)];
    nodes[here + 1] = split(second, places[0], places[1]);
    nodes[here] = split(first, here as u32 + 1, places[2]);
    here as u32
}

fn split((feature, border, _): &Rule, left: u32, right: u32) -> Node {
    Node::Split {
        split: Split {
            feature: *feature,
            test: Test::Above(*border),
            missing: Missing::Left,
            zero_is_missing: false,
        },
        left,
        right,
    }
}
