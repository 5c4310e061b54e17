//! Workers on every core: one request waited for by blocking, one by `await`, and a batch inline.
//!
//! `cargo run --release --example pool`

use hedgerow::pool::{Pool, PoolOptions};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table, Verdict};

async fn score_later(pool: &Pool, row: &Row) -> Option<Verdict> {
    let mut call = pool.call()?;
    Some(call.submit(row).await)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Schema::http());
    engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;

    let pool = Pool::start(&engine, &PoolOptions::default())?;
    let row = Row::MISSING;
    let mut call = pool.call().ok_or("a pool without workers")?;
    println!("blocking: {:?}", call.score(&row));

    // Any executor does; this one polls until the worker has answered.
    let mut later = std::pin::pin!(score_later(&pool, &row));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(verdict) = later.as_mut().poll(&mut context) {
            println!("awaited:  {verdict:?}");
            break;
        }
        std::thread::yield_now();
    }

    let mut scorer = engine.scorer()?;
    let rows = vec![row.clone(); 64];
    let mut verdicts = vec![call.score(&rows[0]); rows.len()];
    let count = scorer.score_batch(&rows, &mut verdicts);
    println!(
        "a batch:  {count} verdicts; engine: {:?}",
        engine.stats().rows.scored
    );
    Ok(())
}
