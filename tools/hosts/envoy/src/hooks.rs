//! The hooks that Envoy calls. A filter's state is its configuration, which outlives it: nothing is
//! allocated for a request here.
//!
//! H1 (the names): they are those of Envoy's ABI, and belong to the one module that exports them.

use crate::abi::{self, Buffer, CONTINUE, STOP, Stream};
use crate::config::Config;
use crate::{contained, score};
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

/// A filter for a request: its configuration.
// SAFETY: H1 (the names).
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: *const c_void,
    _envoy: *mut c_void,
) -> *const c_void {
    config
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
        // SAFETY: E1 (Envoy's promise): within the hook; the filter is its configuration.
        let (stream, config) = unsafe { (Stream::new(envoy), filter.cast::<Config>().as_ref()) };
        score::strip(&stream);
        let status = config.and_then(|config| score::score(&stream, config))?;
        stream.answer(status);
        Some(())
    });
    match answered.flatten() {
        Some(()) => STOP,
        None => CONTINUE,
    }
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
type Filter = *mut c_void;
type List = *mut c_void;

pass! {
    envoy_dynamic_module_on_http_filter_request_body(Envoy, Filter, bool);
    envoy_dynamic_module_on_http_filter_request_trailers(Envoy, Filter);
    envoy_dynamic_module_on_http_filter_response_headers(Envoy, Filter, bool);
    envoy_dynamic_module_on_http_filter_response_body(Envoy, Filter, bool);
    envoy_dynamic_module_on_http_filter_response_trailers(Envoy, Filter);
}

ignore! {
    envoy_dynamic_module_on_http_filter_stream_complete(Envoy, Filter);
    envoy_dynamic_module_on_http_filter_destroy(Filter);
    envoy_dynamic_module_on_http_filter_http_callout_done(
        Envoy, Filter, u64, u32, List, usize, List, usize
    );
    envoy_dynamic_module_on_http_filter_http_stream_headers(
        Envoy, Filter, u64, List, usize, bool
    );
    envoy_dynamic_module_on_http_filter_http_stream_data(Envoy, Filter, u64, List, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(Envoy, Filter, u64, List, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(Envoy, Filter, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(Envoy, Filter, u64, u32);
    envoy_dynamic_module_on_http_filter_scheduled(Envoy, Filter, u64);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
        Envoy, Filter
    );
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
        Envoy, Filter
    );
}
