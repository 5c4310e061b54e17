//! One set of clients: its tags and times in one line, and who has to go for a newcomer.

use super::client::Client;
use super::key::ClientId;
use super::{ESTABLISHED_AT, NEWCOMER_WAYS, TrafficStats, WAYS};
use crate::limits::TRAFFIC_IDLE_SECONDS;

/// Eight clients. The first six ways are those of the established, the last two of newcomers.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Set {
    /// 0 where a way is empty.
    tags: [u32; WAYS],
    /// When each was last seen, in seconds that wrap.
    seen: [u32; WAYS],
    clients: [Client; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64 + WAYS * size_of::<Client>());

/// Ways of the established.
const ESTABLISHED_WAYS: usize = WAYS - NEWCOMER_WAYS;

impl Set {
    pub const EMPTY: Set = Set {
        tags: [0; WAYS],
        seen: [0; WAYS],
        clients: [Client::EMPTY; WAYS],
    };

    /// The client, if it is here.
    #[inline]
    pub fn find(&mut self, id: ClientId) -> Option<&mut Client> {
        let way = self.way(id)?;
        self.clients.get_mut(way)
    }

    #[inline]
    fn way(&self, id: ClientId) -> Option<usize> {
        let tag = id.tag();
        self.tags.iter().position(|other| *other == tag)
    }

    /// The client, which is made where it is not here yet.
    #[inline]
    pub fn enter(
        &mut self,
        id: ClientId,
        seconds: u32,
        stats: &mut TrafficStats,
    ) -> Option<&mut Client> {
        let way = match self.way(id) {
            Some(way) if way < ESTABLISHED_WAYS => way,
            Some(way) => self.establish(way, seconds, stats),
            None => self.admit(id, stats)?,
        };
        *self.seen.get_mut(way)? = seconds;
        self.clients.get_mut(way)
    }

    /// Puts a newcomer into the first of the newcomers' ways; those there move on by one, and the
    /// last is dropped. An established client never goes for a newcomer.
    fn admit(&mut self, id: ClientId, stats: &mut TrafficStats) -> Option<usize> {
        let tags = self.tags.get_mut(ESTABLISHED_WAYS..)?;
        tags.rotate_right(1);
        let tag = tags.first_mut()?;
        stats.entered = stats.entered.wrapping_add(1);
        stats.dropped = stats.dropped.wrapping_add(u64::from(*tag != 0));
        *tag = id.tag();
        self.seen.get_mut(ESTABLISHED_WAYS..)?.rotate_right(1);
        let clients = self.clients.get_mut(ESTABLISHED_WAYS..)?;
        clients.rotate_right(1);
        *clients.first_mut()? = Client::EMPTY;
        Some(ESTABLISHED_WAYS)
    }

    /// Establishes a newcomer that has come often enough, if a way is free or its client has
    /// been idle for long; the two change places, so that the idle one has a last chance. Returns
    /// the newcomer's way.
    fn establish(&mut self, way: usize, seconds: u32, stats: &mut TrafficStats) -> usize {
        let before = self.clients.get(way).map_or(0, Client::requests);
        if before.saturating_add(1) < ESTABLISHED_AT {
            return way;
        }
        let Some((to, idle)) = self.stalest(seconds) else {
            return way;
        };
        // Times are whole seconds: 60 of them may be 59 and a bit.
        if idle <= u64::from(TRAFFIC_IDLE_SECONDS) {
            stats.crowded = stats.crowded.wrapping_add(1);
            return way;
        }
        let displaces = { self.tags.get(to) }.is_some_and(|tag| *tag != 0);
        stats.established = stats.established.wrapping_add(1);
        stats.displaced = stats.displaced.wrapping_add(u64::from(displaces));
        self.tags.swap(way, to);
        self.seen.swap(way, to);
        self.clients.swap(way, to);
        to
    }

    /// The established way that is free, or was not seen for longest, and for how many seconds.
    fn stalest(&self, seconds: u32) -> Option<(usize, u64)> {
        let ways = self.tags.iter().zip(&self.seen).take(ESTABLISHED_WAYS);
        let idle = ways.map(|(tag, seen)| idle(*tag, *seen, seconds));
        idle.enumerate().max_by_key(|(_, idle)| *idle)
    }
}

/// For how many seconds a way was not seen; for ever where it is empty. A way seen in the future
/// is one from before the clock jumped back: nothing is known of it, it goes first.
fn idle(tag: u32, seen: u32, seconds: u32) -> u64 {
    match (tag, seconds.wrapping_sub(seen) as i32) {
        (0, _) => u64::MAX,
        // The two seconds within which BACK_MAX stays.
        (_, -2..=-1) => 0,
        (_, past @ 0..) => u64::from(past.unsigned_abs()),
        _ => u64::from(u32::MAX),
    }
}
