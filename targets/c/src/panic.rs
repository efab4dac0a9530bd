//! What a panic ends in where there is no standard library.
//!
//! Checked artifacts cannot make the runtime panic; a static library needs a handler anyway. It
//! calls `selvedge_panic`, weak here, so that firmware may bring its own.

unsafe extern "C" {
    fn selvedge_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing and does not return, as the header demands.
    unsafe { selvedge_panic() }
}

/// A weak function (ELF) of a trap instruction and a jump back to it.
macro_rules! weak_panic {
    ($trap:literal, $jump:literal) => {
        core::arch::global_asm!(
            ".pushsection .text.selvedge_panic,\"ax\",%progbits",
            ".weak selvedge_panic",
            ".type selvedge_panic,%function",
            "selvedge_panic:",
            $trap,
            $jump,
            ".popsection"
        );
    };
}

#[cfg(any(target_arch = "arm", target_arch = "aarch64"))]
weak_panic!("udf #0", "b selvedge_panic");
#[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
weak_panic!("unimp", "j selvedge_panic");
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
weak_panic!("ud2", "jmp selvedge_panic");
