//! Requests: what is taken, and what is refused with its line.

use super::common::*;
use hedgerow::http::FEATURES;

const REQUEST: &str = concat!(
    r#"{"method":"GET","scheme":"https","http":"1.1","path":"/","#,
    r#""headers":[["Host","example.org"],["User-Agent","curl/8.5.0"],["Accept","*/*"]],"#,
    r#""complete":true}"#
);

fn extract(input: impl AsRef<[u8]>) -> Outcome {
    run_on(&["extract", "-"], input.as_ref())
}

#[test]
fn extract_writes_one_row_a_request_in_order() {
    let folder = Folder::new("extract");
    let browser = REQUEST.replace("curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64)");
    let file = folder.file("r.ndjson", format!("{REQUEST}\n{browser}\n{REQUEST}\n"));
    let csv = extract(format!("{REQUEST}\n{browser}\n{REQUEST}\n")).done();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4);
    let names: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
    assert_eq!(lines[0], names.join(","));
    assert_eq!(lines[1], lines[3]);
    assert_ne!(lines[1], lines[2]);
    let output = folder.path("rows.csv");
    let said = run(&["extract", &file, "-o", &output]).done();
    assert!(said.contains("3 rows"), "{said}");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), csv);
    assert_eq!(run(&["extract", &file, "-o", "-"]).done(), csv);
    let json = run(&["extract", &file, "-o", &output, "--json"]).json();
    assert_eq!(json["rows"], 3);

    let json = run(&["extract", &file, "--json"]).json();
    assert_eq!(json["features"].as_array().unwrap().len(), names.len());
    for (row, line) in json["rows"].as_array().unwrap().iter().zip(&lines[1..]) {
        for (value, text) in row.as_array().unwrap().iter().zip(line.split(',')) {
            assert_eq!(value.is_null(), text.is_empty());
            assert!(value.is_null() || value.as_f64() == text.parse().ok());
        }
    }
    let scored = scores(&run_on(&["score", "default", "-"], csv.as_bytes()).done());
    assert_eq!(scored.len(), 3);
    assert_eq!(scored[0], scored[2]);
}

#[test]
fn traffic_is_replayed_in_the_order_of_time() {
    let request = |rest: &str| REQUEST.replace("{\"method\"", &format!("{{{rest},\"method\""));
    // The file's order is not that of time; one client is an address, one a session.
    let lines = [
        request(r#""ts":1002.5,"ip":"192.0.2.1","status":404"#),
        request(r#""ts":1000,"ip":"192.0.2.1","session":"a","status":404"#),
        request(r#""ts":1001,"ip":null,"session":"b","status":null"#),
        request(r#""ts":null,"ip":"192.0.2.1","status":null"#),
        request(r#""ts":1002.75,"ip":"192.0.2.1","session":"b""#),
        request(r#""ts":1003"#),
        request(r#""ts":1001.25,"ip":null,"session":"b""#),
    ];
    let input = lines.join("\n");
    let csv = run_on(&["extract", "--traffic", "-"], input.as_bytes()).done();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let plain = extract(&input).done();
    let width = FEATURES.len();
    for (row, plain) in rows.iter().zip(plain.lines()) {
        assert_eq!(row[..width].join(","), plain);
        assert_eq!(row.len(), width + 12);
    }
    let column = |name: &str| {
        let at = rows[0].iter().position(|other| *other == name).unwrap();
        rows[1..].iter().map(|row| row[at]).collect::<Vec<_>>()
    };
    assert_eq!(
        column("traffic_requests_1s"),
        ["1", "", "", "", "2", "", "2"]
    );
    assert_eq!(
        column("traffic_requests_60s"),
        ["2", "", "", "", "3", "", "2"]
    );
    assert_eq!(
        column("traffic_age"),
        ["2.5", "", "", "", "2.75", "", "0.25"]
    );
    let again = run_on(&["extract", "--traffic", "-"], input.as_bytes()).done();
    assert_eq!(csv, again);
    let json = run_on(&["extract", "--traffic", "--json", "-"], input.as_bytes()).json();
    assert_eq!(json["features"].as_array().unwrap().len(), width + 12);
}

#[test]
fn what_is_null_or_absent_is_not_known() {
    let nulls = concat!(
        r#"{"id":"x","label":null,"ts":null,"ip":null,"session":null,"method":null,"scheme":null,"#,
        r#""http":null,"host":null,"path":null,"status":null,"bytes":null,"headers":[],"#,
        r#""complete":null,"slice":null}"#
    );
    assert_eq!(extract(nulls).done(), extract(r#"{"headers":[]}"#).done());
    let log = r#"{"headers":[["User-Agent","x"]],"slice":"log","complete":false}"#;
    let unsaid = [
        log.replace("false", "null"),
        log.replace(r#","complete":false"#, ""),
    ];
    for unsaid in unsaid {
        assert_eq!(extract(unsaid).done(), extract(log).done());
    }
    assert_ne!(
        extract(log).done(),
        extract(log.replace("false", "true")).done()
    );
    for ip in ["", "192.0.2.1", "::1", "::ffff:192.0.2.1"] {
        extract(format!(r#"{{"headers":[],"ip":"{ip}"}}"#)).done();
    }
}

#[test]
fn a_value_that_cannot_be_read_is_refused_by_line() {
    for (field, values) in [
        (
            "ts",
            &[r#""2026-11-30T10:00:00Z""#, r#""1000""#, "[1]", "true"][..],
        ),
        (
            "ip",
            &[
                r#""10.0.0.1:443""#,
                r#""999.1.1.1""#,
                r#""[::1]""#,
                r#""::1%eth0""#,
            ],
        ),
        (
            "ja4",
            &[
                r#""x""#,
                r#""t13d1516h2_8daaf6152771""#,
                r#""t13d1516h2_8daaf6152771_zzzzzzzzzzzz""#,
            ],
        ),
        ("session", &["7", "{}"]),
        ("status", &[r#""200""#, "-1", "99", "1000", "200.5"]),
    ] {
        for value in values {
            let line = format!(r#"{{"headers":[],"{field}":{value}}}"#);
            let input = format!("{REQUEST}\n{line}\n");
            for more in [&["extract", "-"][..], &["extract", "--traffic", "-"]] {
                let failed = run_on(more, input.as_bytes());
                assert_eq!(failed.status, 1, "{line}: {failed:?}");
                holds(&failed.err, &[&format!("-:2: {field}"), "expected"]);
            }
        }
    }
    let good = concat!(
        r#""ts":0.5,"ip":"2001:db8::1","ja4":"t13d1516h2_8daaf6152771_e5627efa2ab1","#,
        r#""session":"a","status":200"#
    );
    extract(format!(r#"{{"headers":[],{good}}}"#)).done();
}

#[test]
fn requests_are_taken_in_every_honest_spelling() {
    let want = extract(format!("{REQUEST}\n{REQUEST}\n")).done();
    for input in [
        format!("{REQUEST}\n{REQUEST}"),
        format!("{REQUEST}\r\n{REQUEST}\r\n"),
        format!("\u{feff}{REQUEST}\n{REQUEST}\n"),
        format!("\n\n  {REQUEST}  \n\t\n{REQUEST}\n\n"),
        format!(
            "{REQUEST}\n{}\n",
            REQUEST.replacen('{', r#"{"extra":{"a":[1,2,{}]},"#, 1)
        ),
    ] {
        assert_eq!(extract(&input).done(), want, "{input}");
    }
    // What is not asked for is not looked at, however deep.
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    extract(format!(r#"{{"headers":[],"x":{open}1{close}}}"#)).done();
    // A header of a megabyte, and names and values that are strange and yet text.
    let long = REQUEST.replace("*/*", &"a".repeat(1_000_000));
    assert_eq!(extract(long).done().lines().count(), 2);
    extract(r#"{"headers":[["",""],["\u0000","\ud83d\ude00"],["A","é"],["a","b"]]}"#).done();
    let many = r#"["a","b"],"#.repeat(50_000);
    extract(format!(r#"{{"headers":[{}["a","b"]]}}"#, many)).done();
}

/// The values of some features of one request with these fields more.
fn values(more: &str, names: &[&str]) -> Vec<String> {
    let request = REQUEST.replacen('{', &format!("{{{more},"), 1);
    let csv = extract(request).done();
    let row: Vec<&str> = csv.lines().nth(1).expect("a row").split(',').collect();
    let place = |name: &&str| FEATURES.iter().position(|feature| feature.name == *name);
    let value = |name| row[place(name).expect("a feature")].to_string();
    names.iter().map(value).collect()
}

#[test]
fn a_request_says_who_passed_it_on_and_what_that_kept() {
    let names = [
        "http_2_or_3",
        "order_agent_encoding",
        "order_host_first",
        "headers_forwarded",
        "headers_count_band",
    ];
    let seen = |more: &str| values(more, &names);
    assert_eq!(seen(r#""hop":"client""#), seen(r#""order":"wire""#));
    let proxy = seen(r#""hop":"proxy""#);
    assert_eq!(proxy, ["", "", "", "", ""]);
    let known = seen(r#""hop":"proxy","client_http":"2","order":"kept""#);
    assert_eq!((&*known[0], &*known[2], &*known[3]), ("1", "", ""));
    let lost = seen(r#""order":"none""#);
    assert_eq!((&*lost[0], &*lost[2], &*lost[3]), ("0", "", "0"));
    assert_ne!(lost[4], "");
}

#[test]
fn facts_are_understood_in_the_spellings_of_recorders() {
    let of = |http: &str, scheme: &str| {
        let request = REQUEST.replace("\"1.1\"", &format!("{http:?}"));
        extract(request.replace("\"https\"", &format!("{scheme:?}"))).done()
    };
    for (http, same) in [
        ("HTTP/1.1", "1.1"),
        ("HTTP/1", "1.1"),
        ("h2", "2"),
        ("HTTP/2.0", "2"),
        ("h3", "3"),
        ("HTTP/1.0", "1.0"),
    ] {
        assert_eq!(of(http, "HTTPS"), of(same, "https"), "{http}");
    }
    assert_ne!(of("2", "https"), of("1.1", "https"));
    assert_ne!(of("2", "https"), of("2", "HTTP"));
}

#[test]
fn malformed_requests_are_refused_with_their_line() {
    let deep = format!("{{\"headers\":{}", "[".repeat(100_000));
    for (bad, parts) in [
        ("{}", &["missing field `headers`"][..]),
        (r#"{"headers":null}"#, &["headers", "null"]),
        (r#"{"headers":{}}"#, &["headers", "map"]),
        (r#"{"headers":"a"}"#, &["headers", "string"]),
        (r#"{"headers":[["a"]]}"#, &["headers[0]"]),
        (r#"{"headers":[["a","b"],["a","b","c"]]}"#, &["headers[1]"]),
        (r#"{"headers":[["a",null]]}"#, &["headers[0][1]", "null"]),
        (r#"{"headers":[["a",1]]}"#, &["headers[0][1]"]),
        (
            r#"{"headers":[["a","\ud800"]]}"#,
            &["headers[0][1]", "hex escape"],
        ),
        (r#"{"headers":[],"headers":[]}"#, &["duplicate field"]),
        (r#"{"headers":[],"method":1}"#, &["method", "integer"]),
        (
            r#"{"headers":[],"complete":"yes"}"#,
            &["complete", "boolean"],
        ),
        // Another word would make the request one whose headers are all known.
        (r#"{"headers":[],"slice":"logs"}"#, &["slice", "log or ua"]),
        (
            r#"{"headers":[],"http":"http2"}"#,
            &["http", "1.0, 1.1, 2 or 3"],
        ),
        (r#"{"headers":[],"http":2}"#, &["http", "integer"]),
        (
            r#"{"headers":[],"client_http":"2.1"}"#,
            &["client_http", "1.0, 1.1, 2 or 3"],
        ),
        (
            r#"{"headers":[],"scheme":"https:"}"#,
            &["scheme", "http or https"],
        ),
        (r#"{"headers":[],"hop":"cdn"}"#, &["hop", "client or proxy"]),
        (
            r#"{"headers":[],"order":"any"}"#,
            &["order", "kept or none"],
        ),
        (r#"{"headers":[]"#, &["EOF"]),
        (r#"{"headers":[]} {"headers":[]}"#, &["trailing"]),
        (r#"{'headers':[]}"#, &["key must be a string"]),
        ("[]", &["a JSON array"]),
        (
            r#"["GET","http","1.1","h","/",[["a","b"]],true,null,null,null]"#,
            &["a JSON array"],
        ),
        ("null", &["JSON object"]),
        ("host,path", &["JSON object"]),
        (deep.as_str(), &["headers[0]"]),
    ] {
        let all = [parts, &["-:3"]].concat();
        let folder = Folder::new("requests-bad");
        let output = folder.file("rows.csv", "before");
        let input = format!("{REQUEST}\n\n{bad}\n{REQUEST}\n");
        run_on(&["extract", "-", "-o", &output], input.as_bytes()).refused(&all);
        assert_eq!(folder.names(), ["rows.csv"]);
        assert_eq!(std::fs::read_to_string(&output).unwrap(), "before");
        let streamed = extract(&input);
        assert_eq!(streamed.status, 1);
        assert!(streamed.err.contains("-:3"), "{streamed:?}");
        // One whole value in JSON, whatever was extracted before.
        let json = run_on(&["extract", "-", "--json"], input.as_bytes());
        assert_eq!((json.status, &json.json()["ok"]), (1, &false.into()));
    }
}

#[test]
fn what_holds_no_request_is_refused() {
    for empty in ["", "\n", " \r\n\n", "\u{feff}"] {
        extract(empty).refused(&["at least one request", "none"]);
    }
    let not_text = b"{\"headers\":[[\"a\",\"\xff\"]]}";
    extract(not_text).refused(&["-:1"]);
    extract(b"\xff\xfe{\x00").refused(&["-:1", "no JSON"]);
    extract(b"\x1f\x8b\x08\x00").refused(&["-:1", "no JSON"]);
    run(&["extract", "/dev/null"]).refused(&["/dev/null", "none"]);
    run(&["extract", "no.ndjson"]).refused(&["no.ndjson", "No such file"]);
    run(&["extract", "/"]).refused(&["a directory"]);
}

#[test]
fn a_line_without_end_is_refused_at_the_bound() {
    let endless = vec![b'{'; (16 << 20) + 10];
    extract(&endless).refused(&["-:1", "at most 16777216 bytes"]);
}
