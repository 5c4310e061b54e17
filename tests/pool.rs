//! A pool of workers gives the verdicts that a scorer gives, and answers whatever it accepted.

mod common;

use common::{Random, oblivious_ensemble, random_row, schema_of};
use hedgerow::model::{BuildOptions, build};
use hedgerow::pool::{Call, Pool, PoolError, PoolOptions};
use hedgerow::{Engine, Reason, Row, Table, Verdict};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

fn engine_and_rows() -> (Engine, Vec<Row>) {
    let ensemble = oblivious_ensemble(20, 100, 6, 3);
    let bytes = build(&ensemble, &BuildOptions::default()).unwrap().bytes;
    let engine = Engine::new(schema_of(&ensemble));
    engine.publish(Table::from_bytes(&bytes).unwrap()).unwrap();
    let mut random = Random::new(4);
    let rows = (0..500)
        .map(|_| Row::from_slice(&random_row(&ensemble, &mut random)))
        .collect();
    (engine, rows)
}

/// A pool of one worker, with this ring and so many turns before it parks.
fn one_worker(engine: &Engine, ring: usize, spins: u32) -> Pool {
    let every = Pool::start(engine, &PoolOptions::default()).unwrap();
    let cores = vec![every.cores()[0]];
    every.close();
    Pool::start(engine, &PoolOptions { cores, ring, spins }).unwrap()
}

fn reason(verdict: Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Scored(_) | Verdict::VerifiedBot(_) => None,
        Verdict::NotScored(not) => Some(not.reason),
    }
}

/// Polls a future on this thread, as an executor would.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_worker_gives_the_verdicts_of_a_scorer_waited_for_either_way() {
    let (engine, rows) = engine_and_rows();
    let pool = Pool::start(&engine, &PoolOptions::default()).unwrap();
    let mut scorer = engine.scorer().unwrap();
    let mut call = pool.call().unwrap();
    for row in &rows {
        let expected = scorer.score(row);
        assert_eq!(call.score(row), expected);
        assert_eq!(block_on(call.submit(row)), expected);
    }
    let stats = engine.stats();
    assert_eq!(stats.rows.scored, 3 * rows.len() as u64);
    assert_eq!(stats.rows.latency.count(), 2 * rows.len() as u64);
}

#[test]
fn a_parked_worker_wakes_up() {
    let (engine, rows) = engine_and_rows();
    let options = PoolOptions {
        spins: 0,
        ..PoolOptions::default()
    };
    let pool = Pool::start(&engine, &options).unwrap();
    let mut call = pool.call().unwrap();
    for row in rows.iter().take(20) {
        thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(reason(call.score(row)), None);
    }
}

#[test]
fn a_batch_gives_the_verdicts_of_single_rows() {
    let (engine, rows) = engine_and_rows();
    let mut scorer = engine.scorer().unwrap();
    for count in [0, 1, 63, 64, 65, 200] {
        let blank = scorer.score(&rows[499]);
        let mut verdicts = vec![blank; count + 1];
        assert_eq!(scorer.score_batch(&rows[..count], &mut verdicts), count);
        for (row, verdict) in rows.iter().zip(&verdicts[..count]) {
            assert_eq!(*verdict, scorer.score(row));
        }
        assert_eq!(verdicts[count], blank);
    }
}

#[test]
fn a_full_ring_is_overloaded_and_never_a_wait() {
    let (engine, rows) = engine_and_rows();
    let pool = one_worker(&engine, 1, 2_000);
    let mut calls: Vec<Call> = (0..512).map(|_| pool.call().unwrap()).collect();
    let mut verdicts = Vec::new();
    for _ in 0..50 {
        let pending: Vec<_> = calls.iter_mut().map(|call| call.submit(&rows[0])).collect();
        verdicts.extend(pending.into_iter().map(|pending| pending.wait()));
    }
    let overloaded = verdicts
        .iter()
        .filter(|v| reason(**v) == Some(Reason::Overloaded))
        .count();
    assert!(overloaded > 0, "a ring of one was never full");
    assert!(overloaded < verdicts.len(), "nothing was accepted");
    assert_eq!(pool.stats()[0].overloaded, overloaded as u64);
}

#[test]
fn a_request_that_was_given_up_keeps_its_call_busy_and_does_no_harm() {
    let (engine, rows) = engine_and_rows();
    let pool = Pool::start(&engine, &PoolOptions::default()).unwrap();
    let mut call = pool.call().unwrap();
    let mut scorer = engine.scorer().unwrap();
    let expected = scorer.score(&rows[1]);
    for _ in 0..1000 {
        drop(call.submit(&rows[0]));
        match call.score(&rows[1]) {
            Verdict::NotScored(not) => assert_eq!(not.reason, Reason::Overloaded),
            verdict => assert_eq!(verdict, expected),
        }
    }
}

#[test]
fn closing_answers_whatever_was_accepted() {
    let (engine, rows) = engine_and_rows();
    for _ in 0..30 {
        let pool = Pool::start(&engine, &PoolOptions::default()).unwrap();
        let calls: Vec<Call> = (0..4).map(|_| pool.call().unwrap()).collect();
        let answered = AtomicU64::new(0);
        thread::scope(|scope| {
            for mut call in calls {
                let (rows, answered) = (&rows, &answered);
                scope.spawn(move || {
                    for row in rows.iter().cycle() {
                        // Waits for ever if a request is lost.
                        let verdict = call.score(row);
                        answered.fetch_add(1, Ordering::Relaxed);
                        if reason(verdict) == Some(Reason::Closed) {
                            break;
                        }
                    }
                });
            }
            thread::sleep(std::time::Duration::from_millis(3));
            pool.close();
        });
        assert!(answered.load(Ordering::Relaxed) >= 4);
    }
}

#[test]
fn a_core_that_is_not_there_is_refused_by_its_number() {
    let (engine, _) = engine_and_rows();
    let options = PoolOptions {
        cores: vec![9999],
        ..PoolOptions::default()
    };
    match Pool::start(&engine, &options) {
        Err(PoolError::Core {
            core: 9999,
            allowed,
        }) => assert!(!allowed.is_empty()),
        other => panic!("{other:?}"),
    }
    for ring in [0, 65_537, usize::MAX] {
        let options = PoolOptions {
            ring,
            ..PoolOptions::default()
        };
        let refused = Pool::start(&engine, &options);
        assert!(matches!(refused, Err(PoolError::Ring { got }) if got == ring));
    }
    assert_eq!(
        engine.stats().scorers,
        0,
        "a pool that failed left a scorer behind"
    );
}

/// A waker is the host's code, and runs on the worker's thread.
#[test]
fn a_waker_that_panics_takes_nothing_down() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the test");
        }
    }
    let (engine, rows) = engine_and_rows();
    let pool = one_worker(&engine, 256, 0);
    let mut calls: Vec<Call> = (0..64).map(|_| pool.call().unwrap()).collect();
    let waker = Waker::from(Arc::new(Panics));
    for _ in 0..20 {
        let mut pending: Vec<_> = calls.iter_mut().map(|c| c.submit(&rows[0])).collect();
        for pending in &mut pending {
            let _ = pin!(pending).poll(&mut Context::from_waker(&waker));
        }
        for pending in pending {
            assert_eq!(reason(pending.wait()), None);
        }
    }
}
