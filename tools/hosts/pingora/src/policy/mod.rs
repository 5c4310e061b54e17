//! The policy: what becomes of a verdict, by route. Read from TOML, checked as a whole, or refused.
//!
//! ```
//! let policy = hedgerow_proxy::policy::Policy::parse(r#"
//! [default]               # every request that no route takes
//! action = "observe"      # observe (the default), tag or block
//! below = 20              # what scores below this is tagged or blocked
//!
//! [[route]]               # the first route of which every condition holds takes a request
//! name = "login"
//! paths = ["/login", "/account/*"]
//! action = "block"
//! below = 30
//! status = 429
//!
//! [[route]]
//! name = "office"
//! addresses = ["192.0.2.0/24"]
//! action = "observe"
//! "#)?;
//! # assert_eq!(policy.routes().len(), 3);
//! # Ok::<(), hedgerow_proxy::policy::PolicyError>(())
//! ```

mod decide;
mod file;
mod spelling;

pub(crate) use decide::said_host;
pub use decide::{Action, Decision};
pub use spelling::Paths;
pub(crate) use spelling::host as bare_host;

use hedgerow::host::Front;
use hedgerow::table::bots::{AddressRange, Category};
use std::fmt;

/// Bytes of a policy file, at most: it is written by people.
pub const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Routes of a policy, at most: a request is held against one after the other.
pub const ROUTES_MAX: usize = 1_000;

/// A policy that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The routes in their order; the last takes everything.
    routes: Vec<Route>,
    front: Front,
    paths: Paths,
}

/// Some requests, and what becomes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// The conditions, all of which must hold; none for the last route.
    hosts: Vec<String>,
    paths: Vec<PathPattern>,
    methods: Vec<String>,
    addresses: Vec<AddressRange>,
    /// What becomes of them.
    pub settings: Settings,
}

/// What becomes of the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is done with scores below [`below`](Settings::below).
    pub mode: Mode,
    /// The scores that it is done with: those below this.
    pub below: u8,
    /// The status that a blocked request is answered with.
    pub status: u16,
    /// The status of requests without a score, where the route fails closed.
    pub fail_closed: Option<u16>,
    /// The verified bots that are not let through.
    pub blocked_bots: Vec<Category>,
    /// Whether the upstream is told the verdict.
    pub headers: bool,
}

/// What is done with low scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are counted and logged.
    #[default]
    Observe,
    /// The upstream is told by `x-bot-action: tag`.
    Tag,
    /// They are answered here.
    Block,
}

/// A path, or everything below one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PathPattern {
    start: String,
    /// The start in lower case.
    folded: String,
    /// Whether it goes on (`/account/*`).
    open: bool,
}

/// Why a policy was refused. The running one stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The stable name of what is wrong, for counters.
    pub name: &'static str,
    /// Where.
    pub at: String,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyError {
            name,
            at,
            expected,
            got,
        } = self;
        write!(f, "{name} at {at}: expected {expected}, got {got}")
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    pub(crate) fn new(
        name: &'static str,
        at: impl ToString,
        expected: impl ToString,
        got: impl ToString,
    ) -> PolicyError {
        PolicyError {
            name,
            at: at.to_string(),
            expected: expected.to_string(),
            got: got.to_string(),
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        let everything = Route {
            name: "default".into(),
            hosts: Vec::new(),
            paths: Vec::new(),
            methods: Vec::new(),
            addresses: Vec::new(),
            settings: Settings::default(),
        };
        Policy {
            routes: vec![everything],
            front: Front::default(),
            paths: Paths::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mode: Mode::Observe,
            below: 30,
            status: 403,
            fail_closed: None,
            blocked_bots: Vec::new(),
            headers: true,
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// What is wrong first, and where.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        file::parse(text)
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// As [`parse`](Policy::parse), and where the file cannot be read or is too large.
    pub fn read(path: &std::path::Path) -> Result<Policy, PolicyError> {
        Policy::parse(&Policy::text(path)?)
    }

    /// Reads the text of a policy file.
    ///
    /// # Errors
    /// The file cannot be read, or is too large.
    pub(crate) fn text(path: &std::path::Path) -> Result<String, PolicyError> {
        file::read(path)
    }

    /// The routes in their order; the last takes what no other does.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Returns what is in front of the proxy.
    pub fn front(&self) -> &Front {
        &self.front
    }
}

#[cfg(test)]
mod tests;
