//! Kernels for x86-64: one folder per instruction set, with the files and functions of `portable`.

pub mod avx2;
pub mod avx512;
#[cfg(emulated)]
mod emulated;
