//! Verified bots: known senders, identified by their addresses.

use super::format::{BotRangeRecord, BotRecord, text};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// A bot whose operator publishes the addresses that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bot {
    /// Its name for people, unique: 1 to [`BOT_NAME_BYTES_MAX`](crate::limits::BOT_NAME_BYTES_MAX)
    /// bytes, see [`check_name`](crate::schema::check_name).
    pub name: String,
    /// What it does.
    pub category: Category,
    /// A token that its User-Agent holds, in any case of letters: 1 to
    /// [`BOT_AGENT_BYTES_MAX`](crate::limits::BOT_AGENT_BYTES_MAX) bytes of printable ASCII. If
    /// `None`, the address alone identifies the bot.
    pub agent: Option<String>,
    /// The addresses that it comes from.
    pub ranges: Vec<AddressRange>,
}

/// What a verified bot does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Category {
    /// None of the others.
    Other = 0,
    /// Indexes pages for a search engine.
    SearchEngine = 1,
    /// Collects for, or acts on behalf of, a language model.
    Ai = 2,
    /// Checks whether sites are up.
    Monitor = 3,
    /// Makes previews of links.
    Preview = 4,
    /// Serves a social network.
    Social = 5,
    /// Reads feeds.
    Feed = 6,
    /// Checks or places advertisements.
    Advertising = 7,
    /// Archives pages.
    Archive = 8,
    /// Does research.
    Academic = 9,
    /// Measures how sites rank and perform.
    Optimizer = 10,
    /// Delivers events to sites that asked for them.
    Webhook = 11,
}

impl Category {
    /// Every category, by its number.
    pub const ALL: &'static [Category] = &[
        Category::Other,
        Category::SearchEngine,
        Category::Ai,
        Category::Monitor,
        Category::Preview,
        Category::Social,
        Category::Feed,
        Category::Advertising,
        Category::Archive,
        Category::Academic,
        Category::Optimizer,
        Category::Webhook,
    ];

    /// The category with this number in a table file.
    #[inline]
    pub fn from_u8(value: u8) -> Option<Category> {
        Category::ALL.get(usize::from(value)).copied()
    }

    /// The category's name in files of bots, and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Other => "other",
            Category::SearchEngine => "search-engine",
            Category::Ai => "ai",
            Category::Monitor => "monitor",
            Category::Preview => "preview",
            Category::Social => "social",
            Category::Feed => "feed",
            Category::Advertising => "advertising",
            Category::Archive => "archive",
            Category::Academic => "academic",
            Category::Optimizer => "optimizer",
            Category::Webhook => "webhook",
        }
    }

    /// The category with this name in files of bots.
    pub fn from_name(name: &str) -> Option<Category> {
        let mut all = Category::ALL.iter();
        all.find(|category| category.name() == name).copied()
    }
}

/// An address as a number of 128 bits; IPv4 as its IPv4-mapped IPv6 address, so that either way to
/// write it is the same number.
#[inline]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => MAPPED_FIRST | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `::ffff:0.0.0.0`.
const MAPPED_FIRST: u128 = 0xffff_0000_0000;

/// Whether an address is of IPv4.
pub(super) fn is_v4(address: u128) -> bool {
    address >> 32 == MAPPED_FIRST >> 32
}

/// Whether a range has addresses of one family only: both ends are of IPv4, or both lie on one side
/// of it.
pub(super) fn is_one_family(first: u128, last: u128) -> bool {
    is_v4(first) == is_v4(last) && (is_v4(first) || (first >> 32 < 0xffff) == (last >> 32 < 0xffff))
}

/// Addresses from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    first: u128,
    last: u128,
}

impl AddressRange {
    /// A range of addresses of one family; `None` if the ends are of two families, or descend.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<AddressRange> {
        let (first, last) = (number(first), number(last));
        let good = first <= last && is_one_family(first, last);
        good.then_some(AddressRange { first, last })
    }

    /// Reads `66.249.64.0/19`, `2001:4860::/32`, or a single address.
    ///
    /// # Errors
    /// What is wrong, as `expected …, got …`.
    pub fn parse(text: &str) -> Result<AddressRange, String> {
        let wrong = |expected: &str| format!("expected {expected}, got \"{text}\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let parsed: Result<IpAddr, _> = address.parse();
        let address =
            parsed.map_err(|_| wrong("an address such as 192.0.2.0/24 or 2001:db8::/32"))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => {
                let number = digits.bytes().all(|byte| byte.is_ascii_digit());
                let prefix = digits.parse::<u32>().ok().filter(|_| number);
                let fits = prefix.filter(|prefix| *prefix <= bits);
                fits.ok_or_else(|| wrong(&format!("a prefix of 0 to {bits} bits")))?
            }
        };
        let rest = bits.saturating_sub(prefix);
        let hosts = 1u128
            .checked_shl(rest)
            .map_or(u128::MAX, |end| end.wrapping_sub(1));
        let first = number(address);
        if first & hosts != 0 {
            return Err(wrong("zeros behind the prefix"));
        }
        let last = first | hosts;
        if !is_one_family(first, last) {
            return Err(wrong("addresses of one family"));
        }
        Ok(AddressRange { first, last })
    }

    /// The first address.
    pub(crate) fn first(&self) -> u128 {
        self.first
    }

    /// The last address.
    pub(crate) fn last(&self) -> u128 {
        self.last
    }

    /// Whether both ranges hold an address.
    pub(crate) fn overlaps(&self, other: &AddressRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// One range in place of two; `None` if an address lies between them, or if it would have
    /// addresses of two families.
    pub(crate) fn joined(&self, other: &AddressRange) -> Option<AddressRange> {
        let (first, last) = (self.first.min(other.first), self.last.max(other.last));
        let gap = self.first.max(other.first) > self.last.min(other.last).saturating_add(1);
        (!gap && is_one_family(first, last)).then_some(AddressRange { first, last })
    }

    /// Whether an address lies within.
    pub fn contains(&self, address: IpAddr) -> bool {
        (self.first..=self.last).contains(&number(address))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |address: u128| Ipv6Addr::from_bits(address).to_canonical();
        let (first, last) = (show(self.first), show(self.last));
        let hosts = self.first ^ self.last;
        if hosts == 0 {
            return write!(f, "{first}");
        }
        let rest = hosts.count_ones();
        if hosts & hosts.wrapping_add(1) == 0 && self.first & hosts == 0 {
            let bits = if first.is_ipv4() { 32u32 } else { 128 };
            return write!(f, "{first}/{}", bits.saturating_sub(rest));
        }
        write!(f, "{first}-{last}")
    }
}

/// Returns `true` if bytes are an agent token in the form of a table.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    let printable = |byte: &u8| (b' '..=b'~').contains(byte) && !byte.is_ascii_uppercase();
    let trimmed = bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ');
    !bytes.is_empty() && trimmed && bytes.iter().all(printable)
}

/// The bots of validated records.
pub(super) fn read(records: &[BotRecord], ranges: &[BotRangeRecord]) -> Vec<Bot> {
    let bot = |record: &BotRecord| Bot {
        name: text(&record.name, record.name_bytes),
        category: Category::from_u8(record.category).unwrap_or(Category::Other),
        agent: (record.agent_bytes > 0).then(|| text(&record.agent, record.agent_bytes)),
        ranges: Vec::new(),
    };
    let mut bots: Vec<Bot> = records.iter().map(bot).collect();
    for range in ranges {
        if let Some(bot) = bots.get_mut(range.bot as usize) {
            let (first, last) = (range.first(), range.last());
            bot.ranges.push(AddressRange { first, last });
        }
    }
    bots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_shown() {
        for text in [
            "66.249.64.0/19",
            "192.0.2.7",
            "0.0.0.0/0",
            "2001:4860:4801:10::/64",
            "2001:db8::1",
            "8000::/1",
        ] {
            assert_eq!(AddressRange::parse(text).unwrap().to_string(), text);
        }
        let mapped = AddressRange::parse("::ffff:192.0.2.0/120").unwrap();
        assert_eq!(mapped.to_string(), "192.0.2.0/24");
        assert!(mapped.contains("192.0.2.255".parse().unwrap()));
        assert!(mapped.contains("::ffff:192.0.2.255".parse().unwrap()));
        assert!(!mapped.contains("192.0.3.0".parse().unwrap()));
        let odd = AddressRange::new("10.0.0.1".parse().unwrap(), "10.0.0.6".parse().unwrap());
        assert_eq!(odd.unwrap().to_string(), "10.0.0.1-10.0.0.6");
        for (text, part) in [
            ("", "an address"),
            ("192.0.2.0/33", "0 to 32 bits"),
            ("192.0.2.0/+8", "0 to 32 bits"),
            ("192.0.2.0/", "0 to 32 bits"),
            ("192.0.2.1/24", "zeros behind"),
            ("2001:db8::1/64", "zeros behind"),
            ("::/0", "one family"),
            ("::/80", "one family"),
            ("example.org", "an address"),
        ] {
            let error = AddressRange::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn categories_have_names_and_numbers_of_their_own() {
        for (number, category) in Category::ALL.iter().enumerate() {
            assert_eq!(*category as usize, number);
            assert_eq!(Category::from_name(category.name()), Some(*category));
        }
    }
}
