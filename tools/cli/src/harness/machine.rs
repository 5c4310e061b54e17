//! Where and how a run was made.

use super::run::Machine;
use std::fs;

/// The machine as the system describes it.
pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let flags = cpu_info("flags").unwrap_or_default();
    let load = read("/proc/loadavg");
    let first = load.split_whitespace().next();
    let (kind, release) = (
        read("/proc/sys/kernel/ostype"),
        read("/proc/sys/kernel/osrelease"),
    );
    Machine {
        processor: processor(),
        cores: core_affinity::get_core_ids().map_or(0, |cores| cores.len()),
        is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
        system: format!("{} {}", kind.trim(), release.trim()),
        load_before: first.and_then(|load| load.parse().ok()).unwrap_or_default(),
        hedgerow: env!("CARGO_PKG_VERSION").to_string(),
    }
}

/// The processor's name, as far as the system reports it.
pub fn processor() -> String {
    cpu_info("model name").unwrap_or_else(|| "unknown processor".into())
}

/// The first value of a name in the system's description of processors.
fn cpu_info(name: &str) -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The words that the process was called with, its own name without its folder.
pub fn command() -> String {
    let quoted = |word: String| match word.is_empty() || word.contains([' ', '"', '\'']) {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => word,
    };
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(word.to_string_lossy().into_owned()));
    let all: Vec<String> = std::iter::once("hedgerow".into()).chain(words).collect();
    all.join(" ")
}
