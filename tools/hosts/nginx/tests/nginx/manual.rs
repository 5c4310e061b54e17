//! What the manual shows of nginx is what works.

use crate::server::{Nginx, body, module, status};
use hedgerow_testkit::{block, free_port, root};

/// The configuration of nginx, and the locations in it.
#[test]
fn the_configuration_of_nginx_does_what_the_manual_says() {
    let Some(module) = module() else { return };
    let behind = Nginx::start(module, "manual-behind", "", "");
    let (port, conf) = (free_port(), block("src/manual/nginx.md", "nginx"));
    let conf = conf.replace("MODULE", &module.display().to_string());
    let conf = conf.replace(":PORT", &format!(":{port}"));
    let conf = conf.replace("BEHIND", &behind.upstream.to_string());
    let nginx = Nginx::run("manual-nginx", port, &conf);
    let curl = &["Host: x", "User-Agent: curl/8.5.0", "Accept: */*"];
    let answer = nginx.get("/", curl);
    assert!(body(&answer).starts_with("2|detection|"), "{answer}");
    assert_eq!(status(&nginx.get("/login", curl)), 429);
    let log = nginx.folder.join("logs/bots.log");
    drop(nginx);
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(
        log.contains("\"GET / HTTP/1.1\" 200 2 detection 1\n"),
        "{log}"
    );
    assert!(
        log.contains("\"GET /login HTTP/1.1\" 429 2 detection 1\n"),
        "{log}"
    );
}

/// Every directive and every variable of the module stands in the manual, and no other.
#[test]
fn the_manual_names_every_directive_and_variable() {
    let page = std::fs::read_to_string(root().join("src/manual/nginx.md")).expect("the page");
    let code = root().join("tools/hosts/nginx/ngx_http_bot_score_module.c");
    let code = std::fs::read_to_string(code).expect("the code");
    fn names(part: &str) -> Vec<&str> {
        let names = part.split("ngx_string(\"").skip(1);
        names.filter_map(|rest| rest.split('"').next()).collect()
    }
    let list = |start: &str, end: &str| {
        let list = code
            .split_once(start)
            .and_then(|(_, rest)| rest.split_once(end));
        names(list.expect("a list").0)
    };
    let directives = list("bot_commands[] = {", "ngx_null_command");
    let variables = list("bot_names[] = {", "ngx_http_null_variable");
    assert!(directives.len() > 4 && variables.len() > 4);
    assert!(
        directives
            .iter()
            .all(|name| page.contains(&format!("| `{name} ")))
    );
    assert!(
        variables
            .iter()
            .all(|name| page.contains(&format!("| `${name}` |")))
    );
    assert_eq!(page.matches("| `bot_score").count(), directives.len());
    assert_eq!(page.matches("| `$bot_").count(), variables.len());
}
