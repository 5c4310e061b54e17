//! Who is at the other end of connections, and that the command line sees what Envoy sees.

use crate::server::{Envoy, parts, reached};
use crate::{CURL, score};
use hedgerow_testkit::probe::{self, Known};
use hedgerow_testkit::{folder, root};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::{Command, Stdio};

/// An Envoy whose scores say what it knows, with lines more for filter and connection manager; none
/// where Envoy is missing.
fn knowing(name: &str, lines: &[&str], manager: &str) -> Option<Envoy> {
    let table = folder(&format!("{name}-table")).expect("a folder");
    let table = table.join("probe.hedge");
    std::fs::write(&table, probe::table()).expect("a file");
    let table = format!("table: {}", table.display());
    let filter = [&[&*table], lines].concat().join("\n                  ");
    let envoy = Envoy::start_behind(name, &filter, manager)?;
    Some(envoy.expect("Envoy runs"))
}

/// What Envoy knows of a request with these header lines more.
fn known(envoy: &Envoy, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let agent = probe::AGENT;
    let answer = envoy.get(&format!(
        "User-Agent: {agent}\r\nConnection: close\r\n{lines}"
    ));
    Known::of(score(&answer)).to_string()
}

/// What a proxy in front may say, and a client may make up.
const SAID: &[&str] = &[
    "X-Forwarded-For: 8.8.8.8",
    "X-Forwarded-Proto: https",
    "X-Client-Scheme: https",
    "X-Client-Version: HTTP/2.0",
    "X-Client-JA4: t13d1516h2_8daaf6152771_02713d6af862",
];

const HEADERS: [&str; 3] = [
    "scheme_header: x-client-scheme",
    "version_header: x-client-version",
    "ja4_header: x-client-ja4",
];

#[test]
fn a_strangers_word_of_a_proxy_changes_no_fact() {
    let lines = [&["trusted: [10.0.0.0/8, \"2001:db8::/32\"]"], &HEADERS[..]].concat();
    let Some(envoy) = knowing("envoy-hop-stranger", &lines, "") else {
        return;
    };
    let direct = "client, private address, http, version 1 or unknown";
    let passed = "forward proxy, private address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&envoy, &[]), direct);
    assert_eq!(known(&envoy, &["Via: 1.1 squid"]), passed);
    assert_eq!(known(&envoy, SAID), passed);
    for forged in [
        "Forwarded: for=8.8.8.8;proto=https",
        "X-Forwarded-For: 8.8.8.8, 10.1.1.1",
    ] {
        assert_eq!(known(&envoy, &[forged]), passed, "{forged}");
    }
    // Envoy replaces the second one by its own.
    for forged in [
        "X-Bot-Score: 99",
        "X-Forwarded-Proto: https",
        SAID[2],
        SAID[3],
        SAID[4],
    ] {
        assert_eq!(known(&envoy, &[forged]), direct, "{forged}");
    }
}

#[test]
fn a_trusted_proxy_is_no_client_and_says_what_it_knows_of_one() {
    let lines = [&["trusted: [127.0.0.0/8]"], &HEADERS[..]].concat();
    // For a peer on loopback Envoy would add the machine's own address.
    let Some(envoy) = knowing("envoy-hop-trusted", &lines, "skip_xff_append: true") else {
        return;
    };
    let unknown = "proxy, unknown address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&envoy, &[]), unknown);
    let most = "proxy, public address, https, JA4 known";
    assert_eq!(known(&envoy, SAID), most);
    let most = "proxy, public address, https, version 2";
    assert_eq!(known(&envoy, &SAID[..4]), most);
    let forged = ["X-Forwarded-For: 9.9.9.9, 192.168.1.1"];
    let private = "proxy, private address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&envoy, &forged), private);
}

/// Envoy knows the client by a number of hops that it trusts itself.
#[test]
fn a_rule_takes_the_client_that_envoy_knows() {
    let lines = ["hop: proxy", "scheme_header: x-forwarded-proto"];
    let hops = "xff_num_trusted_hops: 1";
    let Some(envoy) = knowing("envoy-hop-rule", &lines, hops) else {
        return;
    };
    let told = "proxy, public address, https, version 1 or unknown";
    assert_eq!(known(&envoy, &SAID[..2]), told);
    let forged = ["X-Forwarded-For: 192.168.1.1, 8.8.8.8", SAID[1]];
    assert_eq!(known(&envoy, &forged), told);
}

/// A tool's agent stays what it is, whatever it says of proxies.
#[test]
fn forged_headers_help_no_bot() {
    let Some(envoy) = Envoy::start("envoy-hop-forged", "table: default") else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    let plain = score(&envoy.get(CURL));
    assert!(plain < 30, "{plain}");
    let more = ["Via: 2.0 shop", "Forwarded: for=8.8.8.8;proto=https"];
    for lines in [SAID, &[SAID, &more].concat()] {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        assert!(
            score(&envoy.get(&format!("{CURL}{lines}"))) <= plain,
            "{lines}"
        );
    }
}

#[test]
fn a_wrong_setting_of_what_is_in_front_is_refused_with_its_reason() {
    for (filter, said) in [
        (
            "hop: both",
            "hop: expected auto, client or proxy, got \"both\"",
        ),
        (
            "trusted: [10.0.0.1/8]",
            "trusted: expected zeros behind the prefix",
        ),
        (
            "client_scheme: ftp",
            "client_scheme: expected http or https",
        ),
        ("ja4_header: a b", "ja4_header: expected a header's name"),
    ] {
        let Some(envoy) = Envoy::start("envoy-hop-refused", filter) else {
            return;
        };
        let Err(errors) = envoy else {
            panic!("Envoy took {filter:?}");
        };
        assert!(errors.contains(said), "{filter:?}: {errors}");
    }
}

/// The recorded requests that can be sent again as they were: plain HTTP/1.1 without a body.
fn recorded() -> Vec<Value> {
    let path = root().join("tools/cli/data/requests.ndjson");
    let text = std::fs::read_to_string(path).expect("requests");
    let all = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a request"));
    // Envoy takes these from a request, or makes two of one name one.
    let others = [
        "content-length",
        "expect",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    ];
    let plain = |one: &Value| {
        let names = headers(one).map(|(name, _)| name.to_ascii_lowercase());
        let names: Vec<String> = names.collect();
        let twice = { names.iter() }.any(|name| names.iter().filter(|n| *n == name).count() > 1);
        one["http"] == "1.1"
            && one["scheme"] == "http"
            && one["method"] == "GET"
            && !twice
            && !names.iter().any(|name| others.contains(&&**name))
    };
    all.filter(plain).collect()
}

fn headers(one: &Value) -> impl Iterator<Item = (&str, &str)> {
    let pairs = one["headers"].as_array().expect("headers").iter();
    pairs.map(|pair| {
        (
            pair[0].as_str().expect("a name"),
            pair[1].as_str().expect("a value"),
        )
    })
}

/// The scores that the command line gives to requests.
fn scored(requests: &[Value]) -> Vec<u8> {
    let (_, module) = parts().expect("Envoy");
    let program = module.with_file_name("hedgerow");
    let folder = folder("envoy-parity").expect("a folder");
    let lines: String = requests.iter().map(|one| format!("{one}\n")).collect();
    std::fs::write(folder.join("requests.ndjson"), lines).expect("a file");
    let rows = std::fs::File::create(folder.join("rows.csv")).expect("a file");
    let extracted = Command::new(&program)
        .arg("extract")
        .arg(folder.join("requests.ndjson"))
        .stdout(Stdio::from(rows))
        .status();
    assert!(extracted.expect("it runs").success());
    let output = Command::new(&program)
        .args(["score", "default"])
        .arg(folder.join("rows.csv"))
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let scores = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(1)?.parse().ok());
    scores.collect()
}

#[test]
fn the_command_line_sees_what_envoy_sees() {
    let Some(envoy) = Envoy::start("envoy-recorded", "table: default") else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    let mut sent = Vec::new();
    let mut got = Vec::new();
    for mut one in recorded() {
        let kept = headers(&one).filter(|(name, _)| {
            !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("connection")
        });
        let lines: String = kept
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let host: HashMap<_, _> = headers(&one)
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
            .collect();
        let Some(host) = host.get("host") else {
            continue;
        };
        let path = one["path"].as_str().expect("a path");
        let answer = envoy.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Connection: close\r\n\r\n"
        ));
        // Envoy refuses what is malformed.
        if !answer.starts_with("HTTP/1.1 200 ") && !answer.starts_with("HTTP/1.1 404 ") {
            continue;
        }
        let Some(score) = reached(&answer, "x-bot-score") else {
            continue;
        };
        got.push(score.parse::<u8>().expect("a score"));
        one["order"] = json!("none");
        one["ip"] = json!("127.0.0.1");
        sent.push(one);
    }
    assert!(sent.len() > 500, "{}", sent.len());
    let expected = scored(&sent);
    let others: Vec<_> = { sent.iter().zip(expected.iter().zip(&got)) }
        .filter(|(_, (one, other))| one != other)
        .map(|(one, scores)| (one["id"].clone(), scores))
        .collect();
    assert_eq!(expected.len(), got.len());
    assert!(
        others.is_empty(),
        "{} of {}: {others:?}",
        others.len(),
        sent.len()
    );
}
