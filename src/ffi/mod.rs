//! The C ABI: engines and scorers for hosts in C, by handles that are looked up at every call.
//!
//! `include/hedgerow.h` is made from this module, and the manual's chapter
//! [from C](crate::manual::c) is the user's page. Each call returns a status; no panic crosses;
//! trouble never ends the host.
//!
//! - A1: the pointers that a host passes are null, or point to what the header says, which stays as
//!   it is during the call. Made true by the host; `view` tells what can be told.
//! - A2: a handle is no address, and nothing is reached through it. Made true by `handles`.
//! - A3: exported names start with `hedgerow_`, which is this library's alone. Held by the tests
//!   of the house.
//! - A4: POSIX functions do what POSIX says, by the declarations of the crate `libc`.

mod engines;
mod handles;
mod scoring;
mod text;
mod types;
mod view;

pub use engines::*;
pub use scoring::*;
pub use types::*;
pub use view::{
    Bytes, HeaderField, HeadersCode, Hello, Numbers, RequestView, SchemeCode, VersionCode,
};

use crate::http;
use crate::limits::LIMITS;
use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

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

/// Changes whenever a struct or a function of the header changes. What is only added keeps it.
pub const ABI_VERSION: u32 = 3;

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

/// Runs the body of a call that may wait or allocate, unless this thread is inside of one already:
/// then a signal's handler came in between.
fn call_alone(body: impl FnOnce() -> Result<(), Status>) -> Status {
    call(|| {
        let _inside = handles::enter()?;
        body()
    })
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
    call_alone(|| {
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
/// wait, and `HEDGEROW_STATUS_NOTHING` says that none does. It is cut to `capacity` and ended with
/// a zero byte; its whole length goes to `len`, unless that is NULL. With a capacity of 0 the line
/// stays. Any thread may call it.
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
    call_alone(|| {
        text::next_line(|line| {
            // SAFETY: A1 (the host's pointers).
            unsafe { put_text(line.as_bytes(), text, capacity, len) }?;
            Ok(capacity > 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> String {
        text::last_error(|text| String::from_utf8_lossy(text).into_owned()).unwrap()
    }

    #[test]
    fn a_panic_is_a_status_and_the_scorer_goes_on() {
        assert_eq!(call(|| panic!("planted")), Status::Panic);
        assert_eq!(error(), "panic");
        let mut engine = std::ptr::null_mut();
        let mut scorer = std::ptr::null_mut();
        // SAFETY: A1. The pointers are to places of this function, here and below.
        unsafe {
            assert_eq!(
                hedgerow_engine_open(std::ptr::null(), &mut engine),
                Status::Ok
            );
            assert_eq!(hedgerow_scorer_attach(engine, &mut scorer), Status::Ok);
        }
        let planted = || handles::with_scorer(number(scorer), |_| -> Result<(), _> { panic!() });
        assert_eq!(call(planted), Status::Panic);
        let mut verdict = VerdictView::ERROR;
        // SAFETY: A1. A request of zeros, of which only the size is set, is one of which nothing
        // is known.
        let mut request: RequestView = unsafe { std::mem::zeroed() };
        request.size = size_of::<RequestView>();
        // SAFETY: A1.
        let status = unsafe { hedgerow_score(scorer, &request, &mut verdict) };
        assert_eq!((status, verdict.kind), (Status::Ok, Kind::Scored as u8));
        // A call from within a call, as of a signal's handler, is told.
        let within = || {
            handles::with_scorer(number(scorer), |_| {
                // SAFETY: A1.
                let status = unsafe { hedgerow_score(scorer, &request, &mut verdict) };
                assert_eq!(status, Status::Busy);
                assert_eq!(hedgerow_scorer_free(scorer), Status::Busy);
                Ok(())
            })
        };
        assert_eq!(call(within), Status::Ok);
        assert_eq!((verdict.kind, verdict.score), (0, NO_SCORE));
        // Within one that may wait, only what may not is done. A panic leaves no mark.
        assert_eq!(call_alone(|| panic!("planted")), Status::Panic);
        let within = || {
            assert_eq!(hedgerow_engine_free(engine), Status::Busy);
            // SAFETY: A1.
            let status = unsafe { hedgerow_score(scorer, &request, &mut verdict) };
            assert_eq!((status, verdict.kind), (Status::Ok, Kind::Scored as u8));
            Ok(())
        };
        assert_eq!(call_alone(within), Status::Ok);
        assert_eq!(hedgerow_scorer_free(scorer), Status::Ok);
        assert_eq!(hedgerow_engine_free(engine), Status::Ok);
        assert_eq!(hedgerow_scorer_free(scorer), Status::Handle);
    }

    #[test]
    fn a_verified_bot_has_no_score() {
        let verified = crate::VerifiedBot {
            bot: 3,
            category: crate::table::bots::Category::Ai,
            generation: 7,
        };
        let view = VerdictView::from(crate::Verdict::VerifiedBot(verified));
        assert_eq!((view.kind, view.score), (2, NO_SCORE));
        assert_eq!((view.bot, view.category, view.generation), (3, 2, 7));
        assert_eq!((view.source, view.reason), (0, 0));
    }
}
