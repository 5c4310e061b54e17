//! reqwest (hyper) and ureq. Usage: record-reqwest reqwest|ureq PLAN
use std::time::Duration;

type Request = (String, String, String, String, Vec<(String, String)>);

fn read(path: &str) -> Vec<Request> {
    let mut plan: Vec<Request> = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let p: Vec<&str> = line.split('\t').collect();
        match p[0] {
            "REQ" => plan.push((p[1].into(), p[2].into(), p[3].into(), p[4].into(), Vec::new())),
            "HDR" if p[1] != "Connection" => {
                plan.last_mut().unwrap().4.push((p[1].into(), p[2].into()));
            }
            _ => {}
        }
    }
    plan
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let plan = read(&args[2]);
    let limit = Duration::from_secs(8);
    if args[1] == "reqwest" {
        let client = reqwest::blocking::Client::builder().timeout(limit).cookie_store(true);
        let client = client.build().unwrap();
        for (method, url, ctype, body, headers) in plan {
            let mut r = client.request(method.parse().unwrap(), url);
            for (name, value) in headers {
                r = r.header(name, value);
            }
            if !ctype.is_empty() {
                r = r.header("Content-Type", ctype).body(body);
            }
            if let Err(e) = r.send().and_then(|r| r.bytes()) {
                eprintln!("{e}");
            }
        }
        return;
    }
    let agent = ureq::AgentBuilder::new().timeout(limit).build();
    for (method, url, ctype, body, headers) in plan {
        if url.starts_with("https") {
            continue; // ureq carries its own list of authorities, which does not know the local one
        }
        let mut r = agent.request(&method, &url);
        for (name, value) in headers {
            r = r.set(&name, &value);
        }
        let _ = match ctype.as_str() {
            "" => r.call(),
            _ => r.set("Content-Type", &ctype).send_string(&body),
        };
    }
}
