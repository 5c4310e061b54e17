//! Requests that no client would send, and random ones.

use super::*;

#[test]
fn hostile_requests_return() {
    let long = vec![b'a'; 65_536];
    let slashes = vec![b'/'; 65_536];
    let percents = vec![b'%'; 65_536];
    let parens = vec![b'('; 65_536];
    let values: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\xff\xfe\xfd",
        b",,,;;;===",
        b"Chrome/99999999999999999999.9.9.9",
        &long,
        &slashes,
        &percents,
        &parens,
    ];
    let names: [&[u8]; 8] = [
        b"",
        b"\0",
        b"User-Agent",
        b"accept-language",
        b"SEC-CH-UA",
        b"Accept",
        b"Sec-Fetch-Dest",
        &long,
    ];
    let mut many = Vec::new();
    for at in 0..10_000 {
        many.push(Header::new(
            names[at % names.len()],
            values[at % values.len()],
        ));
    }
    for target in values {
        let request = Request::new(target, target, &many, HeadersKnown::Complete);
        let row = filled(&request.version(Version::Http11).scheme(Scheme::Https));
        expect(&row, &[(Id::Malformed, 7.0)]);
    }
    for value in values {
        for name in names {
            let headers = [Header::new(name, value), Header::new(name, value)];
            filled(&Request::new(
                b"GET",
                b"%",
                &headers,
                HeadersKnown::Complete,
            ));
        }
    }
}

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A text that is cut, repeated and sprinkled with other bytes.
    fn spoil(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.below(256) as u8),
                2 => bytes.extend_from_within(at..),
                _ => bytes.insert(at, b";,()/%\".0 "[self.below(10)]),
            }
        }
        bytes
    }
}

#[test]
fn random_requests_stay_in_range() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let pairs = chrome();
    let agents = [
        CHROME_UA,
        FIREFOX_UA,
        SAFARI_UA,
        "curl/8",
        "Googlebot (+http://a)",
    ];
    let versions = [
        Version::Unknown,
        Version::Http10,
        Version::Http11,
        Version::Http2,
    ];
    let schemes = [Scheme::Unknown, Scheme::Http, Scheme::Https];
    let known = [
        HeadersKnown::Complete,
        HeadersKnown::Unordered,
        HeadersKnown::Partial,
        HeadersKnown::UserAgentOnly,
    ];
    for _ in 0..20_000 {
        let mut owned = Vec::new();
        for _ in 0..dice.below(25) {
            let (name, _) = pairs[dice.below(pairs.len())];
            let (_, mut value) = pairs[dice.below(pairs.len())];
            if name == "User-Agent" {
                value = agents[dice.below(agents.len())];
            }
            let name = match dice.below(3) {
                0 => dice.spoil(name.as_bytes()),
                _ => name.as_bytes().to_vec(),
            };
            owned.push((name, dice.spoil(value.as_bytes())));
        }
        let headers: Vec<_> = owned.iter().map(|(n, v)| Header::new(n, v)).collect();
        let target = dice.spoil(b"/a/../b.php?c=%41&d=<script>");
        let request = Request::new(b"GET", &target, &headers, known[dice.below(4)])
            .version(versions[dice.below(4)])
            .scheme(schemes[dice.below(3)]);
        filled(&request);
    }
}
