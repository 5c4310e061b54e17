//! The registry of kernels: ways to compute margins, best first, all with the same bits.
//!
//! A kernel is a folder with the same files and functions as every other: `prepare` derives the
//! layouts that the kernel runs; `margin` and `margins` score a row and rows; [`bins`] binarises,
//! `oblivious` and `trees` sum the leaves of oblivious trees and of trees of any shape for one
//! row, and `batch` does both for up to 64 rows.
//!
//! `SAFETY` comments of kernels rely on these, next to the invariants that validation proves:
//! - **K1** a kernel's functions run only where [`Kernel::available`] says that the machine has
//!   its instructions: they are reached through a prepared table, whose kernel comes from
//!   [`choose`];
//! - **K2** a vector load or store stays within the array that a reference proves, and a gather's
//!   indexes are bounded by their width in bits.
//!
//! [`bins`]: portable::bins

pub(super) mod portable;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use super::layout::{Layouts, Prepared, Shapes};
use crate::row::Row;
use crate::table::View;
use crate::table::format::TreeRecord;
#[cfg(target_arch = "x86_64")]
use x86_64::{avx2, avx512};

/// One way to compute margins.
pub struct Kernel {
    /// The name by which it can be chosen.
    pub name: &'static str,
    available: fn() -> bool,
    pub(super) prepare: Prepare,
    pub(super) margin: fn(&Prepared, &Row) -> i64,
    pub(super) margins: fn(&Prepared, &[Row], &mut [i64]),
}

/// Derives the layouts that a kernel runs; `None` if there is no memory.
type Prepare = fn(&View<'_>, Shapes<&[TreeRecord]>) -> Option<Layouts>;

impl Kernel {
    /// Returns `true` if this machine can run it.
    pub fn available(&self) -> bool {
        (self.available)()
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernel({})", self.name)
    }
}

/// All kernels, best first. `portable` runs on every machine, and is the reference that the others
/// equal bit for bit.
pub static KERNELS: &[Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx512",
        available: avx512::available,
        prepare: avx512::prepare,
        margin: avx512::margin,
        margins: avx512::margins,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx2",
        available: avx2::available,
        prepare: avx2::prepare,
        margin: avx2::margin,
        margins: avx2::margins,
    },
    Kernel {
        name: "portable",
        available: portable::available,
        prepare: portable::prepare,
        margin: portable::margin,
        margins: portable::margins,
    },
];

/// The kernel with this name, or the best one if `None`; `None` if this machine cannot run it.
pub(super) fn choose(name: Option<&str>) -> Option<&'static Kernel> {
    let named = |kernel: &&Kernel| name.is_none_or(|name| name == kernel.name);
    KERNELS
        .iter()
        .filter(named)
        .find(|kernel| kernel.available())
}
