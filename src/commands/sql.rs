//! `sql`: one statement, on a running server or directly on a store.
//!
//! ```text
//! --server URL          POST /api/v1/sql, the answer as it comes
//! --data, --store       store ► catalog ► lake ─┐
//!                       log of the stopped node ┴► engine ► the same answer, no server
//! ```

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use catalog::TenantId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use lake::{FreshRows, NoFreshRows};
use query::Engine;
use query::logql::LogqlEngine;
use query::promql::PromqlEngine;
use sql::format::{Encoder, Format};
use sql::{SqlEngine, SqlRequest};

use crate::cli::SqlArgs;
use crate::config::Config;
use crate::environment;
use crate::failure::{Failure, chain};
use crate::http_client::HttpClient;
use crate::opened::{self, Opened};
use crate::tenancy::TENANT_HEADER;

/// Where a node listens that was started without any flag.
const LOCAL_SERVER: &str = "http://127.0.0.1:7070";

/// Runs the statement and prints its rows.
///
/// # Errors
/// The statement is refused, the server does not answer, or the store cannot be opened.
pub(crate) fn run(mut args: SqlArgs) -> Result<(), Failure> {
    if args.statement == "-" {
        args.statement.clear();
        std::io::stdin()
            .read_to_string(&mut args.statement)
            .map_err(|e| Failure::usage(format!("cannot read standard input: {e}")))?;
    }
    let on_store = args.config.data.is_some() || args.config.store.is_some() || args.config.config.is_some();
    super::block_on(async move { if on_store && args.server.is_none() { direct(args).await } else { on_server(args).await } })
}

async fn on_server(args: SqlArgs) -> Result<(), Failure> {
    let server = args.server.as_deref().unwrap_or(LOCAL_SERVER).trim_end_matches('/');
    let uri: Uri = format!("{server}/api/v1/sql").parse().map_err(|e| Failure::usage(format!("--server: {e}")))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let token = args.token.map(|t| (header::AUTHORIZATION, format!("Bearer {t}")));
    for (name, value) in args.tenant.map(|t| (HeaderName::from_static(TENANT_HEADER), t)).into_iter().chain(token) {
        headers.insert(name, HeaderValue::from_str(&value).map_err(|e| Failure::usage(format!("{value:?}: {e}")))?);
    }
    let body = serde_json::json!({ "query": args.statement, "format": args.format.of_sql().name() });
    let client = HttpClient::of(&uri).map_err(|e| Failure::usage(format!("--server: {e}")))?;
    let answer = client.send(Method::POST, &uri, headers, Bytes::from(body.to_string())).await.map_err(|e| {
        Failure::failed(format!(
            "{server} does not answer: {e}; start a node with `telelake serve`, or read its folder with --data DIR"
        ))
    })?;
    if !answer.status.is_success() {
        let text = String::from_utf8_lossy(&answer.body);
        let error = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
        let error = error.as_ref().and_then(|e| e["error"].as_str()).unwrap_or(&text);
        return Err(Failure::failed(error));
    }
    print(&answer.body)
}

async fn direct(args: SqlArgs) -> Result<(), Failure> {
    let config = opened::configure(&args.config)?;
    config.validate().map_err(Failure::usage)?;
    let tenant = match &args.tenant {
        Some(id) => TenantId::parse(id).map_err(|e| Failure::usage(format!("--tenant: {e}")))?,
        None => TenantId::anonymous(),
    };
    opened::must_exist(&config)?;
    let opened = opened::open(&config, environment::system()).await?;
    let fresh = rows_of_the_log(&config, &opened).await?;
    let failed = |e: &dyn std::fmt::Display| Failure::failed(e);
    let engine = Engine::new(Arc::clone(&opened.lake), fresh, opened.env.clone(), config.query.clone())
        .map_err(|e| Failure::usage(chain(&e)))?;
    let runtime = tokio::runtime::Handle::current();
    // For the table functions `promql` and `logql`.
    PromqlEngine::new(Arc::clone(&engine), config.promql.clone(), runtime.clone()).map_err(|e| Failure::usage(chain(&e)))?;
    LogqlEngine::new(Arc::clone(&engine), config.logql.clone(), runtime.clone()).map_err(|e| Failure::usage(chain(&e)))?;
    let sql = SqlEngine::new(engine, config.sql.clone(), runtime).map_err(|e| Failure::usage(chain(&e)))?;
    let request = SqlRequest { text: args.statement, ..SqlRequest::default() };
    let mut rows = sql.execute(&tenant, request).await.map_err(|e| failed(&e))?;
    let mut encoder = Encoder::new(args.format.of_sql(), rows.schema()).map_err(|e| failed(&e))?;
    while let Some(batch) = rows.next().await {
        print(&encoder.encode(&batch.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?)?;
    }
    print(&encoder.finish(Some(&rows.stats())).map_err(|e| failed(&e))?)
}

/// What the folder's log holds beyond the files; nothing when there is no log here.
async fn rows_of_the_log(config: &Config, opened: &Opened) -> Result<Arc<dyn FreshRows>, Failure> {
    let dir = opened::wal_dir(config);
    let snapshot = opened.catalog.snapshot();
    let replayed = tokio::task::spawn_blocking(move || {
        ingest::wal::replay_readonly(&dir, |writer| snapshot.mark(writer).map_or(0, |mark| mark.committed))
    });
    match replayed.await.map_err(Failure::failed)? {
        Ok(Some(rows)) => Ok(Arc::new(rows)),
        Ok(None) => Ok(Arc::new(NoFreshRows)),
        Err(ingest::Error::Locked { .. }) => Err(Failure::surroundings(format!(
            "a node runs on {}; ask it with --server URL (by default {LOCAL_SERVER})",
            config.data.display()
        ))),
        Err(error) => Err(Failure::surroundings(chain(&error))),
    }
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(bytes) {
        // Whoever reads has seen enough, as `head` does.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.map_err(|e| Failure::failed(format!("cannot write to standard output: {e}"))),
    }
}

/// The name under which SQL knows the format.
impl crate::cli::RowFormat {
    fn of_sql(self) -> Format {
        match self {
            Self::Table => Format::Pretty,
            Self::Json => Format::Json,
            Self::Jsonl => Format::JsonLines,
            Self::Csv => Format::Csv,
            Self::Markdown => Format::Markdown,
            Self::Arrow => Format::Arrow,
            Self::Parquet => Format::Parquet,
        }
    }
}
