//! Checks verified bots and their address ranges.

use super::detections::{check_text, check_zero};
use super::{Check, Parts, at_most};
use crate::error::{Detail, OpenError};
use crate::limits::*;
use crate::table::bots::{Category, is_one_family, is_token};
use crate::table::format::*;
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// Holds the counts against the capacities.
pub(super) fn check_counts(bots: usize, ranges: usize) -> Check<()> {
    at_most("bots", BOTS_MAX, bots)?;
    at_most("bot_ranges", BOT_RANGES_MAX, ranges)
}

pub(super) fn check_bots(parts: &Parts<'_>) -> Check<()> {
    let bots: &[BotRecord] = parts.records(Section::Bots)?;
    let mut names = HashMap::with_capacity(bots.len());
    for (index, bot) in bots.iter().enumerate() {
        let at = |field: &str| format!("bots[{index}].{field}");
        let name = || at("name");
        check_text(
            &bot.name,
            bot.name_bytes,
            name,
            &mut names,
            OpenError::BotName,
        )?;
        if Category::from_u8(bot.category).is_none() {
            let below = format!("below {}", Category::ALL.len());
            let detail = Detail::new(at("category"), below, bot.category);
            return Err(OpenError::Bot(detail));
        }
        let Some((agent, rest)) = bot.agent.split_at_checked(usize::from(bot.agent_bytes)) else {
            let most = format!("at most {BOT_AGENT_BYTES_MAX}");
            let detail = Detail::new(at("agent_bytes"), most, bot.agent_bytes);
            return Err(OpenError::Bot(detail));
        };
        if !agent.is_empty() && !is_token(agent) {
            let expected = "printable ASCII without capitals, no space at either end";
            let detail = Detail::new(at("agent"), expected, agent.escape_ascii());
            return Err(OpenError::Bot(detail));
        }
        check_zero(rest, || at("agent"))?;
        check_zero(&bot.zero, || at("zero"))?;
    }
    check_ranges(parts.records(Section::BotRanges)?, bots.len())
}

/// Ranges ascend and have a gap of nothing or more between them: a binary search finds the one.
fn check_ranges(ranges: &[BotRangeRecord], bots: usize) -> Check<()> {
    let mut before: Option<u128> = None;
    for (index, range) in ranges.iter().enumerate() {
        let at = |field: &str| format!("bot_ranges[{index}].{field}");
        let show = Ipv6Addr::from_bits;
        let (first, last) = (range.first(), range.last());
        if let Some(before) = before.filter(|before| first <= *before) {
            let above = format!("above {}", show(before));
            return Err(OpenError::BotRange(Detail::new(
                at("low"),
                above,
                show(first),
            )));
        }
        if last < first {
            let least = format!("at least {}", show(first));
            return Err(OpenError::BotRange(Detail::new(
                at("high"),
                least,
                show(last),
            )));
        }
        if !is_one_family(first, last) {
            let expected = format!("an end of the family of {}", show(first));
            return Err(OpenError::BotRange(Detail::new(
                at("high"),
                expected,
                show(last),
            )));
        }
        before = Some(last);
        if range.bot as usize >= bots {
            let detail = Detail::new(at("bot"), format!("below {bots}"), range.bot);
            return Err(OpenError::BotIndex(detail));
        }
        check_zero(&range.zero.to_le_bytes(), || at("zero"))?;
    }
    Ok(())
}
