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
#[cfg(feature = "ja4")]
mod ja4;
mod negotiation;
mod peer;
mod request;
mod site;
mod target;
mod tls;
mod values;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use extract::{Named, extract_named};
pub use extract::{extract, extract_from};
pub use features::{FEATURES, FeatureDoc, position};
#[cfg(feature = "ja4")]
pub use ja4::Ja4;
pub use request::{Header, HeadersKnown, Hop, Request, Scheme, Version};
pub(crate) use target::is_asset;
pub use tls::{ClientHello, Tls};

pub use crate::limits::{HEADERS_SCANNED_MAX, TARGET_SCANNED_MAX, VALUE_SCANNED_MAX};
