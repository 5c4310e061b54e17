//! A clock that jumps, for publishers and for a running engine: a library in front of the system's
//! own gives their processes another time of day.

use super::engine::Engine;
use super::place::{Place, rounds};
use hedgerow_testkit::skipped;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Adds the seconds that a file holds to the time of day. Times that only go on are left alone.
const SHIFTED_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    int done = (int)syscall(SYS_clock_gettime, id, now);
    const char *path = getenv("HEDGEROW_CLOCK");
    if (done != 0 || id != CLOCK_REALTIME || !path) return done;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char text[32] = {0};
    if (file >= 0) {
        if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
        close(file);
    }
    return 0;
}
"#;

/// Builds the library; none where there is no C compiler.
fn library(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, SHIFTED_CLOCK).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .output();
    built.ok()?.status.success().then_some(library)
}

/// Another clock goes into place by a rename, so that nobody reads half of it.
fn set(clock: &Path, seconds: i64) {
    let new = clock.with_extension("new");
    fs::write(&new, seconds.to_string()).unwrap();
    fs::rename(new, clock).unwrap();
}

#[test]
fn a_clock_that_jumps_back_and_forth() {
    const YEAR: i64 = 365 * 24 * 3_600;
    let rounds = rounds("HEDGEROW_CLOCK_JUMPS", 12, 120);
    let place = Place::new("clock");
    let Some(library) = library(place.folder()) else {
        return skipped("a clock that jumps: no C compiler");
    };
    let clock = place.folder().join("clock");
    set(&clock, 0);
    let preload = format!("LD_PRELOAD={}", library.display());
    let variable = format!("HEDGEROW_CLOCK={}", clock.display());
    let under = ["env", &preload, &variable];
    place.publish("even");
    let mut engine = Engine::start_under(&place, &under, &[]);
    engine.until(|line| line.generation() == 1);
    let jumps = [20 * YEAR, -20 * YEAR, 0, -1, 3_600, -3_600];
    let mut years = Vec::new();
    for round in 0..rounds {
        set(&clock, jumps[round as usize % jumps.len()]);
        let name = if round % 2 == 0 { "odd" } else { "even" };
        let output = Command::new(under[0])
            .args(&under[1..])
            .arg(env!("CARGO_BIN_EXE_hedgerow"))
            .args(["publish", &place.table(name), place.dir()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let pointer = place.directory().read_pointer().unwrap().unwrap();
        assert_eq!(pointer.generation, round + 2);
        years.push(pointer.at.get(..4).unwrap().to_string());
        engine.until(|line| line.generation() == round + 2);
    }
    // The clock was a shifted one indeed, there and in the engine.
    assert!(years[0] > years[2] && years[1] < years[2], "{years:?}");
    set(&clock, jumps[0]);
    let last = place.publish("even");
    engine.until(|line| line.generation() == last);
    let since = engine.last().json["status"]["since"].clone();
    let since = since.as_str().and_then(|since| since.get(..4)).unwrap();
    assert_eq!(since, years[0], "the engine's clock");
    assert_eq!(engine.last().refused(), 0, "{:?}", engine.last());
    assert_eq!(place.generations(), (1..=last).collect::<Vec<_>>());
    engine.end(&place);
    println!("a clock that jumps back and forth: {rounds} times, up to 40 years");
}
