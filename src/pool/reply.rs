//! The reply to a request: a place for one verdict, and the waker of the thread that waits for it.
//!
//! The verdict is packed into four atomics next to the state. A queue with room for one verdict
//! would need no packing, and costs 8 to 10 % of a row in a full ring: its head, its tail and its
//! slot are three cache lines that move between the cores (`cargo bench --bench pool`).

use crate::score::{Matches, NotScored, Reason, Score, Scored, Source, Verdict, VerifiedBot};
use crate::table::bots::Category;
use atomic_waker::AtomicWaker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::Waker;

/// No request is under way.
const IDLE: u8 = 0;
/// A worker has the request, or will have it.
const PENDING: u8 = 1;
/// The verdict is there.
const DONE: u8 = 2;

/// The place where a worker puts a verdict. A call has one request under way at most.
#[derive(Debug)]
pub(super) struct Reply {
    state: AtomicU8,
    verdict: [AtomicU64; WORDS],
    waker: AtomicWaker,
}

impl Reply {
    pub(super) fn new() -> Reply {
        Reply {
            state: AtomicU8::new(IDLE),
            verdict: [const { AtomicU64::new(0) }; WORDS],
            waker: AtomicWaker::new(),
        }
    }

    /// Returns `true` while a worker may still write the reply.
    pub(super) fn is_pending(&self) -> bool {
        // Acquire: pairs with the Release in put, so that the reply is no longer written.
        self.state.load(Ordering::Acquire) == PENDING
    }

    /// Begins a request, before it enters the ring.
    pub(super) fn begin(&self) {
        // Relaxed: the ring orders it.
        self.state.store(PENDING, Ordering::Relaxed);
    }

    /// Ends a request that did not enter the ring.
    pub(super) fn cancel(&self) {
        // Relaxed: no other thread has the request.
        self.state.store(IDLE, Ordering::Relaxed);
    }

    /// Puts the verdict, and wakes the thread that waits.
    pub(super) fn put(&self, verdict: &Verdict) {
        for (place, word) in self.verdict.iter().zip(packed(verdict)) {
            // Relaxed: the state orders it.
            place.store(word, Ordering::Relaxed);
        }
        // Release: pairs with the Acquires in get and is_pending.
        self.state.store(DONE, Ordering::Release);
        // A host's waker may panic: the worker continues, and answers the requests after this one.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.waker.wake())) {
            std::mem::forget(payload);
        }
    }

    /// Returns the verdict, if the worker has put it.
    pub(super) fn get(&self) -> Option<Verdict> {
        // Acquire: pairs with the Release in put.
        if self.state.load(Ordering::Acquire) != DONE {
            return None;
        }
        // Relaxed: the state orders it.
        let words = self.verdict.each_ref();
        Some(unpacked(words.map(|word| word.load(Ordering::Relaxed))))
    }

    /// Registers the waker for the next [`put`](Reply::put). The caller then calls
    /// [`get`](Reply::get) once more.
    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

/// Words of a packed verdict: what it is, margin, generation, matches.
const WORDS: usize = 4;

/// The kinds of a packed verdict, in the lowest byte of the first word.
const SCORED: u8 = 0;
const VERIFIED: u8 = 1;
const NOT_SCORED: u8 = 2;

/// Packs a verdict. The first word holds, from the lowest byte on: the kind; a score, a category or
/// a reason; and from bit 16 on one more than the id of the detection that decided, or a bot.
fn packed(verdict: &Verdict) -> [u64; WORDS] {
    let (mut margin, mut matches) = (0, 0);
    let (kind, code, origin) = match verdict {
        Verdict::Scored(scored) => {
            (margin, matches) = (scored.margin.to_bits(), scored.detections.bits());
            let origin = match scored.source {
                Source::Ensemble => 0,
                Source::Detection(id) => u64::from(id).saturating_add(1),
            };
            (SCORED, scored.score.get(), origin)
        }
        Verdict::VerifiedBot(verified) => {
            (VERIFIED, verified.category as u8, u64::from(verified.bot))
        }
        Verdict::NotScored(not) => (NOT_SCORED, not.reason as u8, 0),
    };
    let first = u64::from(kind) | u64::from(code) << 8 | origin << 16;
    [first, margin, verdict.generation(), matches]
}

/// Unpacks a verdict.
fn unpacked([first, margin, generation, matches]: [u64; WORDS]) -> Verdict {
    let (kind, code, origin) = (first as u8, (first >> 8) as u8, first >> 16);
    match kind {
        SCORED => Verdict::Scored(Scored {
            score: Score::from_steps(usize::from(code.saturating_sub(1))),
            source: match origin.checked_sub(1) {
                Some(id) => Source::Detection(id as u32),
                None => Source::Ensemble,
            },
            margin: f64::from_bits(margin),
            generation,
            detections: Matches::from_bits(matches),
        }),
        VERIFIED => Verdict::VerifiedBot(VerifiedBot {
            bot: origin as u16,
            category: Category::from_u8(code).unwrap_or(Category::Other),
            generation,
        }),
        _ => {
            let reason = Reason::ALL.get(usize::from(code)).copied();
            Verdict::NotScored(NotScored {
                reason: reason.unwrap_or(Reason::Closed),
                generation,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_out_as_it_was_put() {
        let mut all = Vec::new();
        for generation in [0, 1, u64::MAX] {
            let sources = [0, 7, u32::MAX].map(Source::Detection);
            for source in sources.into_iter().chain([Source::Ensemble]) {
                for steps in 0..99 {
                    all.push(Verdict::Scored(Scored {
                        score: Score::from_steps(steps),
                        source,
                        margin: -0.25 * steps as f64,
                        generation,
                        detections: Matches::from_bits(u64::MAX - steps as u64),
                    }));
                }
            }
            for category in (0..=u8::MAX).filter_map(Category::from_u8) {
                for bot in [0, 1, u16::MAX] {
                    all.push(Verdict::VerifiedBot(VerifiedBot {
                        bot,
                        category,
                        generation,
                    }));
                }
            }
            for reason in Reason::ALL.iter().copied() {
                all.push(Verdict::NotScored(NotScored { reason, generation }));
            }
        }
        let reply = Reply::new();
        for verdict in all {
            reply.begin();
            assert_eq!((reply.is_pending(), reply.get()), (true, None));
            reply.put(&verdict);
            assert_eq!((reply.is_pending(), reply.get()), (false, Some(verdict)));
        }
    }
}
