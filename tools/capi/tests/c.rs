//! A host in C uses the C ABI, and misuses it: it is told, and goes on.

#[path = "../examples/given.rs"]
mod given;

use hedgerow_testkit::{block, compile, folder, root};
use std::process::Command;

#[test]
fn a_host_in_c_is_told_of_every_mistake() {
    let here = folder("c").expect("a folder");
    let program = here.join("capi");
    compile(&root().join("tools/capi/c/capi.c"), &program, &[]).expect("the C test compiles");
    let ran = Command::new(program)
        .args(given::write(&here).expect("what it is given"))
        .output()
        .expect("the C test starts");
    let printed = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {printed}{errors}", ran.status);
    assert!(printed.ends_with("the C ABI holds\n"), "{printed}");
}

/// The host in C, and what it is said to print.
#[test]
fn the_host_in_c_prints_what_the_manual_says() {
    let here = folder("manual-c").expect("a folder");
    std::fs::write(here.join("host.c"), block("src/manual/c.md", "c")).expect("a file");
    // `#include <hedgerow.h>`, as where the header is installed.
    compile(&here.join("host.c"), &here.join("host"), &[]).expect("the manual's host compiles");
    let ran = Command::new(here.join("host")).output().expect("it runs");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}: {printed}", ran.status);
    let console = block("src/manual/c.md", "console");
    let said = console.split("$ ./host\n").nth(1).expect("what it prints");
    assert_eq!(printed, said);
    // The flags are those that the tests compile with.
    assert!(console.contains("-std=c11 -Wall -Wextra -Werror -Iinclude"));
    assert!(console.contains("-lgcc_s -lpthread -ldl -lm"));
}

#[test]
fn scoring_from_c_allocates_nothing() {
    let program = folder("silent").expect("a folder").join("silent");
    let wrapped = ["malloc", "calloc", "realloc", "posix_memalign", "free"];
    let flags = wrapped.map(|name| format!("-Wl,--wrap={name}"));
    let flags = flags.each_ref().map(String::as_str);
    let source = root().join("tools/capi/c/silent.c");
    compile(&source, &program, &flags).expect("the C test compiles");
    let ran = Command::new(program).output().expect("the C test starts");
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {errors}", ran.status);
}
