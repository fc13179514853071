//! What the system is asked about its threads: which go before which, and how long one has worked.
//!
//! Linux has a priority for each thread; elsewhere they are all alike.

use std::time::Duration;

/// How much lower long queries are: next to a thread of the usual priority that wants a whole core, one that is so much lower has a thirtieth of it. With
/// less they would stand still beside whoever takes a node's cores, with a tenth small questions beside a sort wait twice as long as alone. Merges go one
/// at a time, and leave the other cores to them.
#[cfg(target_os = "linux")]
const LOWER_BY: i32 = 15;

/// The least that Linux accepts as what a thread does at a stretch.
#[cfg(target_os = "linux")]
const STRETCH: Duration = Duration::from_micros(100);

/// Lowers the priority of the calling thread.
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

/// Says that the calling thread works in short stretches. Since 6.12, Linux takes the core away for such a thread the moment it has something
/// to do, where others wait until the stretch of whoever is there has ended, some milliseconds; its share of the cores stays what it is. Older ones ignore it.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate that is here has this call")]
pub(crate) fn keep_short() {
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let wanted = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: STRETCH.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads as many bytes of `wanted` as its `size` says, which are there, keeps no pointer to them, and changes nothing but how
    // the calling thread (0) is scheduled.
    let refused = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) } != 0;
    if refused {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "a thread works in stretches of the usual length: small questions may wait for long ones");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_short() {}

/// How long the calling thread has had a core.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate that is here already has this call")]
pub(crate) fn worked() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec` to where there is one. Linux has this clock always; if it had not, nothing would be long.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Without such a clock, the time that passes.
#[cfg(not(target_os = "linux"))]
pub(crate) fn worked() -> Duration {
    static BEGUN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGUN.elapsed()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_does_not_work_and_one_that_counts_does() {
        let before = worked();
        std::thread::sleep(Duration::from_millis(50));
        let slept = worked();
        assert!(slept - before < Duration::from_millis(40), "{:?}", slept - before);
        while worked() == slept {}
    }

    #[test]
    fn what_is_set_for_a_thread_can_be_set_without_privileges() {
        let nice = || rustix::process::getpriority_process(None).expect("Linux has it");
        let of_thread = std::thread::spawn(move || {
            let before = nice();
            keep_short();
            let kept = nice();
            lower();
            (before, kept, nice())
        });
        let (before, kept, lowered) = of_thread.join().expect("it does not panic");
        assert_eq!(kept, before);
        assert_eq!(lowered, (before + LOWER_BY).min(19));
        assert_eq!(nice(), before, "other threads stay as they are");
    }
}
