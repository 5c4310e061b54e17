//! Where and how a run was made.

use super::run::Machine;
use hedgerow::watch::moment;
use std::fs;

/// The machine as the system describes it.
pub fn machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let flags = { cpu.lines() }
        .find(|line| line.starts_with("flags"))
        .unwrap_or_default();
    let load = read("/proc/loadavg");
    let first = load.split_whitespace().next();
    Machine {
        processor: processor(),
        cores: core_affinity::get_core_ids().map_or(0, |cores| cores.len()),
        is_virtual: flags.split_whitespace().any(|flag| flag == "hypervisor"),
        system: format!(
            "{} {}",
            read("/proc/sys/kernel/ostype").trim(),
            read("/proc/sys/kernel/osrelease").trim()
        ),
        load_before: first.and_then(|load| load.parse().ok()).unwrap_or_default(),
        hedgerow: env!("CARGO_PKG_VERSION").to_string(),
    }
}

/// The moment, in UTC.
pub fn now() -> String {
    moment::now()
}

/// The words that the process was called with, its own name without the way to it.
pub fn command() -> String {
    let quoted = |word: String| match word.is_empty() || word.contains([' ', '"', '\'']) {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => word,
    };
    let words = std::env::args_os().skip(1);
    let words = words.map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("hedgerow".to_string())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The processor's name, as far as the system tells it.
pub fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name
        .and_then(|rest| rest.split_once(':'))
        .map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_string()
}
