//! Damages tables with a purpose: mutations that get past the hash and deep into the gate.
#![allow(dead_code, reason = "each test takes what it needs")]

use crate::common::Random;
use crate::edit::{Edit, ORDER};
use hedgerow::Refusal;
use hedgerow::table::format::rehash;
use hedgerow::table::format::*;
use hedgerow::table::validate::{Validated, validate};

/// Values at which checks end.
const BOUNDARIES: [u64; 28] = [
    0,
    1,
    2,
    3,
    15,
    16,
    17,
    63,
    64,
    65,
    97,
    98,
    99,
    127,
    128,
    254,
    255,
    256,
    257,
    511,
    512,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// The plain fields of the header: offset and width. The hash is not among them.
const FIELDS: [(usize, usize); 13] = [
    (0, 8),
    (8, 4),
    (12, 4),
    (16, 8),
    (40, 8),
    (48, 8),
    (56, 8),
    (64, 4),
    (68, 4),
    (72, 4),
    (80, 8),
    (88, 8),
    (96, 8),
];
const COUNTS_AT: usize = 104;
const OFFSETS_AT: usize = 184;

/// A number near a boundary, near what stands there, or any.
fn number(now: u64, random: &mut Random) -> u64 {
    match random.below(6) {
        0 => now.wrapping_add(1 + random.below(3)),
        1 => now.wrapping_sub(1 + random.below(3)),
        2 => random.next() >> random.below(64),
        3 => now ^ (1 << random.below(64)),
        _ => {
            let at = random.below(BOUNDARIES.len() as u64) as usize;
            BOUNDARIES[at].wrapping_add(random.below(3)).wrapping_sub(1)
        }
    }
}

fn renumber(bytes: &mut [u8], at: usize, width: usize, random: &mut Random) {
    let Some(place) = bytes.get_mut(at..at + width) else {
        return;
    };
    let mut now = [0; 8];
    now[..width].copy_from_slice(place);
    let new = number(u64::from_le_bytes(now), random).to_le_bytes();
    place.copy_from_slice(&new[..width]);
}

fn section(random: &mut Random) -> Section {
    ORDER[random.below(SECTION_COUNT as u64) as usize]
}

/// A record of a section that has some, by its bytes in the file.
fn record(edit: &Edit, random: &mut Random) -> Option<(Section, usize, usize)> {
    let section = section(random);
    let range = edit.range(section);
    let bytes = SECTIONS[section as usize].record_bytes;
    let count = (range.len() / bytes) as u64;
    let at = range.start + bytes * random.below(count.max(1)) as usize;
    (count > 0).then_some((section, at, bytes))
}

/// Changes one thing that keeps the layout.
fn in_place(good: &Edit, bytes: &mut [u8], random: &mut Random) {
    let len = bytes.len() as u64;
    match random.below(10) {
        0 => bytes[random.below(len) as usize] ^= 1 << random.below(8),
        1 => bytes[random.below(len) as usize] = random.next() as u8,
        2 => {
            let (at, width) = FIELDS[random.below(FIELDS.len() as u64) as usize];
            renumber(bytes, at, width, random);
        }
        3 => renumber(
            bytes,
            COUNTS_AT + 4 * random.below(SECTION_COUNT as u64) as usize,
            4,
            random,
        ),
        4 => renumber(
            bytes,
            OFFSETS_AT + 8 * random.below(SECTION_COUNT as u64) as usize,
            8,
            random,
        ),
        5..8 => {
            if let Some((_, at, size)) = record(good, random) {
                let width = [1, 2, 4, 8][random.below(4) as usize].min(size);
                let field = at + width * random.below((size / width) as u64) as usize;
                renumber(bytes, field, width, random);
            }
        }
        8 => {
            // Two records change places.
            let pick = record(good, random);
            if let Some((section, first, size)) = pick {
                let range = good.range(section);
                let other = random.below((range.len() / size) as u64) as usize;
                let second = range.start + size * other;
                for at in 0..size {
                    bytes.swap(first + at, second + at);
                }
            }
        }
        _ => {
            // Bytes of one section are written over those of another.
            let (from, to) = (good.range(section(random)), good.range(section(random)));
            let count = from.len().min(to.len());
            bytes.copy_within(from.start..from.start + count, to.start);
        }
    }
}

/// Changes one thing and lays the file out anew, as a writer with a fault would.
fn laid_out(edit: &mut Edit, random: &mut Random) {
    let target = section(random);
    let bytes = match target {
        Section::Golden => golden_bytes(edit.get_header().counts[0] as usize),
        other => SECTIONS[other as usize].record_bytes,
    };
    let choice = random.below(5);
    edit.section(target, |section| {
        let count = (section.len() / bytes) as u64;
        let at = bytes * random.below(count.max(1)) as usize;
        match choice {
            0 if count > 0 => drop(section.drain(at..at + bytes)),
            1 if count > 0 => {
                let copy = section[at..at + bytes].to_vec();
                section.splice(at..at, copy);
            }
            2 => section.extend(std::iter::repeat_n(0, bytes)),
            3 => section.truncate(at),
            _ => section.extend(section.clone()),
        }
    });
    // The counts that stand twice follow, now and then.
    if random.below(2) == 0 {
        let lanes = edit.get_header().counts[1];
        edit.header(|header| header.lanes_used = header.lanes_used.min(lanes));
    }
}

/// Has two trees of any shape change places, nodes and all: whole trees, each in good order.
fn reordered(edit: &mut Edit, random: &mut Random) {
    let count = edit.get_header().counts[Section::Trees as usize] as usize;
    let mut trees: Vec<TreeRecord> = (0..count).map(|at| edit.get(Section::Trees, at)).collect();
    if count < 2 {
        return;
    }
    let pick = |random: &mut Random| random.below(count as u64) as usize;
    trees.swap(pick(random), pick(random));
    let old = edit.bytes[edit.range(Section::Nodes)].to_vec();
    let mut nodes = Vec::with_capacity(old.len());
    for tree in &mut trees {
        let (start, bytes) = (8 * tree.start as usize, 8 * tree.nodes as usize);
        tree.start = (nodes.len() / 8) as u32;
        nodes.extend_from_slice(&old[start..start + bytes]);
    }
    edit.section(Section::Nodes, |section| *section = nodes);
    edit.section(Section::Trees, |section| {
        *section = bytemuck::cast_slice(&trees).to_vec()
    });
}

/// A mutant of a good table, with a hash to match.
pub fn mutate(good: &Edit, random: &mut Random) -> Vec<u8> {
    let mut mutant = good.clone();
    let anew = random.below(4) == 0;
    if anew && random.below(4) == 0 {
        reordered(&mut mutant, random);
    } else if anew {
        laid_out(&mut mutant, random);
    }
    let layout = mutant.clone();
    let least = u64::from(!anew);
    for _ in 0..[least, 1, 1, 1, 1, 2, 3, 6][random.below(8) as usize] {
        in_place(&layout, &mut mutant.bytes, random);
    }
    if random.below(32) == 0 {
        let len = random.below(mutant.bytes.len() as u64 + 1) as usize;
        mutant.bytes.truncate(len);
    } else if random.below(32) == 0 {
        let more = random.below(200) as usize;
        mutant.bytes.resize(mutant.bytes.len() + more, 0);
    }
    if random.below(2) == 0 {
        let len = mutant.bytes.len() as u64;
        if let Some(place) = mutant.bytes.get_mut(16..24) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }
    rehash(&mut mutant.bytes);
    mutant.bytes
}

/// Writes what the gate would have accepted in the header's sums, so that more mutants get past
/// them: fingerprint and attainable margins are functions of the rest.
pub fn repair(bytes: &mut [u8]) -> Result<Validated, Refusal> {
    for _ in 0..3 {
        let refused = match validate(bytes) {
            Ok(validated) => return Ok(validated),
            Err(refused) => refused,
        };
        let place = match refused.at() {
            "header.fingerprint" => 56,
            "header.margin_min" => 88,
            "header.margin_max" => 96,
            _ => return Err(refused),
        };
        let value = match place {
            // It says what the header has, and what the list gives.
            56 => u64::from_str_radix(refused.got(), 16).expect("a fingerprint"),
            _ => refused.expected().parse::<i64>().expect("a margin") as u64,
        };
        bytes[place..place + 8].copy_from_slice(&value.to_le_bytes());
        rehash(bytes);
    }
    validate(bytes)
}
