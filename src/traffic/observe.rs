//! The two calls of a request: observe before it is scored, finish once it was answered.

use super::client::Client;
use super::facts::Facts;
use super::key::{ClientId, ClientKey};
use super::set::Set;
use super::{VALUES, Windows};
use crate::row::Row;

/// A request's client as the windows see it, the request included.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "the values are for the row, and the id is for finish"]
pub struct Observed {
    id: ClientId,
    values: [f32; VALUES],
}

impl Observed {
    /// The client, for [`Windows::finish`].
    #[inline]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The values of [`FEATURES`](super::FEATURES), in their order; NaN is missing.
    #[inline]
    pub fn values(&self) -> &[f32; VALUES] {
        &self.values
    }

    /// Writes the values into a row, the first at position `base`; what would lie beyond the row's
    /// end is left out. Other positions stay as they are.
    #[inline]
    pub fn fill(&self, row: &mut Row, base: u8) {
        let places = row.values_mut().iter_mut().skip(usize::from(base));
        for (place, value) in places.zip(&self.values) {
            *place = *value;
        }
    }
}

impl Windows {
    /// Takes a request in, and says what is known of its client. `now` is in nanoseconds from any
    /// point in time, by a clock that all calls share.
    ///
    /// The work is bounded by [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) and a kilobyte each of path
    /// and agent; it does not depend on how many clients there are or what they did.
    #[inline]
    pub fn observe(&mut self, key: &ClientKey<'_>, facts: &Facts<'_>, now: u64) -> Observed {
        let id = key.id(self.seed);
        // Ahead of the memory: the two do not wait for each other.
        let facts = facts.hashed(self.seed);
        let seconds = (now / 1_000_000_000) as u32;
        let stats = &mut self.stats;
        let client = { set(&mut self.sets, id) }.and_then(|set| set.enter(id, seconds, stats));
        let values = client.map(|client| {
            client.observe(&facts, now);
            client.values()
        });
        Observed {
            id,
            values: values.unwrap_or([f32::NAN; VALUES]),
        }
    }

    /// Takes in with which status a client was answered; it shows from its next request on. A
    /// client that was dropped meanwhile and a status that is none are left alone.
    #[inline]
    pub fn finish(&mut self, id: ClientId, status: u16) {
        let client: Option<&mut Client> = set(&mut self.sets, id).and_then(|set| set.find(id));
        if let Some(client) = client {
            client.answer(status);
        }
    }
}

/// The client's set: their number is a power of two.
#[inline]
fn set(sets: &mut [Set], id: ClientId) -> Option<&mut Set> {
    let mask = sets.len().wrapping_sub(1);
    sets.get_mut(id.set() & mask)
}
