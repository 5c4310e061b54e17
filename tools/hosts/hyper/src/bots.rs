//! All of hedgerow in this server: scorers that any thread may use, for clients by their address.

use hedgerow::host::{self, HostOptions, OpenOptions, RequestScorer, ScoredRequest, TableSource};
use hedgerow::http::{Header, HeadersKnown, Request, Version};
use hedgerow::traffic::ClientKey;
use hyper::{Request as Asked, body::Incoming};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{error::Error, net::IpAddr};

pub struct Bots {
    scorers: Vec<Mutex<RequestScorer>>,
    hash: RandomState,
    /// Watches the directory as long as it is kept.
    _watched: host::Opened,
}

impl Bots {
    pub fn open(directory: &str) -> Result<Bots, Box<dyn Error>> {
        let opened = host::open(OpenOptions {
            table: TableSource::Directory(directory.into()),
            ..OpenOptions::default()
        })?;
        let scorer = |_| opened.engine.request_scorer(HostOptions::default());
        let scorers = (0..16).map(|at| scorer(at).map(Mutex::new));
        let scorers = scorers.collect::<Result<_, _>>()?;
        let (hash, _watched) = (RandomState::new(), opened);
        Ok(Bots {
            scorers,
            hash,
            _watched,
        })
    }

    /// The scorer of a client: always the same, so that its windows see all requests and answers.
    fn of(&self, client: IpAddr) -> MutexGuard<'_, RequestScorer> {
        let hash = self.hash.hash_one(ClientKey::address(client)) as usize;
        let locked = self.scorers[hash % self.scorers.len()].lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Never held over an `await`: the lock ends with the call.
    pub fn score(&self, asked: &Asked<Incoming>, client: IpAddr) -> ScoredRequest {
        let uri = asked.uri();
        let target = uri.path_and_query().map_or("/", |of| of.as_str());
        let (method, known) = (asked.method().as_str(), HeadersKnown::Unordered);
        let request = Request::new(method.as_bytes(), target.as_bytes(), &[], known);
        let map = asked.headers().iter();
        let headers = map.map(|(name, value)| Header::new(name.as_ref(), value.as_bytes()));
        let request = request.version(Version::Http11).peer(client);
        self.of(client).score_from(&request, headers)
    }

    /// To the scorer that gave the score, on whichever thread the answer is ready.
    pub fn finish(&self, scored: &ScoredRequest, client: IpAddr, status: u16) {
        self.of(client).finish(scored.client(), status);
    }
}
