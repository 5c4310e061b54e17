//! A server on hyper and a work-stealing runtime, whose requests move between threads: scored
//! with the traffic of each client, from the table of a watched directory.
//!
//! `cargo run --release -p hedgerow-hyper -- 127.0.0.1:8080 /var/lib/hedgerow`

mod bots;

use bots::Bots;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use std::{convert::Infallible, error::Error, net::IpAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::sleep};

async fn answer(asked: Request<Incoming>, bots: Arc<Bots>, client: IpAddr) -> Response<String> {
    let scored = bots.score(&asked, client);
    let mut response = page(&asked).await; // or another answer, where the score is too low
    bots.finish(&scored, client, response.status().as_u16());
    if let Some(score) = scored.score() {
        let headers = response.headers_mut();
        headers.insert("x-bot-score", u16::from(score.get()).into());
    }
    response
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, directory] = arguments.as_slice() else {
        return Err("expected ADDRESS and DIRECTORY".into());
    };
    let bots = Arc::new(Bots::open(directory)?);
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await; // no descriptor is left for now
            continue;
        };
        let bots = bots.clone();
        let service = service_fn(move |asked| {
            let answer = answer(asked, bots.clone(), peer.ip());
            async { Ok::<_, Infallible>(answer.await) }
        });
        let stream = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(http1::Builder::new().serve_connection(stream, service));
    }
}

/// The site: one page, after some waiting, behind which another thread may go on.
async fn page(asked: &Request<Incoming>) -> Response<String> {
    sleep(Duration::from_millis(1)).await;
    let (status, text) = match asked.uri().path() {
        "/" => (200, "hello\n"),
        _ => (404, "not here\n"),
    };
    let mut response = Response::new(text.to_string());
    *response.status_mut() = status.try_into().unwrap_or_default();
    response
}
