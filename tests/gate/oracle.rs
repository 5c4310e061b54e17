//! A second reading of the format: finds a row's margin in a table's raw bytes.
//!
//! It shares no code with the library, takes its offsets from the page that specifies the format,
//! and follows the definitions one value, one tree and one node at a time. Every access is a
//! checked one, so that a table which leads it astray panics here.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::ops::Range;

const SHIFT: usize = 64;
const OBLIVIOUS_TREES: usize = 68;
const LANES_USED: usize = 72;
const BIAS: usize = 80;
const MARGIN_MIN: usize = 88;
const MARGIN_MAX: usize = 96;
const COUNTS: usize = 104;
const OFFSETS: usize = 184;

const LANES: usize = 1;
const GROUPS: usize = 2;
const BORDERS: usize = 3;
const BLOCKS: usize = 4;
const LEVELS: usize = 5;
const LEAF_STARTS: usize = 6;
const LEAVES: usize = 8;
const TREES: usize = 9;
const NODES: usize = 10;
const SCORE_MAP: usize = 11;
const SETS: usize = 14;
const DETECTIONS: usize = 16;
const CONDITIONS: usize = 17;
const BOTS: usize = 18;
const BOT_RANGES: usize = 19;

/// A table's bytes.
#[derive(Clone, Copy)]
pub struct Oracle<'a> {
    file: &'a [u8],
}

impl<'a> Oracle<'a> {
    pub fn new(file: &'a [u8]) -> Oracle<'a> {
        Oracle { file }
    }

    fn u32(&self, at: usize) -> usize {
        u32::from_le_bytes(self.file[at..at + 4].try_into().unwrap()) as usize
    }

    fn i32(&self, at: usize) -> i64 {
        i64::from(i32::from_le_bytes(
            self.file[at..at + 4].try_into().unwrap(),
        ))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.file[at..at + 8].try_into().unwrap())
    }

    /// The first byte of a record, which must lie within its section.
    fn record(&self, section: usize, bytes: usize, index: usize) -> usize {
        assert!(
            index < self.u32(COUNTS + 4 * section),
            "record {index} of section {section}"
        );
        self.i64(OFFSETS + 8 * section) as usize + bytes * index
    }

    pub fn shift(&self) -> usize {
        self.u32(SHIFT)
    }

    /// The smallest and largest margin that the header promises.
    pub fn margin_range(&self) -> (i64, i64) {
        (self.i64(MARGIN_MIN), self.i64(MARGIN_MAX))
    }

    /// A lane's bin of a row.
    fn bin(&self, lane: usize, row: &[f32]) -> u8 {
        let record = self.record(LANES, 4, lane);
        let [feature, borders, missing_bin, zero_is_missing] =
            self.file[record..record + 4].try_into().unwrap();
        let value = row[usize::from(feature)];
        let zero = zero_is_missing == 1 && value.abs() <= 1e-35;
        if value.is_nan() || zero {
            return missing_bin;
        }
        let ranks = self.u32(self.record(GROUPS, 8, lane / 16));
        let border = |rank: usize| {
            let at = self.record(BORDERS, 64, ranks + rank) + 4 * (lane % 16);
            f32::from_le_bytes(self.file[at..at + 4].try_into().unwrap())
        };
        let below = (0..usize::from(borders)).filter(|rank| value > border(*rank));
        u8::try_from(below.count()).unwrap()
    }

    fn bins(&self, row: &[f32]) -> [u8; 256] {
        let mut bins = [0; 256];
        for (lane, bin) in bins.iter_mut().enumerate().take(self.u32(LANES_USED)) {
            *bin = self.bin(lane, row);
        }
        bins
    }

    fn oblivious(&self, tree: usize, bins: &[u8; 256]) -> i64 {
        let block = self.record(BLOCKS, 8, tree / 64);
        let levels = self.u32(block)..self.u32(block) + self.u32(block + 4);
        let mut index = 0;
        for (bit, level) in levels.enumerate() {
            let level = self.record(LEVELS, 128, level);
            let lane = self.file[level + tree % 64];
            let threshold = self.file[level + 64 + tree % 64];
            index += usize::from(bins[usize::from(lane)] > threshold) << bit;
        }
        let start = self.u32(self.record(LEAF_STARTS, 4, tree));
        self.i32(self.record(LEAVES, 4, start + index))
    }

    /// Whether a set has a bin.
    fn has(&self, set: usize, bin: u8) -> bool {
        let word = self.record(SETS, 32, set) + 8 * usize::from(bin / 64);
        (self.i64(word) as u64) & (1 << (bin % 64)) != 0
    }

    fn any(&self, tree: usize, bins: &[u8; 256]) -> i64 {
        let record = self.record(TREES, 16, tree);
        let nodes: Range<usize> = self.u32(record)..self.u32(record) + self.u32(record + 4);
        let mut at = nodes.start;
        for _ in 0..256 {
            assert!(nodes.contains(&at), "node {at} of the tree of {nodes:?}");
            let node = self.record(NODES, 8, at);
            let [lane, threshold, low, high] = self.file[node..node + 4].try_into().unwrap();
            if threshold == 255 {
                return self.i32(node + 4);
            }
            let child = nodes.start + usize::from(u16::from_le_bytes([low, high]));
            let bin = bins[usize::from(lane)];
            let right = match self.i32(node + 4) {
                0 => bin > threshold,
                -1 => bin > threshold && bin != 255,
                name => self.has(usize::try_from(name).unwrap() - 1, bin),
            };
            at = child + usize::from(right);
        }
        panic!("tree {tree} has no end");
    }

    /// A row's margin; `row` has one value a feature, in the table's order.
    pub fn margin(&self, row: &[f32]) -> i64 {
        let bins = self.bins(row);
        let oblivious = (0..self.u32(OBLIVIOUS_TREES)).map(|tree| self.oblivious(tree, &bins));
        let any = (0..self.u32(COUNTS + 4 * TREES)).map(|tree| self.any(tree, &bins));
        self.i64(BIAS) + oblivious.sum::<i64>() + any.sum::<i64>()
    }

    /// The score of a margin.
    pub fn score(&self, margin: i64) -> u8 {
        let reached = (0..98).filter(|at| self.i64(self.record(SCORE_MAP, 8, *at)) <= margin);
        1 + reached.count() as u8
    }

    fn condition(&self, at: usize, row: &[f32]) -> bool {
        let record = self.record(CONDITIONS, 8, at);
        let value = row[usize::from(self.file[record])];
        let bound = f32::from_le_bytes(self.file[record + 4..record + 8].try_into().unwrap());
        match self.file[record + 1] {
            0 => value > bound,
            1 => value <= bound,
            2 => value == bound,
            3 => value.is_nan(),
            4 => !value.is_nan(),
            other => panic!("operator {other}"),
        }
    }

    /// The detections that a row matches, one bit each, and the score and id of the one that
    /// decides.
    pub fn detections(&self, row: &[f32]) -> (u64, Option<(u8, u32)>) {
        let (mut matches, mut decides) = (0, None::<(u8, u32)>);
        for at in 0..self.u32(COUNTS + 4 * DETECTIONS) {
            let record = self.record(DETECTIONS, 64, at);
            let (id, start) = (self.u32(record + 40), self.u32(record + 44));
            let [_, count, score, active] = self.file[record + 48..record + 52].try_into().unwrap();
            if !(start..start + usize::from(count)).all(|at| self.condition(at, row)) {
                continue;
            }
            matches |= 1 << at;
            let candidate = (score, id as u32);
            if active == 1 && decides.is_none_or(|best| candidate < best) {
                decides = Some(candidate);
            }
        }
        (matches, decides)
    }

    /// First and last address, and position of the bot, of each range.
    pub fn ranges(&self) -> Vec<(u128, u128, usize)> {
        let address = |at: usize| {
            let half = |at: usize| u128::from(self.i64(at) as u64);
            half(at) << 64 | half(at + 8)
        };
        let range = |at: usize| {
            let record = self.record(BOT_RANGES, 40, at);
            (address(record), address(record + 16), self.u32(record + 32))
        };
        (0..self.u32(COUNTS + 4 * BOT_RANGES)).map(range).collect()
    }

    /// The bot at an address with an agent: its position and category.
    pub fn bot(&self, address: u128, agent: &[u8]) -> Option<(u16, u8)> {
        let ranges = self.ranges();
        let holds = |range: &&(u128, u128, usize)| range.0 <= address && address <= range.1;
        let (_, _, bot) = *ranges.iter().find(holds)?;
        let record = self.record(BOTS, 128, bot);
        let bytes = usize::from(self.file[record + 89]);
        let token = &self.file[record + 56..record + 56 + bytes];
        let agent = agent[..agent.len().min(512)].to_ascii_lowercase();
        let says = bytes == 0 || agent.windows(bytes).any(|window| window == token);
        says.then(|| (bot as u16, self.file[record + 90]))
    }
}
