//! `bench`: fields, and the same results on every kernel.

use super::common::*;

#[test]
fn bench_lists_every_kernel_with_the_same_hash() {
    let folder = Folder::new("bench");
    for table in ["default", &folder.table()] {
        let bench = || hedgerow!("bench {table} --seconds 0.01 --json").json();
        let json = bench();
        assert_eq!(json["ok"], true, "{json}");
        let kernels = list(&json["kernels"]);
        assert!(kernels.iter().any(|kernel| kernel["name"] == "portable"));
        for kernel in kernels {
            assert!(number(&kernel["row_ns"]) > 0.0);
            assert!(number(&kernel["batch_row_ns"]) > 0.0);
            assert_eq!(kernel["batch_rows"], 64);
            assert_eq!(kernel["hash"], kernels[0]["hash"]);
            assert_eq!(kernel["hash"].as_str().unwrap().len(), 16);
        }
        assert_eq!(bench()["kernels"][0]["hash"], kernels[0]["hash"]);
    }
}

#[test]
fn bench_measures_cold_caches_where_asked() {
    let folder = Folder::new("bench-cold");
    let table = folder.table();
    let cold = hedgerow!("bench {table} --seconds 0.01 --json --cold").json();
    for kernel in list(&cold["kernels"]) {
        assert!(count(&kernel["cold_row_ns"]) > 0);
    }
    let warm = hedgerow!("bench {table} --seconds 0.01 --json").json();
    for kernel in list(&warm["kernels"]) {
        assert!(kernel["cold_row_ns"].is_null());
    }
}

#[test]
fn bench_needs_rows_and_not_too_many() {
    let folder = Folder::new("bench-rows");
    let table = folder.table();
    let none = folder.file("none.csv", "f0,f1,f2,f3\n");
    hedgerow!("bench {table} {none} --seconds 0.01").refused(&["rows", "none"]);
    let one = folder.file("one.csv", "f0,f1,f2,f3\n1,2,3,4\n");
    hedgerow!("bench {table} {one} --seconds 0.01 --kernel portable").done();
    let many = "1,2,3,4\n".repeat(300_000);
    let many = folder.file("many.csv", format!("f0,f1,f2,f3\n{many}"));
    hedgerow!("bench {table} {many} --seconds 0.01").refused(&["many.csv", "300000"]);
}
