//! The hooks that Envoy calls.
//!
//! H1 (the names): they are those of Envoy's ABI, and belong to the one module that exports them.

use crate::abi::{self, Buffer, CONTINUE, STOP, Stream};
use crate::config::Config;
use crate::{contained, score};
use hedgerow::traffic::ClientId;
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::ptr::null;

/// Tells Envoy which ABI the module speaks.
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    abi::VERSION
}

/// Opens a configuration. Where that fails Envoy refuses what names it, and goes on with what ran.
///
/// # Safety
/// E1 (Envoy's promise).
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _envoy: *mut c_void,
    _name: Buffer,
    config: Buffer,
) -> *const c_void {
    // SAFETY: E1 (Envoy's promise): within the hook.
    let made = contained(|| Config::new(unsafe { config.get() }));
    match made {
        Some(Ok(config)) => Box::into_raw(Box::new(config)).cast_const().cast(),
        Some(Err(why)) => {
            abi::log(abi::ERROR, &format!("hedgerow: {why}"));
            null()
        }
        None => null(),
    }
}

/// Closes a configuration.
///
/// # Safety
/// E1 (Envoy's promise): no filter has it any more, and it is closed once.
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: *mut c_void) {
    // SAFETY: E1 (Envoy's promise): the pointer is the one that `config_new` gave.
    contained(|| drop(unsafe { Box::from_raw(config.cast::<Config>()) }));
}

/// What belongs to one request.
struct Filter {
    config: *const Config,
    /// The client in the traffic windows, until the request is answered.
    client: Cell<Option<ClientId>>,
}

impl Filter {
    /// The filter of a hook, and its configuration.
    ///
    /// # Safety
    /// E1 (Envoy's promise): the pointer is the one that `filter_new` gave, and not destroyed.
    unsafe fn of<'a>(filter: *const c_void) -> Option<(&'a Filter, &'a Config)> {
        // SAFETY: E1 (Envoy's promise), also of the configuration, which outlives its filters.
        unsafe {
            let filter = filter.cast::<Filter>().as_ref()?;
            Some((filter, filter.config.as_ref()?))
        }
    }
}

/// Makes a filter for a request.
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void,
    _envoy: *mut c_void,
) -> *const c_void {
    let filter = Filter {
        config: config.cast(),
        client: Cell::new(None),
    };
    Box::into_raw(Box::new(filter)).cast_const().cast()
}

/// Drops the filter of a request.
///
/// # Safety
/// E1 (Envoy's promise): no hook has it any more, and it is destroyed once.
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: *mut c_void) {
    // SAFETY: E1 (Envoy's promise): the pointer is the one that `filter_new` gave.
    contained(|| drop(unsafe { Box::from_raw(filter.cast::<Filter>()) }));
}

/// Scores a request. Whatever goes wrong, it goes on.
///
/// # Safety
/// E1 (Envoy's promise).
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    envoy: *mut c_void,
    filter: *const c_void,
    _end_of_stream: bool,
) -> u32 {
    let answered = contained(|| {
        // SAFETY: E1 (Envoy's promise): within the hook.
        let (stream, filter) = unsafe { (Stream::new(envoy), Filter::of(filter)) };
        score::strip(&stream);
        let (filter, config) = filter?;
        let scored = score::score(&stream, config);
        filter.client.set(scored.client());
        let (below, status) = config.block?;
        let blocked = scored.score().is_some_and(|score| score.get() < below);
        blocked.then(|| stream.answer(status))
    });
    match answered.flatten() {
        Some(()) => STOP,
        None => CONTINUE,
    }
}

/// Notes the answer's status for the client's traffic.
///
/// # Safety
/// E1 (Envoy's promise).
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(
    envoy: *mut c_void,
    filter: *const c_void,
    _end_of_stream: bool,
) -> u32 {
    contained(|| {
        // SAFETY: E1 (Envoy's promise): within the hook.
        let (stream, filter) = unsafe { (Stream::new(envoy), Filter::of(filter)) };
        if let (Some((filter, config)), Some(status)) = (filter, stream.status()) {
            config.scorers.finish(filter.client.take(), status);
        }
    });
    CONTINUE
}

/// Hooks that let pass.
macro_rules! pass {
    ($($name:ident($($argument:ty),*);)+) => {$(
        /// Lets pass.
        // SAFETY: H1 (the names).
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) -> u32 {
            CONTINUE
        }
    )+};
}

/// Hooks of what this module never asks for.
macro_rules! ignore {
    ($($name:ident($($argument:ty),*);)+) => {$(
        /// Nothing is done.
        // SAFETY: H1 (the names).
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($(_: $argument),*) {}
    )+};
}

type Envoy = *mut c_void;
type Module = *mut c_void;
type List = *mut c_void;

pass! {
    envoy_dynamic_module_on_http_filter_request_body(Envoy, Module, bool);
    envoy_dynamic_module_on_http_filter_request_trailers(Envoy, Module);
    envoy_dynamic_module_on_http_filter_response_body(Envoy, Module, bool);
    envoy_dynamic_module_on_http_filter_response_trailers(Envoy, Module);
}

ignore! {
    envoy_dynamic_module_on_http_filter_stream_complete(Envoy, Module);
    envoy_dynamic_module_on_http_filter_http_callout_done(
        Envoy, Module, u64, u32, List, usize, List, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        Envoy, Module, u64, List, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(Envoy, Module, u64, List, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(Envoy, Module, u64, List, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(Envoy, Module, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(Envoy, Module, u64, u32);
    envoy_dynamic_module_on_http_filter_scheduled(Envoy, Module, u64);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
        Envoy, Module
    );
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
        Envoy, Module
    );
}
