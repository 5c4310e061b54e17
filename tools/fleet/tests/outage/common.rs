//! Runs the binary, and makes what it is given.

use hedgerow::table::Table;
use hedgerow::watch::{Directory, PublishOptions, Publisher};
use hedgerow::{Engine, Feature, FeatureKind, Schema, WatchOptions, Watcher};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Features of the model, and columns of the database's table.
pub const FEATURES: usize = 60;

/// Says that something is missing; a failure where it must not be.
pub fn skipped(what: &str, how: &str) {
    let required = std::env::var_os("HEDGEROW_REQUIRE_PEERS").is_some_and(|set| set == "1");
    assert!(!required, "{what} is missing: {how}");
    eprintln!("SKIPPED: {what} is missing: {how}");
}

/// A free port of this machine.
pub fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A folder of a test's own, empty at its start.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), bytes).unwrap();
        self.path(name)
    }
}

/// A watched directory, and an engine.
pub struct Place {
    pub root: PathBuf,
    pub engine: Engine,
}

impl Place {
    pub fn new(folder: &Folder, name: &str) -> Place {
        let feature = |index| Feature {
            name: format!("f{index:02}"),
            kind: FeatureKind::Number,
        };
        let schema = Schema::new((0..FEATURES).map(feature).collect()).unwrap();
        let root = PathBuf::from(folder.path(name));
        fs::create_dir_all(&root).unwrap();
        Place {
            root,
            engine: Engine::new(schema),
        }
    }

    pub fn publish(&self, file: &str) -> u64 {
        let wait = Duration::from_secs(10);
        let publisher = Publisher::create(&self.root, wait, "tester").unwrap();
        let options = PublishOptions::default();
        let published = publisher.publish(&table(file), &options).unwrap();
        published.pointer.generation
    }

    pub fn generation(&self) -> u64 {
        let pointer = Directory::new(&self.root).read_pointer().unwrap();
        pointer.map_or(0, |pointer| pointer.generation)
    }

    pub fn watch(&self, options: WatchOptions) -> Watcher {
        Watcher::start(&self.engine, &self.root, options).unwrap()
    }
}

pub fn table(file: &str) -> Table {
    Table::open(file).unwrap()
}

/// A LightGBM model of 60 features, f00 to f59, with a split on each.
pub fn model() -> String {
    let names: Vec<String> = (0..FEATURES).map(|index| format!("f{index:02}")).collect();
    let tree = |index: usize| {
        let leaf = 0.01 * (index as f64 + 1.0);
        format!(
            "Tree={index}\nnum_leaves=2\nnum_cat=0\nsplit_feature={index}\nsplit_gain=1\n\
             threshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n\
             leaf_value={leaf} -{leaf}\nleaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\n\
             internal_weight=2\ninternal_count=2\nis_linear=0\nshrinkage=1\n\n\n"
        )
    };
    let trees: Vec<String> = (0..FEATURES).map(tree).collect();
    let sizes: Vec<String> = trees.iter().map(|tree| tree.len().to_string()).collect();
    let text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
         max_feature_idx={}\nobjective=binary sigmoid:1\nfeature_names={}\nfeature_infos={}\n\
         tree_sizes={}\n\n{}",
        FEATURES - 1,
        names.join(" "),
        vec!["[0:1]"; FEATURES].join(" "),
        sizes.join(" "),
        trees.concat()
    );
    text + "end of trees\n\nparameters:\nend of parameters\n"
}

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub json: Value,
    pub err: String,
}

impl Outcome {
    pub fn ok(&self) -> bool {
        self.status == 0
    }

    pub fn name(&self) -> &str {
        self.json["name"].as_str().unwrap_or("accepted")
    }

    pub fn warns_of(&self, what: &str) -> bool {
        self.json["warnings"].to_string().contains(what)
    }

    pub fn text(&self) -> String {
        format!("{} {}", self.json, self.err)
    }

    /// Asserts a refusal by its number, its name and what it tells.
    pub fn refused(&self, code: u64, name: &str, words: &[&str]) {
        assert_eq!(self.status, 1, "{self:?}");
        assert_eq!(self.json["code"].as_u64(), Some(code), "{self:?}");
        assert_eq!(self.name(), name, "{self:?}");
        let message = self.json["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}

/// Runs the binary with JSON.
pub fn run(env: &[(&str, String)], args: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_hedgerow-fleet"))
        .arg("--json")
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    Outcome {
        status: output.status.code().unwrap(),
        json: serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}")),
        err,
    }
}

/// Runs `generate` on the table of the outage.
pub fn generate(env: &[(&str, String)], args: &[&str]) -> Outcome {
    let table = super::clickhouse::TABLE;
    let all = [&["generate", "--table", table], args].concat();
    run(env, &all)
}
