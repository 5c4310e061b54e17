//! The list of traffic features: name, kind, range, when missing, and why it tells.

use super::VALUES;
use crate::http::{self, FeatureDoc};
use crate::schema::{Feature, FeatureKind, Schema};

macro_rules! features {
    ($($id:ident $name:literal $max:literal, $missing:expr, $why:literal;)+) => {
        /// A feature's position in [`FEATURES`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Id { $($id),+ }

        /// Every traffic feature, in the order in which [`Observed::fill`](super::Observed::fill)
        /// writes them.
        pub static FEATURES: &[FeatureDoc] = &[$(FeatureDoc {
            name: $name,
            kind: FeatureKind::Number,
            min: 0.0,
            max: $max,
            missing: $missing,
            why: $why,
        }),+];
    };
}

const FIRST: &str = "the client's first request";

features! {
    Second "traffic_requests_1s" 524_280.0, FIRST,
        "Requests of the last second, this one included: faster than pages load.";
    Ten "traffic_requests_10s" 524_280.0, FIRST,
        "Requests of the last 10 seconds: a page with its parts is a burst that ends.";
    Minute "traffic_requests_60s" 524_280.0, FIRST,
        "Requests of the last minute: people read, crawlers go on.";
    Paths "traffic_paths" 311.0, "the client's first request, or no path known",
        "About how many different paths in one to two minutes: crawlers and scanners see many.";
    Agents "traffic_agents" 311.0, "the client's first request, or no agent known",
        "About how many different agents in one to two minutes: rotated agents, or a NAT.";
    GapMean "traffic_gap_mean" 86_400.0, FIRST,
        "Mean seconds between requests, of about the last 64: pollers that no window counts.";
    GapVariation "traffic_gap_variation" 16.0,
        "fewer than five requests, or all at one time",
        "Standard deviation of these gaps by their mean: timers 0, chance 1, people 2 and more.";
    Errors "traffic_error_share" 1.0, "fewer than four answers",
        "Share of answers 4xx and 5xx, of about the last 64: guessed paths and passwords.";
    Assets "traffic_asset_share" 1.0, "fewer than four requests with a known path",
        "Share of images, styles, scripts and fonts, of about the last 64: scripts take none.";
    Bare "traffic_no_referer_share" 1.0, "fewer than four requests of which it is known",
        "Share without a Referer, of about the last 64: parts of pages come with one.";
    Repeats "traffic_repeat_share" 1.0, "fewer than five requests with a known path",
        "Share for the path that was asked for just before, of about the last 64: pollers, logins.";
    Age "traffic_age" 18_446_744_073.0, FIRST,
        "Seconds since the first request that is remembered: how much the others rest on.";
}

const _: () = assert!(FEATURES.len() == VALUES);
const _: () = assert!(http::FEATURES.len() + VALUES <= crate::limits::FEATURES_MAX);

/// The place of a traffic feature in [`FEATURES`]; its row position is this and the base that
/// [`Observed::fill`](super::Observed::fill) is given.
pub fn position(name: &str) -> Option<u8> {
    let at = FEATURES.iter().position(|doc| doc.name == name)?;
    u8::try_from(at).ok()
}

impl Schema {
    /// The schema of the built-in HTTP features, followed by those of
    /// [`traffic`](super::FEATURES), which start at position [`HTTP_BASE`].
    pub fn http_with_traffic() -> Schema {
        let docs = http::FEATURES.iter().chain(FEATURES);
        let features = docs.map(|doc| Feature {
            name: doc.name.to_owned(),
            kind: doc.kind,
        });
        Schema::built_in(features.collect())
    }
}

/// Where the traffic features start in rows of [`Schema::http_with_traffic`].
pub const HTTP_BASE: u8 = http::FEATURES.len() as u8;
