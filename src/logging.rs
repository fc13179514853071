//! The node's own log: `tracing` events to stderr as text or JSON, and optionally to the node's own lake.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFormat};
use crate::failure::Failure;
use crate::self_telemetry::Own;

/// Starts logging. `own` gets every event, and every span, too.
///
/// # Errors
/// `log.level` is no level and no list of directives.
pub(crate) fn start(config: &LogConfig, own: Option<Own>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.level).map_err(|e| {
        Failure::usage(format!(
            "log.level is {:?}, must be a level (error, warn, info, debug, trace) or directives such as info,lake=debug: {e}",
            config.level
        ))
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_filter(filter)),
        LogFormat::Text => Box::new(lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter)),
    };
    tracing_subscriber::registry().with(lines).with(own).try_init().map_err(Failure::failed)
}
