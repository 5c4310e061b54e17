//! `bench`: fields, and the same results on every kernel.

use super::common::*;

#[test]
fn bench_lists_every_kernel_with_the_same_hash() {
    let folder = Folder::new("bench");
    let table = folder.table();
    for args in [&["bench", "default"][..], &["bench", &table]] {
        let args = [args, &["--seconds", "0.01", "--json"]].concat();
        let json = run(&args).json();
        assert_eq!(json["ok"], true, "{json}");
        let kernels = json["kernels"].as_array().unwrap();
        assert!(kernels.iter().any(|kernel| kernel["name"] == "portable"));
        for kernel in kernels {
            assert!(kernel["row_ns"].as_f64().unwrap() > 0.0);
            assert!(kernel["batch_row_ns"].as_f64().unwrap() > 0.0);
            assert_eq!(kernel["batch_rows"], 64);
            assert_eq!(kernel["hash"], kernels[0]["hash"]);
            assert_eq!(kernel["hash"].as_str().unwrap().len(), 16);
        }
        assert_eq!(run(&args).json()["kernels"][0]["hash"], kernels[0]["hash"]);
    }
}

#[test]
fn bench_measures_cold_caches_where_asked() {
    let folder = Folder::new("bench-cold");
    let table = folder.table();
    let args = ["bench", &table, "--seconds", "0.01", "--json"];
    let cold = run(&[&args[..], &["--cold"]].concat()).json();
    for kernel in cold["kernels"].as_array().unwrap() {
        assert!(kernel["cold_row_ns"].as_u64().unwrap() > 0);
    }
    let warm = run(&args).json();
    for kernel in warm["kernels"].as_array().unwrap() {
        assert!(kernel["cold_row_ns"].is_null());
    }
}

#[test]
fn bench_needs_rows_and_not_too_many() {
    let folder = Folder::new("bench-rows");
    let table = folder.table();
    let none = folder.file("none.csv", "f0,f1,f2,f3\n");
    run(&["bench", &table, &none, "--seconds", "0.01"]).refused(&["rows", "none"]);
    let one = folder.file("one.csv", "f0,f1,f2,f3\n1,2,3,4\n");
    run(&[
        "bench",
        &table,
        &one,
        "--seconds",
        "0.01",
        "--kernel",
        "portable",
    ])
    .done();
    let many = "1,2,3,4\n".repeat(300_000);
    let many = folder.file("many.csv", format!("f0,f1,f2,f3\n{many}"));
    run(&["bench", &table, &many, "--seconds", "0.01"]).refused(&["many.csv", "300000"]);
}
