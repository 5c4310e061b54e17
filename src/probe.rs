//! Points where a tracer can look in: entering, leaving, publishing, reclaiming and refusing.
//!
//! A point is a `nop` in the machine code, and a note in the binary (USDT, section `.note.stapsdt`)
//! that says where it is and which register holds its number. A tracer that attaches puts a trap in
//! the place of the `nop`; nobody else pays for it. `tools/lab/perf/swap.bt` attaches to all of
//! them. They are there on Linux and x86-64; elsewhere there is nothing.
//!
//! **P1**: the instructions are the `nop` alone. It touches no memory, register, flag or stack;
//! what else stands in the text goes to a section that is not loaded, or to one byte that nobody
//! reads.

/// One point: its name, and a number for the tracer, or none.
macro_rules! point {
    ($name:literal) => {
        point!($name, "",)
    };
    ($name:literal, $number:expr) => {
        let number: u64 = $number;
        point!($name, "8@{0}", in(reg) number,);
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        let _ = number;
    };
    ($name:literal, $arguments:literal, $($operands:tt)*) => {
        // SAFETY: P1, made true by the text: one `nop` in the code's own section.
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        unsafe {
            std::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt,\"?\",\"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b",
                ".8byte _.stapsdt.base",
                ".8byte 0",
                ".asciz \"hedgerow\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", $arguments, "\""),
                "994: .balign 4",
                ".popsection",
                // A tracer sees by this byte how far the binary was moved after it was linked.
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base,\"aGR\",\"progbits\",.stapsdt.base,comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                $($operands)*
                options(att_syntax, nomem, nostack, preserves_flags),
            );
        }
    };
}

/// A reader is inside, in this epoch or a later one.
#[inline(always)]
pub(crate) fn enter(epoch: u64) {
    point!("enter", epoch);
}

/// A reader has left.
#[inline(always)]
pub(crate) fn leave() {
    point!("leave");
}

/// A value is live: readers that enter from now on enter in this epoch or a later one.
#[inline(always)]
pub(crate) fn publish(epoch: u64) {
    point!("publish", epoch);
}

/// Retired values were looked through, and this many still wait.
#[inline(always)]
pub(crate) fn reclaim(waiting: usize) {
    point!("reclaim", waiting as u64);
}

/// A table was refused, with this code.
#[inline(always)]
pub(crate) fn refuse(code: u16) {
    point!("refuse", u64::from(code));
}
