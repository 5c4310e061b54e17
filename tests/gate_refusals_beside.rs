//! Refusals of what stands beside the ensemble, each by a table that is wrong in one thing alone:
//! detections and verified bots; and what the writer refuses of them.

mod common;
#[path = "gate/edit.rs"]
mod edit;
#[path = "gate/tables.rs"]
mod tables;

use bytemuck::Pod;
use edit::Edit;
use hedgerow::model::{BuildError, BuildOptions, build};
use hedgerow::table::bots::{AddressRange, Bot, Category, number};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::table::format::*;
use hedgerow::{RefusalKind, Table};
use tables::{bots, detections, full_table, plain};

/// Edits one record of the full table; the refusal must say this.
fn check<T: Pod>(
    section: Section,
    index: usize,
    edit: impl FnOnce(&mut T),
    said: (&str, &str, &str, &str),
) {
    let mut table = Edit::new(&full_table());
    table.record(section, index, edit);
    says(table, said);
}

fn says(table: Edit, said: (&str, &str, &str, &str)) {
    let refused = Table::from_bytes(&table.finish()).expect_err("a refusal");
    let got = (
        refused.name(),
        refused.at(),
        refused.expected(),
        refused.got(),
    );
    assert_eq!(got, said);
    assert_eq!(refused.kind().map(RefusalKind::name), Some(refused.name()));
}

fn detection(
    index: usize,
    edit: impl FnOnce(&mut DetectionRecord),
    said: (&str, &str, &str, &str),
) {
    check(Section::Detections, index, edit, said);
}

fn condition(
    index: usize,
    edit: impl FnOnce(&mut ConditionRecord),
    said: (&str, &str, &str, &str),
) {
    check(Section::Conditions, index, edit, said);
}

fn bot(index: usize, edit: impl FnOnce(&mut BotRecord), said: (&str, &str, &str, &str)) {
    check(Section::Bots, index, edit, said);
}

/// The ranges are 192.0.2.0/28, 198.51.100.7, 2001:db8::/48.
fn range(index: usize, edit: impl FnOnce(&mut BotRangeRecord), said: (&str, &str, &str, &str)) {
    check(Section::BotRanges, index, edit, said);
}

#[test]
fn the_table_that_all_this_is_made_from_is_a_good_one() {
    let bytes = Edit::new(&full_table()).finish();
    assert_eq!(bytes, full_table());
    let table = Table::from_bytes(&bytes).expect("a table");
    let named = |mut list: Vec<Detection>| {
        for condition in list.iter_mut().flat_map(|one| &mut one.conditions) {
            if let FeatureRef::Index(index) = condition.feature {
                condition.feature = FeatureRef::Name(format!("f{index}"));
            }
        }
        list
    };
    assert_eq!(table.detections(), named(detections()));
    let mut expected = bots();
    expected[0].ranges.reverse();
    expected[0].agent = Some("examplebot".into());
    assert_eq!(table.bots(), expected);
}

#[test]
fn detection_records() {
    detection(
        1,
        |d| d.id = 10,
        ("detection-id", "detections[1].id", "above 10", "10"),
    );
    detection(
        2,
        |d| d.id = 0,
        ("detection-id", "detections[2].id", "above 20", "0"),
    );
    let at = "detections[0].name";
    let name = "detection-name";
    detection(
        0,
        |d| d.name_bytes = 41,
        (name, at, "a name of at most 40 bytes", "41"),
    );
    let well = "a well-formed name";
    detection(
        0,
        |d| d.name_bytes = 0,
        (name, at, well, "a name that is empty"),
    );
    detection(
        0,
        |d| d.name[0] = 0xff,
        (name, at, well, "a name that is not UTF-8"),
    );
    detection(
        0,
        |d| d.name[39] = 1,
        ("reserved", at, "zero", "another value"),
    );
    detection(
        1,
        |d| {
            d.name = [0; 40];
            d.name[..17].copy_from_slice(b"above and present");
            d.name_bytes = 17;
        },
        (
            name,
            "detections[1].name",
            "a name of its own",
            "\"above and present\" also at detections[0].name",
        ),
    );
}

#[test]
fn detection_fields() {
    for (got, shown) in [(0, "0"), (100, "100"), (255, "255")] {
        let at = "detections[2].score";
        detection(2, |d| d.score = got, ("detection", at, "1 to 99", shown));
    }
    let at = "detections[0].conditions";
    detection(0, |d| d.conditions = 0, ("detection", at, "1 to 8", "0"));
    detection(0, |d| d.conditions = 9, ("detection", at, "1 to 8", "9"));
    let at = "detections[0].active";
    detection(0, |d| d.active = 2, ("detection", at, "0 to 1", "2"));
    let at = "detections[0].zero";
    detection(
        0,
        |d| d.zero[11] = 1,
        ("reserved", at, "zero", "another value"),
    );
    let at = "detections[1].start";
    detection(1, |d| d.start = 1, ("count-mismatch", at, "2", "1"));
    detection(
        1,
        |d| d.start = u32::MAX,
        ("count-mismatch", at, "2", "4294967295"),
    );
    let at = "conditions";
    detection(2, |d| d.conditions = 3, ("count-mismatch", at, "6", "5"));
    detection(2, |d| d.conditions = 1, ("count-mismatch", at, "4", "5"));
}

#[test]
fn condition_records() {
    let at = "conditions[0].feature";
    condition(0, |c| c.feature = 3, ("feature-index", at, "below 3", "3"));
    condition(
        0,
        |c| c.feature = 255,
        ("feature-index", at, "below 3", "255"),
    );
    let at = "conditions[4].operator";
    condition(4, |c| c.operator = 5, ("condition", at, "0 to 4", "5"));
    condition(4, |c| c.operator = 255, ("condition", at, "0 to 4", "255"));
    let (at, finite) = ("conditions[0].value", "a finite number");
    condition(0, |c| c.value = f32::NAN, ("condition", at, finite, "NaN"));
    condition(
        0,
        |c| c.value = f32::INFINITY,
        ("condition", at, finite, "inf"),
    );
    let at = "conditions[1].value";
    condition(1, |c| c.value = 1.0, ("condition", at, "0", "1"));
    condition(1, |c| c.value = -0.0, ("condition", at, "0", "-0"));
    condition(1, |c| c.value = f32::NAN, ("condition", at, "0", "NaN"));
    let at = "conditions[2].zero";
    condition(
        2,
        |c| c.zero[1] = 1,
        ("reserved", at, "zero", "another value"),
    );
}

#[test]
fn bot_records() {
    let (at, name) = ("bots[0].name", "bot-name");
    bot(
        0,
        |b| b.name_bytes = 57,
        (name, at, "a name of at most 56 bytes", "57"),
    );
    let well = "a well-formed name";
    bot(
        0,
        |b| b.name_bytes = 0,
        (name, at, well, "a name that is empty"),
    );
    bot(
        0,
        |b| b.name[55] = 1,
        ("reserved", at, "zero", "another value"),
    );
    let of_0: BotRecord = Edit::new(&full_table()).get(Section::Bots, 0);
    let twice = "\"Example Search\" also at bots[0].name";
    let said = (name, "bots[1].name", "a name of its own", twice);
    bot(
        1,
        |b| (b.name, b.name_bytes) = (of_0.name, of_0.name_bytes),
        said,
    );
    let at = "bots[1].category";
    bot(1, |b| b.category = 12, ("bot", at, "below 12", "12"));
    let at = "bots[0].agent_bytes";
    bot(0, |b| b.agent_bytes = 33, ("bot", at, "at most 32", "33"));
    let at = "bots[0].agent";
    let plain = "printable ASCII without capitals, no space at either end";
    bot(0, |b| b.agent[0] = b'E', ("bot", at, plain, "Examplebot"));
    bot(0, |b| b.agent[0] = b' ', ("bot", at, plain, " xamplebot"));
    bot(0, |b| b.agent[1] = 0, ("bot", at, plain, "e\\x00amplebot"));
    bot(
        0,
        |b| b.agent_bytes = 9,
        ("reserved", at, "zero", "another value"),
    );
    bot(
        1,
        |b| b.agent[31] = 1,
        ("reserved", "bots[1].agent", "zero", "another value"),
    );
    bot(
        1,
        |b| b.zero[36] = 1,
        ("reserved", "bots[1].zero", "zero", "another value"),
    );
}

#[test]
fn range_records() {
    let address = |text: &str| halves(number(text.parse().expect("an address")));
    let low = "bot_ranges[1].low";
    let above = "above ::ffff:192.0.2.15";
    for text in ["192.0.2.15", "192.0.2.0", "0.0.0.0", "::"] {
        let got = match text {
            "::" => "::".to_string(),
            v4 => format!("::ffff:{v4}"),
        };
        range(
            1,
            |r| r.low = address(text),
            ("bot-range", low, above, &got),
        );
    }
    let high = "bot_ranges[1].high";
    let least = "at least ::ffff:198.51.100.7";
    let said = ("bot-range", high, least, "::ffff:198.51.100.6");
    range(1, |r| r.high = address("198.51.100.6"), said);
    let family = "an end of the family of ::ffff:198.51.100.7";
    let said = ("bot-range", high, family, "2001:db0::");
    range(1, |r| r.high = address("2001:db0::"), said);
    let around = "an end of the family of ::";
    let said = ("bot-range", "bot_ranges[0].high", around, "::1:0:0:0");
    range(
        0,
        |r| (r.low, r.high) = (address("::"), address("::1:0:0:0")),
        said,
    );
    let at = "bot_ranges[2].bot";
    range(2, |r| r.bot = 2, ("bot-index", at, "below 2", "2"));
    range(
        2,
        |r| r.bot = u32::MAX,
        ("bot-index", at, "below 2", "4294967295"),
    );
    let at = "bot_ranges[0].zero";
    range(0, |r| r.zero = 1, ("reserved", at, "zero", "another value"));
}

#[test]
fn counts() {
    for (section, name, most) in [
        (Section::Detections, "detections", 64),
        (Section::Conditions, "conditions", 512),
        (Section::Bots, "bots", 1024),
        (Section::BotRanges, "bot_ranges", 16384),
    ] {
        for got in [most + 1, u32::MAX] {
            let mut table = Edit::new(&full_table());
            table.header(|header| header.counts[section as usize] = got);
            let (at_most, got) = (format!("at most {most}"), got.to_string());
            says(table, ("over-capacity", name, &at_most, &got));
        }
    }
    let mut table = Edit::new(&full_table());
    table.section(Section::Bots, Vec::clear);
    says(table, ("bot-index", "bot_ranges[0].bot", "below 0", "0"));
}

/// What the writer says of a table with these.
fn unwritten(detections: Vec<Detection>, bots: Vec<Bot>) -> BuildError {
    let options = BuildOptions {
        detections,
        bots,
        ..BuildOptions::default()
    };
    build(&plain(), &options).expect_err("a refusal")
}

#[test]
fn the_writer_refuses_malformed_detections() {
    let name = |name: &str| FeatureRef::Name(name.into());
    let test = ConditionTest::Present;
    type Change = Box<dyn Fn(&mut Detection)>;
    let cases: Vec<(Change, &str)> = vec![
        (
            Box::new(|d| d.id = 10),
            "expected an id of its own, got it twice",
        ),
        (
            Box::new(|d| d.name = "equal".into()),
            "expected a name of its own, got \"equal\" twice",
        ),
        (Box::new(|d| d.name = String::new()), "the name is empty"),
        (
            Box::new(|d| d.name = "x".repeat(41)),
            "expected a name of at most 40 bytes, got 41",
        ),
        (
            Box::new(|d| d.score = 0),
            "expected a score of 1 to 99, got 0",
        ),
        (
            Box::new(|d| d.score = 100),
            "expected a score of 1 to 99, got 100",
        ),
        (
            Box::new(|d| d.conditions.clear()),
            "expected 1 to 8 conditions, got 0",
        ),
        (
            Box::new(|d| d.conditions = vec![d.conditions[0].clone(); 9]),
            "expected 1 to 8 conditions, got 9",
        ),
        (
            Box::new(|d| d.conditions[0].feature = FeatureRef::Index(3)),
            "expected a feature below 3, got 3",
        ),
        (
            Box::new(move |d| {
                d.conditions[0] = Condition {
                    feature: name("f9"),
                    test,
                }
            }),
            "expected one of the 3 features, got \"f9\"",
        ),
        (
            Box::new(|d| d.conditions[0].test = ConditionTest::Equals(f32::NAN)),
            "expected a finite bound, got NaN",
        ),
    ];
    for (change, problem) in cases {
        let mut list = detections();
        change(&mut list[2]);
        match unwritten(list, Vec::new()) {
            BuildError::Detection { problem: got, .. } => assert_eq!(got, problem),
            other => panic!("{problem}: {other}"),
        }
    }
}

#[test]
fn the_writer_refuses_too_many_detections() {
    let many: Vec<Detection> = (0..65)
        .map(|id| Detection {
            id,
            name: format!("d{id}"),
            ..detections()[0].clone()
        })
        .collect();
    let (what, max, got) = ("detections".to_string(), 64, 65);
    assert_eq!(
        unwritten(many, Vec::new()),
        BuildError::OverCapacity { what, max, got }
    );
}

#[test]
fn the_writer_refuses_malformed_bots() {
    let ranges = |all: &[&str]| -> Vec<AddressRange> {
        all.iter()
            .map(|text| AddressRange::parse(text).unwrap())
            .collect()
    };
    type Change = Box<dyn Fn(&mut Bot)>;
    let token = "expected an agent token of 1 to 32 printable ASCII characters, got";
    let cases: Vec<(Change, String)> = vec![
        (
            Box::new(|b| b.name = "Example Search".into()),
            "expected a name of its own, got it twice".into(),
        ),
        (
            Box::new(|b| b.name = " x".into()),
            "the name starts or ends with a space".into(),
        ),
        (
            Box::new(|b| b.agent = Some(String::new())),
            format!("{token} \"\""),
        ),
        (
            Box::new(|b| b.agent = Some("é".into())),
            format!("{token} \"é\""),
        ),
        (
            Box::new(|b| b.agent = Some("x".repeat(33))),
            format!("{token} \"{}\"", "x".repeat(33)),
        ),
        (
            Box::new(move |b| b.ranges = ranges(&["192.0.2.8/29"])),
            "expected addresses of its own, got 192.0.2.8/29 beside 192.0.2.0/28 of \
             \"Example Search\""
                .into(),
        ),
    ];
    for (change, problem) in cases {
        let mut list = bots();
        change(&mut list[1]);
        match unwritten(Vec::new(), list) {
            BuildError::Bot { problem: got, .. } => assert_eq!(got, problem),
            other => panic!("{problem}: {other}"),
        }
    }
}

#[test]
fn the_writer_bounds_and_merges_ranges() {
    let bot = |at: usize, ranges| Bot {
        name: format!("b{at}"),
        ranges,
        ..bots()[1].clone()
    };
    let many = (0..1025).map(|at| bot(at, Vec::new())).collect();
    let (what, max, got) = ("verified bots".to_string(), 1024, 1025);
    assert_eq!(
        unwritten(Vec::new(), many),
        BuildError::OverCapacity { what, max, got }
    );
    let single = |at: u32| AddressRange::parse(&format!("10.0.{}.{}", at >> 7, at % 128 * 2));
    let many = (0..16_385).map(|at| single(at).unwrap()).collect();
    let (what, max, got) = ("address ranges".to_string(), 16_384, 16_385);
    let error = unwritten(Vec::new(), vec![bot(0, many)]);
    assert_eq!(error, BuildError::OverCapacity { what, max, got });

    let parse = |text: &str| AddressRange::parse(text).unwrap();
    let touching = [
        "192.0.2.16/28",
        "192.0.2.0/28",
        "192.0.2.0/29",
        "192.0.3.0/24",
    ];
    let options = BuildOptions {
        bots: vec![bot(0, touching.map(parse).to_vec())],
        ..BuildOptions::default()
    };
    let built = build(&plain(), &options).expect("a table");
    let table = Table::from_bytes(&built.bytes).expect("a good table");
    let expected = ["192.0.2.0/27", "192.0.3.0/24"].map(parse).to_vec();
    assert_eq!(table.bots()[0].ranges, expected);
    assert_eq!(table.bots()[0].category, Category::Monitor);
}
