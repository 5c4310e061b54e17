//! Files of a watched directory on disk: bounded reads, durable replacement, modes, and the lock.
//!
//! The mode and the group of a folder decide who may read and change what is in it, whatever the
//! umask of a writer: root's shells and services often have 077, and engines are other users.

use super::time;
use crate::refusal::{Refusal, RefusalKind};
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that are read of `active`, `switches`, `shadows` or a `health`: 256 KiB.
const SMALL_BYTES_MAX: u64 = 256 * 1024;

/// Reads a small file whole; `None` if it is not there. A pipe in its place is not waited for.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    read_at_most(path, SMALL_BYTES_MAX)
}

/// Reads a file of at most `max` bytes, like [`read_small`].
pub(super) fn read_at_most(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let failed = |error: io::Error| Refusal::directory(path, "a readable file", error);
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    let mut bounded = file.take(max.saturating_add(1));
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        let most = format!("at most {max} bytes");
        return Err(RefusalKind::Directory.at(path.display(), most, "more"));
    }
    Ok(Some(bytes))
}

/// Opens a file for reading. A pipe in its place is not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let nonblock = OFlags::NONBLOCK.bits() as i32;
    File::options().read(true).custom_flags(nonblock).open(path)
}

/// The end of the name of a file that is being written. The holder of the lock may remove it.
const PARTIAL: &str = ".partial";

/// Replaces a file: writes a new one, makes it durable and renames it into place. On an error
/// nothing of it stays, and the old file is as it was. If the new file is in place and its name
/// cannot be made durable, it is done, and returns that refusal.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<Option<Refusal>, Refusal> {
    let failed = |error: io::Error| Refusal::directory(path, "a writable folder", error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}{PARTIAL}"));
    let written = || -> io::Result<()> {
        // One writer holds the lock: a file of this name was left by a writer that was killed.
        remove_if_there(&partial)?;
        let mut file = create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    written().map_err(|error| {
        let _ = fs::remove_file(&partial);
        failed(error)
    })?;
    let expected = "a folder that can be synced: it is done, and a power cut may undo it";
    let synced = sync_folder(folder);
    Ok(synced
        .err()
        .map(|error| Refusal::directory(path, expected, error)))
}

/// Bits of a folder's mode that its files take over: its readers read, its group may write too.
const FILE_BITS: u32 = 0o064;

/// The same of a lock, which only those may open who may write in the folder: a reader could hold
/// it.
const LOCK_BITS: u32 = 0o020;

/// Bits of a folder's mode that folders in it take over, with the group.
const FOLDER_BITS: u32 = 0o2075;

/// Creates a file that is not there yet.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = File::create_new(path)?;
    adopt(&file, path, FILE_BITS)?;
    Ok(file)
}

/// Gives a new file the group and the bits of its folder. A group that its writer is not in, or a
/// file system without modes, is no failure.
fn adopt(file: &File, path: &Path, bits: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::metadata(folder.unwrap_or(Path::new(".")))?;
    let shared = fchown(file, None, Some(folder.gid())).is_ok();
    // A folder that even its owner may not enter is shut for a while, and says nothing of readers.
    let open = if folder.mode() & 0o700 == 0 {
        0o055
    } else {
        folder.mode()
    };
    let taken = open & bits & if shared { !0 } else { 0o007 };
    // Who may write a lock opens it for reading, too.
    let group = if taken & 0o020 != 0 { 0o060 } else { 0 };
    let mode = 0o600 | taken | group;
    if file.metadata()?.mode() & 0o777 != mode {
        let _ = file.set_permissions(fs::Permissions::from_mode(mode));
    }
    Ok(())
}

/// Opens a file that stays in its place, to append to it or to lock it; creates it if it is not
/// there. A link in its place would lead to a file of somebody else.
///
/// # Errors
/// If it is a symbolic link, has another name elsewhere, or is no regular file.
pub(super) fn open_in_place(path: &Path, bits: u32) -> io::Result<File> {
    let nofollow = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut options = File::options();
    let options = options.read(true).append(true).custom_flags(nofollow);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match options.clone().create_new(true).open(path) {
                Ok(file) => {
                    adopt(&file, path, bits)?;
                    file
                }
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path)?,
                Err(error) => return Err(error),
            }
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() > 1 {
        let why = "expected a regular file without another name, got a link or another kind";
        return Err(io::Error::other(why));
    }
    Ok(file)
}

/// Opens the file of a history, to append to it.
pub(super) fn open_history(path: &Path) -> io::Result<File> {
    open_in_place(path, FILE_BITS)
}

/// Creates a folder and those above it that are not there, each with the group and the bits of the
/// one above. In a folder that everybody may write to, only its maker may.
pub(crate) fn create_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new(""));
    create_folders(above)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        made => made?,
    }
    let above = if above.as_os_str().is_empty() {
        Path::new(".")
    } else {
        above
    };
    let above = fs::metadata(above)?;
    let made = File::open(path)?;
    let mut bits = above.mode() & FOLDER_BITS;
    if above.mode() & 0o002 != 0 || fchown(&made, None, Some(above.gid())).is_err() {
        bits &= 0o055;
    }
    let _ = made.set_permissions(fs::Permissions::from_mode(0o700 | bits));
    Ok(())
}

/// Makes a folder's names durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all().or_else(unless_unknown)
}

/// Passes the errors of file systems without fsync of a folder: there is nothing more to do.
fn unless_unknown(error: io::Error) -> io::Result<()> {
    match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::INVAL | rustix::io::Errno::BADF) => Ok(()),
        _ => Err(error),
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the unfinished files of killed writers. The caller holds the lock.
pub(crate) fn remove_partials(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with('.') && text.ends_with(PARTIAL) {
            remove_if_there(&folder.join(&name))?;
        }
    }
    Ok(())
}

/// The right to write in a folder. It ends with its process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The interval in which a waiting publisher tries again.
const LOCK_POLL: Duration = Duration::from_millis(5);

impl Lock {
    /// Takes the lock of a folder, waiting for it no longer than `wait`. `holder` is for the
    /// messages of others.
    pub(crate) fn take(
        folder: &Path,
        wait: Duration,
        holder: impl fmt::Display,
    ) -> Result<Lock, Refusal> {
        let path = folder.join("lock");
        let failed = |error: io::Error| Refusal::directory(&path, "a lock to write to", error);
        let mut file = open_in_place(&path, LOCK_BITS).map_err(failed)?;
        // One of an earlier version, which readers can hold.
        adopt(&file, &path, LOCK_BITS).map_err(failed)?;
        let until = Instant::now().checked_add(wait);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(failed(error));
                }
                Err(_) => {}
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(busy(&path, &file, wait));
            }
            thread::sleep(LOCK_POLL);
        }
        // For messages alone: if there is no room for the name, the lock still holds.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{holder}, {}", time::now()));
        Ok(Lock { _file: file })
    }

    /// Returns whether a process holds the lock of a folder now.
    pub(crate) fn is_held(folder: &Path) -> bool {
        let path = folder.join("lock");
        match open(&path) {
            Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            // Its readers are those who may write in the folder.
            Err(_) => holder_of(&path).is_some(),
        }
    }
}

/// Returns the process that holds the lock of a file, as the kernel lists it.
fn holder_of(path: &Path) -> Option<u32> {
    let inode = fs::metadata(path).ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, _, _) = (words.next()?, words.next()?, words.next()?);
        let (process, file) = (words.next()?, words.next()?);
        let is_it = kind == "FLOCK" && file.rsplit(':').next() == Some(&inode);
        if is_it { process.parse().ok() } else { None }
    })
}

/// Returns the refusal of a lock that another process holds.
fn busy(path: &Path, file: &File, wait: Duration) -> Refusal {
    let mut noted = String::new();
    let _ = file.take(1_024).read_to_string(&mut noted);
    let noted = noted.trim();
    let got = match holder_of(path) {
        // The note is of the last one that took the lock properly.
        Some(process) if !noted.contains(&format!("(process {process})")) => {
            let name = fs::read_to_string(format!("/proc/{process}/comm"));
            let name = name.unwrap_or_default();
            format!("process {process} ({}), who holds it", name.trim())
        }
        _ if noted.is_empty() => "another process that holds it".into(),
        _ => format!("{noted}, who holds it"),
    };
    let expected = format!("the lock within {} s", wait.as_secs_f64());
    RefusalKind::Busy.at(path.display(), expected, got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_who_holds_a_lock() {
        let name = format!("hedgerow-lock-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        create_folders(&folder).unwrap();
        let lock = Lock::take(&folder, Duration::ZERO, "a test").unwrap();
        let path = folder.join("lock");
        assert_eq!(holder_of(&path), Some(std::process::id()));
        assert!(Lock::is_held(&folder));
        drop(lock);
        assert_eq!(holder_of(&path), None);
        assert!(!Lock::is_held(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_knows_no_fsync_is_no_failure_and_a_broken_disk_is() {
        use rustix::io::Errno;
        for (errno, done) in [
            (Errno::INVAL, true),
            (Errno::BADF, true),
            (Errno::IO, false),
            (Errno::NOSPC, false),
        ] {
            assert_eq!(unless_unknown(errno.into()).is_ok(), done, "{errno}");
        }
        assert!(unless_unknown(io::ErrorKind::NotFound.into()).is_err());
        sync_folder(&std::env::temp_dir()).unwrap();
    }
}
