//! The passes that keep a lake small and quick, each in a loop of its own.
//!
//! ```text
//! wait (interval + up to a tenth) ─► pass ─► counted, timed ─► wait ...
//!                                      └ failed or panicked: logged, counted, tried again after the next wait
//! ```
//! A pass that is cut off by the stop leaves orphans for gc, nothing else.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use catalog::Env;
use futures::FutureExt;
use ingest::{Generator, Ingester};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::BackgroundConfig;
use crate::passes::{Pass, Passes};

/// Starts a loop per pass on `runtime`. They end when `stop` is cancelled.
pub(crate) fn start(
    passes: &Arc<Passes>,
    config: &BackgroundConfig,
    env: &Env,
    runtime: &Handle,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    for (pass, every) in [
        (Pass::Refresh, config.refresh_every),
        (Pass::Checkpoint, config.checkpoint_every),
        (Pass::Compact, config.compact_every),
        (Pass::Retention, config.retention_every),
        (Pass::Gc, config.gc_every),
    ] {
        let (passes, env, stop) = (Arc::clone(passes), env.clone(), stop.clone());
        let work = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = repeat(&passes, pass, every, &env) => {}
            }
        };
        loops.spawn_on(work, runtime);
    }
    loops
}

async fn repeat(passes: &Passes, pass: Pass, every: Duration, env: &Env) {
    loop {
        tokio::time::sleep(jittered(every, env.entropy.next_u64())).await;
        match AssertUnwindSafe(passes.run(pass)).catch_unwind().await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(pass = pass.name(), %error, "a background pass failed; it runs again later"),
            Err(_) => tracing::error!(pass = pass.name(), "a background pass panicked; this is a bug"),
        }
    }
}

/// Writes what `generator` counted, every interval until `stop` is cancelled. A write that is cut off is made up for by the last one.
pub(crate) async fn generate(generator: Arc<Generator>, ingester: Arc<Ingester>, env: Env, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(generator.config().interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await; // the first one is now
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match AssertUnwindSafe(generator.write(&*ingester, env.now())).catch_unwind().await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "metrics of spans could not be written; the next write has them"),
            Err(_) => tracing::error!("writing metrics of spans panicked; this is a bug"),
        }
    }
}

/// `every` and up to a tenth more.
fn jittered(every: Duration, random: u64) -> Duration {
    every + every.mul_f64((random % 1000) as f64 / 10_000.0)
}
