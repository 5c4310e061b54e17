//! The engine in a host: publish the bundled table, then score a request on this thread.
//!
//! `cargo run --release --example embed`

use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table, Verdict};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Schema::http());
    engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;
    let mut scorer = engine.scorer()?;

    let headers = [
        Header::new(b"Host", b"shop.example"),
        Header::new(b"User-Agent", b"curl/8.5"),
    ];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete)
        .version(Version::Http11)
        .scheme(Scheme::Https);
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    match scorer.score(&row) {
        Verdict::Scored(v) => println!("score {} from generation {}", v.score, v.generation),
        Verdict::VerifiedBot(bot) => println!("verified, {}", bot.category.name()),
        Verdict::NotScored(not) => println!("no score: {}", not.reason.name()),
    }
    Ok(())
}
