//! The allocator, and giving back what it keeps.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Many threads allocate and free large buffers here; the system's allocator keeps too much of what they free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Between two times at which memory is given back. What is needed again soon is taken again for a page fault, so not oftener.
const EVERY: Duration = Duration::from_secs(10);

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
