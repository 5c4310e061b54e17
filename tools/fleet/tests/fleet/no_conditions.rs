//! A server that ignores conditions, as some with the interface of S3 do: `init` refuses it.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Answers some requests: it keeps what is put, and honours `If-None-Match` if it is to.
fn serve(listener: &TcpListener, keeps_to_none_match: bool, requests: usize) {
    let mut objects: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for stream in listener.incoming().take(requests) {
        answer(stream.unwrap(), &mut objects, keeps_to_none_match);
    }
}

fn answer(stream: TcpStream, objects: &mut BTreeMap<String, Vec<u8>>, keeps_to_none_match: bool) {
    let mut reader = BufReader::new(&stream);
    let (mut first, mut length, mut conditional) = (String::new(), 0, false);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        conditional |= line.starts_with("if-none-match:");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap_or_default().to_string();
    let (status, body) = match objects.get(&path).cloned() {
        there if first.starts_with("PUT") => {
            if there.is_some() && conditional && keeps_to_none_match {
                ("412 Precondition Failed", Vec::new())
            } else {
                objects.insert(path, body);
                ("200 OK", Vec::new())
            }
        }
        Some(there) => ("200 OK", there),
        None => ("404 Not Found", b"<Code>NoSuchKey</Code>".to_vec()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"1\"\r\n\
         Last-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (&stream).write_all(head.as_bytes()).unwrap();
    (&stream).write_all(&body).unwrap();
}

#[test]
fn a_store_that_passes_over_conditions_is_refused() {
    for (keeps_to_none_match, requests, got) in [
        (false, 4, "one that replaces what must not be there"),
        (true, 5, "one that replaces what is another"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        // It ends with the test, however many requests come.
        std::thread::spawn(move || serve(&listener, keeps_to_none_match, requests));
        let mut command = command(&["init", "s3://tables", "--endpoint", &endpoint]);
        command.env("AWS_ACCESS_KEY_ID", "id");
        command.env("AWS_SECRET_ACCESS_KEY", "word");
        let output = command.output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{out}");
        assert!(out.contains(got) && out.contains("If-Match"), "{out}");
    }
}

#[test]
fn a_proxy_of_the_environment_does_not_read_what_is_sent() {
    for (exempt, status) in [("other", 2), ("127.0.0.1", 1)] {
        let at = ["init", "s3://tables", "--endpoint", "http://127.0.0.1:1"];
        let mut command = command(&[&at[..], &["--within", "1"]].concat());
        command.env("AWS_ACCESS_KEY_ID", "id");
        command.env("AWS_SECRET_ACCESS_KEY", "word");
        command.env("HTTP_PROXY", "http://127.0.0.1:1");
        command.env("NO_PROXY", format!("x, {exempt}"));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
    }
}
