//! The registry of kernels: ways to compute margins, best first, all with the same bits.
//!
//! What `SAFETY` comments of kernels rely on besides what validation proves:
//! - **K1** a kernel's functions run only where [`Kernel::available`] says that the machine has
//!   its instructions: they are reached through a [`PreparedTable`], whose kernel comes from
//!   [`choose`], or through [`Kernel::margin`] and [`Kernel::margins`], which ask;
//! - **K2** a vector load or store stays within the array that a reference proves, and a gather's
//!   indexes are bounded by their width in bits.

use super::prepared::PreparedTable;
#[cfg(target_arch = "x86_64")]
use super::x86_64::{avx2, avx512};
use super::{portable, portable_batch};
use crate::row::Row;

/// One way to compute margins.
pub struct Kernel {
    /// The name by which it can be forced.
    pub name: &'static str,
    pub(super) available: fn() -> bool,
    pub(super) margin: fn(&PreparedTable, &Row) -> i64,
    pub(super) margins: fn(&PreparedTable, &[Row], &mut [i64]),
}

impl Kernel {
    /// Whether this machine can run it.
    pub fn available(&self) -> bool {
        (self.available)()
    }

    /// A row's margin on this kernel, whatever kernel the table is bound to; none where this one
    /// cannot run. For the proofs, which need each kernel by itself.
    #[doc(hidden)]
    #[inline]
    pub fn margin(&self, prepared: &PreparedTable, row: &Row) -> Option<i64> {
        let runs = self.available();
        runs.then(|| (self.margin)(prepared, row))
    }

    /// As [`margin`](Kernel::margin), of rows; false where this kernel cannot run.
    #[doc(hidden)]
    #[inline]
    pub fn margins(&self, prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) -> bool {
        let runs = self.available();
        if runs {
            (self.margins)(prepared, rows, margins);
        }
        runs
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kernel({})", self.name)
    }
}

/// All kernels, best first. `portable` fits every machine and table, and is the reference that
/// the others equal bit for bit.
pub static KERNELS: &[Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx512",
        available: avx512::available,
        margin: avx512::margin,
        margins: avx512::margins,
    },
    #[cfg(target_arch = "x86_64")]
    Kernel {
        name: "avx2",
        available: avx2::available,
        margin: avx2::margin,
        margins: avx2::margins,
    },
    Kernel {
        name: "portable",
        available: || true,
        margin: portable::margin,
        margins: portable_batch::margins,
    },
];

/// The kernel with this name, or the best, that this machine can run.
pub(super) fn choose(name: Option<&str>) -> Option<&'static Kernel> {
    let named = |kernel: &&Kernel| name.is_none_or(|name| name == kernel.name);
    KERNELS
        .iter()
        .filter(named)
        .find(|kernel| kernel.available())
}
