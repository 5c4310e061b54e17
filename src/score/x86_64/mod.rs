//! Kernels for x86-64, one file an instruction set, with the same functions in the same order as
//! `portable`.

pub(super) mod avx2;
mod avx2_batch;
mod avx2_words;
pub(super) mod avx512;
mod avx512_batch;
mod avx512_steps;
#[cfg(emulated)]
mod emulated;
