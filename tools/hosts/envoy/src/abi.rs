//! The part of Envoy's ABI for dynamic modules that this one needs, written by hand: version 0.2.0.
//!
//! It is the one of Envoy 1.40, which loads a module of another version with a warning. The names
//! are those of `source/extensions/dynamic_modules/abi/abi.h` in Envoy's sources.
//!
//! E1 (Envoy's promise): pointers that Envoy hands to a hook are good until the hook returns, and
//! those of a configuration until its `destroy`; the pointers that a callback is given are read
//! until it returns. T1 (the binding): the declarations are those of the header.

use std::ffi::{c_char, c_void};

/// The version of the ABI, as `on_program_init` returns it.
pub const VERSION: *const c_char = c"v0.2.0".as_ptr();

/// A text of Envoy's, or of this module's.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Buffer {
    data: *const u8,
    len: usize,
}

impl Buffer {
    /// No text: as the value of a header it means that the header goes.
    pub const NULL: Buffer = Buffer {
        data: std::ptr::null(),
        len: 0,
    };

    /// A text of this module's.
    pub fn of(text: &[u8]) -> Buffer {
        Buffer {
            data: text.as_ptr(),
            len: text.len(),
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// E1 (Envoy's promise): within the hook that got it.
    pub unsafe fn get<'a>(&self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: E1 (Envoy's promise).
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// A header of Envoy's.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct HeaderPair {
    /// Its name, in lower case.
    pub name: Buffer,
    /// Its value.
    pub value: Buffer,
}

/// Kinds of headers: of a request, and of an answer.
pub const REQUEST_HEADERS: u32 = 0;
pub const RESPONSE_HEADERS: u32 = 2;

/// Attributes of a request: `request.protocol` and `source.address`.
pub const PROTOCOL: u32 = 10;
pub const SOURCE_ADDRESS: u32 = 24;

/// What a hook answers: the request goes on, or it was answered here.
pub const CONTINUE: u32 = 0;
pub const STOP: u32 = 1;

/// Levels of Envoy's log.
pub const INFO: u32 = 2;
pub const WARN: u32 = 3;
pub const ERROR: u32 = 4;

mod callbacks {
    use super::{Buffer, HeaderPair, c_void};

    // SAFETY: T1 (the binding).
    unsafe extern "C" {
        pub fn envoy_dynamic_module_callback_http_get_headers_size(
            filter: *mut c_void,
            kind: u32,
        ) -> usize;
        pub fn envoy_dynamic_module_callback_http_get_headers(
            filter: *mut c_void,
            kind: u32,
            headers: *mut HeaderPair,
        ) -> bool;
        pub fn envoy_dynamic_module_callback_http_get_header(
            filter: *mut c_void,
            kind: u32,
            name: Buffer,
            value: *mut Buffer,
            index: usize,
            count: *mut usize,
        ) -> bool;
        pub fn envoy_dynamic_module_callback_http_set_header(
            filter: *mut c_void,
            kind: u32,
            name: Buffer,
            value: Buffer,
        ) -> bool;
        pub fn envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
            filter: *mut c_void,
            namespace: Buffer,
            key: Buffer,
            value: f64,
        );
        pub fn envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
            filter: *mut c_void,
            namespace: Buffer,
            key: Buffer,
            value: Buffer,
        );
        pub fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
            filter: *mut c_void,
            attribute: u32,
            value: *mut Buffer,
        ) -> bool;
        pub fn envoy_dynamic_module_callback_http_send_response(
            filter: *mut c_void,
            status: u32,
            headers: *mut HeaderPair,
            count: usize,
            body: Buffer,
            details: Buffer,
        );
        pub fn envoy_dynamic_module_callback_log(level: u32, text: Buffer);
    }
}

/// A request within Envoy, for as long as one of its hooks runs.
#[derive(Debug)]
pub struct Stream {
    filter: *mut c_void,
}

impl Stream {
    /// The request of a hook.
    ///
    /// # Safety
    /// E1 (Envoy's promise): `filter` is the hook's, and the stream does not outlive the hook.
    pub unsafe fn new(filter: *mut c_void) -> Stream {
        Stream { filter }
    }

    /// The headers, pseudo-headers included.
    pub fn headers(&self) -> Vec<(&[u8], &[u8])> {
        // SAFETY: E1 (Envoy's promise): `new` was given a hook's pointer.
        let count = unsafe {
            callbacks::envoy_dynamic_module_callback_http_get_headers_size(
                self.filter,
                REQUEST_HEADERS,
            )
        };
        let none = HeaderPair {
            name: Buffer::NULL,
            value: Buffer::NULL,
        };
        let mut pairs = vec![none; count];
        // SAFETY: E1 (Envoy's promise). There is room for as many as there are.
        let there = unsafe {
            callbacks::envoy_dynamic_module_callback_http_get_headers(
                self.filter,
                REQUEST_HEADERS,
                pairs.as_mut_ptr(),
            )
        };
        if !there {
            return Vec::new();
        }
        let pairs = pairs.iter();
        // SAFETY: E1 (Envoy's promise): within the hook, as `self` is.
        { pairs }
            .map(|pair| unsafe { (pair.name.get(), pair.value.get()) })
            .collect()
    }

    /// The status of the answer; none ahead of it.
    pub fn status(&self) -> Option<u16> {
        let mut value = Buffer::NULL;
        // SAFETY: E1 (Envoy's promise): the text is good within the hook, as `self` is. No count
        // is asked for.
        let text = unsafe {
            callbacks::envoy_dynamic_module_callback_http_get_header(
                self.filter,
                RESPONSE_HEADERS,
                Buffer::of(b":status"),
                &mut value,
                0,
                std::ptr::null_mut(),
            );
            value.get()
        };
        std::str::from_utf8(text).ok()?.parse().ok()
    }

    /// Sets a header of the request, or removes it.
    pub fn set_header(&self, name: &str, value: Option<&str>) {
        let value = value.map_or(Buffer::NULL, |value| Buffer::of(value.as_bytes()));
        // SAFETY: E1 (Envoy's promise).
        unsafe {
            callbacks::envoy_dynamic_module_callback_http_set_header(
                self.filter,
                REQUEST_HEADERS,
                Buffer::of(name.as_bytes()),
                value,
            );
        }
    }

    /// Notes a number in the request's dynamic metadata.
    pub fn note_number(&self, namespace: &str, key: &str, value: f64) {
        // SAFETY: E1 (Envoy's promise).
        unsafe {
            callbacks::envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
                self.filter,
                Buffer::of(namespace.as_bytes()),
                Buffer::of(key.as_bytes()),
                value,
            );
        }
    }

    /// Notes a text in the request's dynamic metadata.
    pub fn note(&self, namespace: &str, key: &str, value: &str) {
        // SAFETY: E1 (Envoy's promise).
        unsafe {
            callbacks::envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
                self.filter,
                Buffer::of(namespace.as_bytes()),
                Buffer::of(key.as_bytes()),
                Buffer::of(value.as_bytes()),
            );
        }
    }

    /// An attribute; empty where it is not known.
    pub fn attribute(&self, attribute: u32) -> &[u8] {
        let mut value = Buffer::NULL;
        // SAFETY: E1 (Envoy's promise): the text is good within the hook, as `self` is.
        unsafe {
            callbacks::envoy_dynamic_module_callback_http_filter_get_attribute_string(
                self.filter,
                attribute,
                &mut value,
            );
            value.get()
        }
    }

    /// Answers the request here.
    pub fn answer(&self, status: u32) {
        // SAFETY: E1 (Envoy's promise). No headers are given.
        unsafe {
            callbacks::envoy_dynamic_module_callback_http_send_response(
                self.filter,
                status,
                std::ptr::null_mut(),
                0,
                Buffer::NULL,
                Buffer::of(b"hedgerow_block"),
            );
        }
    }
}

/// Writes a line to Envoy's log. Any thread may.
pub fn log(level: u32, text: &str) {
    // SAFETY: E1 (Envoy's promise).
    unsafe { callbacks::envoy_dynamic_module_callback_log(level, Buffer::of(text.as_bytes())) };
}
