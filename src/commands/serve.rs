//! `serve`: a node until SIGTERM or SIGINT.

use query::Threads;
use tokio::runtime::{Builder, Runtime};

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::node::Runtimes;
use crate::{crash, logging, node, opened, scheduling, self_telemetry};

/// Threads of queries for one core. One poll of a sort may last seconds, and what waits behind it in a queue waits for all of it, while
/// the system shares the cores out among as many threads as there are.
const QUERY_THREADS_PER_CORE: usize = 4;

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

    let main = started("main", threads(0).on_thread_start(scheduling::keep_short))?;
    let count = query_threads(config.node.query_threads);
    let queries = started("query", threads(count).on_thread_start(scheduling::keep_short))?;
    let long_queries = started("query-long", threads(count).on_thread_start(scheduling::lower))?;
    let background = started("background", &mut threads(0))?;
    let runtimes = Runtimes {
        queries: Threads::new(queries.handle().clone(), long_queries.handle().clone(), scheduling::worked),
        background: background.handle().clone(),
    };
    let done = main.block_on(node::run(config, runtimes, own_rows));
    queries.shutdown_background();
    long_queries.shutdown_background();
    background.shutdown_background();
    main.shutdown_background();
    done
}

/// How many threads there are for queries, and again for long ones, where `set` are wanted; 0: some per core.
fn query_threads(set: usize) -> usize {
    match set {
        0 => std::thread::available_parallelism().map_or(1, usize::from) * QUERY_THREADS_PER_CORE,
        set => set,
    }
}

/// A runtime to be, with `count` threads; 0: one per core.
fn threads(count: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    if count > 0 {
        builder.worker_threads(count);
    }
    builder
}

/// Starts a runtime whose threads have that name.
fn started(name: &'static str, builder: &mut Builder) -> Result<Runtime, Failure> {
    let runtime = builder.thread_name(name).enable_all().build();
    runtime.map_err(|e| Failure::failed(format!("cannot start the threads of {name}: {e}")))
}
