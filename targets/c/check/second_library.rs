//! Another static library in Rust: two of them, each with its panic handler, link into one program.
#![no_std]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Sum of `count` values.
///
/// # Safety
/// `values` leads to `count` values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn second_library_sum(values: *const u32, count: usize) -> u32 {
    // SAFETY: as the caller promises.
    let values = unsafe { core::slice::from_raw_parts(values, count) };
    values.iter().fold(0, |sum, value| sum.checked_add(*value).expect("the sum fits"))
}
