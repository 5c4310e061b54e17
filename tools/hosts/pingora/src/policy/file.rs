//! The policy as people write it, and everything that is refused.

use super::spelling::normal;
use super::*;
use hedgerow::host::{HopRule, is_header_name};
use hedgerow::http::Scheme;
use serde::Deserialize;
use std::io::Read;
use std::path::Path;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    /// How paths are compared.
    paths: Option<Paths>,
    #[serde(default)]
    client: ClientTable,
    #[serde(default)]
    default: SettingsTable,
    #[serde(default)]
    route: Vec<RouteTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClientTable {
    hop: Option<String>,
    trusted: Option<Vec<String>>,
    keeps_order: Option<bool>,
    scheme: Option<String>,
    address_header: Option<String>,
    scheme_header: Option<String>,
    version_header: Option<String>,
    ja4_header: Option<String>,
}

/// What a route may say of what becomes of its requests. What it does not say is as in `[default]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SettingsTable {
    action: Option<Mode>,
    below: Option<i64>,
    status: Option<i64>,
    fail: Option<Fail>,
    fail_status: Option<i64>,
    blocked_bots: Option<Vec<String>>,
    headers: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Fail {
    Open,
    Closed,
}

/// What a route inherits of failing closed.
#[derive(Debug, Clone, Copy)]
struct Failing {
    fail: Fail,
    status: u16,
}

// Flattening would take unknown keys: the settings stand here once more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RouteTable {
    name: Option<String>,
    hosts: Option<Vec<String>>,
    paths: Option<Vec<String>>,
    methods: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
    action: Option<Mode>,
    below: Option<i64>,
    status: Option<i64>,
    fail: Option<Fail>,
    fail_status: Option<i64>,
    blocked_bots: Option<Vec<String>>,
    headers: Option<bool>,
}

type Parsed<T> = Result<T, PolicyError>;

/// Reads a file of bounded size.
pub(super) fn read(path: &Path) -> Parsed<String> {
    let wrong = |expected: &str, got: String| {
        PolicyError::new("policy-file", path.display(), expected, got)
    };
    let unreadable = |error: std::io::Error| wrong("a file that can be read", error.to_string());
    // To open a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(wrong("a file", "something else".into()));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let mut bounded = file.take(POLICY_BYTES_MAX.saturating_add(1));
    bounded.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > POLICY_BYTES_MAX {
        return Err(wrong(
            &format!("at most {POLICY_BYTES_MAX} bytes"),
            "more".into(),
        ));
    }
    Ok(text)
}

pub(super) fn parse(text: &str) -> Parsed<Policy> {
    let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
    let mut policy = Policy {
        front: front(file.client)?,
        paths: file.paths.unwrap_or_default(),
        ..Policy::default()
    };
    let failing = Failing {
        fail: Fail::Open,
        status: 503,
    };
    let default = settings("default", &file.default, &Settings::default(), failing)?;
    let said = { file.default.fail_status }.and_then(|status| u16::try_from(status).ok());
    let failing = Failing {
        fail: match default.fail_closed {
            Some(_) => Fail::Closed,
            None => Fail::Open,
        },
        // It is for routes that fail closed, though the default itself may not.
        status: said.unwrap_or(failing.status),
    };
    if file.route.len() > ROUTES_MAX {
        let expected = format!("at most {ROUTES_MAX} routes");
        return Err(PolicyError::new(
            "policy-routes",
            "route",
            expected,
            file.route.len(),
        ));
    }
    let mut routes = Vec::with_capacity(file.route.len().saturating_add(1));
    for (at, table) in file.route.into_iter().enumerate() {
        routes.push(route(at, table, &routes, &default, failing)?);
    }
    if let Some(mut last) = policy.routes.pop() {
        last.settings = default;
        routes.push(last);
    }
    policy.routes = routes;
    Ok(policy)
}

/// What is in front of the proxy.
fn front(table: ClientTable) -> Parsed<Front> {
    let wrong = |key: &str, expected: &str, got: &str| {
        PolicyError::new(
            "policy-client",
            format!("client.{key}"),
            expected,
            quoted(got),
        )
    };
    let mut front = Front {
        keeps_order: table.keeps_order.unwrap_or_default(),
        ..Front::default()
    };
    if let Some(hop) = &table.hop {
        let expected = "auto, client or proxy";
        front.hop = HopRule::from_name(hop).ok_or_else(|| wrong("hop", expected, hop))?;
    }
    front.scheme = match table.scheme.as_deref() {
        None => Scheme::Unknown,
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => return Err(wrong("scheme", "http or https", other)),
    };
    if let Some(trusted) = &table.trusted {
        front.trusted = ranges("client.trusted", trusted)?;
    }
    for (key, said, header) in [
        (
            "address-header",
            table.address_header,
            &mut front.address_header,
        ),
        (
            "scheme-header",
            table.scheme_header,
            &mut front.scheme_header,
        ),
        (
            "version-header",
            table.version_header,
            &mut front.version_header,
        ),
        ("ja4-header", table.ja4_header, &mut front.ja4_header),
    ] {
        if let Some(name) = said {
            if !is_header_name(&name) {
                let expected = "a header's name, or an empty text for none";
                return Err(wrong(key, expected, &name));
            }
            *header = name;
        }
    }
    Ok(front)
}

/// Where the text stops being a policy.
fn syntax(text: &str, error: &toml::de::Error) -> PolicyError {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(0, |text| text.matches('\n').count());
    let at = format!("line {}", line.saturating_add(1));
    PolicyError::new("policy-syntax", at, "a policy", error.message())
}

fn route(
    at: usize,
    table: RouteTable,
    before: &[Route],
    default: &Settings,
    failing: Failing,
) -> Parsed<Route> {
    let place = |key: &str| format!("route {}: {key}", at.saturating_add(1));
    let name = table.name.clone().unwrap_or_default();
    check_name(&place("name"), &name, before)?;
    let conditions = [&table.hosts, &table.paths, &table.methods, &table.addresses];
    if conditions.iter().all(|condition| condition.is_none()) {
        let expected = "one of hosts, paths, methods and addresses: what is for every request \
                        stands in [default]";
        return Err(PolicyError::new(
            "policy-selector",
            place(&name),
            expected,
            "none",
        ));
    }
    let list = |key: &str, list: &Option<Vec<String>>| texts(&place(key), list);
    let paths = list("paths", &table.paths)?;
    let paths: Parsed<Vec<_>> = { paths.iter() }
        .map(|path| pattern(&place("paths"), path))
        .collect();
    let hosts = list("hosts", &table.hosts)?;
    let hosts: Parsed<Vec<_>> = { hosts.iter() }
        .map(|host| checked_host(&place("hosts"), host))
        .collect();
    let addresses = match &table.addresses {
        Some(addresses) => ranges(&place("addresses"), addresses)?,
        None => Vec::new(),
    };
    let methods = list("methods", &table.methods)?;
    for method in &methods {
        check_method(&place("methods"), method)?;
    }
    let said = SettingsTable {
        action: table.action,
        below: table.below,
        status: table.status,
        fail: table.fail,
        fail_status: table.fail_status,
        blocked_bots: table.blocked_bots,
        headers: table.headers,
    };
    Ok(Route {
        name,
        hosts: hosts?,
        paths: paths?,
        methods,
        addresses,
        settings: settings(&place("settings"), &said, default, failing)?,
    })
}

/// A condition's list; empty where there is none.
fn texts(at: &str, list: &Option<Vec<String>>) -> Parsed<Vec<String>> {
    match list {
        None => Ok(Vec::new()),
        Some(list) if !list.is_empty() && !list.iter().any(String::is_empty) => Ok(list.clone()),
        Some(list) => {
            let expected = "at least one, none of them empty";
            let got = format!("{list:?}");
            Err(PolicyError::new("policy-selector", at, expected, got))
        }
    }
}

/// A host that requests can be for, in lower case and without a dot at its end. Ports and patterns
/// would match none.
fn checked_host(at: &str, text: &str) -> Parsed<String> {
    let host = text.strip_suffix('.').unwrap_or(text);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let address = host.starts_with('[') && host.ends_with(']');
    if !address && (host.is_empty() || !host.bytes().all(good)) {
        let expected = "a host such as shop.example or [2001:db8::1], without a port";
        return Err(PolicyError::new("policy-host", at, expected, quoted(text)));
    }
    Ok(host.to_ascii_lowercase())
}

/// A method as people write it; those of requests are compared without regard to case.
fn check_method(at: &str, method: &str) -> Parsed<()> {
    match method
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
    {
        true => Ok(()),
        false => {
            let expected = "a method such as GET";
            Err(PolicyError::new(
                "policy-method",
                at,
                expected,
                quoted(method),
            ))
        }
    }
}

/// A name is for logs and metrics: short, and no other route's.
fn check_name(at: &str, name: &str, before: &[Route]) -> Parsed<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        let expected = "a name of 1 to 64 letters, digits, `-`, `_`, `.`";
        return Err(PolicyError::new("policy-name", at, expected, quoted(name)));
    }
    if name == "default" || before.iter().any(|other| other.name == name) {
        let expected = "a name that no other route has, `default` included";
        return Err(PolicyError::new("policy-name", at, expected, quoted(name)));
    }
    Ok(())
}

/// Settings, where what is not said is as elsewhere.
fn settings(
    at: &str,
    said: &SettingsTable,
    others: &Settings,
    failing: Failing,
) -> Parsed<Settings> {
    let number = |key: &str, said: Option<i64>, low: i64, high: i64, other: u16| -> Parsed<u16> {
        let Some(got) = said else { return Ok(other) };
        let fits = (low..=high).contains(&got).then(|| u16::try_from(got).ok());
        fits.flatten().ok_or_else(|| {
            let expected = format!("a number from {low} to {high}");
            PolicyError::new("policy-number", format!("{at}.{key}"), expected, got)
        })
    };
    let below = number("below", said.below, 1, 100, u16::from(others.below))?;
    let status = number("status", said.status, 400, 599, others.status)?;
    let fail_status = number("fail-status", said.fail_status, 400, 599, failing.status)?;
    let mode = said.action.unwrap_or(others.mode);
    let fail = said.fail.unwrap_or(match mode {
        Mode::Block => failing.fail,
        // An inherited `closed` is for routes that block.
        Mode::Observe | Mode::Tag => Fail::Open,
    });
    if fail == Fail::Closed && mode != Mode::Block {
        let expected = "`fail = \"closed\"` only with `action = \"block\"`";
        return Err(PolicyError::new(
            "policy-fail",
            at,
            expected,
            "another action",
        ));
    }
    let blocked_bots = match &said.blocked_bots {
        None => others.blocked_bots.clone(),
        Some(names) => categories(&format!("{at}.blocked-bots"), names)?,
    };
    Ok(Settings {
        mode,
        below: below as u8,
        status,
        fail_closed: (fail == Fail::Closed).then_some(fail_status),
        blocked_bots,
        headers: said.headers.unwrap_or(others.headers),
    })
}

fn categories(at: &str, names: &[String]) -> Parsed<Vec<Category>> {
    let known = |name: &String| {
        Category::from_name(name).ok_or_else(|| {
            let all: Vec<_> = Category::ALL
                .iter()
                .map(|category| category.name())
                .collect();
            let expected = format!("one of {}", all.join(", "));
            PolicyError::new("policy-bots", at, expected, quoted(name))
        })
    };
    names.iter().map(known).collect()
}

fn pattern(at: &str, text: &str) -> Parsed<PathPattern> {
    let (start, open) = match text.strip_suffix('*') {
        Some(start) => (start, true),
        None => (text, false),
    };
    if !start.starts_with('/') || start.contains(['*', '?', '#']) {
        let expected = "a path such as /login or /account/*";
        return Err(PolicyError::new("policy-path", at, expected, quoted(text)));
    }
    // As requests are: what is not in that form would match none. Something stands for what an
    // open pattern goes on with: `/.*` is for `/.git`.
    let more = if open { "x" } else { "" };
    let whole = format!("{start}{more}");
    let normal = normal(&whole);
    let start = normal.strip_suffix(more).unwrap_or(&normal).into();
    Ok(PathPattern::new(start, open))
}

fn ranges(at: &str, texts: &[String]) -> Parsed<Vec<AddressRange>> {
    if texts.is_empty() {
        return Err(PolicyError::new(
            "policy-selector",
            at,
            "at least one",
            "[]",
        ));
    }
    let parse = |text: &String| {
        AddressRange::parse(text).map_err(|wrong| {
            let (expected, got) = wrong.split_once(", got ").unwrap_or((&wrong, text));
            let expected = expected.strip_prefix("expected ").unwrap_or(expected);
            PolicyError::new("policy-address", at, expected, got)
        })
    };
    texts.iter().map(parse).collect()
}

/// What came, as far as a line of a log should hold it.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{:?} and more", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
