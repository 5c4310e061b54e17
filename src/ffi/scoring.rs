//! Calls on scorers: attach, score, finish, names, free.

use super::handles::{self, Attached};
use super::view::{self, check, host};
use super::{
    EngineHandle, Kind, RequestView, ScorerHandle, Status, VerdictView, call, call_alone, number,
    put, put_text, told,
};
use crate::row::Row;
use crate::score::Client;
use crate::table::Catalog;
use crate::traffic::{ClientId, ClientKey, Facts, HTTP_BASE, Windows, random_seed};
use crate::{http, limits};
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Instant;

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
        let windows = match open.traffic_clients {
            0 => None,
            clients => Some(
                Windows::new(clients, random_seed())
                    .map_err(|refused| told(Status::System, refused))?,
            ),
        };
        let handle = handles::attach(Box::new(Attached {
            scorer: open.engine.scorer().map_err(|_| Status::Full)?,
            engine: open.engine.clone(),
            row: Row::MISSING,
            windows,
            started: open.started,
            own: open.own,
            catalog: None,
        }))?;
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
        let (request, fields) = unsafe { view::request(host(request)?)? };
        given = handles::with_scorer(number(scorer), |attached| attached.score(&request, &fields))?;
        Ok(())
    });
    // SAFETY: A1 (the host's pointers): `check` has looked at it.
    unsafe { verdict.write(given) };
    status
}

impl Attached {
    fn score(
        &mut self,
        request: &http::Request<'_>,
        fields: &view::Fields<'_>,
    ) -> Result<VerdictView, Status> {
        if fields.own.len() > self.own.count {
            return Err(Status::Argument);
        }
        let start = Instant::now();
        http::extract_from(request, fields.iter(), &mut self.row);
        let agent = fields.agent();
        let client = request.peer.map(|address| Client::new(address, agent));
        let observed = self.windows.as_mut().map(|windows| match &client {
            Some(client) => {
                let key = ClientKey::address(client.address);
                let now = start.saturating_duration_since(self.started).as_nanos() as u64;
                let facts = Facts::from_headers(request, fields.iter());
                let observed = windows.observe(&key, &facts, now);
                observed.fill(&mut self.row, HTTP_BASE);
                Some(observed.id())
            }
            None => {
                let traffic = self.row.values_mut().iter_mut().skip(HTTP_BASE.into());
                let traffic = traffic.take(crate::traffic::FEATURES.len());
                traffic.for_each(|value| *value = f32::NAN);
                None
            }
        });
        if self.own.count > 0 {
            let places = self.row.values_mut().iter_mut().skip(self.own.first);
            let values = fields
                .own
                .iter()
                .copied()
                .chain(std::iter::repeat(f32::NAN));
            { places.take(self.own.count).zip(values) }.for_each(|(place, value)| *place = value);
        }
        let verdict = match &client {
            Some(client) => self.scorer.score_client(&self.row, client),
            None => self.scorer.score(&self.row),
        };
        let took = start.elapsed().as_nanos() as u64;
        self.scorer.stats().latency.record(took);
        let mut view = VerdictView::from(verdict);
        view.nanos = took;
        if let Some(id) = observed.flatten() {
            (view.client, view.client_known) = (id.bits(), 1);
        }
        Ok(view)
    }

    /// The names of a generation.
    fn catalog(&mut self, generation: u64) -> Result<&Arc<Catalog>, Status> {
        if self
            .catalog
            .as_ref()
            .is_none_or(|(of, _)| *of != generation)
        {
            let found = self.engine.catalog(generation);
            self.catalog = Some((generation, found.ok_or(Status::Unknown)?));
        }
        let known = self.catalog.as_ref().map(|(_, catalog)| catalog);
        known.ok_or(Status::Unknown)
    }
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
        handles::with_scorer(number(scorer), |attached| {
            if let (Some(windows), 1) = (&mut attached.windows, verdict.client_known) {
                windows.finish(ClientId::from_bits(verdict.client), status);
            }
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
        handles::with_scorer(number(scorer), |attached| {
            let matching = verdict.detections.count_ones() as usize;
            if !count.is_null() {
                // SAFETY: A1 (the host's pointers).
                unsafe { put(count, matching) }?;
            }
            if matching == 0 || capacity == 0 {
                return Ok(());
            }
            let catalog = attached.catalog(verdict.generation)?;
            let bits = (0..limits::DETECTIONS_MAX).filter(|at| verdict.detections >> at & 1 == 1);
            for (to, at) in (0..capacity).zip(bits) {
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
        handles::with_scorer(number(scorer), |attached| {
            if verdict.kind != Kind::VerifiedBot as u8 {
                return Err(Status::Nothing);
            }
            let catalog = attached.catalog(verdict.generation)?;
            let (name, _) = catalog.bot(verdict.bot).ok_or(Status::Argument)?;
            // SAFETY: A1 (the host's pointers).
            unsafe { put_text(name.as_bytes(), text, capacity, len) }
        })
    })
}
