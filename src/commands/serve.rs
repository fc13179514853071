//! `serve`: a node until SIGTERM or SIGINT.

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::node::Runtimes;
use crate::{crash, logging, node, opened, self_telemetry};

/// Starts the runtimes and the node on them.
///
/// # Errors
/// What refused the start, or ended the node early.
pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let mut config = opened::configure(&args.config)?;
    for (dialect, address) in args.listen.moved() {
        config.listen.set(dialect, address);
    }
    config.tls.certificate = args.tls_certificate.unwrap_or(config.tls.certificate);
    config.tls.key = args.tls_key.unwrap_or(config.tls.key);
    config.listen.insecure |= args.insecure;
    config.tenancy.enabled |= args.tenancy;
    config.log.self_telemetry |= args.self_telemetry;
    config.validate().map_err(Failure::usage)?;
    crash::arm()?;
    let (own, own_rows) = config.log.self_telemetry.then(self_telemetry::channel).unzip();
    logging::start(&config.log, own)?;

    let main = runtime("main", 0)?;
    let queries = runtime("query", config.node.query_threads)?;
    let background = runtime("background", 0)?;
    let runtimes = Runtimes { queries: queries.handle().clone(), background: background.handle().clone() };
    let done = main.block_on(node::run(config, runtimes, own_rows));
    queries.shutdown_background();
    background.shutdown_background();
    main.shutdown_background();
    done
}

/// A runtime with `threads` threads; 0: one per core.
fn runtime(name: &'static str, threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if threads > 0 {
        builder.worker_threads(threads);
    }
    builder
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("cannot start the threads of {name}: {e}")))
}
