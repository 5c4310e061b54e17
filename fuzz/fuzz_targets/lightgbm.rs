//! LightGBM models as text: whatever the bytes, they are refused by name, or
//! become well-formed trees and, where there is room, a table that passes every check.
//!
//! Seeds: the models under `tools/import/tests/data`; `ci/fuzz.sh` gives them.
#![no_main]

#[path = "../../tools/import/tests/common/claim.rs"]
mod claim;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Bytes that begin otherwise would be taken for other files, which other targets try.
    match data.starts_with(b"tree\n") {
        true => claim::claim(data),
        false => claim::claim(&[b"tree\n", data].concat()),
    };
});
