//! `/api/v1/status/...`: what runs here, since when, with which settings.
//!
//! Source: the status section of Prometheus `docs/querying/api.md`. A field that has no counterpart here keeps its type and has the value
//! that Prometheus has when the thing is not in use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use catalog::Timestamp;
use serde::Serialize;

use super::Api;
use super::answer::Answer;
use crate::time::format_rfc3339;

/// The API level that is spoken here. Clients choose their requests by it: from 2.24 on, Grafana asks label endpoints with `match[]`.
pub const PROMETHEUS_VERSION: &str = "3.14.0";

/// What the process knows about itself from its start on.
#[derive(Debug, Clone)]
pub struct ProcessFacts {
    /// The version of this program.
    pub version: &'static str,
    /// When it was started.
    pub started: Timestamp,
    /// Its working folder.
    pub folder: String,
    /// The name of its machine.
    pub hostname: String,
    /// Cores it may use.
    pub cores: usize,
    /// How long samples are kept; `None` for ever.
    pub retention: Option<Duration>,
    /// Settings by the names of Prometheus' flags, where there is a counterpart.
    pub flags: BTreeMap<&'static str, String>,
}

/// `5m`, `1h30m`: as Prometheus writes a length of time.
pub fn format_duration(length: Duration) -> String {
    promql::parse::format_duration(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo {
    version: &'static str,
    /// Says whose program it is: `version` is the one of the API.
    revision: String,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

/// No `features` among them: with these, Grafana would take us for Mimir and look for its ruler.
pub(super) async fn build_info(State(api): State<Arc<Api>>) -> Answer {
    let revision = format!("telelake-{}", api.facts.version);
    Answer::of(&BuildInfo { version: PROMETHEUS_VERSION, revision, branch: "", build_user: "", build_date: "", go_version: "" })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo<'a> {
    start_time: String,
    #[serde(rename = "CWD")]
    cwd: &'a str,
    hostname: &'a str,
    server_time: String,
    reload_config_success: bool,
    last_config_time: String,
    corruption_count: u64,
    /// Tasks, which are what goroutines are here.
    goroutine_count: usize,
    #[serde(rename = "GOMAXPROCS")]
    cores: usize,
    #[serde(rename = "GOMEMLIMIT")]
    memory_limit: i64,
    #[serde(rename = "GOGC")]
    gogc: &'static str,
    #[serde(rename = "GODEBUG")]
    godebug: &'static str,
    storage_retention: String,
}

pub(super) async fn runtime_info(State(api): State<Arc<Api>>) -> Answer {
    let facts = &api.facts;
    Answer::of(&RuntimeInfo {
        start_time: format_rfc3339(facts.started),
        cwd: &facts.folder,
        hostname: &facts.hostname,
        server_time: format_rfc3339(api.env.now()),
        reload_config_success: true,
        last_config_time: format_rfc3339(facts.started),
        corruption_count: 0,
        goroutine_count: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        cores: facts.cores,
        memory_limit: i64::MAX,
        gogc: "",
        godebug: "",
        storage_retention: facts.retention.map_or_else(String::new, format_duration),
    })
}

pub(super) async fn flags(State(api): State<Arc<Api>>) -> Answer {
    Answer::of(&api.facts.flags)
}

/// Nothing is scraped here and no rules are loaded, which is what a Prometheus with an empty file says.
pub(super) async fn config() -> Answer {
    Answer::of(&BTreeMap::from([("yaml", "global: {}\n")]))
}

/// A node that answers has replayed its log.
pub(super) async fn wal_replay() -> Answer {
    Answer::of(&BTreeMap::from([("min", 0), ("max", 0), ("current", 0)]))
}
