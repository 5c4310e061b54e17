//! Seals a file's bytes: a private copy that nobody can change, truncate or delete.

use crate::limits::TABLE_BYTES_MAX;
use crate::refusal::{Refusal, RefusalKind};
use memmap2::{Advice, Mmap, MmapMut};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes that cannot change any more, aligned to a page, and present in memory.
///
/// The bytes are copied into an anonymous memory file that is then sealed against writing,
/// growing and shrinking, mapped read-only and prefaulted. Copies of 4 MiB and more
/// go into anonymous memory of huge pages instead, which is then made read-only: no file is
/// behind it at all. What happens to the original file afterwards reaches no reader: neither a
/// changed byte nor a SIGBUS (invariant T1).
#[derive(Debug)]
pub struct Sealed {
    map: Mmap,
    /// Bytes of the copy; the mapping may be longer.
    len: usize,
}

/// Bytes from which on huge pages help, 4 MiB. A row on the AVX-512 kernel, huge pages against
/// 4 KiB pages (Xeon, 2 MiB L2, 2 cores, KVM; 2026-11-23; minima of three alternating runs): no
/// difference at 0.4 MB, 2 to 3 % less time at 4 MB, 17 to 53 % less at 15 MB. Memory files do not
/// get huge pages where `shmem_enabled` is never, as it is by default.
const HUGE_FROM: u64 = 4 * 1024 * 1024;

/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 * 1024 * 1024;

impl Sealed {
    /// Seals a copy of a file.
    ///
    /// # Errors
    /// `Io`, `Empty`, `TooLarge`, `Changing` or `Seal`.
    pub fn from_file(path: &Path) -> Result<Sealed, Refusal> {
        let at = path.display().to_string();
        let io = |error: io::Error| RefusalKind::Io.caused(&at, "a readable file", error);
        // Asked before opening: to open a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(io)?.is_file() {
            return Err(not_a_file(&at));
        }
        // Asked again after opening, and opened without waiting: between the two questions the
        // path may have become a pipe.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = File::options();
        let file = options.read(true).custom_flags(nonblock).open(path);
        let file = file.map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() {
            return Err(not_a_file(&at));
        }
        check_bytes(&at, meta.len())?;
        // One byte more than expected, so that a file which grows meanwhile is noticed.
        Sealed::copy(&at, file.take(meta.len().saturating_add(1)), meta.len())
    }

    /// Seals a copy of bytes in memory.
    ///
    /// # Errors
    /// `Empty`, `TooLarge` or `Seal`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sealed, Refusal> {
        let len = bytes.len() as u64;
        check_bytes("bytes", len)?;
        Sealed::copy("bytes", bytes, len)
    }

    /// The sealed bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.map.get(..self.len).unwrap_or_default()
    }

    fn copy(at: &str, mut from: impl Read, len: u64) -> Result<Sealed, Refusal> {
        let seal = |error: io::Error| {
            RefusalKind::Seal.at(at, "memory that can be sealed and mapped", error)
        };
        // A write to a memory file beyond the process's limit on file sizes would end the process
        // (SIGXFSZ).
        let limit = getrlimit(Resource::Fsize).current;
        if len >= HUGE_FROM || limit.is_some_and(|limit| len > limit) {
            return Sealed::copy_huge(at, from, len);
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut memory: File = memfd_create("hedgerow-table", flags)
            .map_err(io::Error::from)
            .map_err(seal)?
            .into();
        copy_all(at, &mut from, &mut memory, len)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&memory, seals)
            .map_err(io::Error::from)
            .map_err(seal)?;
        // Private: before Linux 6.7 even a read-only shared mapping of a write-sealed memory file
        // is refused. Populated: the hot path takes no page fault (invariant H).
        let mut options = memmap2::MmapOptions::new();
        options.populate();
        // SAFETY: T1 (the mapped bytes never change). The memory file is anonymous, this function
        // holds its only descriptor, and the seals set above refuse every later write, truncation
        // and extension.
        let map = unsafe { options.map_copy_read_only(&memory) }.map_err(seal)?;
        Ok(Sealed {
            len: map.len(),
            map,
        })
    }

    fn copy_huge(at: &str, mut from: impl Read, len: u64) -> Result<Sealed, Refusal> {
        let seal =
            |error: io::Error| RefusalKind::Seal.at(at, "anonymous memory of its size", error);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let padded = len.saturating_add(HUGE_PAGE);
        let mut memory = MmapMut::map_anon(padded).map_err(seal)?;
        // Advice: where there are no huge pages, small ones do.
        let _ = memory.advise(Advice::HugePage);
        let mut left = memory.get_mut(..len).unwrap_or_default();
        // Written from end to end, the pages are all there: the hot path takes no page fault.
        copy_all(at, &mut from, &mut left, len as u64)?;
        let map = memory.make_read_only().map_err(seal)?;
        Ok(Sealed { map, len })
    }
}

fn not_a_file(at: &str) -> Refusal {
    RefusalKind::Io.at(at, "a regular file", "something else")
}

/// Bytes that are copied at a time, at most.
const CHUNK_BYTES_MAX: u64 = 256 * 1024;

/// Copies exactly this many bytes; what has more or fewer has changed meanwhile.
fn copy_all(at: &str, from: &mut impl Read, to: &mut impl Write, len: u64) -> Result<(), Refusal> {
    let io = |error: io::Error| RefusalKind::Io.caused(at, "a readable file", error);
    let seal = |error: io::Error| RefusalKind::Seal.caused(at, "memory to copy into", error);
    let changing = |got| RefusalKind::Changing.at(at, format!("{len} bytes"), got);
    let mut chunk = vec![0u8; len.clamp(1, CHUNK_BYTES_MAX) as usize];
    let mut copied = 0u64;
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) if copied == len => return Ok(()),
            Ok(0) => return Err(changing(copied)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io(error)),
        };
        copied = copied.saturating_add(read as u64);
        if copied > len {
            return Err(changing(copied));
        }
        to.write_all(chunk.get(..read).unwrap_or_default())
            .map_err(seal)?;
    }
}

fn check_bytes(at: &str, len: u64) -> Result<(), Refusal> {
    if len == 0 {
        return Err(RefusalKind::Empty.at(at, "a table", "0 bytes"));
    }
    if len > TABLE_BYTES_MAX as u64 {
        let most = format!("at most {TABLE_BYTES_MAX} bytes");
        return Err(RefusalKind::TooLarge.at(at, most, format!("{len} bytes")));
    }
    Ok(())
}
