//! A directory of a test's own, its publisher, and an engine that watches it.

use hedgerow::model::{BuildOptions, Ensemble, Missing, Node, Split, Test, Tree, build};
use hedgerow::watch::directory::{FILES_VERSION, Pointer};
use hedgerow::watch::ledger::Ledger;
use hedgerow::watch::publish::Published;
use hedgerow::watch::{Directory, Origin, PublishOptions, Publisher, WatchStatus};
use hedgerow::{
    ContentId, DEFAULT_TABLE, Engine, PreparedTable, Row, Schema, Table, Verdict, WatchOptions,
    Watcher,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// One split over four features of the built-in schema; each seed has a margin of its own.
pub fn ensemble(seed: u64) -> Ensemble {
    let features = Schema::http().features().iter().take(4).cloned().collect();
    let split = Split {
        feature: 1,
        test: Test::Above(2.0),
        missing: Missing::Left,
        zero_is_missing: false,
    };
    let leaf = |value| Node::Leaf { value };
    let (left, right) = (1, 2);
    let nodes = vec![Node::Split { split, left, right }, leaf(0.25), leaf(-0.5)];
    Ensemble {
        features,
        trees: vec![Tree::Any { nodes }],
        bias: seed as f64 / 8.0,
    }
}

/// A small table of it.
pub fn bytes(seed: u64) -> Vec<u8> {
    let options = BuildOptions {
        golden: vec![vec![f32::NAN; 4], vec![3.0; 4]],
        ..BuildOptions::default()
    };
    build(&ensemble(seed), &options).unwrap().bytes
}

pub fn table(seed: u64) -> Table {
    Table::from_bytes(&bytes(seed)).unwrap()
}

/// The bundled table.
pub fn default_table() -> Table {
    Table::from_bytes(DEFAULT_TABLE).unwrap()
}

/// Rows of real requests: the bundled table's golden ones.
pub fn real_rows() -> Vec<Row> {
    let prepared =
        PreparedTable::with_kernel(default_table(), &Schema::http(), "portable").unwrap();
    let rows = prepared.table().golden_rows();
    rows.map(|golden| prepared.row(&golden.values)).collect()
}

/// A well-formed table of the bundled one's features that gives every row this margin.
pub fn constant(margin: f64) -> Table {
    let leaf = Node::Leaf { value: 0.0 };
    let ensemble = Ensemble {
        features: default_table().features(),
        trees: vec![Tree::Any { nodes: vec![leaf] }],
        bias: margin,
    };
    Table::from_bytes(&build(&ensemble, &BuildOptions::default()).unwrap().bytes).unwrap()
}

/// The bundled table with something else in its header: the same scores, another hash.
pub fn other_default(different: u8) -> Table {
    let mut bytes = DEFAULT_TABLE.to_vec();
    let created = std::mem::offset_of!(hedgerow::table::format::Header, created_at);
    bytes[created] ^= different;
    hedgerow::table::format::rehash(&mut bytes);
    Table::from_bytes(&bytes).unwrap()
}

/// The bundled table with all margins higher by so many eighths.
pub fn shifted(eighths: i64) -> Table {
    use hedgerow::table::format::{HEADER_BYTES, Header, Section, golden_bytes};
    let table = default_table();
    let step = eighths << (table.header().margin_shift - 3);
    let mut header: Header = *table.header();
    header.bias += step;
    header.margin_min += step;
    header.margin_max += step;
    let mut bytes = table.bytes().to_vec();
    bytes[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
    let first = header.offsets[Section::Golden as usize] as usize;
    for at in 0..header.counts[Section::Golden as usize] as usize {
        let place = first + at * golden_bytes(table.features().len());
        let margin = i64::from_le_bytes(bytes[place..place + 8].try_into().unwrap());
        bytes[place..place + 8].copy_from_slice(&(margin + step).to_le_bytes());
    }
    hedgerow::table::format::rehash(&mut bytes);
    Table::from_bytes(&bytes).unwrap()
}

pub fn margin(verdict: &Verdict) -> f64 {
    match verdict {
        Verdict::Scored(scored) => scored.margin,
        other => panic!("no score: {other:?}"),
    }
}

/// A directory that goes with its test.
pub struct Place {
    directory: Directory,
}

impl Place {
    pub fn new(name: &str) -> Place {
        let name = format!("hedgerow-watch-{}-{name}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        Place {
            directory: Directory::new(root),
        }
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::of(self.directory.root())
    }

    pub fn engine(&self) -> Engine {
        Engine::new(Schema::http())
    }

    pub fn options(&self) -> WatchOptions {
        WatchOptions {
            poll: Duration::from_millis(2),
            settle: Duration::from_millis(100),
            ..WatchOptions::default()
        }
    }

    pub fn watch(&self) -> Watcher {
        self.watch_with(self.options())
    }

    pub fn watch_with(&self, options: WatchOptions) -> Watcher {
        Watcher::start(&self.engine(), self.directory.root(), options).unwrap()
    }

    pub fn publisher(&self) -> Publisher {
        let wait = Duration::from_secs(10);
        Publisher::create(self.directory.root(), wait, "tester").unwrap()
    }

    pub fn publish(&self, seed: u64) -> Published {
        let options = PublishOptions::default();
        self.publisher().publish(&table(seed), &options).unwrap()
    }

    /// Publishes a table, forced or not, and returns its generation.
    pub fn publish_table(&self, table: &Table, forced: bool) -> u64 {
        let options = PublishOptions {
            forced,
            ..PublishOptions::default()
        };
        let published = self.publisher().publish(table, &options).unwrap();
        published.pointer.generation
    }

    pub fn id(&self, seed: u64) -> ContentId {
        table(seed).content_id()
    }

    /// The margin of a row in which everything is missing.
    pub fn margin(&self, seed: u64) -> f64 {
        let prepared =
            PreparedTable::with_kernel(table(seed), &Schema::http(), "portable").unwrap();
        prepared.table().margin_f64(prepared.margin(&Row::MISSING))
    }

    /// Replaces the file of a table, as no publisher does.
    pub fn damage(&self, seed: u64, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = bytes(seed);
        damage(&mut bytes);
        let path = self.directory.table(self.id(seed));
        fs::create_dir_all(self.directory.tables()).unwrap();
        replace(&path, &bytes);
    }

    /// Puts a pointer in its place, as no publisher does.
    pub fn point(&self, generation: u64, seed: u64) {
        self.write_pointer(&Pointer {
            version: FILES_VERSION,
            generation,
            content_id: self.id(seed),
            bytes: bytes(seed).len() as u64,
            from_generation: None,
            forced: false,
            at: String::new(),
            origin: Origin::here("by hand"),
        });
    }

    pub fn write_pointer(&self, pointer: &Pointer) {
        replace(
            &self.directory.active(),
            &serde_json::to_vec(pointer).unwrap(),
        );
    }

    /// Waits until an engine is so; for ten seconds, which is a failure.
    pub fn wait(&self, watcher: &Watcher, so: impl Fn(&WatchStatus) -> bool) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let status = watcher.status();
            if so(&status) {
                return;
            }
            assert!(Instant::now() < until, "{status:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.directory.root());
    }
}

/// Replaces a file by renaming.
pub fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

type Hook = Box<dyn FnMut(&str) + Send>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Calls this with each line that is logged from now on, on the thread that logs it.
pub fn on_lines(hook: impl FnMut(&str) + Send + 'static) {
    *HOOK.lock().unwrap() = Some(Box::new(hook));
}

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        if let Some(hook) = HOOK.lock().unwrap().as_mut() {
            hook(&line);
        }
        if record.level() <= log::Level::Warn {
            LINES.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

/// What is logged from now on about a directory, but for the line that says that it has no table:
/// most tests begin so.
pub fn lines_of(root: &Path) -> impl Fn() -> Vec<String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    let root: PathBuf = root.into();
    move || {
        let lines = LINES.lock().unwrap();
        let about = lines
            .iter()
            .filter(|line| line.contains(root.to_str().unwrap()))
            .filter(|line| !line.contains("the directory has no table"));
        about.cloned().collect()
    }
}

/// The bundled table's margin of a row in which everything is missing.
pub fn bundled_margin() -> f64 {
    let table = Table::from_bytes(DEFAULT_TABLE).unwrap();
    let prepared = PreparedTable::with_kernel(table, &Schema::http(), "portable").unwrap();
    prepared.table().margin_f64(prepared.margin(&Row::MISSING))
}
