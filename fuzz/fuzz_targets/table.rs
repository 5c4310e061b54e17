//! Bytes behind a good preamble: the gate neither panics nor hangs, and what it lets through
//! scores as a second reading of the bytes says.
//!
//! Magic, byte order, version, length and hash are written over the input, or else the fuzzer would
//! spend its life before the gate. The lowest bit of `generation`, which no check reads, asks for
//! more of this: offsets laid out by the counts, and fingerprint and attainable margins as the
//! gate wants them.
//!
//! Seeds: small tables, which `ci/fuzz.sh` writes.
#![no_main]

#[path = "../../tests/gate/oracle.rs"]
mod oracle;

use hedgerow::table::format::rehash;
use hedgerow::table::format::*;
use hedgerow::table::validate::validate;
use hedgerow::{Client, KERNELS, PreparedTable, RefusalKind, Schema, Source, Table};
use libfuzzer_sys::fuzz_target;
use oracle::Oracle;
use std::net::Ipv6Addr;

const FILE_BYTES_AT: usize = 16;
const GENERATION_AT: usize = 40;
const FINGERPRINT_AT: usize = 56;
const MARGIN_MIN_AT: usize = 88;
const MARGIN_MAX_AT: usize = 96;
const COUNTS_AT: usize = 104;
const OFFSETS_AT: usize = 184;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Chunk([u8; 64]);

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Bytes of a file that the fuzzer may make by its counts, at most.
const FILE_BYTES_MAX: usize = 1 << 18;

fn repairs(file: &[u8]) -> bool {
    file[GENERATION_AT] & 1 == 1
}

/// Writes the offsets that the counts ask for; returns the length of the file that they make.
fn lay_out(file: &mut [u8]) -> usize {
    let (mut next, mut features) = (HEADER_BYTES, 0);
    for (index, section) in SECTIONS.iter().enumerate() {
        let at = COUNTS_AT + 4 * index;
        let count = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        put(file, OFFSETS_AT + 8 * index, &(next as u64).to_le_bytes());
        let record = if index == Section::Golden as usize {
            golden_bytes(features)
        } else {
            section.record_bytes
        };
        if index == Section::Features as usize {
            features = count;
        }
        let end = next.saturating_add(record.saturating_mul(count));
        next = end.saturating_add(ALIGN - 1) / ALIGN * ALIGN;
    }
    next
}

/// Writes the preamble.
fn preamble(file: &mut [u8]) {
    let len = file.len() as u64;
    put(file, 0, &MAGIC);
    put(file, 8, &BYTE_ORDER.to_le_bytes());
    put(file, 12, &FORMAT_VERSION.to_le_bytes());
    put(file, FILE_BYTES_AT, &len.to_le_bytes());
    rehash(file);
}

/// Repairs the sums of the header, where the input asks for it.
fn accepted(file: &mut [u8]) -> bool {
    for _ in 0..4 {
        let refused = match validate(file) {
            Ok(_) => return true,
            Err(refused) => refused,
        };
        if !repairs(file) {
            return false;
        }
        let (place, value) = match refused.at() {
            "header.fingerprint" => (
                FINGERPRINT_AT,
                u64::from_str_radix(refused.got(), 16).unwrap(),
            ),
            "header.margin_min" => (
                MARGIN_MIN_AT,
                refused.expected().parse::<i64>().unwrap() as u64,
            ),
            "header.margin_max" => (
                MARGIN_MAX_AT,
                refused.expected().parse::<i64>().unwrap() as u64,
            ),
            _ => return false,
        };
        put(file, place, &value.to_le_bytes());
        rehash(file);
    }
    false
}

/// Rows that hit the borders: values of the border section, and special ones.
fn rows(features: usize, borders: &[u8]) -> Vec<Vec<f32>> {
    let special = [
        f32::NAN,
        0.0,
        -0.0,
        1e-35,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
    ];
    let borders = borders.chunks_exact(4).take(512);
    let mut values: Vec<f32> = special.to_vec();
    for border in borders {
        let border = f32::from_le_bytes(border.try_into().unwrap());
        values.extend([border, border.next_up(), border.next_down()]);
    }
    let row = |seed: usize| {
        let at = |feature: usize| values[(seed * 31 + feature * (seed + 1)) % values.len()];
        (0..features).map(at).collect()
    };
    (0..9).map(row).collect()
}

fn score(file: &[u8]) {
    let oracle = Oracle::new(file);
    let (least, most) = oracle.margin_range();
    let validated = validate(file).expect("an accepted table");
    let borders = &file[validated.range(Section::Borders)];
    for kernel in KERNELS.iter().filter(|kernel| kernel.available()) {
        let table = Table::from_bytes(file).expect("an accepted table");
        let schema = Schema::new(table.features()).expect("the table's own features");
        let rows = rows(schema.features().len(), borders);
        let prepared = match PreparedTable::with_kernel(table, &schema, kernel.name) {
            Ok(prepared) => prepared,
            Err(refused) if refused.is(RefusalKind::Golden) => return,
            Err(refused) => panic!("{refused}"),
        };
        let own: Vec<_> = rows.iter().map(|row| prepared.row(row)).collect();
        let mut batch = vec![i64::MIN; rows.len()];
        prepared.margins(&own, &mut batch);
        for ((values, row), batched) in rows.iter().zip(&own).zip(&batch) {
            let margin = prepared.margin(row);
            assert_eq!(margin, oracle.margin(values), "{}", kernel.name);
            assert_eq!(margin, *batched, "{}", kernel.name);
            assert!(margin >= least && margin <= most);
            assert_eq!(prepared.score(margin).get(), oracle.score(margin));
            let scored = prepared.scored(row, margin, 1);
            let (matches, decides) = oracle.detections(values);
            assert_eq!(scored.detections.bits(), matches);
            let expected = match decides {
                Some((score, id)) => (score, Source::Detection(id)),
                None => (oracle.score(margin), Source::Ensemble),
            };
            assert_eq!((scored.score.get(), scored.source), expected);
            prepared.leaf_indexes(row);
        }
        for (first, last, _) in oracle.ranges().into_iter().take(16) {
            for address in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
                for agent in [&b""[..], b"Mozilla/5.0 (compatible; EXAMPLEbot/2)"] {
                    let client = Client::new(Ipv6Addr::from_bits(address).into(), agent);
                    let found = prepared.verified(&client, 1);
                    let found = found.map(|found| (found.bot, found.category as u8));
                    assert_eq!(found, oracle.bot(address, agent));
                }
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    if data.len() < HEADER_BYTES {
        return;
    }
    let mut chunks = vec![Chunk([0; 64]); data.len().div_ceil(ALIGN)];
    bytemuck::cast_slice_mut(&mut chunks)[..data.len()].copy_from_slice(data);
    if repairs(data) {
        let len = lay_out(bytemuck::cast_slice_mut(&mut chunks));
        if len <= FILE_BYTES_MAX {
            chunks.resize(len / ALIGN, Chunk([0; 64]));
        }
    }
    let file: &mut [u8] = bytemuck::cast_slice_mut(&mut chunks);
    preamble(file);
    if accepted(file) {
        score(file);
    }
});
