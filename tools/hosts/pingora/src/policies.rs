//! The running policy: replaced while requests are decided, from a file that is watched.

use crate::policy::{Policy, PolicyError};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

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
    /// The text of the last look.
    seen: Option<String>,
    /// The last text that was taken or refused.
    judged: Option<String>,
    /// The text of the running policy.
    running: Option<String>,
    logged: VecDeque<PolicyError>,
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
                judged: None,
                running: None,
                logged: VecDeque::new(),
            }),
            file,
        };
        policies.read(true);
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

    /// Looks at the file, and takes what it says if that has changed.
    ///
    /// A change counts when two looks in a row have read the same text: a writer in place has then
    /// come to its end, or stopped.
    pub fn look(&self) {
        // Relaxed: the next look sees it, or the one after.
        let asked = self.hung_up.swap(false, Ordering::Relaxed);
        self.read(asked);
    }

    /// Reads the file, and judges its text: at once, or if the last look has read the same.
    fn read(&self, at_once: bool) {
        let Some(file) = &self.file else { return };
        let text = match Policy::text(file) {
            Ok(text) => text,
            // What cannot be read is tried again at the next look.
            Err(refused) => {
                self.desk().judged = None;
                return self.refuse(file, refused);
            }
        };
        {
            let mut desk = self.desk();
            let settled = desk.seen.as_ref() == Some(&text);
            let known = desk.judged.as_ref() == Some(&text);
            if !settled {
                desk.seen = Some(text.clone());
            }
            if !at_once && (known || !settled) {
                return;
            }
            desk.judged = Some(text.clone());
        }
        let running = self.desk().running.clone();
        match judged(&text, running.as_deref()) {
            Ok(policy) => self.take(file, policy, text),
            Err(refused) => self.refuse(file, refused),
        }
    }

    /// Makes a policy the running one.
    fn take(&self, file: &Path, policy: Policy, text: String) {
        let mut desk = self.desk();
        desk.status.refused = None;
        desk.running = Some(text);
        if *desk.policy == policy {
            return;
        }
        desk.policy = Arc::new(policy);
        desk.status.taken = desk.status.taken.saturating_add(1);
        // Release: pairs with the Acquire in `version`.
        self.version.fetch_add(1, Ordering::Release);
        let (taken, routes) = (desk.status.taken, desk.policy.routes().len());
        log::warn!("{}: policy {taken} runs, {routes} routes", file.display());
    }

    /// Counts a refusal, and logs it where it is a new one.
    fn refuse(&self, file: &Path, refused: PolicyError) {
        let mut desk = self.desk();
        let text = Some(refused.to_string());
        // A file that cannot be read is looked at again and again, and refused once.
        if refused.name == "policy-file" && desk.status.refused == text {
            return;
        }
        let count = desk.status.refusals.entry(refused.name.into()).or_default();
        *count = count.saturating_add(1);
        desk.status.refused = text;
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

/// Returns the policy of a text, unless the text looks like a part of a policy.
fn judged(text: &str, running: Option<&str>) -> Result<Policy, PolicyError> {
    let policy = Policy::parse(text)?;
    let Some(running) = running else {
        return Ok(policy);
    };
    let whole = "the whole policy: write another file, and rename it to this one";
    let part = |got: &str| Err(PolicyError::new("policy-part", "the file", whole, got));
    if text.trim().is_empty() {
        return part("an empty file");
    }
    let rules = |text: &str| text.contains("[default]") || text.contains("[[route]]");
    if rules(running) && !rules(text) {
        return part("neither [default] nor [[route]], where the running policy has one");
    }
    if text.len() < running.len() && running.starts_with(text.trim_end()) {
        return part("the beginning of the running policy");
    }
    if ended(running) && !ended(text) {
        return part("no line `# end` at the end, where the running policy has one");
    }
    Ok(policy)
}

/// Whether the last line is the marker that a policy may end with.
fn ended(text: &str) -> bool {
    text.trim_end().lines().next_back().map(str::trim) == Some("# end")
}
