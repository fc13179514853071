//! The node's own numbers: what the crates count through `metrics`, and what the operating system says about the process.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use compat::node::NodeStatus;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::failure::Failure;

/// Upper bounds of every histogram whose name ends in `_seconds`.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];
/// Upper bounds of every histogram whose name ends in `_bytes`.
const BYTES: [f64; 8] = [1024.0, 16384.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 268_435_456.0];
/// How often histograms are folded, so that a node that nobody scrapes does not grow.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Linux counts CPU time in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Readiness and numbers of this process.
pub(crate) struct Status {
    handle: PrometheusHandle,
    phase: AtomicU8,
    trouble: OnceLock<Trouble>,
}

/// What keeps a started node from its work, on one line, if anything does.
pub(crate) type Trouble = Box<dyn Fn() -> Option<String> + Send + Sync>;

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Status {
    /// Installs the recorder of the process.
    ///
    /// # Errors
    /// There is one already.
    pub(crate) fn install() -> Result<Arc<Self>, Failure> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(Failure::failed)?;
        metrics::gauge!("telelake_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        metrics::describe_gauge!("telelake_build_info", "Always 1; the label says which version runs.");
        Ok(Arc::new(Self { handle, phase: AtomicU8::new(STARTING), trouble: OnceLock::new() }))
    }

    /// Folds histograms until dropped.
    pub(crate) async fn upkeep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            self.handle.run_upkeep();
        }
    }

    /// From now on the node is not ready while `trouble` says why. Only the first one counts.
    pub(crate) fn watch(&self, trouble: Trouble) {
        let _only_once = self.trouble.set(trouble);
    }

    pub(crate) fn set_ready(&self) {
        self.phase.store(READY, Ordering::Release);
    }

    pub(crate) fn set_stopping(&self) {
        self.phase.store(STOPPING, Ordering::Release);
    }
}

impl NodeStatus for Status {
    fn ready(&self) -> Result<(), String> {
        match self.phase.load(Ordering::Acquire) {
            STARTING => Err("starting".to_owned()),
            READY => self.trouble.get().and_then(|trouble| trouble()).map_or(Ok(()), Err),
            _ => Err("stopping".to_owned()),
        }
    }

    fn metrics(&self) -> String {
        Process::read(Path::new("/proc/self")).record();
        self.handle.render()
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").field("ready", &self.ready()).finish_non_exhaustive()
    }
}

/// What Linux says about a process; nothing on other systems.
#[derive(Debug, Default, PartialEq)]
struct Process {
    resident_bytes: Option<f64>,
    cpu_seconds: Option<f64>,
    threads: Option<f64>,
    open_files: Option<f64>,
}

impl Process {
    fn read(proc_self: &Path) -> Self {
        let status = std::fs::read_to_string(proc_self.join("status")).unwrap_or_default();
        let stat = std::fs::read_to_string(proc_self.join("stat")).unwrap_or_default();
        let field =
            |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
        Self {
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024.0),
            cpu_seconds: cpu_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND),
            threads: field("Threads:"),
            open_files: std::fs::read_dir(proc_self.join("fd")).ok().map(|fds| fds.count() as f64),
        }
    }

    fn record(&self) {
        for (name, value) in [
            ("process_resident_memory_bytes", self.resident_bytes),
            ("process_threads", self.threads),
            ("process_open_fds", self.open_files),
        ] {
            if let Some(value) = value {
                metrics::gauge!(name).set(value);
            }
        }
        if let Some(seconds) = self.cpu_seconds {
            metrics::gauge!("process_cpu_seconds_total").set(seconds);
        }
    }
}

/// User and system time. The second field, the command, may itself hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_the_command() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 8 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(300.0));
        assert_eq!(cpu_ticks(""), None);
    }
}
