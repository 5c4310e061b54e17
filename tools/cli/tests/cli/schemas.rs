//! Schemas: the model's own, the built-in one, and files.

use super::common::*;

fn compile(folder: &Folder, schema: &str) -> Outcome {
    let model = folder.file("model.json", MODEL);
    run(&[
        "compile",
        &model,
        "--positive",
        "human",
        "-o",
        &folder.path("o.hedge"),
        "--schema",
        schema,
    ])
}

#[test]
fn a_model_of_traffic_features_has_a_schema_of_its_own_and_a_refusal_names_the_ways() {
    let folder = Folder::new("schema-traffic");
    let mut model = LIGHTGBM.to_string();
    let others = [
        "traffic_age",
        "ua_bot_word",
        "traffic_requests_1s",
        "traffic_requests_60s",
    ];
    for (index, name) in others.iter().enumerate() {
        model = model.replace(&format!("Column_{index}"), name);
    }
    let (model, table) = (folder.file("m.txt", model), folder.path("t.hedge"));
    let directory = folder.path("watched");
    let ways = ["--schema http-traffic", "--schema FILE", "--schema model"];
    hedgerow!("compile {model} --positive human -o {table} --schema http").refused(&ways);
    hedgerow!("compile {model} --positive human -o {table} --schema http-traffic").done();
    hedgerow!("verify {table} --schema http").refused(&ways);
    hedgerow!("verify {table} --schema http-traffic").done();
    hedgerow!("publish {table} {directory}").refused(&ways);
    hedgerow!("publish {table} {directory} --schema http-traffic").done();
}

#[test]
fn schema_files_in_toml_and_json_give_the_kinds() {
    let folder = Folder::new("schema-good");
    let toml = "features = [{ name = 'f0' }, { name = 'f1', kind = 'category' },\n\
                { name = 'f2', kind = 'flag' }, { name = 'f3' }, { name = 'more' }]";
    let tables = "[[features]]\nname = 'f0'\nkind = 'number'\n[[features]]\nname = 'f1'\n\
                  kind = 'category'\n[[features]]\nname = 'f2'\nkind = 'flag'\n[[features]]\n\
                  name = 'f3'\n";
    let json = r#" {"features":[{"name":"f3"},{"name":"f2","kind":"flag"},
                 {"name":"f1","kind":"category"},{"name":"f0"}]}"#;
    let marked = format!("\u{feff}{json}");
    for (name, text) in [
        ("s.toml", toml),
        ("t.toml", tables),
        ("s.json", json),
        ("x", &marked),
    ] {
        let schema = folder.file(name, text);
        compile(&folder, &schema).done();
        let table = folder.path("o.hedge");
        let inspected = run(&["inspect", &table, "--json"]).json();
        let kinds: Vec<&str> = inspected["features"]
            .as_array()
            .unwrap()
            .iter()
            .map(|feature| feature["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, ["number", "category", "flag", "number"], "{name}");
        run(&["verify", &table, "--schema", &schema]).done();
        run(&["verify", &table, "--schema", "http"]).refused(&["f0"]);
    }
}

#[test]
fn bad_schema_files_are_refused_with_what_is_wrong() {
    let folder = Folder::new("schema-bad");
    let list = |names: Vec<String>| {
        let entries: Vec<String> = names
            .iter()
            .map(|n| format!("{{\"name\":\"{n}\"}}"))
            .collect();
        format!("{{\"features\":[{}]}}", entries.join(","))
    };
    let numbered = |count: usize| (0..count).map(|i| format!("f{i}")).collect::<Vec<_>>();
    let doubled = list([numbered(4), numbered(4)].concat());
    let doubled_over = list([numbered(200), numbered(200)].concat());
    let many = list(numbered(300));
    let long = list(vec!["n".repeat(57)]);
    for (text, parts) in [
        (
            doubled.as_str(),
            &["\"f0\" at positions 0 and 4", "4 names"][..],
        ),
        (&doubled_over, &["\"f0\" at positions 0 and 200"]),
        (&many, &["at most 256", "300"]),
        (&long, &["position 0", "longer than 56"]),
        (r#"{"features":[]}"#, &["at least 1"]),
        (r#"{"features":[{"name":""}]}"#, &["position 0", "empty"]),
        (r#"{"features":[{"name":"a,b"}]}"#, &["position 0", "comma"]),
        (
            r#"{"features":[{"name":"a","kind":"text"}]}"#,
            &["features[0].kind", "text"],
        ),
        (r#"{"features":[{"name":"a","type":"flag"}]}"#, &["type"]),
        (r#"{"features":[{"kind":"flag"}]}"#, &["name"]),
        (r#"{"features":{}}"#, &["map"]),
        (r#"{"columns":[]}"#, &["columns"]),
        (r#"{"features":["#, &["EOF"]),
        ("features = [", &["s.schema"]),
        (
            "[[features]]\nname = 'a'\n[[features]]\nname = 'a'\n",
            &["\"a\" at positions 0 and 1"],
        ),
        ("", &["features"]),
        ("f0,f1\n", &["s.schema"]),
    ] {
        let schema = folder.file("s.schema", text);
        let refused = |outcome: Outcome| {
            outcome.refused(&["s.schema"]);
        };
        compile(&folder, &schema).refused_with(&schema, parts);
        refused(run(&["verify", "default", "--schema", &schema]));
        assert!(!folder.names().contains(&"o.hedge".to_string()));
    }
    let not_text = folder.file("s.schema", b"\xff\xfe");
    compile(&folder, &not_text).refused(&["s.schema", "utf-8"]);
    for name in ["htp", "HTTP", "no.toml", "/", ""] {
        compile(&folder, name).refused(&[]);
    }
    compile(&folder, "htp").refused(&["htp", "http, http-traffic, model or a schema file"]);
}

impl Outcome {
    fn refused_with(self, file: &str, parts: &[&str]) {
        let name = file.rsplit('/').next().unwrap();
        assert_eq!(self.status, 1, "{self:?}");
        for part in parts.iter().chain(&[name]) {
            assert!(self.err.contains(part), "no {part:?}: {self:?}");
        }
    }
}

#[test]
fn a_model_of_other_features_is_refused_by_the_schema() {
    let folder = Folder::new("schema-other");
    compile(&folder, "http").refused(&["model.json", "feature 0", "schema http", "\"f0\""]);
    let some = folder.file("s.toml", "features = [{ name = 'f0' }, { name = 'f1' }]");
    compile(&folder, &some).refused(&["feature 2", "\"f2\""]);
    assert!(!folder.names().contains(&"o.hedge".to_string()));
}

#[test]
fn a_table_that_needs_an_unknown_feature_is_refused_with_the_nearest_name() {
    let folder = Folder::new("schema-near");
    let inspected = run(&["inspect", "default", "--json"]).json();
    let features = serde_json::json!({ "features": inspected["features"] }).to_string();
    let schema = |from: &str, to: &str| folder.file("s.json", features.replace(from, to));
    let (near, far) = (
        schema("accept_any", "accepts_any"),
        "such as \"accepts_any\"",
    );
    let directory = folder.path("watched");
    run(&["verify", "default", "--schema", &near]).refused(&["\"accept_any\"", far]);
    run(&["publish", "default", &directory, "--schema", &near]).refused(&[far]);
    schema("\"accept_any\"", "\"whatever\"");
    let refused = run(&["verify", "default", "--schema", &near]).refused(&["\"accept_any\""]);
    assert!(!refused.contains("such as"), "{refused}");
}
