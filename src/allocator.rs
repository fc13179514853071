//! The allocator, and giving back what it keeps.

#[cfg(target_os = "linux")]
use std::ffi::c_ulong;
use std::ffi::{c_int, c_long};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Many threads allocate and free large buffers here; the system's allocator keeps too much of what they free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Between two times at which memory is given back. What is needed again soon is taken again for a page fault, so not oftener.
const EVERY: Duration = Duration::from_secs(10);

/// mimalloc's option for how long, in milliseconds, freed memory stays with the process; its crate has no name for the number.
const PURGE_DELAY: c_int = 15;
/// At 3 million samples a second the library's own second takes a third more memory at its peak than 50 ms, and saves no CPU. Spans are larger: of 8 CPU-s
/// per million 300 ms save 0.8 for a tenth more memory, a second saves 1.0 for a quarter.
const PURGE_DELAY_MS: c_long = 200;

/// Sets what the environment (`MIMALLOC_PURGE_DELAY`) does not. Before anything else runs.
#[allow(unsafe_code, reason = "mimalloc's crate has no safe name for it")]
pub(crate) fn configure() {
    // SAFETY: takes two numbers and returns nothing; a number that is no option is ignored.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) }
    use_small_pages();
}

/// Asks the kernel for memory in pages of 4 KiB, where mimalloc would ask for 2 MiB: what it gave back and takes again would be cleared by the kernel 2 MiB at a
/// time, however little of it is used, and stay resident. Taking in logs costs a fifth less CPU so; reading what
/// was decoded costs some 4 % more. mimalloc has an option for it (`MIMALLOC_ALLOW_THP`), but looks at it before `main` begins.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate that is here already has this call")]
fn use_small_pages() {
    /// `PR_SET_THP_DISABLE` of `linux/prctl.h`.
    const SET_THP_DISABLE: c_int = 41;
    unsafe extern "C" {
        fn prctl(option: c_int, flag: c_ulong, arg3: c_ulong, arg4: c_ulong, arg5: c_ulong) -> c_int;
    }
    // SAFETY: the call takes numbers only, and changes nothing but how memory that is first touched from now on is backed. A kernel without it says so,
    // and there is nothing to do about it.
    let _ = unsafe { prctl(SET_THP_DISABLE, 1, 0, 0, 0) };
}

#[cfg(not(target_os = "linux"))]
fn use_small_pages() {}

/// Gives freed memory back to the system from time to time, until `stop`.
///
/// mimalloc does so as well, but only while somebody allocates: a node that falls idle would keep the memory of its busiest second.
pub(crate) async fn upkeep(stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        give_back();
    }
}

#[allow(unsafe_code, reason = "mimalloc's crate has no safe name for it")]
fn give_back() {
    // SAFETY: takes and returns nothing. It works on the calling thread's heap and, under mimalloc's own locks, on the arenas that
    // threads share; the documentation allows the call at any time.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library numbers its options anew when it likes.
    #[test]
    #[allow(unsafe_code, reason = "mimalloc's crate has no safe name for it")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: takes a number and returns one.
        let of = |option| unsafe { libmimalloc_sys::mi_option_get(option) };
        assert_eq!(of(PURGE_DELAY), 1_000, "the default of version 3");
        configure();
        assert_eq!(of(PURGE_DELAY), PURGE_DELAY_MS);
    }
}
