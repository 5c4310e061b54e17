//! What a policy takes, what it refuses, and what it decides.

use super::*;
use hedgerow::host::{Outcome, PassReason, ScoredRequest};
use hedgerow::{NotScored, Reason, Verdict, VerifiedBot};
use pingora::http::RequestHeader;
use std::net::IpAddr;

fn refused(text: &str) -> PolicyError {
    match Policy::parse(text) {
        Err(refused) => refused,
        Ok(policy) => panic!("taken: {text}: {policy:?}"),
    }
}

fn request(path: &str, host: &str) -> RequestHeader {
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).expect("a request");
    request.append_header("Host", host).expect("a header");
    request
}

/// The first route that takes a request: nothing is known of its score.
fn first(policy: &Policy, request: &RequestHeader, client: Option<IpAddr>) -> usize {
    policy.judge(request, client, &ScoredRequest::default()).0
}

/// The route that takes a path.
fn taken(policy: &Policy, path: &str, host: &str, client: &str) -> String {
    let client = client.parse().ok();
    let route = first(policy, &request(path, host), client);
    policy.routes()[route].name.clone()
}

/// Texts, and the refusal's name and place.
const REFUSED: &[(&str, &str, &str)] = &[
    ("x = 1", "policy-syntax", "line 1"),
    (
        "[default]\nbelow = 30\nblow = 20",
        "policy-syntax",
        "line 3",
    ),
    ("[default]\naction = \"kill\"", "policy-syntax", "line 2"),
    ("[default]\nbelow = \"30\"", "policy-syntax", "line 2"),
    ("[default", "policy-syntax", "line 1"),
    ("[default]\nbelow = 0", "policy-number", "default.below"),
    ("[default]\nbelow = 101", "policy-number", "default.below"),
    ("[default]\nstatus = 200", "policy-number", "default.status"),
    (
        "[default]\nfail-status = 600",
        "policy-number",
        "default.fail-status",
    ),
    ("[default]\nfail = \"closed\"", "policy-fail", "default"),
    (
        "[default]\nblocked-bots = [\"all\"]",
        "policy-bots",
        "default.blocked-bots",
    ),
    (
        "[client]\ntrusted = []",
        "policy-selector",
        "client.trusted",
    ),
    (
        "[client]\ntrusted = [\"10.0.0.1/8\"]",
        "policy-address",
        "client.trusted",
    ),
    ("[client]\nhop = \"both\"", "policy-client", "client.hop"),
    (
        "[client]\nscheme = \"ftp\"",
        "policy-client",
        "client.scheme",
    ),
    (
        "[client]\nja4-header = \"a b\"",
        "policy-client",
        "client.ja4-header",
    ),
    (
        "[[route]]\npaths = [\"/a\"]",
        "policy-name",
        "route 1: name",
    ),
    (
        "[[route]]\nname = \"a b\"\npaths = [\"/a\"]",
        "policy-name",
        "route 1: name",
    ),
    (
        "[[route]]\nname = \"default\"\npaths = [\"/a\"]",
        "policy-name",
        "route 1: name",
    ),
    ("[[route]]\nname = \"a\"", "policy-selector", "route 1: a"),
    (
        "[[route]]\nname = \"a\"\npaths = []",
        "policy-selector",
        "route 1: paths",
    ),
    (
        "[[route]]\nname = \"a\"\nhosts = [\"\"]",
        "policy-selector",
        "route 1: hosts",
    ),
    (
        "[[route]]\nname = \"a\"\npaths = [\"login\"]",
        "policy-path",
        "route 1: paths",
    ),
    (
        "[[route]]\nname = \"a\"\npaths = [\"/a/*/b\"]",
        "policy-path",
        "route 1: paths",
    ),
    (
        "[[route]]\nname = \"a\"\nhosts = [\"shop.example:80\"]",
        "policy-host",
        "route 1: hosts",
    ),
    (
        "[[route]]\nname = \"a\"\nhosts = [\"*.example\"]",
        "policy-host",
        "route 1: hosts",
    ),
    (
        "[[route]]\nname = \"a\"\nhosts = [\".\"]",
        "policy-host",
        "route 1: hosts",
    ),
    (
        "[[route]]\nname = \"a\"\nmethods = [\"get\"]",
        "policy-method",
        "route 1: methods",
    ),
    (
        "[[route]]\nname = \"a\"\naddresses = [\"a\"]",
        "policy-address",
        "route 1: addresses",
    ),
    (
        "[[route]]\nname = \"a\"\npaths = [\"/a\"]\n[[route]]\nname = \"a\"\npaths = [\"/b\"]",
        "policy-name",
        "route 2: name",
    ),
];

#[test]
fn what_is_wrong_is_refused_by_name_and_place() {
    for (text, name, at) in REFUSED.iter().copied() {
        let refused = refused(text);
        assert_eq!(
            (refused.name, refused.at.as_str()),
            (name, at),
            "{text}: {refused}"
        );
        assert!(
            !refused.expected.is_empty() && !refused.got.is_empty(),
            "{refused:?}"
        );
    }
    let many = "[[route]]\nname = \"a\"\npaths = [\"/a\"]\n".repeat(ROUTES_MAX + 1);
    assert_eq!(refused(&many).name, "policy-routes");
    // Each truncation is taken or refused, and never a panic.
    for end in 0..EXAMPLE.len() {
        let _ = Policy::parse(&EXAMPLE[..end]);
    }
}

const EXAMPLE: &str = r#"
[client]
trusted = ["10.0.0.0/8", "2001:db8::/32"]
scheme = "https"

[default]
action = "block"
below = 20
fail = "closed"

[[route]]
name = "office"
addresses = ["192.0.2.0/24"]
action = "observe"

[[route]]
name = "login"
hosts = ["Shop.example"]
paths = ["/login", "/account/*"]
below = 40
status = 429
blocked-bots = ["ai"]

[[route]]
name = "write"
methods = ["POST"]
action = "tag"
headers = false
"#;

#[test]
fn routes_take_what_their_conditions_say_first_come_first() {
    let policy = Policy::parse(EXAMPLE).expect("a policy");
    for (path, host, client, name) in [
        ("/login", "shop.example", "198.51.100.1", "login"),
        ("/login?a=/x", "SHOP.example:8080", "198.51.100.1", "login"),
        ("/login", "shop.example", "192.0.2.9", "office"),
        ("/login", "other.example", "198.51.100.1", "default"),
        ("/login/", "shop.example", "198.51.100.1", "default"),
        ("/account/a/b", "shop.example", "198.51.100.1", "login"),
        ("/account", "shop.example", "198.51.100.1", "default"),
        ("/Login", "shop.example", "198.51.100.1", "default"),
        // Other ways to write the same.
        ("/%6cogin", "shop.example", "198.51.100.1", "login"),
        ("//login", "shop.example", "198.51.100.1", "login"),
        ("/x/../login", "shop.example", "198.51.100.1", "login"),
        ("/x/%2e%2E/./login", "shop.example", "198.51.100.1", "login"),
        ("/../account//x", "shop.example", "198.51.100.1", "login"),
        ("/account/.", "shop.example", "198.51.100.1", "login"),
        ("/account/%2e", "shop.example", "198.51.100.1", "login"),
        ("/account/x/..", "shop.example", "198.51.100.1", "login"),
        ("/account/x/%2E.?a", "shop.example", "198.51.100.1", "login"),
        ("/account/..", "shop.example", "198.51.100.1", "default"),
        ("/account/...", "shop.example", "198.51.100.1", "login"),
        ("/%", "shop.example", "198.51.100.1", "default"),
        ("/login", "shop.example", "not known", "login"),
    ] {
        assert_eq!(
            taken(&policy, path, host, client),
            name,
            "{path} {host} {client}"
        );
    }
    let [office, login, write, default] = policy.routes() else {
        panic!("{policy:?}");
    };
    assert_eq!(
        (office.settings.mode, office.settings.fail_closed),
        (Mode::Observe, None)
    );
    assert_eq!((login.settings.below, login.settings.status), (40, 429));
    assert_eq!(
        (login.settings.mode, login.settings.fail_closed),
        (Mode::Block, Some(503))
    );
    assert_eq!((write.settings.below, write.settings.headers), (20, false));
    assert_eq!(default.settings.status, 403);
}

#[test]
fn patterns_are_read_as_requests_are() {
    for (pattern, target, other) in [
        ("/caf%C3%A9/*", "/caf%C3%A9/x", "/cafe/x"),
        ("/caf\u{e9}/*", "/caf%c3%a9/", "/caf%C3%A9"),
        ("/a%20b", "/a%20b", "/a"),
        ("/a//b", "/a/b", "/a"),
        ("/a//*", "/a/b", "/a"),
        ("/x/../b/*", "/b/c", "/x/b/c"),
        ("/a/..", "/", "/a"),
        ("/100%", "/100%25", "/100"),
        ("/100%25*", "/100%25/x", "/100"),
        ("/%2A", "/*", "/a"),
        ("/.*", "/.git/config", "/git"),
        ("/.well-known/*", "/.well-known/x", "/.well-known"),
        ("/a/", "/a//", "/a"),
    ] {
        let text = format!("[[route]]\nname = \"a\"\npaths = ['{pattern}']");
        let policy = Policy::parse(&text).expect(pattern);
        let name = |target: &str| taken(&policy, target, "a", "192.0.2.1");
        assert_eq!(name(target), "a", "{pattern} {target}");
        assert_eq!(name(other), "default", "{pattern} {other}");
    }
}

#[test]
fn a_defaults_fail_status_is_for_routes_that_fail_closed() {
    let route = "[[route]]\nname = \"a\"\npaths = [\"/a\"]\naction = \"block\"\n";
    let text = format!("[default]\nfail-status = 429\n{route}fail = \"closed\"\n");
    let policy = Policy::parse(&text).expect("a policy");
    let [route, default] = policy.routes() else {
        panic!("{policy:?}");
    };
    assert_eq!(route.settings.fail_closed, Some(429));
    assert_eq!(default.settings.fail_closed, None);
}

#[test]
fn a_host_is_found_however_the_request_says_it() {
    let text = "[[route]]\nname = \"shop\"\nhosts = [\"shop.example.\", \"[2001:db8::1]\"]";
    let policy = Policy::parse(text).expect("a policy");
    for (target, host, shop) in [
        ("/", Some("shop.example"), true),
        ("/", Some("Shop.example.:443"), true),
        ("/", Some("[2001:DB8::1]:80"), true),
        // Servers end these at different places: they are for every host.
        ("/", Some("shop.example.."), true),
        ("/", Some("shop.example:x"), true),
        ("/", Some("shop.example:80:80"), true),
        ("/", Some("shop.example,x"), true),
        ("/", Some("user@shop.example"), true),
        ("/", Some("shop.example :80"), true),
        ("/", Some("[2001:db8::1"), true),
        ("/", Some(""), true),
        ("/", Some("evil.shop.example"), false),
        ("/", None, true),
        // Pingora keeps an absolute target's host out of the URI.
        ("http://SHOP.example/login", None, true),
        ("http://shop.example.:80?a", None, true),
        ("http://other.example/shop.example", None, false),
    ] {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).expect("one");
        if let Some(host) = host {
            request.append_header("Host", host).expect("a header");
        }
        let name = &policy.routes()[first(&policy, &request, None)].name;
        assert_eq!(name == "shop", shop, "{target} {host:?}");
    }
    let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
    request.set_uri(http::Uri::from_static("https://shop.example/"));
    assert_eq!(first(&policy, &request, None), 0, "HTTP/2");
}

fn scored(outcome: Outcome) -> ScoredRequest {
    ScoredRequest::from(outcome)
}

#[test]
fn a_request_without_a_score_is_blocked_only_where_the_route_fails_closed() {
    let policy = Policy::parse(EXAMPLE).expect("a policy");
    let none = NotScored {
        reason: Reason::NoTable,
        generation: 0,
    };
    let outcomes = [
        Outcome::Verdict(Verdict::NotScored(none)),
        Outcome::Passed(PassReason::Panic),
        Outcome::Passed(PassReason::BreakerOpen),
    ];
    for outcome in outcomes {
        let all = (0..4).map(|route| policy.decide(route, &scored(outcome)));
        let answers: Vec<_> = all.map(|decided| decided.answer).collect();
        assert_eq!(answers, [None, Some(503), None, Some(503)], "{outcome:?}");
        let open = Policy::default().decide(0, &scored(outcome));
        assert_eq!((open.action, open.answer), (Action::Pass, None));
    }
}

#[test]
fn verified_bots_are_let_through_but_for_categories_that_are_not() {
    let policy = Policy::parse(EXAMPLE).expect("a policy");
    for (category, action) in [
        (Category::SearchEngine, Action::Pass),
        (Category::Ai, Action::Block),
    ] {
        let bot = VerifiedBot {
            bot: 0,
            category,
            generation: 1,
        };
        let scored = scored(Outcome::Verdict(Verdict::VerifiedBot(bot)));
        assert_eq!(policy.decide(1, &scored).action, action);
        assert_eq!(policy.decide(3, &scored).action, Action::Pass);
    }
}

const LOGIN: &str = r#"
[[route]]
name = "static"
paths = ["/static/*"]
action = "observe"

[[route]]
name = "login"
paths = ["/Login", "/account/*"]
methods = ["POST"]
action = "block"
below = 99
"#;

/// The action on a request that a threshold of 99 is above.
fn action(policy: &Policy, method: &str, path: &str, others: &[(&'static str, &str)]) -> Action {
    let mut request = RequestHeader::build(method, path.as_bytes(), None).expect("a request");
    for (name, value) in others {
        request.append_header(*name, *value).expect("a header");
    }
    let verdict = Verdict::Scored(low());
    policy
        .judge(&request, None, &scored(Outcome::Verdict(verdict)))
        .1
        .action
}

fn low() -> hedgerow::Scored {
    let engine = hedgerow::Engine::new(hedgerow::Schema::http());
    let table = hedgerow::Table::from_bytes(hedgerow::DEFAULT_TABLE).expect("a table");
    engine.publish(table).expect("a generation");
    match engine
        .scorer()
        .expect("a slot")
        .score(&hedgerow::Row::MISSING)
    {
        Verdict::Scored(scored) => scored,
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_spelling_does_not_miss_a_route() {
    let policy = Policy::parse(LOGIN).expect("a policy");
    for path in [
        "/Login",
        "/login",
        "/LOGIN/",
        "/login;x",
        "/login;a=b/",
        "/login%20",
        "/login.",
        "/login/.",
        "/%5clogin",
        "/%4cogin",
        "/%256cogin",
        "//login",
        "/a/../login",
        "/a/..%2flogin",
        "/login%00",
        "/login%3fx",
        "/login%23",
        "/static/..;/login",
        "/static/..%5clogin",
        "/static/%2e%2e/login",
        "/static/%252e%252e/login",
        "/static/%25252e%25252e/login",
        "/account",
        "/ACCOUNT/x",
        "/account;x/y",
    ] {
        assert_eq!(action(&policy, "POST", path, &[]), Action::Block, "{path}");
        let lower = action(&policy, "post", path, &[]);
        assert_eq!(lower, Action::Block, "post {path}");
        let other = [("X-HTTP-Method-Override", "POST")];
        assert_eq!(
            action(&policy, "GET", path, &other),
            Action::Block,
            "GET {path}"
        );
    }
    for path in [
        "/logins",
        "/static/login",
        "/static/a/../login",
        "/accounts/x",
        "/a/login",
    ] {
        assert_ne!(action(&policy, "POST", path, &[]), Action::Block, "{path}");
    }
    assert_ne!(action(&policy, "GET", "/login", &[]), Action::Block);
    for (paths, taken, missed) in [
        ("nginx", ["/Login", "/%4cogin"], ["/login", "/Login/"]),
        ("exact", ["/Login", "/account/x"], ["/%4cogin", "//Login"]),
    ] {
        let policy = Policy::parse(&format!("paths = {paths:?}\n{LOGIN}")).expect("a policy");
        for path in taken {
            assert_eq!(
                action(&policy, "POST", path, &[]),
                Action::Block,
                "{paths} {path}"
            );
        }
        for path in missed {
            assert_ne!(
                action(&policy, "POST", path, &[]),
                Action::Block,
                "{paths} {path}"
            );
        }
    }
}
