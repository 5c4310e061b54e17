#![allow(missing_docs)]
use hedgerow::*;
use std::time::Instant;
fn main() {
    let mut args = std::env::args().skip(1);
    let rows_path = args.next().unwrap();
    let raw = std::fs::read(rows_path).unwrap();
    let hl = u16::from_le_bytes([raw[8], raw[9]]) as usize + 10;
    let values: Vec<f32> = raw[hl..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let secs: f64 = std::env::var("SECS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0.6);
    let only = std::env::var("KERNEL").ok();
    for path in args {
        let open = || Table::open(&path).unwrap();
        let schema = Schema::new(open().features()).unwrap();
        for kernel in KERNELS {
            if !kernel.available() || only.as_ref().is_some_and(|o| o != kernel.name) {
                continue;
            }
            let bound = Bound::new(open(), &schema, Some(kernel.name)).unwrap();
            let rows: Vec<Row> = values
                .chunks_exact(200)
                .take(1024)
                .map(|r| bound.row(&r[..bound.table().features().len()]))
                .collect();
            let mut out = vec![0i64; rows.len()];
            for (r, o) in rows.iter().zip(&mut out) {
                *o = bound.margin(r);
            }
            let hash = out.iter().fold(0u64, |h, m| {
                (h ^ *m as u64).wrapping_mul(0x100000001b3).rotate_left(17)
            });
            let time = |f: &mut dyn FnMut()| {
                let mut best = f64::MAX;
                let end = Instant::now();
                while end.elapsed().as_secs_f64() < secs {
                    let s = Instant::now();
                    f();
                    best = best.min(s.elapsed().as_secs_f64());
                }
                best
            };
            let one = time(&mut || {
                for r in &rows {
                    std::hint::black_box(bound.margin(std::hint::black_box(r)));
                }
            }) / rows.len() as f64
                * 1e9;
            print!(
                "{:<30} {:<9} one {:8.1}",
                path.rsplit('/').next().unwrap(),
                kernel.name,
                one
            );
            for n in [2usize, 4, 8, 16, 64] {
                let used = rows.len() / n * n;
                let t = time(&mut || {
                    for (r, o) in rows[..used].chunks(n).zip(out.chunks_mut(n)) {
                        bound.margins(std::hint::black_box(r), o);
                    }
                }) / used as f64
                    * 1e9;
                print!("  b{n} {t:7.1}");
            }
            println!("  {hash:016x}");
        }
    }
}
