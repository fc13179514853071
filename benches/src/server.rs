//! The measured process: started on free ports, asked for its CPU time and memory through `/proc`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// What the process has used since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Largest resident set so far.
    pub(crate) peak_rss_bytes: u64,
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    data: PathBuf,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) ready_seconds: f64,
}

impl Server {
    /// Starts `binary serve` on an empty `data` folder and waits for `ready`.
    pub(crate) fn start(binary: &Path, data: &Path, pin: Option<usize>, more: &[String]) -> Result<Self> {
        let mut command = match pin {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.arg("serve").arg("--data").arg(data).args(["--gateway-addr", "127.0.0.1:0"]);
        command.args(["--otlp-http-addr", "127.0.0.1:0"]);
        for dialect in ["otlp-grpc", "prometheus", "loki", "jaeger-grpc", "jaeger-thrift", "zipkin", "tempo", "flight"] {
            command.arg(format!("--{dialect}-addr=off"));
        }
        command.args(more);
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("stdout was piped")?;
        let (mut otlp_http, mut gateway) = (None, None);
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["listening", "otlp-http", address] => otlp_http = Some(address.parse()?),
                ["listening", "gateway", address] => gateway = Some(address.parse()?),
                ["ready"] => {
                    let ready_seconds = started.elapsed().as_secs_f64();
                    let (Some(otlp_http), Some(gateway)) = (otlp_http, gateway) else { bail!("no listener was named") };
                    return Ok(Self { child, data: data.to_owned(), otlp_http, gateway, ready_seconds });
                }
                _ => {}
            }
        }
        bail!("the server ended before it was ready: {}", child.wait()?)
    }

    /// CPU time and peak memory so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("stat has a name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime are fields 14 and 15 of proc(5); the first after the name is field 3.
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak_kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("VmHWM")?;
        let peak_kib: u64 = peak_kib.trim().trim_end_matches(" kB").parse()?;
        Ok(Usage { cpu_seconds: ticks / rustix::param::clock_ticks_per_second() as f64, peak_rss_bytes: peak_kib * 1024 })
    }

    /// Where the Parquet files lie.
    pub(crate) fn lake_folder(&self) -> PathBuf {
        let nested = self.data.join("lake");
        if nested.is_dir() { nested } else { self.data.join("data") }
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of all files below `folder`.
pub(crate) fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
