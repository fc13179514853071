//! The priority of threads, as far as the system has one.

/// How much lower: next to a thread of the usual priority that wants a whole core, one that is so much lower has a quarter of it. Enough for the
/// system to take the core away from it at once, and not so much that a long query stands still beside a compaction.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 5;

/// Lowers the priority of the calling thread. Only Linux has one for each thread; elsewhere nothing happens.
#[cfg(target_os = "linux")]
pub(crate) fn lower() {
    use rustix::process::{getpriority_process, setpriority_process};

    // Of Linux' own, 19 is the lowest there is; no process means the thread that asks.
    let lowered = getpriority_process(None).and_then(|now| setpriority_process(None, (now + LOWER_BY).min(19)));
    if let Err(error) = lowered {
        tracing::warn!(%error, "a thread of long queries keeps the usual priority: small questions may wait for it");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn lower() {}
