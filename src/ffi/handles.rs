//! Handles: what a host holds of an engine or a scorer is a number, looked up at every call.
//!
//! A handle is no address (A2): nothing is read through it. So a handle that was freed, comes from
//! another thread or from before a fork, or was never one, is found out and told.
//!
//! Scorers live in a list of the thread that attached them: none but this thread can reach them,
//! and they go with it. Engines live in slots of the process, each behind a lock that is held for
//! as long as it takes to copy a pointer.
//!
//! A fork copies the one thread that called it. What the others held, locks included, stays as it
//! was for ever, and the threads of a watch are gone. So the child counts the fork, and refuses
//! whatever handle is older: it never waits for a lock that a thread of the parent held.

use super::Status;
use crate::host::{Front, Opened, RequestScorer};
use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, compiler_fence};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// Engines of a process, at most. One is the rule.
pub(super) const ENGINES_MAX: usize = 64;

/// The engine behind a handle.
#[derive(Debug)]
pub(super) struct OpenEngine {
    pub opened: Opened,
    /// What is in front of the host.
    pub front: Arc<Front>,
    /// Clients of each scorer's traffic windows.
    pub traffic_clients: Option<usize>,
}

/// Forks that this process, or one before it, comes from.
static FORKS: AtomicU32 = AtomicU32::new(0);

static FORKS_COUNTED: AtomicBool = AtomicBool::new(false);

/// The threads that had attached a scorer when this process was forked.
static THREADS_BEFORE: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_child() {
    // Relaxed: the child has this one thread.
    FORKS.fetch_add(1, Ordering::Relaxed);
    THREADS_BEFORE.store(THREADS.load(Ordering::Relaxed), Ordering::Relaxed);
}

/// Signals that a thread itself raises.
const FAULTS: [c_int; 6] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
];

/// Keeps signals from this thread for as long as it lives, and for good from the threads that are
/// started meanwhile: a host that waits for a signal, which no thread of its own lets in, would be
/// ended by it where one of the library's did. What a fault of a thread raises is let in, so that a
/// host's handler for it is asked.
pub(super) struct WithoutSignals {
    before: libc::sigset_t,
}

impl WithoutSignals {
    pub fn new() -> Result<WithoutSignals, Status> {
        let mut set = MaybeUninit::zeroed();
        let mut before = MaybeUninit::zeroed();
        // SAFETY: A4 (POSIX). `sigfillset` fills the set before anything reads it.
        let refused = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            for fault in FAULTS {
                libc::sigdelset(set.as_mut_ptr(), fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr())
        };
        match refused {
            0 => Ok(WithoutSignals {
                // SAFETY: A4 (POSIX). All zeroes are a set, too, and the call has filled it.
                before: unsafe { before.assume_init() },
            }),
            _ => Err(Status::System),
        }
    }
}

impl Drop for WithoutSignals {
    fn drop(&mut self) {
        let nowhere = std::ptr::null_mut();
        // SAFETY: A4 (POSIX). The set is the one that `new` was given by the system.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, nowhere) };
    }
}

/// Has forks counted from now on.
pub(super) fn count_forks() -> Result<(), Status> {
    // Relaxed: a fork that is counted twice is as good.
    if FORKS_COUNTED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: A4 (POSIX). The hook takes nothing, touches atomics, and belongs to this library:
    // the C library forgets it where the library is unloaded.
    let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    if refused != 0 {
        return Err(Status::System);
    }
    FORKS_COUNTED.store(true, Ordering::Relaxed);
    Ok(())
}

fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// One engine, or none.
#[derive(Debug)]
struct Slot {
    /// How often the slot was taken; part of the handle. Written under the lock.
    serial: AtomicU32,
    /// The forks before it was taken. Written under the lock.
    forks: AtomicU32,
    open: Mutex<Option<Arc<OpenEngine>>>,
}

static ENGINES: [Slot; ENGINES_MAX] = [const {
    Slot {
        serial: AtomicU32::new(0),
        forks: AtomicU32::new(0),
        open: Mutex::new(None),
    }
}; _];

/// The low bits of a handle: of which kind it is.
const KIND_BITS: u32 = 4;
const ENGINE: u64 = 0x5;
const SCORER: u64 = 0xa;

/// Bits of an engine's slot, above the kind.
const SLOT_BITS: u32 = 8;

/// Bits of a scorer's number within its thread, above the kind.
const NUMBER_BITS: u32 = 24;

// A handle travels as a pointer.
const _: () = assert!(size_of::<usize>() == size_of::<u64>());

fn kind(handle: u64) -> u64 {
    handle & ((1 << KIND_BITS) - 1)
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<OpenEngine>>> {
    let locked = slot.open.lock();
    locked.unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Takes a slot for an engine; the handle.
pub(super) fn keep_engine(open: OpenEngine) -> Result<u64, Status> {
    for (at, slot) in (0u64..).zip(&ENGINES) {
        // Not waited for: the lock may be one that a thread of the parent held during a fork.
        let mut place = match slot.open.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => continue,
        };
        // An engine from before a fork is never dropped: its threads are not there to end.
        if place.is_some() {
            continue;
        }
        // Relaxed, here and below: the lock orders them for those that act on them.
        let serial = slot.serial.load(Ordering::Relaxed).wrapping_add(1);
        slot.serial.store(serial, Ordering::Relaxed);
        slot.forks.store(forks(), Ordering::Relaxed);
        *place = Some(Arc::new(open));
        return Ok(u64::from(serial) << (KIND_BITS + SLOT_BITS) | at << KIND_BITS | ENGINE);
    }
    Err(Status::Full)
}

/// The slot of an engine's handle, and its serial. Takes no lock: after a fork it might be held
/// for ever.
fn engine_slot(handle: u64) -> Result<(&'static Slot, u32), Status> {
    if handle == 0 {
        return Err(Status::Null);
    }
    let at = (handle >> KIND_BITS) & ((1 << SLOT_BITS) - 1);
    let serial = u32::try_from(handle >> (KIND_BITS + SLOT_BITS));
    let slot = usize::try_from(at).ok().and_then(|at| ENGINES.get(at));
    let (Some(slot), Ok(serial), ENGINE) = (slot, serial, kind(handle)) else {
        return Err(Status::Handle);
    };
    if slot.serial.load(Ordering::Relaxed) != serial {
        return Err(Status::Handle);
    }
    match slot.forks.load(Ordering::Relaxed) == forks() {
        true => Ok((slot, serial)),
        false => Err(Status::Forked),
    }
}

/// The engine of a handle, which stays for as long as the caller holds it.
pub(super) fn engine(handle: u64) -> Result<Arc<OpenEngine>, Status> {
    let (slot, serial) = engine_slot(handle)?;
    let place = lock(slot);
    let same = slot.serial.load(Ordering::Relaxed) == serial;
    place.clone().filter(|_| same).ok_or(Status::Handle)
}

/// Frees the slot of a handle; the engine that was in it.
pub(super) fn take_engine(handle: u64) -> Result<Arc<OpenEngine>, Status> {
    let (slot, serial) = engine_slot(handle)?;
    let mut place = lock(slot);
    if slot.serial.load(Ordering::Relaxed) != serial {
        return Err(Status::Handle);
    }
    place.take().ok_or(Status::Handle)
}

/// What a scorer's handle is for.
#[derive(Debug)]
pub(super) struct Attached {
    pub scorer: RequestScorer,
    pub front: Arc<Front>,
}

/// A scorer of a thread.
#[derive(Debug)]
struct Entry {
    handle: u64,
    /// The forks before it was attached.
    forks: u32,
    attached: Box<Attached>,
}

/// The scorers of a thread. Those from before a fork stay where they are for ever: to drop one
/// could wait for a lock that nobody holds any more.
#[derive(Debug)]
struct Scorers {
    entries: ManuallyDrop<Vec<Entry>>,
}

impl Scorers {
    /// Where a handle's scorer is, if it is one of this thread and of this process.
    #[inline]
    fn find(&self, handle: u64) -> Result<usize, Status> {
        let mut all = self.entries.iter().enumerate();
        let found = all.find(|(_, entry)| entry.handle == handle);
        match found {
            Some((at, entry)) if entry.forks == forks() => Ok(at),
            Some(_) => Err(Status::Forked),
            None => Err(not_ours(handle)),
        }
    }
}

impl Drop for Scorers {
    fn drop(&mut self) {
        let _inside = enter();
        while let Some(at) = self.entries.iter().position(|entry| entry.forks == forks()) {
            drop(self.entries.swap_remove(at));
        }
        if self.entries.is_empty() {
            drop(std::mem::take(&mut *self.entries));
        }
    }
}

/// The threads that ever attached a scorer.
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SCORERS: RefCell<Scorers> = const {
        RefCell::new(Scorers { entries: ManuallyDrop::new(Vec::new()) })
    };
    /// This thread's number; 0 where it never attached a scorer.
    static THREAD: Cell<u64> = const { Cell::new(0) };
    /// How many scorers this thread has attached so far.
    static NUMBERS: Cell<u64> = const { Cell::new(0) };
    /// The forks before this thread's number was given.
    static NUMBERED: Cell<u32> = const { Cell::new(0) };
    /// Whether this thread is inside of a call that may wait or allocate.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// That this thread is inside of a call that may wait or allocate.
#[derive(Debug)]
pub(super) struct Inside(());

/// Enters such a call. A signal's handler that comes here while its thread is inside is told
/// `Busy`: it would wait for itself.
pub(super) fn enter() -> Result<Inside, Status> {
    if INSIDE.replace(true) {
        return Err(Status::Busy);
    }
    // What the handler is to be kept from comes after the mark, and ends before it goes.
    compiler_fence(Ordering::SeqCst);
    Ok(Inside(()))
}

impl Drop for Inside {
    fn drop(&mut self) {
        compiler_fence(Ordering::SeqCst);
        INSIDE.set(false);
    }
}

/// Runs something on the scorers of this thread. A signal's handler that comes here while the
/// thread is inside is told `Busy`, a destructor that comes after them `Thread`.
fn scorers<T>(run: impl FnOnce(&mut Scorers) -> Result<T, Status>) -> Result<T, Status> {
    let ran = SCORERS.try_with(|scorers| match scorers.try_borrow_mut() {
        Ok(mut scorers) => run(&mut scorers),
        Err(_) => Err(Status::Busy),
    });
    ran.unwrap_or(Err(Status::Thread))
}

/// Attaches a scorer to this thread; the handle.
pub(super) fn attach(attached: Box<Attached>) -> Result<u64, Status> {
    scorers(|scorers| {
        if THREAD.get() == 0 || NUMBERED.get() != forks() {
            // Relaxed: nothing is ordered by a number.
            THREAD.set(THREADS.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
            NUMBERED.set(forks());
        }
        let number = NUMBERS.get().wrapping_add(1);
        NUMBERS.set(number);
        let number = number & ((1 << NUMBER_BITS) - 1);
        let handle = THREAD.get() << (KIND_BITS + NUMBER_BITS) | number << KIND_BITS | SCORER;
        scorers.entries.push(Entry {
            handle,
            forks: forks(),
            attached,
        });
        Ok(handle)
    })
}

/// Whose a scorer's handle is, where it is not one of this thread's scorers.
fn not_ours(handle: u64) -> Status {
    let thread = handle >> (KIND_BITS + NUMBER_BITS);
    if handle == 0 {
        return Status::Null;
    }
    if kind(handle) != SCORER || thread > THREADS.load(Ordering::Relaxed) {
        return Status::Handle;
    }
    if thread > 0 && thread <= THREADS_BEFORE.load(Ordering::Relaxed) {
        return Status::Forked;
    }
    match thread == THREAD.get() {
        true => Status::Handle,
        false => Status::Thread,
    }
}

/// Runs something on a scorer of this thread.
#[inline]
pub(super) fn with_scorer<T>(
    handle: u64,
    run: impl FnOnce(&mut Attached) -> Result<T, Status>,
) -> Result<T, Status> {
    // The first touch of `SCORERS` allocates, for its destructor: `attach` alone may do that, for
    // a signal's handler may come here on any thread.
    if THREAD.get() == 0 {
        return Err(not_ours(handle));
    }
    scorers(|scorers| {
        let at = scorers.find(handle)?;
        let entry = scorers.entries.get_mut(at).ok_or(Status::Handle)?;
        run(&mut entry.attached)
    })
}

/// Detaches a scorer from this thread; what stood behind its handle.
pub(super) fn detach(handle: u64) -> Result<Box<Attached>, Status> {
    if THREAD.get() == 0 {
        return Err(not_ours(handle));
    }
    scorers(|scorers| {
        let at = scorers.find(handle)?;
        Ok(scorers.entries.swap_remove(at).attached)
    })
}
