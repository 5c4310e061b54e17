//! Bytes as hexadecimal digits, and back.

/// Returns the bytes as lower-case digits.
#[cfg(feature = "watch")]
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the bytes of exactly `2 * N` digits, of either case.
pub(crate) fn decode<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    let whole = digits.len() == N.saturating_mul(2);
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(std::str::from_utf8);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(pair.ok()?, 16).ok()?;
    }
    (whole && is_hex).then_some(bytes)
}

#[cfg(all(test, feature = "watch"))]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_they_are_written() {
        let bytes = [0u8, 1, 0x7f, 0x80, 0xab, 0xff];
        assert_eq!(encode(&bytes), "00017f80abff");
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
        assert_eq!(decode("00017F80ABFF"), Some(bytes));
        for bad in [
            "",
            "00017f80abf",
            "00017f80abffff",
            "+0017f80abff",
            "é017f80abff",
            "zz017f80abff",
        ] {
            assert_eq!(decode::<6>(bad), None, "{bad}");
        }
    }
}
