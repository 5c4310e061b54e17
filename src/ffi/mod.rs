//! The C ABI: engines and scorers for hosts in C, by handles that are looked up at every call.
//!
//! `include/hedgerow.h` is made from this module, and the manual's chapter
//! [from C](crate::manual) is the user's page. Each call returns a status; no panic crosses;
//! trouble never ends the host.
//!
//! - A1: the pointers that a host passes are null, or point to what the header says, which stays as
//!   it is during the call. Made true by the host; `view` tells what can be told.
//! - A2: a handle is no address, and nothing is reached through it. Made true by `handles`.
//! - A3: exported names start with `hedgerow_`, which is this library's alone. Held by the tests
//!   of the house.
//! - A4: POSIX functions are declared as POSIX has them.

mod handles;
mod text;
mod types;
mod view;

pub use types::*;
pub use view::{
    Bytes, HeaderField, HeadersCode, Hello, Numbers, RequestView, SchemeCode, VersionCode,
};

use crate::engine::{Engine, PublishError};
use crate::limits::LIMITS;
use crate::schema::Schema;
use crate::score::Client;
use crate::table::{Catalog, DEFAULT_TABLE, Table};
use crate::traffic::{ClientId, ClientKey, Facts, HTTP_BASE, Windows, random_seed};
use crate::watch::{Fallback, WatchOptions, Watcher};
use crate::{http, limits};
use handles::{Attached, OpenEngine};
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use view::{check, host};

/// An engine's handle.
#[derive(Debug)]
pub struct EngineHandle {
    _opaque: [u8; 0],
}

/// A scorer's handle.
#[derive(Debug)]
pub struct ScorerHandle {
    _opaque: [u8; 0],
}

/// Changes whenever a struct or a function of the header does.
pub const ABI_VERSION: u32 = 1;

/// Runs the body of a call: a panic becomes a status, and a failure leaves its text.
fn call(body: impl FnOnce() -> Result<(), Status>) -> Status {
    let caught = catch_unwind(AssertUnwindSafe(body));
    let status = match caught {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(status)) => status,
        Err(payload) => {
            // To drop what a panic carries could panic again.
            std::mem::forget(payload);
            Status::Panic
        }
    };
    // What refused a table has told more already.
    if status != Status::Refused && status != Status::System {
        let name = text::status(status as i32).to_str().unwrap_or_default();
        text::failed(format_args!("{name}"));
    }
    status
}

/// The failure of a status that has a text of its own.
fn told(status: Status, why: impl std::fmt::Display) -> Status {
    text::failed(format_args!("{why}"));
    status
}

/// Writes a value where the host wants it.
///
/// # Safety
/// A1 (the host's pointers): null, or to a place for a `T`.
unsafe fn put<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::Null);
    }
    if !place.is_aligned() {
        return Err(Status::Argument);
    }
    // SAFETY: A1 (the host's pointers). Null and unaligned ones are told above.
    unsafe { place.write(value) };
    Ok(())
}

/// Copies a text into the host's buffer, cut to its capacity, and ends it with a zero byte. The
/// length of the whole text goes to `len`, unless that is null.
///
/// # Safety
/// A1 (the host's pointers): `to` is null where `capacity` is 0, else to as many bytes.
unsafe fn put_text(
    text: &[u8],
    to: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<(), Status> {
    if !len.is_null() {
        // SAFETY: A1 (the host's pointers), passed on.
        unsafe { put(len, text.len()) }?;
    }
    let Some(room) = capacity.checked_sub(1) else {
        return Ok(());
    };
    if to.is_null() {
        return Err(Status::Null);
    }
    let text = text.get(..room).unwrap_or(text);
    // SAFETY: A1 (the host's pointers). At most `capacity - 1` bytes and a zero byte are written.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast::<u8>(), text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

/// A path that the host names; none where the pointer is null.
///
/// # Safety
/// A1 (the host's pointers): null, or to a text that ends with a zero byte.
unsafe fn path(text: *const c_char) -> Option<PathBuf> {
    // SAFETY: A1 (the host's pointers).
    let text = (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) });
    text.map(|text| PathBuf::from(OsStr::from_bytes(text.to_bytes())))
}

fn number<T>(handle: *const T) -> u64 {
    handle.addr() as u64
}

/// The version of the header that the library was made with, for a comparison with
/// `HEDGEROW_ABI_VERSION`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_abi_version() -> u32 {
    ABI_VERSION
}

/// The library's version, as in `0.1.0`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_library_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// How many built-in features this library fills into a row.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_feature_count() -> usize {
    http::FEATURES.len()
}

/// A capacity by its name, as `hedgerow limits` prints it.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_limit(name: *const c_char, max: *mut u64) -> Status {
    call(|| {
        // SAFETY: A1 (the host's pointers), here and below.
        let name = unsafe { path(name) }.ok_or(Status::Null)?;
        let mut all = LIMITS.iter();
        let found = all.find(|limit| name.as_os_str() == limit.name);
        // SAFETY: A1 (the host's pointers).
        unsafe { put(max, found.ok_or(Status::Unknown)?.max) }
    })
}

/// The name of a status, as in `refused`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_status_name(status: i32) -> *const c_char {
    text::status(status).as_ptr()
}

/// The name of a `hedgerow_kind`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_kind_name(kind: u8) -> *const c_char {
    text::kind(kind).as_ptr()
}

/// The name of a `hedgerow_source`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_source_name(source: u8) -> *const c_char {
    text::source(source).as_ptr()
}

/// The name of a `hedgerow_reason`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_reason_name(reason: u8) -> *const c_char {
    text::reason(reason).as_ptr()
}

/// The name of a verified bot's category.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_category_name(category: u8) -> *const c_char {
    text::category(category).as_ptr()
}

/// Why the last call of this thread that failed did so, as text of at most 512 bytes, cut to
/// `capacity` and ended with a zero byte. Its whole length goes to `len`, unless that is NULL.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_last_error(
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Status {
    // SAFETY: A1 (the host's pointers).
    let copy = |error: &[u8]| unsafe { put_text(error, text, capacity, len) };
    let copied = catch_unwind(AssertUnwindSafe(|| text::last_error(copy)));
    match copied {
        Ok(Some(Ok(()))) => Status::Ok,
        Ok(Some(Err(status))) => status,
        Ok(None) => Status::Nothing,
        Err(_) => Status::Panic,
    }
}

/// Takes the oldest line of the library's log, which is kept from the first opened engine on: a
/// line for each table, each distinct refusal and each switch, as in `warn: text`. At most 64 lines
/// wait, and `HEDGEROW_STATUS_NOTHING` says that none does. Any thread may call it.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_log_next(
    text: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Status {
    call(|| {
        let line = text::next_line().ok_or(Status::Nothing)?;
        // SAFETY: A1 (the host's pointers).
        unsafe { put_text(line.as_bytes(), text, capacity, len) }
    })
}

/// Opens an engine; NULL for `options` means the bundled table. With a directory, two threads watch
/// it until the engine is freed. A process that forks opens its engine in the child.
///
/// A table's file that is refused is `HEDGEROW_STATUS_REFUSED`, and no engine is opened; whatever
/// is in a directory, the engine opens.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_engine_open(
    options: *const Options,
    engine: *mut *mut EngineHandle,
) -> Status {
    call(|| {
        // SAFETY: A1 (the host's pointers), here and below: a place for a handle.
        unsafe { put(engine, std::ptr::null_mut()) }?;
        handles::count_forks()?;
        text::keep_lines();
        let open = match options.is_null() {
            true => open(None, WatchOptions::default(), 0),
            // SAFETY: A1 (the host's pointers).
            false => unsafe { open_with(host(options)?) },
        }?;
        let handle = handles::keep_engine(open)?;
        let handle = std::ptr::without_provenance_mut(handle as usize);
        // SAFETY: A1 (the host's pointers).
        unsafe { put(engine, handle) }
    })
}

/// # Safety
/// A1 (the host's pointers).
unsafe fn open_with(options: &Options) -> Result<OpenEngine, Status> {
    // SAFETY: A1 (the host's pointers).
    let (table, state, name) =
        unsafe { (path(options.table), path(options.state), path(options.name)) };
    let mut watch = WatchOptions {
        state,
        ..WatchOptions::default()
    };
    if let Some(name) = name {
        let name = name.into_os_string().into_string();
        watch.name = name.map_err(|_| Status::Argument)?;
    }
    if options.poll_ms != 0 {
        watch.poll = Duration::from_millis(options.poll_ms.into());
    }
    watch.fallback = match options.no_fallback {
        0 => Fallback::Bundled,
        1 => Fallback::NoTable,
        _ => return Err(Status::Argument),
    };
    open(table, watch, options.traffic_clients as usize)
}

fn open(
    table: Option<PathBuf>,
    watch: WatchOptions,
    traffic_clients: usize,
) -> Result<OpenEngine, Status> {
    let schema = match traffic_clients {
        0 => Schema::http(),
        // Asked for once here, so that what is wrong with the number is told at the start.
        _ => Windows::new(traffic_clients, 0)
            .map(|_| Schema::http_with_traffic())
            .map_err(|refused| told(Status::Refused, refused))?,
    };
    let engine = Engine::new(schema);
    let refused = |refused: PublishError| told(Status::Refused, refused);
    let mut watcher = None;
    match table {
        // One that ends with a slash may come later.
        Some(table) if table.is_dir() || ends_with_slash(&table) => {
            let started = Watcher::start(&engine, table, watch);
            watcher = Some(started.map_err(|error| told(Status::System, error))?);
        }
        Some(table) if table.as_os_str() != "default" => {
            engine.publish_file(table).map_err(refused)?;
        }
        _ => {
            let table = Table::from_bytes(DEFAULT_TABLE).map_err(PublishError::Refused);
            let published = table.and_then(|table| engine.publish(table));
            published.map_err(refused)?;
        }
    }
    Ok(OpenEngine {
        engine,
        watcher,
        traffic_clients,
        started: Instant::now(),
    })
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// Frees an engine, and ends its threads. Its scorers go on with the table that they have, and are
/// freed by their own threads.
///
/// In the child of a fork an engine of the parent is left as it is, and told as
/// `HEDGEROW_STATUS_FORKED`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_engine_free(engine: *mut EngineHandle) -> Status {
    call(|| {
        let open = handles::take_engine(number(engine))?;
        drop(open);
        Ok(())
    })
}

/// Publishes a table's file, and says as which generation, unless `generation` is NULL. A refused
/// one leaves the table that runs. An engine that watches a directory takes tables from there
/// alone.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_engine_publish(
    engine: *mut EngineHandle,
    table: *const c_char,
    generation: *mut u64,
) -> Status {
    call(|| {
        let open = handles::engine(number(engine))?;
        if open.watcher.is_some() {
            return Err(Status::Watched);
        }
        // SAFETY: A1 (the host's pointers), here and below.
        let table = unsafe { path(table) }.ok_or(Status::Null)?;
        let published = open.engine.publish_file(table);
        let published = published.map_err(|refused| told(Status::Refused, refused))?;
        match generation.is_null() {
            true => Ok(()),
            // SAFETY: A1 (the host's pointers).
            false => unsafe { put(generation, published) },
        }
    })
}

/// The state of an engine now. Any thread may ask; those that score do not notice.
///
/// # Safety
/// A1 (the host's pointers).
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hedgerow_engine_stats(
    engine: *mut EngineHandle,
    stats: *mut Stats,
) -> Status {
    call(|| {
        let open = handles::engine(number(engine))?;
        // SAFETY: A1 (the host's pointers), here and below.
        unsafe { check(stats) }?;
        // SAFETY: A1 (the host's pointers).
        unsafe { put(stats, counts(&open)) }
    })
}

fn counts(open: &OpenEngine) -> Stats {
    let now = open.engine.stats();
    let status = open.watcher.as_ref().map(Watcher::status);
    // What an engine refused while it watches is counted by the watch.
    let refused: u64 = match &status {
        Some(status) => status.refusals.values().sum(),
        None => now.refusals.values().map(|(_, count)| count).sum(),
    };
    let not_scored = |reason: crate::Reason| {
        let count = now.rows.not_scored.get(reason as usize);
        count.copied().unwrap_or_default()
    };
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut content_id = [0; 33];
    for (place, byte) in content_id.iter_mut().take(32).zip(now.content_id.bytes()) {
        *place = byte as c_char;
    }
    Stats {
        size: size_of::<Stats>(),
        generation: now.generation,
        scored: now.rows.scored,
        by_detection: now.rows.by_detection,
        verified_bots: now.rows.verified_bots,
        no_table: not_scored(crate::Reason::NoTable),
        disabled: not_scored(crate::Reason::Disabled),
        refused,
        quarantined: status.as_ref().map_or(0, |status| status.quarantines),
        reverted: status.as_ref().map_or(0, |status| status.reverts),
        latency_p50: now.rows.latency.quantile(0.5),
        latency_p99: now.rows.latency.quantile(0.99),
        scorers: small(now.scorers),
        retired: small(now.retired),
        switched_off: small(now.switches.len()),
        content_id,
    }
}

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
    call(|| {
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
            row: crate::Row::MISSING,
            windows,
            started: open.started,
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
    call(|| {
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
        given = handles::with_scorer(number(scorer), |attached| {
            Ok(attached.score(&request, &fields))
        })?;
        Ok(())
    });
    // SAFETY: A1 (the host's pointers): `check` has looked at it.
    unsafe { verdict.write(given) };
    status
}

impl Attached {
    fn score(&mut self, request: &http::Request<'_>, fields: &view::Fields<'_>) -> VerdictView {
        let start = Instant::now();
        http::extract_from(request, fields.iter(), &mut self.row);
        let agent = fields.agent();
        let client = request.peer.map(|address| Client::new(address, agent));
        let observed = self.windows.as_mut().map(|windows| match &client {
            Some(client) => {
                let key = ClientKey::address(client.address);
                let now = start.saturating_duration_since(self.started).as_nanos() as u64;
                let facts = facts(request, fields, agent);
                let observed = windows.observe(&key, &facts, now);
                observed.fill(&mut self.row, HTTP_BASE);
                Some(observed.id())
            }
            None => {
                let traffic = self.row.values_mut().iter_mut().skip(HTTP_BASE.into());
                traffic.for_each(|value| *value = f32::NAN);
                None
            }
        });
        let verdict = match &client {
            Some(client) => self.scorer.score_client(&self.row, client),
            None => self.scorer.score(&self.row),
        };
        let took = start.elapsed().as_nanos() as u64;
        self.scorer.stats().latency.record(took);
        let mut view = VerdictView::from(verdict);
        if let Some(id) = observed.flatten() {
            (view.client, view.client_known) = (id.bits(), 1);
        }
        view
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

/// What the windows look at. The view has the headers, the request has none.
fn facts<'a>(request: &http::Request<'a>, fields: &view::Fields<'a>, agent: &'a [u8]) -> Facts<'a> {
    let mut facts = Facts::of(request);
    facts.agent = Some(agent);
    if facts.referer.is_some() {
        let mut all = fields.iter();
        let referer = all.find(|header| header.name.eq_ignore_ascii_case(b"referer"));
        facts.referer = Some(referer.is_some_and(|header| !matches!(header.value, b"" | b"-")));
    }
    facts
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
    call(|| {
        // SAFETY: A1 (the host's pointers), here and below.
        let verdict = unsafe { host(verdict) }?;
        let matching = verdict.detections.count_ones() as usize;
        if !count.is_null() {
            // SAFETY: A1 (the host's pointers).
            unsafe { put(count, matching) }?;
        }
        if matching == 0 || capacity == 0 {
            return Ok(());
        }
        handles::with_scorer(number(scorer), |attached| {
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
    call(|| {
        // SAFETY: A1 (the host's pointers), here and below.
        let verdict = unsafe { host(verdict) }?;
        if verdict.kind != Kind::VerifiedBot as u8 {
            return Err(Status::Nothing);
        }
        handles::with_scorer(number(scorer), |attached| {
            let catalog = attached.catalog(verdict.generation)?;
            let (name, _) = catalog.bot(verdict.bot).ok_or(Status::Argument)?;
            // SAFETY: A1 (the host's pointers).
            unsafe { put_text(name.as_bytes(), text, capacity, len) }
        })
    })
}
