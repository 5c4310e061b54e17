//! The running policy: replaced while requests are decided, from a file that is watched.

use crate::policy::{Policy, PolicyError};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// How often the file is looked at.
pub const POLL: Duration = Duration::from_millis(100);

/// Different refused files that are remembered as logged, at most.
const LOGGED_MAX: usize = 256;

/// The running policy, and what was refused.
#[derive(Debug)]
pub struct Policies {
    /// Grows with each policy that is taken: threads compare it with the one that they have.
    version: AtomicU64,
    hung_up: AtomicBool,
    desk: Mutex<Desk>,
    file: Option<PathBuf>,
}

/// What stands behind the lock: threads take it once for each policy.
#[derive(Debug)]
struct Desk {
    policy: Arc<Policy>,
    status: PolicyStatus,
    seen: Option<Seen>,
    logged: VecDeque<PolicyError>,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    node: u64,
}

/// What runs, and what was refused.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct PolicyStatus {
    /// How many policies of the file were taken, the first included.
    pub taken: u64,
    /// Refused ones by name.
    pub refusals: BTreeMap<String, u64>,
    /// Whether the file as it stands was refused, and why.
    pub refused: Option<String>,
}

impl Policies {
    /// The policy of a file, or the default one. Where the file is refused, the default one runs,
    /// which passes all traffic: a proxy that does not start is an outage.
    pub fn new(file: Option<PathBuf>) -> Policies {
        let policies = Policies {
            version: AtomicU64::new(1),
            hung_up: AtomicBool::new(false),
            desk: Mutex::new(Desk {
                policy: Arc::new(Policy::default()),
                status: PolicyStatus::default(),
                seen: None,
                logged: VecDeque::new(),
            }),
            file,
        };
        policies.look();
        policies
    }

    /// The number of the running policy.
    #[inline]
    pub fn version(&self) -> u64 {
        // Acquire: pairs with the Release in `take`, though the lock orders the policy anyway.
        self.version.load(Ordering::Acquire)
    }

    /// A copy of the running policy for one thread: its reference count is no other thread's.
    pub fn copy(&self) -> (u64, Arc<Policy>) {
        let desk = self.desk();
        (self.version(), Arc::new(Policy::clone(&desk.policy)))
    }

    /// What runs, and what was refused.
    pub fn status(&self) -> PolicyStatus {
        self.desk().status.clone()
    }

    /// Has the next look read the file, changed or not.
    pub fn hang_up(&self) {
        // Relaxed: the next look sees it, or the one after.
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Looks at the file, and takes what it says where that has changed.
    pub fn look(&self) {
        let Some(file) = &self.file else { return };
        let seen = Seen::of(file);
        let asked = self.hung_up.swap(false, Ordering::Relaxed);
        if !asked && seen.is_some() && self.desk().seen == seen {
            return;
        }
        let read = Policy::read(file);
        self.desk().seen = seen;
        match read {
            Ok(policy) => self.take(policy),
            Err(refused) => self.refuse(file, refused),
        }
    }

    /// Makes a policy the running one.
    fn take(&self, policy: Policy) {
        let mut desk = self.desk();
        desk.status.refused = None;
        if *desk.policy == policy {
            return;
        }
        desk.policy = Arc::new(policy);
        desk.status.taken = desk.status.taken.saturating_add(1);
        // Release: pairs with the Acquire in `version`.
        self.version.fetch_add(1, Ordering::Release);
        log::info!("policy {} taken", desk.status.taken);
    }

    /// Counts a refusal, and logs it where it is a new one.
    fn refuse(&self, file: &Path, refused: PolicyError) {
        let mut desk = self.desk();
        let count = desk.status.refusals.entry(refused.name.into()).or_default();
        *count = count.saturating_add(1);
        desk.status.refused = Some(refused.to_string());
        if desk.logged.contains(&refused) {
            return;
        }
        log::error!(
            "{}: {refused}; the running policy stays, and this is logged once",
            file.display()
        );
        if desk.logged.len() >= LOGGED_MAX {
            desk.logged.pop_front();
        }
        desk.logged.push_back(refused);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Each change is an assignment: a thread that panicked left it whole.
        self.desk
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Seen {
    fn of(file: &Path) -> Option<Seen> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(file).ok()?;
        Some(Seen {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            node: metadata.ino(),
        })
    }
}
