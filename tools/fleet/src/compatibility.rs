//! Records that an earlier version wrote are read, and written byte for byte the same.

use crate::record::{COUNTER, Claim, Envelope, FleetSwitches, Record, RingPointer, SWITCHES};
use crate::report::NodeReport;
use crate::rollout::{STEERING, Steering};
use hedgerow::RefusalKind;
use hedgerow::watch::{Keys, PublicKey};
use serde::Deserialize;

/// A value of a bucket: a line of `tests/fixtures/*.ndjson`.
#[derive(Deserialize)]
struct Fixture {
    bucket: String,
    key: String,
    value: String,
}

const FLEET: &str = "hedgerow";
const FIXTURE_KEY: &str = include_str!("../tests/fixtures/fixture.pub");

fn records(text: &str) -> Vec<Fixture> {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn signed() -> Vec<Fixture> {
    records(include_str!("../tests/fixtures/nats-signed.ndjson"))
}

fn unsigned() -> Vec<Fixture> {
    records(include_str!("../tests/fixtures/nats-unsigned.ndjson"))
}

fn trusted() -> Keys {
    let key = PublicKey::parse(FIXTURE_KEY, "fixture.pub").unwrap();
    Keys::new(vec![key], true)
}

/// Opens a record with these keys, and checks that it is written as it was.
fn reopened<T: Record>(record: &Fixture, keys: &Keys) -> Result<T, Option<RefusalKind>> {
    let bytes = record.value.as_bytes();
    let body = Envelope::open::<T>(bytes, FLEET, &record.key, keys)
        .map_err(|failure| failure.refusal().kind())?;
    let mut envelope: Envelope = serde_json::from_slice(bytes).unwrap();
    envelope.body = serde_json::to_string(&body).unwrap();
    assert_eq!(serde_json::to_string(&envelope).unwrap(), record.value);
    let unsigned = Envelope {
        signed: None,
        ..envelope
    };
    let sealed = Envelope::seal(&body, &record.key, None);
    assert_eq!(sealed, serde_json::to_vec(&unsigned).unwrap());
    Ok(body)
}

/// The same for a record that has no signature of its own.
fn reread<T: serde::de::DeserializeOwned + serde::Serialize>(record: &Fixture) -> T {
    let value: T = serde_json::from_str(&record.value).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), record.value);
    value
}

/// The kind of a record, once it was read; why not, where it cannot be.
fn read(record: &Fixture, keys: &Keys) -> Result<&'static str, Option<RefusalKind>> {
    if record.bucket != FLEET {
        let report: NodeReport = reread(record);
        assert_eq!(report.node, record.key);
        return Ok("report");
    }
    match record.key.as_str() {
        COUNTER => {
            reread::<Claim>(record);
            Ok("claim")
        }
        SWITCHES => reopened::<FleetSwitches>(record, keys).map(|_| "switches"),
        STEERING => reopened::<Steering>(record, keys).map(|_| "steering"),
        _ => reopened::<RingPointer>(record, keys).map(|_| "pointer"),
    }
}

fn count(all: &[Fixture], keys: &Keys, wanted: Result<&str, Option<RefusalKind>>) -> usize {
    all.iter()
        .filter(|record| read(record, keys) == wanted)
        .count()
}

#[test]
fn every_kind_of_an_earlier_versions_records_is_read_and_written_the_same() {
    let (signed, unsigned) = (signed(), unsigned());
    assert_eq!((signed.len(), unsigned.len()), (19, 19));
    for (kind, expected) in [
        ("claim", 5),
        ("switches", 3),
        ("steering", 3),
        ("report", 2),
    ] {
        assert_eq!(count(&signed, &trusted(), Ok(kind)), expected, "{kind}");
        assert_eq!(
            count(&unsigned, &Keys::default(), Ok(kind)),
            expected,
            "{kind}"
        );
    }
    // The last pointer of the signed fleet was published without a key.
    assert_eq!(count(&signed, &trusted(), Ok("pointer")), 5);
    assert_eq!(count(&signed, &trusted(), Err(Some(RefusalKind::Key))), 1);
    assert_eq!(count(&unsigned, &Keys::default(), Ok("pointer")), 6);
    assert_eq!(
        count(&unsigned, &trusted(), Err(Some(RefusalKind::Key))),
        12
    );
}

#[test]
fn an_earlier_versions_signature_is_verified() {
    for mut record in signed().into_iter().filter(|it| it.key == SWITCHES) {
        assert_eq!(read(&record, &trusted()), Ok("switches"));
        // Another body under the same signature, and the same record under another key.
        let original = record.value.clone();
        record.value = original.replace("ua_bot_word", "ua_tool_word");
        if record.value == original {
            record.value = original.replace("ensemble", "engine");
        }
        assert_ne!(record.value, original);
        assert_eq!(read(&record, &trusted()), Err(Some(RefusalKind::Key)));
        let moved =
            Envelope::open::<FleetSwitches>(original.as_bytes(), FLEET, "pointer.all", &trusted());
        assert_eq!(
            moved.map_err(|it| it.refusal().kind()),
            Err(Some(RefusalKind::Key))
        );
    }
}

#[test]
fn an_earlier_versions_reports_say_what_they_said() {
    let report = |all: Vec<Fixture>, node: &str| -> NodeReport {
        reread(all.iter().find(|record| record.key == node).unwrap())
    };
    let canary = report(signed(), "edge-1");
    assert_eq!((canary.running(), canary.engines.len()), (4, 2));
    assert_eq!(canary.trouble(5).as_deref(), Some("refused 5: key"));
    assert_eq!(canary.ahead(4, 9), None);
    let held = report(unsigned(), "edge-2");
    let why = "one refused 5: quarantined";
    assert_eq!(held.trouble(5).as_deref(), Some(why));
    assert!(held.engines[0].health.as_ref().unwrap().rows > 1_000_000);
}
