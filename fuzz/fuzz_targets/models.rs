//! Models for every importer: whatever the bytes, they are refused by name, or become well-formed
//! trees and, if there is room, a table that passes every check.
//!
//! The first byte chooses the importer. Bytes without its sign would be taken for another kind of
//! file, so the sign is put in front of them. Seeds: the models under `tools/import/tests/data`;
//! `ci/fuzz.sh` gives them.
#![no_main]

#[path = "../../tools/import/tests/common/claim.rs"]
mod claim;

use hedgerow_import::IMPORTERS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, model)) = data.split_first() else {
        return;
    };
    let start = IMPORTERS[usize::from(*choice) % IMPORTERS.len()]
        .sign
        .start();
    match model.starts_with(start) {
        true => claim::claim(model),
        false => claim::claim(&[start, model].concat()),
    };
});
