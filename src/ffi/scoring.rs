//! Calls on scorers: attach, score, finish, names, free.

use super::handles::{self, Attached};
use super::view::{self, Fields, check, host};
use super::{
    Breaker, EngineHandle, Kind, RequestView, ScorerHandle, Status, VerdictView, call, call_alone,
    number, put, put_text, told,
};
use crate::host::{BreakerOptions, HostError, HostOptions, Outcome, PassReason, RequestScorer};
use crate::http::Request;
use crate::score::Matches;
use crate::table::Catalog;
use crate::traffic::ClientId;
use std::ffi::c_char;

/// Attaches a scorer of this engine to the thread that calls: no other one can use it. It is freed
/// by `hedgerow_scorer_free`, or with its thread.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_scorer_attach(
    engine: *mut EngineHandle,
    scorer: *mut *mut ScorerHandle,
) -> Status {
    call_alone(|| {
        // SAFETY: A1 (the host's pointers), here and below: a place for a handle.
        unsafe { put(scorer, std::ptr::null_mut()) }?;
        let open = handles::engine(number(engine))?;
        let made = open.opened.engine.request_scorer(HostOptions {
            traffic_clients: open.traffic_clients,
            breaker: None,
            ..HostOptions::default()
        });
        let made = made.map_err(|refused| match refused {
            HostError::NoSlot(_) => Status::Full,
            refused => told(Status::System, refused),
        });
        let attached = Attached {
            scorer: made?,
            front: open.front.clone(),
        };
        let handle = handles::attach(Box::new(attached))?;
        let handle = std::ptr::without_provenance_mut(handle as usize);
        // SAFETY: A1 (the host's pointers).
        unsafe { put(scorer, handle) }
    })
}

/// Frees a scorer of this thread.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_scorer_free(scorer: *mut ScorerHandle) -> Status {
    call_alone(|| {
        let attached = handles::detach(number(scorer))?;
        drop(attached);
        Ok(())
    })
}

/// Scores a request: fills a row from it, with the traffic of its client where the engine has
/// windows, and asks the live table. Allocates nothing, takes no lock, and reads nothing of the
/// request after it returned. Where the status is not `HEDGEROW_STATUS_OK`, the verdict says that
/// there is no score, unless it is NULL or of another size.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_score(
    scorer: *mut ScorerHandle,
    request: *const RequestView,
    verdict: *mut VerdictView,
) -> Status {
    let mut given = VerdictView::ERROR;
    // SAFETY: A1 (the host's pointers), here and below.
    let sized = call(|| unsafe { check(verdict) });
    if sized != Status::Ok {
        return sized;
    }
    let status = call(|| {
        // SAFETY: A1 (the host's pointers).
        let view = unsafe { host(request) }?;
        given = handles::with_scorer(number(scorer), |Attached { scorer, front }| {
            // SAFETY: A1 (the host's pointers).
            let (request, fields) = unsafe { view::request(view, front) }?;
            score(scorer, &request, &fields)
        })?;
        Ok(())
    });
    // SAFETY: A1 (the host's pointers): `check` has looked at it.
    unsafe { verdict.write(given) };
    status
}

fn score(
    scorer: &mut RequestScorer,
    request: &Request<'_>,
    fields: &Fields<'_>,
) -> Result<VerdictView, Status> {
    if fields.own.len() > scorer.own_features() {
        return Err(Status::Argument);
    }
    let scored = scorer.score_with(request, fields.iter(), |own| {
        let values = own.iter_mut().zip(fields.own);
        values.for_each(|(place, value)| *place = *value);
    });
    let mut view = match scored.outcome() {
        Outcome::Verdict(verdict) => VerdictView::from(*verdict),
        Outcome::Passed(PassReason::BreakerOpen) => return Err(Status::BreakerOpen),
        Outcome::Passed(_) => return Err(Status::Panic),
    };
    view.nanos = scored.took().as_nanos() as u64;
    if let Some(client) = scored.client() {
        (view.client, view.client_known) = (client.bits(), 1);
    }
    Ok(view)
}

/// The names of a verdict's generation.
fn catalog<'a>(
    scorer: &'a mut RequestScorer,
    verdict: &VerdictView,
) -> Result<&'a Catalog, Status> {
    let found = scorer.catalog(verdict.generation);
    found.map(|catalog| &**catalog).ok_or(Status::Unknown)
}

/// Gives a scorer a circuit breaker, which it does not have at first: where calls are late or
/// panic again and again, `hedgerow_score` returns `HEDGEROW_STATUS_BREAKER_OPEN` for a while, and
/// does nothing else. NULL for `breaker` means one with the defaults. The breaker is closed at
/// first.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_scorer_breaker(
    scorer: *mut ScorerHandle,
    breaker: *const Breaker,
) -> Status {
    call_alone(|| {
        let options = match breaker.is_null() {
            true => BreakerOptions::default(),
            // SAFETY: A1 (the host's pointers).
            false => BreakerOptions::from(unsafe { host(breaker) }?),
        };
        handles::with_scorer(number(scorer), |Attached { scorer, .. }| {
            scorer.set_breaker(Some(options));
            Ok(())
        })
    })
}

/// Tells the traffic windows with which HTTP status a request was answered. Without windows, or
/// where the client was not known, nothing is done.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_finish(
    scorer: *mut ScorerHandle,
    verdict: *const VerdictView,
    status: u16,
) -> Status {
    call(|| {
        // SAFETY: A1 (the host's pointers).
        let verdict = unsafe { host(verdict) }?;
        handles::with_scorer(number(scorer), |Attached { scorer, .. }| {
            let known = verdict.client_known == 1;
            let client = known.then(|| ClientId::from_bits(verdict.client));
            scorer.finish(client, status);
            Ok(())
        })
    })
}

/// The numbers of the detections that a verdict's request matches, ascending, at most `capacity` of
/// them. How many there are goes to `count`, unless that is NULL. 64 is always enough.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_detections(
    scorer: *mut ScorerHandle,
    verdict: *const VerdictView,
    ids: *mut u32,
    capacity: usize,
    count: *mut usize,
) -> Status {
    call_alone(|| {
        // SAFETY: A1 (the host's pointers), here and below.
        let verdict = unsafe { host(verdict) }?;
        handles::with_scorer(number(scorer), |Attached { scorer, .. }| {
            let matches = Matches::from_bits(verdict.detections);
            let matching = matches.count() as usize;
            if !count.is_null() {
                // SAFETY: A1 (the host's pointers).
                unsafe { put(count, matching) }?;
            }
            if matching == 0 || capacity == 0 {
                return Ok(());
            }
            let catalog = catalog(scorer, verdict)?;
            for (to, at) in (0..capacity).zip(matches.positions()) {
                let detection = catalog.detections().get(at).ok_or(Status::Argument)?;
                // SAFETY: A1 (the host's pointers): `to` is below the capacity that it names.
                unsafe { put(ids.wrapping_add(to), detection.id) }?;
            }
            Ok(())
        })
    })
}

/// The name of a verified bot, as text cut to `capacity` and ended with a zero byte; its whole
/// length, at most 56, goes to `len`, unless that is NULL.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_bot_name(
    scorer: *mut ScorerHandle,
    verdict: *const VerdictView,
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Status {
    call_alone(|| {
        // SAFETY: A1 (the host's pointers), here and below.
        let verdict = unsafe { host(verdict) }?;
        handles::with_scorer(number(scorer), |Attached { scorer, .. }| {
            if verdict.kind != Kind::VerifiedBot as u8 {
                return Err(Status::Nothing);
            }
            let catalog = catalog(scorer, verdict)?;
            let (name, _) = catalog.bot(verdict.bot).ok_or(Status::Argument)?;
            // SAFETY: A1 (the host's pointers).
            unsafe { put_text(name.as_bytes(), text, capacity, len) }
        })
    })
}
