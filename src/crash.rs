//! Crash points: with the feature `failpoints`, `TELELAKE_CRASH_AT=name:nth` kills the process at the nth visit of a named point.

/// Every point there is, in the order in which a row's life meets them. `tests/house.rs` compares it with the code.
#[cfg(any(feature = "failpoints", test))]
pub(crate) const POINTS: [&str; 13] = [
    "wal::after_append",
    "wal::after_sync",
    "flush::after_encode",
    "flush::after_upload",
    "ingest::after_upload",
    "commit::before_put",
    "commit::after_put",
    "wal::before_trim",
    "wal::after_trim",
    "checkpoint::after_leaf",
    "compact::after_write",
    "compact::after_commit",
    "gc::after_delete",
];

/// Arms the point that the environment names.
///
/// # Errors
/// The variable is set and names no point, or this build has no crash points.
pub(crate) fn arm() -> Result<(), crate::failure::Failure> {
    match std::env::var("TELELAKE_CRASH_AT") {
        Ok(at) => arm_at(&at).map_err(|e| crate::failure::Failure::usage(format!("TELELAKE_CRASH_AT is {at:?}: {e}"))),
        Err(_) => Ok(()),
    }
}

#[cfg(not(feature = "failpoints"))]
fn arm_at(_at: &str) -> Result<(), String> {
    Err("this build has no crash points; build with --features failpoints".to_owned())
}

#[cfg(feature = "failpoints")]
fn arm_at(at: &str) -> Result<(), String> {
    use std::sync::atomic::{AtomicU64, Ordering};

    let (name, nth) = at.rsplit_once(':').ok_or("write NAME:NTH")?;
    let nth: u64 = nth.parse().map_err(|_| format!("{nth:?} is no number"))?;
    if !POINTS.contains(&name) {
        return Err(format!("no such point; there are {}", POINTS.join(", ")));
    }
    let visits = AtomicU64::new(0);
    fail::cfg_callback(name, move || {
        if visits.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            // SIGKILL to ourselves: no destructor, no flush, as when the machine dies.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    })
    .map_err(|e| e.to_string())
}
