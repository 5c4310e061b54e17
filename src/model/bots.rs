//! Writes verified bots: checks them, and makes their records and those of their ranges.

use super::error::{BuildError, at_most};
use crate::limits::{BOT_AGENT_BYTES_MAX, BOT_RANGES_MAX, BOTS_MAX};
use crate::schema::check_name;
use crate::table::bots::{AddressRange, Bot, is_token};
use crate::table::format::{BotRangeRecord, BotRecord, halves};
use bytemuck::Zeroable;
use std::collections::HashSet;

/// The records of bots, in their order, and of their ranges, ascending; ranges of one bot that
/// touch or overlap become one.
pub(super) fn records(bots: &[Bot]) -> Result<(Vec<BotRecord>, Vec<BotRangeRecord>), BuildError> {
    at_most("verified bots", BOTS_MAX, bots.len())?;
    let mut names = HashSet::new();
    let mut records = Vec::with_capacity(bots.len());
    let mut ranges: Vec<(AddressRange, usize)> = Vec::new();
    for (index, bot) in bots.iter().enumerate() {
        let problem = |problem: String| BuildError::Bot {
            name: bot.name.clone(),
            problem,
        };
        if !names.insert(bot.name.as_str()) {
            return Err(problem("expected a name of its own, got it twice".into()));
        }
        records.push(record(bot).map_err(problem)?);
        ranges.extend(bot.ranges.iter().map(|range| (*range, index)));
    }
    ranges.sort();
    let mut merged: Vec<(AddressRange, usize)> = Vec::with_capacity(ranges.len());
    for (range, bot) in ranges {
        let Some((before, owner)) = merged.last_mut() else {
            merged.push((range, bot));
            continue;
        };
        let joined = before.joined(&range).filter(|_| *owner == bot);
        if let Some(joined) = joined {
            *before = joined;
        } else if before.overlaps(&range) {
            let name = |at: usize| bots.get(at).map_or("", |bot| bot.name.as_str());
            let got = format!("{range} beside {before} of \"{}\"", name(*owner));
            return Err(BuildError::Bot {
                name: name(bot).into(),
                problem: format!("expected addresses of its own, got {got}"),
            });
        } else {
            merged.push((range, bot));
        }
    }
    at_most("address ranges", BOT_RANGES_MAX, merged.len())?;
    let record = |(range, bot): (AddressRange, usize)| BotRangeRecord {
        low: halves(range.first()),
        high: halves(range.last()),
        bot: bot as u32,
        zero: 0,
    };
    Ok((records, merged.into_iter().map(record).collect()))
}

fn record(bot: &Bot) -> Result<BotRecord, String> {
    check_name(bot.name.as_bytes()).map_err(|problem| format!("the name {problem}"))?;
    let mut record = BotRecord::zeroed();
    for (to, from) in record.name.iter_mut().zip(bot.name.bytes()) {
        *to = from;
    }
    record.name_bytes = bot.name.len() as u8;
    record.category = bot.category as u8;
    let Some(agent) = &bot.agent else {
        return Ok(record);
    };
    let agent = agent.to_ascii_lowercase();
    if !is_token(agent.as_bytes()) || agent.len() > BOT_AGENT_BYTES_MAX {
        return Err(format!(
            "expected an agent token of 1 to {BOT_AGENT_BYTES_MAX} printable ASCII characters, \
             got \"{}\"",
            agent.escape_debug()
        ));
    }
    for (to, from) in record.agent.iter_mut().zip(agent.bytes()) {
        *to = from;
    }
    record.agent_bytes = agent.len() as u8;
    Ok(record)
}
