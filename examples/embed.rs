//! The engine in a host: open the bundled table, then score a request on this thread.
//!
//! `cargo run --release --example embed`

use hedgerow::host::{self, HostOptions, OpenOptions, headers};
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let opened = host::open(OpenOptions::default())?; // once per process
    let mut scorer = opened.engine.request_scorer(HostOptions::default())?; // once per thread

    let list = [
        Header::new(b"Host", b"shop.example"),
        Header::new(b"User-Agent", b"curl/8.5"),
    ];
    let request = Request::new(b"GET", b"/", &list, HeadersKnown::Complete)
        .version(Version::Http11)
        .scheme(Scheme::Https)
        .peer("192.0.2.1".parse()?);
    let scored = scorer.score(&request);
    let source = headers::source(&scored);
    match scored.score() {
        Some(score) => println!("score {score} by {source}"),
        None => println!("{source}"), // a verified bot, or no score
    }
    scorer.finish(scored.client(), 200); // the status of the answer
    Ok(())
}
