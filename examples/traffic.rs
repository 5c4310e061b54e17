//! Traffic windows in a host: one visitor reads a shop, the other takes its pages by a timer, and
//! both send the same browser's headers.
//!
//! `cargo run --release --example traffic`

use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract};
use hedgerow::traffic::{ClientKey, FEATURES, Facts, HTTP_BASE, Observed, Windows, random_seed};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Scorer, Table};
use std::net::IpAddr;

const MILLISECOND: u64 = 1_000_000;

/// A request of the stream: when, by whom, for what, and the answer's status.
type Come = (u64, IpAddr, String, u16);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The bundled table uses the HTTP features alone; one that was trained on rows of this schema
    // uses the others, too.
    let engine = Engine::new(Schema::http_with_traffic());
    engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;
    let mut scorer = engine.scorer()?;
    let mut windows = Windows::new(8_192, random_seed())?;

    let reader: IpAddr = "192.0.2.10".parse()?;
    let crawler: IpAddr = "192.0.2.20".parse()?;
    let mut stream = browse(reader);
    stream.extend(crawl(crawler));
    stream.sort();

    let mut last = [None, None];
    for come in &stream {
        let seen = serve(&mut scorer, &mut windows, come);
        last[usize::from(come.1 == crawler)] = Some(seen);
    }
    let [Some((one, one_score)), Some((other, other_score))] = last else {
        return Err("expected requests of both, got none of one".into());
    };
    println!(
        "{:<26} {:>10} {:>10}",
        "after a minute", "reading", "crawling"
    );
    for (doc, (one, other)) in FEATURES.iter().zip(one.values().iter().zip(other.values())) {
        println!("{:<26} {one:>10.2} {other:>10.2}", doc.name);
    }
    println!(
        "{:<26} {one_score:>10} {other_score:>10}",
        "score by the headers alone"
    );
    Ok(())
}

/// What a proxy does with each request: extract, observe, score, answer, finish.
fn serve(scorer: &mut Scorer, windows: &mut Windows, come: &Come) -> (Observed, u8) {
    let (now, address, path, status) = come;
    let mut headers = vec![
        Header::new(b"Host", b"shop.example"),
        Header::new(b"User-Agent", AGENT),
        Header::new(b"Accept", b"*/*"),
    ];
    if path != "/" {
        headers.push(Header::new(b"Referer", b"https://shop.example/"));
    }
    headers.push(Header::new(b"Accept-Encoding", b"gzip, deflate, br, zstd"));
    headers.push(Header::new(b"Accept-Language", b"en-GB,en;q=0.9"));
    let request = Request::new(b"GET", path.as_bytes(), &headers, HeadersKnown::Complete)
        .version(Version::Http11)
        .scheme(Scheme::Https);
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    let seen = windows.observe(&ClientKey::address(*address), &Facts::of(&request), *now);
    seen.fill(&mut row, HTTP_BASE);
    let score = scorer.score(&row).score().map_or(0, |score| score.get());
    windows.finish(seen.id(), *status);
    (seen, score)
}

/// Pages after some seconds each, with their parts at once.
fn browse(who: IpAddr) -> Vec<Come> {
    let mut stream = Vec::new();
    for (page, second) in [0, 9, 13, 37, 58].into_iter().enumerate() {
        let from = second * 1_000 * MILLISECOND;
        stream.push((from, who, format!("/page/{page}"), 200));
        for part in 0..6 {
            let now = from + (120 + part * part * 7) * MILLISECOND;
            stream.push((now, who, format!("/static/{page}-{part}.webp"), 200));
        }
    }
    stream
}

/// A page every 400 milliseconds; some are not there.
fn crawl(who: IpAddr) -> Vec<Come> {
    let page = |n: u64| {
        let status = if n.is_multiple_of(7) { 404 } else { 200 };
        (n * 400 * MILLISECOND, who, format!("/product/{n}"), status)
    };
    (0..150).map(page).collect()
}

const AGENT: &[u8] = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
