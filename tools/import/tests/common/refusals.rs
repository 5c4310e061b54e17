//! What tests of refusals share: a fixture with one value changed, and what must be said of it.
#![allow(dead_code, reason = "each test takes what it needs")]

use hedgerow::{Refusal, RefusalKind};
use hedgerow_import::{Imported, import};
use serde_json::Value;

pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the fixture is JSON")
}

pub fn imported(text: &str) -> Imported {
    import(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A refusal that names the file, the place, and what was expected and came, in a line or so.
pub fn refused(bytes: &[u8]) -> Refusal {
    let error = import(bytes).expect_err("a refusal");
    for part in [error.at(), error.expected(), error.got()] {
        assert!(!part.is_empty(), "{error:?}");
        assert!(part.len() < 500, "{error}");
    }
    error
}

/// The fixture with the value at `pointer` changed.
pub fn changed(text: &str, pointer: &str, value: Value) -> String {
    let mut model = parsed(text);
    *model.pointer_mut(pointer).expect(pointer) = value;
    model.to_string()
}

/// Changes one value and checks problem, place (a prefix, because the parser adds line and
/// column), and what is expected and got.
#[track_caller]
pub fn check(
    text: &str,
    pointer: &str,
    value: Value,
    (problem, at, expected, got): (RefusalKind, &str, &str, &str),
) {
    let error = refused(changed(text, pointer, value).as_bytes());
    assert_eq!(error.kind(), Some(problem), "{error}");
    assert!(error.at().starts_with(at), "{error}");
    assert!(error.expected().contains(expected), "{error}");
    assert!(error.got().contains(got), "{error}");
}

/// JSON pointers of all values below this one.
pub fn walk(value: &Value, at: &mut String, pointers: &mut Vec<String>) {
    pointers.push(at.clone());
    let length = at.len();
    let children: Vec<(String, &Value)> = match value {
        Value::Array(list) => (0..).map(|i: usize| i.to_string()).zip(list).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        _ => return,
    };
    for (key, child) in children {
        at.push('/');
        at.push_str(&key);
        walk(child, at, pointers);
        at.truncate(length);
    }
}
