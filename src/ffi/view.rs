//! What a host describes a request with, and how its pointers become slices.

use super::{HopCode, Status};
use crate::host::{Front, HopRule};
use crate::http::{ClientHello, Header, HeadersKnown, Hop, Request, Scheme, Tls, Version};
use crate::limits::HEADERS_SCANNED_MAX;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the host's. They are read during the call alone, and never written.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Bytes {
    /// The first of them. NULL means that they are not known, or where nothing can be unknown,
    /// that there are none.
    pub data: *const u8,
    /// How many there are.
    pub len: usize,
}

/// Numbers of 16 bits, as in lists of a ClientHello, in the machine's byte order.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Numbers {
    /// The first of them. NULL means none.
    pub data: *const u16,
    /// How many there are.
    pub len: usize,
}

/// One header field as it came: any bytes.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct HeaderField {
    /// The name, in the case it was sent in.
    pub name: Bytes,
    /// The value, without the white space around it.
    pub value: Bytes,
}

/// The parts of a ClientHello, in the order that they were sent in.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Hello {
    /// The size of this struct.
    pub size: usize,
    /// The extension `supported_versions`.
    pub versions: Numbers,
    /// The cipher suites.
    pub ciphers: Numbers,
    /// The numbers of the extensions.
    pub extensions: Numbers,
    /// The extension `signature_algorithms`.
    pub signature_algorithms: Numbers,
    /// The first protocol of the extension ALPN.
    pub alpn: Bytes,
    /// The version in the hello itself.
    pub legacy_version: u16,
    /// 1 where it came over QUIC, else 0.
    pub quic: u8,
}

/// One request. Set everything to zero, then `size`, then what is known: what stays zero is not
/// known. Nothing in it is checked for sense: any bytes are allowed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct RequestView {
    /// The size of this struct.
    pub size: usize,
    /// The method.
    pub method: Bytes,
    /// Path and query as sent.
    pub target: Bytes,
    /// The `:authority` of HTTP/2 and HTTP/3, where the host keeps it.
    pub authority: Bytes,
    /// The headers in wire order, duplicates kept, without pseudo-headers.
    pub headers: *const HeaderField,
    /// How many there are; the first 128 are looked at.
    pub header_count: usize,
    /// The JA4 of the TLS client.
    pub ja4: Bytes,
    /// The protocol that ALPN settled on.
    pub alpn: Bytes,
    /// The parts of the ClientHello, or NULL.
    pub hello: *const Hello,
    /// Values of the host's own features, in the order of `hedgerow_options.features`. NaN is not
    /// known, and so are those that are left out at the end.
    pub own: *const f32,
    /// How many there are.
    pub own_count: usize,
    /// The address of the other end in network order: 16 bytes, or the first 4. Where `hop` is
    /// `HEDGEROW_HOP_PROXY`, the client's.
    pub peer: [u8; 16],
    /// 4 or 6; 0 where the address is not known.
    pub peer_family: u8,
    /// A `hedgerow_version`.
    pub version: u8,
    /// A `hedgerow_scheme`.
    pub scheme: u8,
    /// A `hedgerow_headers`.
    pub headers_known: u8,
    /// A `hedgerow_hop`.
    pub hop: u8,
    /// Behind a proxy, the version that the client spoke to it: a `hedgerow_version`.
    pub client_version: u8,
}

/// The values of `hedgerow_request.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum VersionCode {
    /// Not known.
    Unknown = 0,
    /// HTTP/1.0, and older.
    Http10 = 1,
    /// HTTP/1.1.
    Http11 = 2,
    /// HTTP/2.
    Http2 = 3,
    /// HTTP/3.
    Http3 = 4,
}

/// The values of `hedgerow_request.scheme`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SchemeCode {
    /// Not known.
    Unknown = 0,
    /// Plain text.
    Http = 1,
    /// TLS, at the client's end of the connection.
    Https = 2,
}

/// The values of `hedgerow_request.headers_known`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HeadersCode {
    /// Every header is listed, in wire order and in the case it was sent in.
    Complete = 0,
    /// Every header is listed, but their order and case are lost.
    Unordered = 1,
    /// Only User-Agent and Referer are known: a line of an access log.
    Partial = 2,
    /// Only the User-Agent is known.
    UserAgentOnly = 3,
}

/// Looks at a host's struct, which starts with its size, so that one of another version is told
/// apart.
///
/// # Safety
/// A1 (the host's pointers): null, or to a struct whose size is set.
pub(super) unsafe fn check<T>(pointer: *const T) -> Result<(), Status> {
    if pointer.is_null() {
        return Err(Status::Null);
    }
    if !pointer.is_aligned() {
        return Err(Status::Argument);
    }
    // SAFETY: A1 (the host's pointers). Every struct that comes here starts with its size; the rest
    // of one that is to be written may be anything.
    let size = unsafe { pointer.cast::<usize>().read() };
    match size == size_of::<T>() {
        true => Ok(()),
        false => Err(Status::Size),
    }
}

/// The host's struct behind a pointer.
///
/// # Safety
/// A1 (the host's pointers): null, or to what the header says it is, for as long as the call.
pub(super) unsafe fn host<'a, T>(pointer: *const T) -> Result<&'a T, Status> {
    // SAFETY: A1 (the host's pointers). Null and unaligned ones are told by `check`.
    unsafe {
        check(pointer)?;
        pointer.as_ref()
    }
    .ok_or(Status::Null)
}

/// A host's list.
///
/// # Safety
/// A1 (the host's pointers): null, or to `len` values that stay as they are for as long as the
/// call.
pub(super) unsafe fn list<'a, T>(data: *const T, len: usize) -> Result<&'a [T], Status> {
    let bytes = len.checked_mul(size_of::<T>());
    let fits = bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Status::Null);
    }
    if !data.is_aligned() || !fits {
        return Err(Status::Argument);
    }
    // SAFETY: A1 (the host's pointers). Null, unaligned and overlong lists are told above.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

impl Bytes {
    /// # Safety
    /// A1 (the host's pointers).
    unsafe fn get<'a>(&self) -> Result<&'a [u8], Status> {
        // SAFETY: A1 (the host's pointers), passed on.
        unsafe { list(self.data, self.len) }
    }

    /// None where the pointer is null.
    ///
    /// # Safety
    /// A1 (the host's pointers).
    unsafe fn known<'a>(&self) -> Result<Option<&'a [u8]>, Status> {
        if self.data.is_null() && self.len == 0 {
            return Ok(None);
        }
        // SAFETY: A1 (the host's pointers), passed on.
        unsafe { self.get() }.map(Some)
    }
}

impl Numbers {
    /// # Safety
    /// A1 (the host's pointers).
    unsafe fn get<'a>(&self) -> Result<&'a [u16], Status> {
        // SAFETY: A1 (the host's pointers), passed on.
        unsafe { list(self.data, self.len) }
    }
}

/// The headers of a request, each of which was looked at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    fields: &'a [HeaderField],
    /// Values of the host's own features.
    pub own: &'a [f32],
}

impl<'a> Fields<'a> {
    /// The headers, in their order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        self.fields.iter().map(|field| {
            // SAFETY: A1 (the host's pointers), looked at by `request`, which alone makes this.
            let (name, value) = unsafe { (field.name.get(), field.value.get()) };
            Header::new(name.unwrap_or_default(), value.unwrap_or_default())
        })
    }
}

/// The request that a host describes, resolved by what is in front of the host, and its headers.
///
/// # Safety
/// A1 (the host's pointers), those within it included.
pub(super) unsafe fn request<'a>(
    view: &'a RequestView,
    front: &Front,
) -> Result<(Request<'a>, Fields<'a>), Status> {
    // SAFETY: A1 (the host's pointers), here and below.
    let fields = unsafe { list(view.headers, view.header_count) }?;
    let fields = fields.get(..HEADERS_SCANNED_MAX).unwrap_or(fields);
    for field in fields {
        // SAFETY: A1 (the host's pointers).
        unsafe { field.name.get().and(field.value.get()) }?;
    }
    let known = match view.headers_known {
        0 => HeadersKnown::Complete,
        1 => HeadersKnown::Unordered,
        2 => HeadersKnown::Partial,
        3 => HeadersKnown::UserAgentOnly,
        _ => return Err(Status::Argument),
    };
    // SAFETY: A1 (the host's pointers).
    let (method, target) = unsafe { (view.method.get()?, view.target.get()?) };
    let mut request = Request::new(method, target, &[], known);
    request.version = version(view.version)?;
    request.client_version = version(view.client_version)?;
    request.scheme = scheme(view.scheme)?;
    request.peer = match (view.peer_family, view.peer) {
        (0, _) => None,
        (4, [a, b, c, d, ..]) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        (6, bytes) => Some(IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => return Err(Status::Argument),
    };
    // SAFETY: A1 (the host's pointers).
    let own = unsafe {
        request.authority = view.authority.known()?;
        request.tls = tls(view)?;
        list(view.own, view.own_count)
    }?;
    let fields = Fields { fields, own };
    let rule = match view.hop {
        0 => front.hop,
        1 => HopRule::Client,
        2 => HopRule::Proxy,
        _ => return Err(Status::Argument),
    };
    if view.hop == HopCode::Proxy as u8 {
        request.hop = Hop::Proxy;
    }
    Ok((front.resolve_as(rule, request, fields.iter()), fields))
}

fn version(code: u8) -> Result<Version, Status> {
    Ok(match code {
        0 => Version::Unknown,
        1 => Version::Http10,
        2 => Version::Http11,
        3 => Version::Http2,
        4 => Version::Http3,
        _ => return Err(Status::Argument),
    })
}

pub(super) fn scheme(code: u8) -> Result<Scheme, Status> {
    Ok(match code {
        0 => Scheme::Unknown,
        1 => Scheme::Http,
        2 => Scheme::Https,
        _ => return Err(Status::Argument),
    })
}

/// # Safety
/// A1 (the host's pointers).
unsafe fn tls<'a>(view: &RequestView) -> Result<Tls<'a>, Status> {
    let mut tls = Tls::UNKNOWN;
    // SAFETY: A1 (the host's pointers), here and below.
    let ja4 = unsafe { view.ja4.known() }?;
    tls.ja4 = ja4.and_then(|ja4| std::str::from_utf8(ja4).ok());
    // SAFETY: A1 (the host's pointers).
    tls.alpn = unsafe { view.alpn.known() }?;
    if view.hello.is_null() {
        return Ok(tls);
    }
    // SAFETY: A1 (the host's pointers).
    tls.hello = Some(unsafe {
        let hello = host(view.hello)?;
        ClientHello {
            quic: hello.quic != 0,
            legacy_version: hello.legacy_version,
            versions: hello.versions.get()?,
            ciphers: hello.ciphers.get()?,
            extensions: hello.extensions.get()?,
            signature_algorithms: hello.signature_algorithms.get()?,
            alpn: hello.alpn.get()?,
        }
    });
    Ok(tls)
}
