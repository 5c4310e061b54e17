//! What a run was made on, and with.

use crate::report::Facts;
use std::process::Command;

/// Instruction sets that make a difference here.
const FLAGS: &[&str] = &[
    "avx2",
    "bmi2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vbmi",
];

fn file(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The value of a line of /proc/cpuinfo.
fn processor(info: &str, name: &str) -> String {
    let line = info.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or("unknown".into(), |(_, value)| value.trim().to_string())
}

/// A program's first line.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_string()
}

/// Today, in UTC.
pub fn date() -> String {
    said("date", &["-u", "+%F"])
}

/// The machine and the versions. The command is told by run.sh, in PEERS_COMMAND.
pub fn facts(core: usize) -> Facts {
    let info = file("/proc/cpuinfo");
    let flags = processor(&info, "flags");
    let has = |flag: &&&str| flags.split(' ').any(|has| has == **flag);
    let flags: Vec<&str> = FLAGS.iter().filter(has).copied().collect();
    let cores = info.matches("\nprocessor").count() + usize::from(info.starts_with("processor"));
    let kernel = file("/proc/sys/kernel/osrelease");
    let kernel: Vec<&str> = kernel.trim().split('.').take(2).collect();
    let load = file("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown").to_string();
    let virtual_machine = match processor(&info, "flags").contains("hypervisor") {
        true => ", virtual",
        false => "",
    };
    let revision = said("git", &["rev-parse", "--short", "HEAD"]);
    // No output is told as "unknown".
    let status = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    let family = format!("family {}", processor(&info, "cpu family"));
    let model = format!("model {}", processor(&info, "model\t"));
    let built = format!(
        "{}; {}",
        said("rustc", &["--version"]),
        said("g++", &["--version"])
    );
    let changed = match status.as_str() {
        "unknown" => "",
        _ => ", with changes",
    };
    vec![
        ("date", date()),
        (
            "machine",
            format!(
                "{}, {family}, {model}, {cores} cores{virtual_machine}; {}; Linux {}; run on core \
                 {core}; load {load} at the start",
                processor(&info, "model name"),
                flags.join(" "),
                kernel.join(".")
            ),
        ),
        ("hedgerow", format!("{revision}{changed}")),
        ("compilers", built),
        (
            "command",
            std::env::var("PEERS_COMMAND").unwrap_or_else(|_| "peers".into()),
        ),
    ]
}
