//! Checks verified bots and their address ranges.

use super::detections::{check_text, check_zero};
use super::{Check, Sections, at_most};
use crate::limits::*;
use crate::refusal::RefusalKind;
use crate::table::bots::{Category, is_one_family, is_token};
use crate::table::format::*;
use std::collections::HashMap;
use std::net::Ipv6Addr;

/// Holds the counts against the capacities.
pub(super) fn check_counts(bots: usize, ranges: usize) -> Check<()> {
    at_most("bots", BOTS_MAX, bots)?;
    at_most("bot_ranges", BOT_RANGES_MAX, ranges)
}

pub(super) fn check_bots(sections: &Sections<'_>) -> Check<()> {
    let bots: &[BotRecord] = sections.records(Section::Bots)?;
    let mut names = HashMap::with_capacity(bots.len());
    for (index, bot) in bots.iter().enumerate() {
        let at = |field: &str| format!("bots[{index}].{field}");
        let name = || at("name");
        check_text(
            &bot.name,
            bot.name_bytes,
            name,
            &mut names,
            RefusalKind::BotName,
        )?;
        if Category::from_u8(bot.category).is_none() {
            let below = format!("below {}", Category::ALL.len());
            return Err(RefusalKind::Bot.at(at("category"), below, bot.category));
        }
        let Some((agent, rest)) = bot.agent.split_at_checked(usize::from(bot.agent_bytes)) else {
            let most = format!("at most {BOT_AGENT_BYTES_MAX}");
            return Err(RefusalKind::Bot.at(at("agent_bytes"), most, bot.agent_bytes));
        };
        if !agent.is_empty() && !is_token(agent) {
            let expected = "printable ASCII without capitals, no space at either end";
            return Err(RefusalKind::Bot.at(at("agent"), expected, agent.escape_ascii()));
        }
        check_zero(rest, || at("agent"))?;
        check_zero(&bot.zero, || at("zero"))?;
    }
    check_ranges(sections.records(Section::BotRanges)?, bots.len())
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
            return Err(RefusalKind::BotRange.at(at("low"), above, show(first)));
        }
        if last < first {
            let least = format!("at least {}", show(first));
            return Err(RefusalKind::BotRange.at(at("high"), least, show(last)));
        }
        if !is_one_family(first, last) {
            let expected = format!("an end of the family of {}", show(first));
            return Err(RefusalKind::BotRange.at(at("high"), expected, show(last)));
        }
        before = Some(last);
        if range.bot as usize >= bots {
            return Err(RefusalKind::BotIndex.at(at("bot"), format!("below {bots}"), range.bot));
        }
        check_zero(&range.zero.to_le_bytes(), || at("zero"))?;
    }
    Ok(())
}
