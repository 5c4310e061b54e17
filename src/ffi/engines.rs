//! Calls on engines: open, publish, ask, free.

use super::handles::{self, OpenEngine};
use super::view::{check, host, list, scheme};
use super::{EngineHandle, Options, OwnFeature, Stats, Status};
use super::{call_alone, number, path, put, text, told};
use crate::host::{self, Front, HopRule, OpenFailure, OpenOptions, TableSource, is_header_name};
use crate::limits::FEATURES_MAX;
use crate::schema::{Feature, FeatureKind, Schema};
use crate::score::Reason;
use crate::table::bots::AddressRange;
use crate::traffic::Windows;
use crate::watch::{Fallback, Watcher};
use std::ffi::c_char;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    call_alone(|| {
        // SAFETY: A1 (the host's pointers), here and below: a place for a handle.
        unsafe { put(engine, std::ptr::null_mut()) }?;
        handles::count_forks()?;
        text::keep_lines();
        let open = match options.is_null() {
            true => open(OpenOptions::default(), Front::default(), 0, &[]),
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
    let mut to = OpenOptions {
        table: table.map(TableSource::of).unwrap_or_default(),
        ..OpenOptions::default()
    };
    to.watch.state = state;
    if let Some(name) = name {
        let name = name.into_os_string().into_string();
        to.watch.name = name.map_err(|_| Status::Argument)?;
    }
    if options.poll_ms != 0 {
        to.watch.poll = Duration::from_millis(options.poll_ms.into());
    }
    to.watch.fallback = match options.no_fallback {
        0 => Fallback::Bundled,
        1 => Fallback::NoTable,
        _ => return Err(Status::Argument),
    };
    // SAFETY: A1 (the host's pointers), here and below.
    let keys = unsafe { list(options.keys, options.key_count) }?;
    // SAFETY: A1 (the host's pointers).
    let keys = keys.iter().map(|file| unsafe { path(*file) });
    let keys: Option<Vec<PathBuf>> = keys.collect();
    to.keys = keys.ok_or(Status::Null)?;
    // SAFETY: A1 (the host's pointers).
    let own = unsafe { list(options.features, options.feature_count) }?;
    if own.len() > FEATURES_MAX {
        return Err(Status::Argument);
    }
    // SAFETY: A1 (the host's pointers).
    let own = own.iter().map(|feature| unsafe { named(feature) });
    let own: Vec<_> = own.collect::<Result<_, _>>()?;
    // SAFETY: A1 (the host's pointers).
    let front = unsafe { front(options) }?;
    open(to, front, options.traffic_clients as usize, &own)
}

/// What is in front of the host.
///
/// # Safety
/// A1 (the host's pointers).
unsafe fn front(options: &Options) -> Result<Front, Status> {
    let mut front = Front {
        hop: match options.hop {
            0 => HopRule::Auto,
            1 => HopRule::Client,
            2 => HopRule::Proxy,
            _ => return Err(Status::Argument),
        },
        scheme: scheme(options.client_scheme)?,
        keeps_order: match options.keeps_order {
            0 => false,
            1 => true,
            _ => return Err(Status::Argument),
        },
        ..Front::default()
    };
    let names = [
        (options.address_header, &mut front.address_header),
        (options.scheme_header, &mut front.scheme_header),
        (options.version_header, &mut front.version_header),
        (options.ja4_header, &mut front.ja4_header),
    ];
    for (given, name) in names {
        if !given.is_null() {
            // SAFETY: A1 (the host's pointers).
            *name = unsafe { words(given) }?;
        }
        if !is_header_name(name) {
            return Err(told(
                Status::Refused,
                format_args!("expected a header's name, got {name:?}"),
            ));
        }
    }
    // SAFETY: A1 (the host's pointers), here and below.
    let trusted = unsafe { list(options.trusted, options.trusted_count) }?;
    for text in trusted {
        // SAFETY: A1 (the host's pointers).
        let range = AddressRange::parse(&unsafe { words(*text) }?);
        let range = range.map_err(|wrong| told(Status::Refused, format_args!("trusted: {wrong}")));
        front.trusted.push(range?);
    }
    Ok(front)
}

/// A text of the host's.
///
/// # Safety
/// A1 (the host's pointers).
unsafe fn words(text: *const c_char) -> Result<String, Status> {
    // SAFETY: A1 (the host's pointers).
    let text = unsafe { path(text) }.ok_or(Status::Null)?;
    let text = text.into_os_string().into_string();
    text.map_err(|_| Status::Argument)
}

/// # Safety
/// A1 (the host's pointers).
unsafe fn named(feature: &OwnFeature) -> Result<Feature, Status> {
    Ok(Feature {
        // SAFETY: A1 (the host's pointers).
        name: unsafe { words(feature.name) }?,
        kind: FeatureKind::from_u8(feature.kind).ok_or(Status::Argument)?,
    })
}

fn open(
    mut options: OpenOptions,
    front: Front,
    traffic_clients: usize,
    own: &[Feature],
) -> Result<OpenEngine, Status> {
    options.schema = match traffic_clients {
        0 => Schema::http(),
        // Made once here: a bad number fails at the start, and not with the first scorer.
        _ => Windows::new(traffic_clients, 0)
            .map(|_| Schema::http_with_traffic())
            .map_err(|refused| told(Status::Refused, refused))?,
    };
    for Feature { name, kind } in own {
        let with = options.schema.with(name, *kind);
        options.schema = with.map_err(|refused| told(Status::Refused, refused))?;
    }
    let _held = handles::WithoutSignals::new()?;
    let opened = host::open(options).map_err(|failure| match failure {
        OpenFailure::Watch(_) => told(Status::System, failure),
        _ => told(Status::Refused, failure),
    })?;
    Ok(OpenEngine {
        opened,
        front: Arc::new(front),
        traffic_clients: (traffic_clients > 0).then_some(traffic_clients),
    })
}

/// Frees an engine, and ends its threads. Its scorers go on with the table that they have, and are
/// freed by their own threads.
///
/// In the child of a fork an engine of the parent is left as it is, and told as
/// `HEDGEROW_STATUS_FORKED`.
// SAFETY: A3 (the name).
#[unsafe(no_mangle)]
pub extern "C" fn hedgerow_engine_free(engine: *mut EngineHandle) -> Status {
    call_alone(|| {
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
    call_alone(|| {
        let open = handles::engine(number(engine))?;
        if open.opened.watcher.is_some() {
            return Err(Status::Watched);
        }
        // Refusal before anything is published: null is aligned.
        if !generation.is_aligned() {
            return Err(Status::Argument);
        }
        // SAFETY: A1 (the host's pointers), here and below.
        let table = unsafe { path(table) }.ok_or(Status::Null)?;
        let published = open.opened.publish_file(table);
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
    call_alone(|| {
        let open = handles::engine(number(engine))?;
        // SAFETY: A1 (the host's pointers), here and below.
        unsafe { check(stats) }?;
        // SAFETY: A1 (the host's pointers).
        unsafe { put(stats, counts(&open)) }
    })
}

fn counts(open: &OpenEngine) -> Stats {
    let now = open.opened.engine.stats();
    let status = open.opened.watcher.as_ref().map(Watcher::status);
    // What an engine refused while it watches is counted by the watch.
    let refused: u64 = match &status {
        Some(status) => status.refusals.values().sum(),
        None => now.refusals.values().sum(),
    };
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut content_id = [0; 33];
    for (place, byte) in content_id
        .iter_mut()
        .zip(now.content_id.iter().flat_map(|id| id.digits()))
    {
        *place = byte as c_char;
    }
    Stats {
        size: size_of::<Stats>(),
        generation: now.generation,
        scored: now.rows.scored,
        by_detection: now.rows.by_detection,
        verified_bots: now.rows.verified_bots,
        no_table: now.rows.not_scored(Reason::NoTable),
        disabled: now.rows.not_scored(Reason::Disabled),
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
