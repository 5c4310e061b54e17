//! A host in C uses the C ABI, and misuses it: it is told, and goes on.

use hedgerow_capi::{compile, folder, root};
use std::process::Command;

#[test]
fn a_host_in_c_is_told_of_every_mistake() {
    let here = folder("c").expect("a folder");
    let program = here.join("capi");
    compile(&root().join("tools/capi/c/capi.c"), &program).expect("the C test compiles");
    let table = std::fs::read(root().join("data/default.hedge")).expect("the bundled table");
    let mut damaged = table;
    damaged[4096] ^= 0xff;
    std::fs::write(here.join("bad.hedge"), damaged).expect("a file");
    std::fs::create_dir(here.join("watched")).expect("a folder");
    let ran = Command::new(program)
        .arg(root().join("data/default.hedge"))
        .arg(here.join("bad.hedge"))
        .arg(here.join("watched"))
        .output()
        .expect("the C test starts");
    let printed = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{}: {printed}{errors}", ran.status);
    assert!(printed.ends_with("the C ABI holds\n"), "{printed}");
}
