//! The sender of a request: its address and User-Agent, checked against the table's verified bots.

use crate::limits::AGENT_BYTES_MAX;
use crate::table::View;
use crate::table::bots::{Category, number};
use crate::table::format::BotRecord;
use std::net::IpAddr;

/// The sender of a request, as far as the host knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client<'a> {
    /// The address of the connection, or the one that a trusted proxy in front of the host reports.
    /// A sender that can choose this address can pass for a verified bot.
    pub address: IpAddr,
    /// The value of the User-Agent header; empty if there is none. The first
    /// [`AGENT_BYTES_MAX`] bytes count.
    pub agent: &'a [u8],
}

impl<'a> Client<'a> {
    /// A client at an address, with a User-Agent.
    pub fn new(address: IpAddr, agent: &'a [u8]) -> Client<'a> {
        Client { address, agent }
    }
}

/// The verified bot that a client is: its position, and its category. The address must lie within
/// one of its ranges, and the agent must hold its token, where it has one.
#[inline]
pub(super) fn verified(view: &View<'_>, client: &Client<'_>) -> Option<(u16, Category)> {
    let address = number(client.address);
    let ranges = view.bot_ranges;
    let behind = ranges.partition_point(|range| range.first() <= address);
    let range = ranges.get(behind.checked_sub(1)?)?;
    if range.last() < address {
        return None;
    }
    let bot = view.bots.get(range.bot as usize)?;
    if !says(bot, client.agent) {
        return None;
    }
    Some((range.bot as u16, Category::from_u8(bot.category)?))
}

/// Whether an agent holds a bot's token, whatever the case of ASCII letters.
fn says(bot: &BotRecord, agent: &[u8]) -> bool {
    let token = bot
        .agent
        .get(..usize::from(bot.agent_bytes))
        .unwrap_or_default();
    let agent = agent.get(..AGENT_BYTES_MAX).unwrap_or(agent);
    let starts = |rest: &[u8]| {
        let pairs = rest.iter().zip(token);
        rest.len() >= token.len()
            && pairs.fold(true, |same, (a, b)| same & a.eq_ignore_ascii_case(b))
    };
    let last = agent.len().saturating_sub(token.len());
    (0..=last).any(|at| agent.get(at..).is_some_and(starts))
}
