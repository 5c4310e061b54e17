//! Must not link: a function that may panic is marked as one that cannot.

use no_panic::no_panic;
use std::hint::black_box;

#[no_panic]
#[inline(never)]
fn planted(values: &[f32], index: usize) -> f32 {
    values[index]
}

fn main() {
    println!("{}", planted(black_box(&[1.0]), black_box(7)));
}
