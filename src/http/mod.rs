//! From an HTTP request to a row: the built-in features, and the code that fills them.
//!
//! A host describes a request as a [`Request`], a view that borrows everything, and [`extract`]
//! fills the features of [`FEATURES`] into a [`Row`](crate::Row). Proxies and log readers use the
//! same code, so that what a table is trained on and what it scores cannot differ.
//!
//! What is not known is missing (NaN), never 0: an access log knows no `Accept` header, which is
//! not a request without one. [`HeadersKnown`] and [`Scheme`] say what is known.
//!
//! ```
//! use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract, position};
//! use hedgerow::Row;
//!
//! let headers = [
//!     Header::new(b"Host", b"example.org"),
//!     Header::new(b"User-Agent", b"curl/8.5.0"),
//!     Header::new(b"Accept", b"*/*"),
//! ];
//! let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete)
//!     .version(Version::Http11)
//!     .scheme(Scheme::Https);
//! let mut row = Row::MISSING;
//! extract(&request, &mut row);
//! let tool = position("ua_tool_word").map(|at| row.get(at));
//! assert_eq!(tool, Some(1.0));
//! ```

mod agent;
mod bytes;
mod consistency;
mod extract;
mod features;
mod headers;
mod request;
mod target;
mod values;

#[cfg(test)]
mod tests;

pub use extract::extract;
pub use features::{FEATURES, FeatureDoc, position};
pub use request::{Header, HeadersKnown, Request, Scheme, Version};
pub(crate) use target::is_asset;

/// Headers that are looked at; those beyond are ignored. Browsers send fewer than 30, and common
/// servers refuse more than 100.
pub const HEADERS_SCANNED_MAX: usize = 128;

/// Bytes of a header's value that are looked at. The longest value that a feature reads, the
/// User-Agent of an in-app browser, stays below 600.
pub const VALUE_SCANNED_MAX: usize = 1_024;

/// Bytes of a request's target that are looked at.
pub const TARGET_SCANNED_MAX: usize = 1_024;
