//! Flight and Flight SQL, call by call, over a lake in memory.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../query/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::sql::{SqlConfig, SqlEngine};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Float64Type, Int64Type, Schema};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{self, Any, ProstMessageExt};
use arrow_flight::utils::flight_data_to_batches;
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    PollInfo, Ticket,
};
use axum::{Extension, Router};
use catalog::Table;
use futures::TryStreamExt;
use proptest::prelude::*;
use prost::Message;
use serde_json::json;
use support::{World, sample, series, tenant};
use tonic::{Code, Request, Status};

type Client = FlightServiceClient<Router>;

/// Two samples of one series of tenant `a`: 1.0 and, fifteen seconds later, 2.0.
struct Server {
    world: World,
    engine: Arc<SqlEngine>,
    routes: Router,
}

impl Server {
    async fn with(config: SqlConfig) -> Self {
        let world = World::new().await;
        let a = tenant("a");
        world.commit(&a, Table::Series, json!([series("up", 1, json!({"job": "api"}))])).await;
        world.commit(&a, Table::Samples, json!([sample("up", 1, 0, 1.0), sample("up", 1, 15, 2.0)])).await;
        let handle = tokio::runtime::Handle::current();
        query::promql::PromqlEngine::new(Arc::clone(&world.engine), query::promql::PromqlConfig::default(), handle.clone())
            .unwrap();
        query::logql::LogqlEngine::new(Arc::clone(&world.engine), query::logql::LogqlConfig::default(), handle.clone()).unwrap();
        let engine = SqlEngine::new(Arc::clone(&world.engine), config, handle).unwrap();
        let routes = ::sql::flight::router(Arc::clone(&engine), [7; 32]);
        Self { world, engine, routes }
    }

    async fn new() -> Self {
        Self::with(SqlConfig::default()).await
    }

    /// Waits until nothing runs and nothing is held.
    async fn is_idle(&self) {
        let gone = async {
            while self.engine.running() > 0 || self.world.engine.memory_used() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("work stops when the client leaves");
    }

    fn of(&self, name: &str) -> Client {
        FlightServiceClient::new(self.routes.clone().layer(Extension(tenant(name))))
    }

    fn client(&self) -> Client {
        self.of("a")
    }
}

fn with<T>(message: T, headers: &[(&'static str, &str)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn command(message: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(message.as_any().encode_to_vec())
}

fn statement(text: &str) -> FlightDescriptor {
    command(&sql::CommandStatementQuery { query: text.to_owned(), transaction_id: None })
}

async fn messages(client: &mut Client, ticket: Ticket, headers: &[(&'static str, &str)]) -> Result<Vec<FlightData>, Status> {
    client.do_get(with(ticket, headers)).await?.into_inner().try_collect().await
}

async fn get(client: &mut Client, info: &FlightInfo) -> Result<Vec<RecordBatch>, Status> {
    let mut batches = Vec::new();
    for endpoint in &info.endpoint {
        let messages = messages(client, endpoint.ticket.clone().unwrap(), &[]).await?;
        batches.extend(flight_data_to_batches(&messages).unwrap());
    }
    Ok(batches)
}

/// The answer of a statement.
async fn ask(client: &mut Client, descriptor: FlightDescriptor) -> Result<Vec<RecordBatch>, Status> {
    let info = client.get_flight_info(descriptor).await?.into_inner();
    get(client, &info).await
}

async fn refused(client: &mut Client, descriptor: FlightDescriptor, headers: &[(&'static str, &str)]) -> Status {
    let info = match client.get_flight_info(with(descriptor, headers)).await {
        Ok(info) => info.into_inner(),
        Err(status) => return status,
    };
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    messages(client, ticket, headers).await.expect_err("an error")
}

fn floats(batches: &[RecordBatch]) -> Vec<f64> {
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Float64Type>().values().to_vec()).collect()
}

async fn act<M: Message + Default>(client: &mut Client, name: &str, body: Vec<u8>) -> Result<M, Status> {
    let mut answers = client.do_action(Action::new(name, body)).await?.into_inner();
    let body = answers.message().await?.map(|answer| answer.body).unwrap_or_default();
    Ok(M::decode(body).unwrap())
}

async fn prepare(client: &mut Client, text: &str) -> Result<sql::ActionCreatePreparedStatementResult, Status> {
    let request = sql::ActionCreatePreparedStatementRequest { query: text.to_owned(), transaction_id: None };
    let any: Any = act(client, "CreatePreparedStatement", request.as_any().encode_to_vec()).await?;
    Ok(any.unpack().unwrap().unwrap())
}

/// Binds rows of values; the handle that has them.
async fn bind(client: &mut Client, handle: bytes::Bytes, values: &RecordBatch) -> Result<bytes::Bytes, Status> {
    let command = command(&sql::CommandPreparedStatementQuery { prepared_statement_handle: handle });
    let mut messages = arrow_flight::utils::batches_to_flight_data(&values.schema(), vec![values.clone()]).unwrap();
    messages[0].flight_descriptor = Some(command);
    let result = client.do_put(futures::stream::iter(messages)).await?.into_inner().message().await?.unwrap();
    let result = sql::DoPutPreparedStatementResult::decode(result.app_metadata).unwrap();
    Ok(result.prepared_statement_handle.unwrap())
}

fn prepared(handle: &bytes::Bytes) -> FlightDescriptor {
    command(&sql::CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() })
}

fn schema_of(bytes: &bytes::Bytes) -> Schema {
    Schema::try_from(&arrow_flight::SchemaResult { schema: bytes.clone() }).unwrap()
}

fn every_command() -> Vec<(&'static str, FlightDescriptor)> {
    let tables = |include_schema| sql::CommandGetTables { include_schema, ..sql::CommandGetTables::default() };
    let mut all = vec![
        ("catalogs", command(&sql::CommandGetCatalogs {})),
        ("schemas", command(&sql::CommandGetDbSchemas::default())),
        ("tables", command(&tables(false))),
        ("tables with schemas", command(&tables(true))),
        ("table types", command(&sql::CommandGetTableTypes {})),
        ("sql info", command(&sql::CommandGetSqlInfo::default())),
        ("type info", command(&sql::CommandGetXdbcTypeInfo::default())),
        ("one type", command(&sql::CommandGetXdbcTypeInfo { data_type: Some(12) })),
        ("primary keys", command(&sql::CommandGetPrimaryKeys::default())),
        ("exported keys", command(&sql::CommandGetExportedKeys::default())),
        ("imported keys", command(&sql::CommandGetImportedKeys::default())),
        ("cross reference", command(&sql::CommandGetCrossReference::default())),
        ("JSON", FlightDescriptor::new_cmd(r#"{"query": "SELECT value FROM metrics WHERE value > $1", "params": [1.5]}"#)),
        ("promql", FlightDescriptor::new_cmd(r#"{"language": "promql", "query": "up", "end": "2026-01-01T00:00:15Z"}"#)),
        ("logql", FlightDescriptor::new_cmd(r#"{"language": "logql", "query": "{a=\"b\"}", "start": 0, "end": 1}"#)),
    ];
    for table in
        ["metrics", "series", "histograms", "exemplars", "metadata", "logs", "streams", "spans", "span_events", "resources"]
    {
        all.push((table, FlightDescriptor::new_path(vec![table.to_owned()])));
    }
    for text in [
        "SELECT ts, metric, value FROM metrics ORDER BY ts",
        "SELECT 1 AS a, 'x' AS b, NULL AS c, now() AS d, 1.5 AS e, true AS f",
        "SELECT labels, labels['job'], max(ts), count(*) FROM metrics GROUP BY labels",
        "SELECT ts AS time, value FROM metrics UNION ALL SELECT NULL, 3",
        "SELECT arrow_cast('x', 'Dictionary(Int32, Utf8)') AS d, arrow_cast('y', 'LargeUtf8') AS l, make_array('z') AS a",
        "SELECT json_get('{\"a\": 1}', 'a') AS j",
        "SELECT sum(value) OVER (ORDER BY ts) FROM metrics",
        "SHOW TABLES",
        "SHOW COLUMNS FROM metrics",
        "DESCRIBE spans",
        "EXPLAIN SELECT * FROM metrics",
        "EXPLAIN ANALYZE SELECT * FROM metrics",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM system.files",
        "SELECT * FROM metrics WHERE false",
    ] {
        all.push((text, statement(text)));
    }
    all
}

#[tokio::test]
async fn the_schema_of_a_flight_is_that_of_its_stream() {
    let server = Server::new().await;
    let mut client = server.client();
    for (name, descriptor) in every_command() {
        let info = client.get_flight_info(descriptor.clone()).await.unwrap_or_else(|e| panic!("{name}: {e}")).into_inner();
        let promised = schema_of(&info.schema);
        let got = schema_of(&client.get_schema(descriptor.clone()).await.unwrap().into_inner().schema);
        assert_eq!(promised, got, "{name}: GetSchema");
        let polled: PollInfo = client.poll_flight_info(descriptor).await.unwrap().into_inner();
        assert!(polled.flight_descriptor.is_none() && polled.progress == Some(1.0), "{name}: nothing to wait for");
        assert_eq!(schema_of(&polled.info.unwrap().schema), promised, "{name}: PollFlightInfo");
        assert_eq!(info.endpoint.len(), 1, "{name}");
        let messages =
            messages(&mut client, info.endpoint[0].ticket.clone().unwrap(), &[]).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        let streamed = Schema::try_from(&messages[0]).unwrap();
        assert_eq!(promised, streamed, "{name}: DoGet");
        for batch in flight_data_to_batches(&messages).unwrap() {
            assert_eq!(*batch.schema(), promised, "{name}");
        }
        let shown = promised.to_string();
        assert!(!["View", "Large", "Dictionary"].iter().any(|t| shown.contains(t)), "{name}: {shown}");
        assert!(!shown.contains("Millisecond") && !shown.contains("Timestamp(ms"), "{name}: times are nanoseconds: {shown}");
    }
}

#[tokio::test]
async fn tables_have_four_or_five_columns_and_filters() {
    let server = Server::new().await;
    let mut client = server.client();
    let ask_names = async |client: &mut Client, asked: sql::CommandGetTables| -> Vec<String> {
        let batches = ask(client, command(&asked)).await.unwrap();
        batches
            .iter()
            .flat_map(|b| b.column(2).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let all = sql::CommandGetTables::default();
    let public = sql::CommandGetTables { db_schema_filter_pattern: Some("public".into()), ..all.clone() };
    assert_eq!(ask_names(&mut client, public.clone()).await.len(), 10);
    let like = sql::CommandGetTables { table_name_filter_pattern: Some("span%".into()), ..all.clone() };
    assert_eq!(ask_names(&mut client, like).await, ["span_events", "spans"]);
    for kinds in [vec!["BASE TABLE", "table"], vec!["TABLE"], vec!["base table"]] {
        let kinds = kinds.into_iter().map(str::to_owned).collect();
        let asked = sql::CommandGetTables { table_types: kinds, ..public.clone() };
        assert_eq!(ask_names(&mut client, asked).await.len(), 10, "Grafana's and JDBC's words");
    }
    let asked = sql::CommandGetTables { table_types: vec!["VIEW".into()], ..all.clone() };
    assert!(ask_names(&mut client, asked).await.contains(&"columns".to_owned()), "information_schema is views");
    let asked = sql::CommandGetTables { catalog: Some("other".into()), ..all.clone() };
    assert_eq!(ask_names(&mut client, asked).await, [""; 0]);
    let asked = sql::CommandGetTables { include_schema: true, table_name_filter_pattern: Some("metrics".into()), ..public };
    let batches = ask(&mut client, command(&asked)).await.unwrap();
    let listed = schema_of(&bytes::Bytes::copy_from_slice(batches[0].column(4).as_binary::<i32>().value(0)));
    let info = client.get_flight_info(statement("SELECT * FROM metrics")).await.unwrap().into_inner();
    assert_eq!(listed, schema_of(&info.schema), "a table's schema is that of its rows");
    let flights: Vec<FlightInfo> =
        client.list_flights(arrow_flight::Criteria::default()).await.unwrap().into_inner().try_collect().await.unwrap();
    let path = |f: &FlightInfo| f.flight_descriptor.clone().unwrap().path;
    let logs = flights.iter().find(|f| path(f) == ["telelake", "public", "logs"]).expect("every table is a flight");
    let info = client.get_flight_info(FlightDescriptor::new_path(path(logs))).await.unwrap().into_inner();
    assert_eq!(info.schema, logs.schema);
}

#[tokio::test]
async fn prepared_statements_hold_their_values() {
    let server = Server::new().await;
    let mut client = server.client();
    let values = |values: Vec<(&str, ArrayRef)>| {
        RecordBatch::try_from_iter_with_nullable(values.into_iter().map(|(n, a)| (n, a, true))).unwrap()
    };
    for text in
        ["SELECT value FROM metrics WHERE value > $1 AND metric = $2", "SELECT value FROM metrics WHERE value > ? AND metric = ?"]
    {
        let made = prepare(&mut client, text).await.unwrap();
        let wanted = schema_of(&made.parameter_schema);
        let types: Vec<_> = wanted.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        assert_eq!(types, [("1", DataType::Float64), ("2", DataType::Utf8)], "{text}");
        assert_eq!(schema_of(&made.dataset_schema).field(0).data_type(), &DataType::Float64);
        let row = values(vec![("a", Arc::new(Float64Array::from(vec![1.5]))), ("b", Arc::new(StringArray::from(vec!["up"])))]);
        let handle = bind(&mut client, made.prepared_statement_handle.clone(), &row).await.unwrap();
        assert_eq!(floats(&ask(&mut client, prepared(&handle)).await.unwrap()), [2.0], "{text}");
        let row = values(vec![("a", Arc::new(Int64Array::from(vec![0]))), ("b", Arc::new(StringArray::from(vec!["up"])))]);
        let again = bind(&mut client, made.prepared_statement_handle.clone(), &row).await.unwrap();
        assert_eq!(
            floats(&ask(&mut client, prepared(&again)).await.unwrap()),
            [1.0, 2.0],
            "an integer where a float is compared"
        );
        let rows = values(vec![
            ("a", Arc::new(Float64Array::from(vec![0.0, 5.0, 1.5]))),
            ("b", Arc::new(StringArray::from(vec!["up"; 3]))),
        ]);
        let many = bind(&mut client, handle.clone(), &rows).await.unwrap();
        assert_eq!(floats(&ask(&mut client, prepared(&many)).await.unwrap()), [1.0, 2.0, 2.0], "one run for each row");
        let none = bind(&mut client, handle.clone(), &rows.slice(0, 0)).await.unwrap();
        assert_eq!(floats(&ask(&mut client, prepared(&none)).await.unwrap()), [0.0; 0]);
        let few = values(vec![("a", Arc::new(Float64Array::from(vec![0.0])))]);
        let few = bind(&mut client, handle, &few).await.unwrap();
        assert_eq!(refused(&mut client, prepared(&few), &[]).await.code(), Code::InvalidArgument);
        let close = sql::ActionClosePreparedStatementRequest { prepared_statement_handle: made.prepared_statement_handle };
        let _nothing: Empty = act(&mut client, "ClosePreparedStatement", close.as_any().encode_to_vec()).await.unwrap();
    }
    let named = prepare(&mut client, "SELECT value FROM metrics WHERE metric = $m AND value < $top").await.unwrap();
    let row = values(vec![("top", Arc::new(Int64Array::from(vec![2]))), ("$m", Arc::new(StringArray::from(vec!["up"])))]);
    let handle = bind(&mut client, named.prepared_statement_handle, &row).await.unwrap();
    assert_eq!(floats(&ask(&mut client, prepared(&handle)).await.unwrap()), [1.0]);
    let unbound = prepare(&mut client, "SELECT value FROM metrics WHERE value > ?").await.unwrap();
    assert_eq!(refused(&mut client, prepared(&unbound.prepared_statement_handle), &[]).await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn handles_are_for_their_tenant_and_their_time() {
    let server = Server::new().await;
    let (mut a, mut b) = (server.client(), server.of("b"));
    let made = prepare(&mut a, "SELECT value FROM metrics").await.unwrap();
    let info = a.get_flight_info(statement("SELECT value FROM metrics")).await.unwrap().into_inner();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let status = refused(&mut b, prepared(&made.prepared_statement_handle), &[]).await;
    assert_eq!(
        (status.code(), status.message().contains("belongs to another tenant")),
        (Code::InvalidArgument, true),
        "{status}"
    );
    assert_eq!(messages(&mut b, ticket.clone(), &[]).await.unwrap_err().code(), Code::InvalidArgument);
    let mut changed = made.prepared_statement_handle.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let status = refused(&mut a, prepared(&changed.into()), &[]).await;
    assert!(status.message().contains("was not made by this server"), "{status}");
    assert_eq!(floats(&get(&mut a, &info).await.unwrap()), [1.0, 2.0]);
    assert_eq!(floats(&get(&mut a, &info).await.unwrap()), [1.0, 2.0], "a ticket can be used again");
    server.world.advance(Duration::from_secs(2 * 3600));
    let status = messages(&mut a, ticket, &[]).await.unwrap_err();
    assert!(status.message().contains("is too old; ask for the flight again"), "{status}");
    assert_eq!(floats(&ask(&mut a, prepared(&made.prepared_statement_handle)).await.unwrap()), [1.0, 2.0]);
    server.world.advance(Duration::from_secs(24 * 3600));
    assert!(
        refused(&mut a, prepared(&made.prepared_statement_handle), &[]).await.message().contains("prepare the statement again")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_codes_and_names() {
    let server = Server::with(SqlConfig { rows_max: 100, ..SqlConfig::default() }).await;
    let mut client = server.client();
    let endless = "SELECT count(*) FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b WHERE a.value + b.value < 0";
    for (text, headers, code, named) in [
        ("SELEC 1", vec![], Code::InvalidArgument, "SELEC"),
        ("SELECT 1; SELECT 2", vec![], Code::InvalidArgument, "one statement"),
        ("INSERT INTO metrics VALUES (1)", vec![], Code::InvalidArgument, "INSERT is not allowed"),
        ("SELECT * FROM nothing", vec![], Code::NotFound, "nothing"),
        ("SELECT value FROM generate_series(1, 1000)", vec![], Code::ResourceExhausted, "limit sql.rows_max"),
        (endless, vec![("grpc-timeout", "200m")], Code::DeadlineExceeded, "0.2 s"),
        (endless, vec![("timeout", "150ms")], Code::DeadlineExceeded, "0.15 s"),
        ("SELECT 1", vec![("timeout", "soon")], Code::InvalidArgument, "timeout"),
        ("SELECT 1", vec![("x-endpoints", "0")], Code::InvalidArgument, "x-endpoints: must be from 1 to 64"),
        ("SELECT 1", vec![("x-ipc-compression", "snappy")], Code::InvalidArgument, "x-ipc-compression"),
        ("SELECT 1", vec![("x-snapshot", "999")], Code::NotFound, "999"),
        ("SELECT * FROM metrics", vec![("x-max-bytes-scanned", "1")], Code::ResourceExhausted, "limit"),
        ("SELECT 1", vec![("cookie", "telelake-session=AAAA")], Code::InvalidArgument, "telelake-session"),
    ] {
        let status = refused(&mut client, statement(text), &headers).await;
        assert_eq!((status.code(), status.message().contains(named)), (code, true), "{text} {headers:?}: {status}");
    }
    let long = format!("SELECT '{}'", "x".repeat(300 << 10));
    assert_eq!(refused(&mut client, statement(&long), &[]).await.code(), Code::ResourceExhausted);
    let substrait = command(&sql::CommandStatementSubstraitPlan::default());
    assert_eq!(refused(&mut client, substrait, &[]).await.code(), Code::Unimplemented);
    let put = async |message: &dyn Fn() -> FlightDescriptor| {
        let first = FlightData { flight_descriptor: Some(message()), ..FlightData::default() };
        server.client().do_put(futures::stream::iter([first])).await.expect_err("refused")
    };
    let ingest = put(&|| command(&sql::CommandStatementIngest::default())).await;
    assert_eq!(
        (ingest.code(), ingest.message().contains("known are create and fail")),
        (Code::InvalidArgument, true),
        "{ingest}"
    );
    let temporary = sql::CommandStatementIngest { temporary: true, ..Default::default() };
    let temporary = put(&|| command(&temporary)).await;
    assert_eq!((temporary.code(), temporary.message().contains("temporary tables are not")), (Code::Unimplemented, true));
    let update = put(&|| command(&sql::CommandStatementUpdate { query: "DELETE FROM logs".into(), transaction_id: None })).await;
    assert_eq!((update.code(), update.message().contains("DELETE is not allowed")), (Code::InvalidArgument, true), "{update}");
    let begin = client.do_action(Action::new("BeginTransaction", "")).await.expect_err("refused");
    assert_eq!(begin.code(), Code::Unimplemented);
    let mut nobody = FlightServiceClient::new(server.routes.clone());
    assert_eq!(nobody.get_flight_info(statement("SELECT 1")).await.expect_err("no tenant").code(), Code::Internal);
    let cut = client.get_flight_info(statement("SELECT value FROM generate_series(1, 1000)")).await.unwrap().into_inner();
    let cut = messages(&mut client, cut.endpoint[0].ticket.clone().unwrap(), &[("x-max-rows", "10")]).await.unwrap();
    assert_eq!(flight_data_to_batches(&cut).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    server.is_idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_share_the_rows_of_one_query() {
    let server = Server::new().await;
    let client = server.client();
    let many = with(statement("SELECT value FROM generate_series(1, 100000)"), &[("x-endpoints", "3")]);
    let info = client.clone().get_flight_info(many).await.unwrap().into_inner();
    assert_eq!(info.endpoint.len(), 3);
    let read = |at: usize| {
        let (mut client, ticket) = (client.clone(), info.endpoint[at].ticket.clone().unwrap());
        async move { messages(&mut client, ticket, &[]).await }
    };
    let parts = futures::future::try_join_all([read(2), read(0), read(1)]).await.unwrap();
    let mut values: Vec<i64> = Vec::new();
    for part in &parts {
        assert_eq!(Schema::try_from(&part[0]).unwrap(), schema_of(&info.schema));
        values.extend(
            flight_data_to_batches(part).unwrap().iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()),
        );
    }
    values.sort_unstable();
    assert_eq!(values, (1..=100_000).collect::<Vec<_>>());
    assert_eq!(read(0).await.unwrap_err().code(), Code::InvalidArgument, "its rows are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flights_end_when_cancelled_or_dropped() {
    let server = Server::new().await;
    let mut client = server.client();
    let endless = "SELECT a.value FROM generate_series(1, 9000000) a, generate_series(1, 9000000) b";
    let info = client.get_flight_info(statement(endless)).await.unwrap().into_inner();
    let cancel = async |client: &mut Client, info: &FlightInfo| -> i32 {
        let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec();
        act::<CancelFlightInfoResult>(client, "CancelFlightInfo", body).await.unwrap().status
    };
    assert_eq!(cancel(&mut client, &info).await, 3, "nothing runs yet");
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    assert_eq!(cancel(&mut server.of("b"), &info).await, 3, "another tenant's flight is not there");
    assert_eq!(cancel(&mut client, &info).await, 1);
    let status = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an error was expected"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), status.message()), (Code::Cancelled, "query was cancelled"));
    let query = sql::ActionCancelQueryRequest { info: info.encode_to_vec().into() };
    let any: Any = act(&mut client, "CancelQuery", query.as_any().encode_to_vec()).await.unwrap();
    assert_eq!(any.unpack::<sql::ActionCancelQueryResult>().unwrap().unwrap().result, 3);
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    drop(stream);
    let shared = client.get_flight_info(with(statement(endless), &[("x-endpoints", "2")])).await.unwrap().into_inner();
    assert_eq!(cancel(&mut client, &shared).await, 1, "it has not begun, and will not");
    assert_eq!(
        messages(&mut client, shared.endpoint[0].ticket.clone().unwrap(), &[]).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    server.is_idle().await;
}

/// `string key = 1; OptionValue value = 2` of a map entry, by hand: what a client of another making sends.
fn set_schema(schema: &str) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag << 3 | 2, bytes.len() as u8], bytes].concat();
    field(1, &[field(1, b"schema"), field(2, &field(1, schema.as_bytes()))].concat())
}

#[tokio::test]
async fn a_session_is_a_cookie() {
    let server = Server::new().await;
    let mut client = server.client();
    let answer = client.do_action(Action::new("SetSessionOptions", set_schema("system"))).await.unwrap();
    let cookie = answer.metadata().get("set-cookie").unwrap().to_str().unwrap().to_owned();
    assert_eq!(answer.into_inner().message().await.unwrap().unwrap().body, "", "no errors");
    assert_eq!(refused(&mut client, statement("SELECT * FROM files"), &[]).await.code(), Code::NotFound);
    let headers = [("cookie", cookie.as_str())];
    let info = client.get_flight_info(with(statement("SELECT * FROM files"), &headers)).await.unwrap().into_inner();
    assert!(!get(&mut client, &info).await.unwrap().is_empty(), "the ticket knows the session");
    let told = client.do_action(with(Action::new("GetSessionOptions", ""), &headers)).await.unwrap();
    let told = told.into_inner().message().await.unwrap().unwrap().body;
    assert!(told.windows(6).any(|w| w == b"system") && told.windows(8).any(|w| w == b"telelake"), "{told:?}");
    let refused = client.do_action(Action::new("SetSessionOptions", set_schema("nowhere"))).await.unwrap();
    let body = refused.into_inner().message().await.unwrap().unwrap().body;
    assert!(body.ends_with(&[8, 2]), "INVALID_VALUE: {body:?}");
    let closed = client.do_action(with(Action::new("CloseSession", ""), &headers)).await.unwrap();
    assert!(closed.metadata().get("set-cookie").unwrap().to_str().unwrap().ends_with("Max-Age=0"));
    let actions: Vec<_> = client.list_actions(Empty {}).await.unwrap().into_inner().try_collect().await.unwrap();
    assert_eq!(actions.len(), 7);
}

#[tokio::test]
async fn a_password_becomes_a_bearer_token() {
    let server = Server::new().await;
    for (presented, expected) in [
        ("Basic dXNlcjpzZWNyZXQ=", "Bearer secret"),
        ("Basic OnNlY3JldA==", "Bearer secret"), // no user
        ("Basic OnNlY3JldA", "Bearer secret"),   // Go's base64 has no padding
        ("basic dTpwOnE=", "Bearer p:q"),
        ("Bearer token", "Bearer token"),
        ("Basic dXNlcjo=", "Bearer anonymous"),
        ("", "Bearer anonymous"),
    ] {
        let headers = [("authorization", presented)];
        let request =
            with(futures::stream::iter([HandshakeRequest::default()]), if presented.is_empty() { &[] } else { &headers });
        let answer = server.client().handshake(request).await.unwrap();
        assert_eq!(answer.metadata().get("authorization").unwrap(), expected, "{presented}");
        assert_eq!(answer.into_inner().message().await.unwrap().unwrap().payload, expected);
    }
    let request = with(futures::stream::iter([HandshakeRequest::default()]), &[("authorization", "Basic ?")]);
    assert_eq!(server.client().handshake(request).await.expect_err("no base64").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn infos_are_told_by_number() {
    let server = Server::new().await;
    let mut client = server.client();
    let all = ask(&mut client, command(&sql::CommandGetSqlInfo::default())).await.unwrap();
    let mut kinds: HashMap<u32, i8> = HashMap::new();
    for batch in &all {
        let values = batch.column(1).as_union();
        assert!(values.is_dense());
        let names = batch.column(0).as_primitive::<arrow::datatypes::UInt32Type>();
        kinds.extend((0..batch.num_rows()).map(|row| (names.value(row), values.type_id(row))));
    }
    // text, bool, bigint, int32 bitmask, list of text, map: as the protocol says, info by info.
    for (info, kind) in
        [(0, 0), (3, 1), (8, 3), (9, 1), (100, 3), (501, 1), (503, 3), (504, 0), (508, 4), (517, 5), (557, 2), (574, 1)]
    {
        assert_eq!(kinds.get(&info), Some(&kind), "SqlInfo {info}");
    }
    let one = ask(&mut client, command(&sql::CommandGetSqlInfo { info: vec![8] })).await.unwrap();
    assert_eq!(one.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    // Read only no more: tables of users are ingested in bulk, without transactions.
    for (info, expected) in [(3, false), (4, true), (5, false), (9, true), (10, true), (11, false)] {
        let told = ask(&mut client, command(&sql::CommandGetSqlInfo { info: vec![info] })).await.unwrap();
        assert_eq!(told[0].column(1).as_union().value(0).as_boolean().value(0), expected, "SqlInfo {info}");
    }
    let unknown = ask(&mut client, command(&sql::CommandGetSqlInfo { info: vec![99_999] })).await.unwrap();
    assert_eq!(unknown.iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
    let types = ask(&mut client, command(&sql::CommandGetXdbcTypeInfo { data_type: Some(12) })).await.unwrap();
    assert_eq!(types[0].column(0).as_string::<i32>().value(0), "VARCHAR");
}

#[tokio::test]
async fn compressed_messages_are_for_who_asks() {
    let server = Server::new().await;
    let mut client = server.client();
    let info = client
        .get_flight_info(statement("SELECT repeat('x', 1000) AS t FROM generate_series(1, 1000)"))
        .await
        .unwrap()
        .into_inner();
    let mut sizes = Vec::new();
    for how in ["none", "lz4", "zstd"] {
        let messages =
            messages(&mut client, info.endpoint[0].ticket.clone().unwrap(), &[("x-ipc-compression", how)]).await.unwrap();
        assert_eq!(flight_data_to_batches(&messages).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 1000, "{how}");
        sizes.push(messages.iter().map(|m| m.data_body.len()).sum::<usize>());
    }
    assert!(sizes[0] > 10 * sizes[1] && sizes[0] > 10 * sizes[2], "{sizes:?}");
}

fn any_values() -> impl Strategy<Value = Vec<FlightData>> {
    let row = RecordBatch::try_from_iter([
        ("a", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("b", Arc::new(StringArray::from(vec![Some("x"), None]))),
        ("c", Arc::new(BooleanArray::from(vec![None, Some(true)]))),
        ("d", Arc::new(TimestampNanosecondArray::from(vec![1, 2]))),
    ])
    .unwrap();
    let good = arrow_flight::utils::batches_to_flight_data(&row.schema(), vec![row.clone(), row]).unwrap();
    assert!(
        !futures::executor::block_on(::sql::flight::bound::receive(futures::stream::iter(good.clone().into_iter().map(Ok))))
            .unwrap()
            .is_empty()
    );
    let flips = proptest::collection::vec((any::<usize>(), any::<bool>(), any::<usize>(), any::<u8>()), 0..6);
    flips.prop_map(move |flips| {
        let mut messages = good.clone();
        for (message, header, at, value) in flips {
            let message = message % messages.len();
            let message = &mut messages[message];
            let part = if header { &mut message.data_header } else { &mut message.data_body };
            let mut bytes = part.to_vec();
            let length = bytes.len();
            match bytes.get_mut(at % length.max(1)) {
                Some(byte) if value > 8 => *byte = value,
                _ => bytes.truncate(at % length.max(1)),
            }
            *part = bytes.into();
        }
        messages
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn values_never_panic(messages in any_values()) {
        let read = ::sql::flight::bound::receive(futures::stream::iter(messages.into_iter().map(Ok)));
        if let Ok(values) = futures::executor::block_on(read) {
            prop_assert!(values.len() <= 1 << 20);
        }
    }

    #[test]
    fn json_questions_never_panic(text in r#"\{("(language|query|start|end|step|params|x)": ?("(sql|promql|logql|'?[a-z{}]{0,4})"|[0-9.e]{1,9}|null|\[1?\]),? ?){0,6}\}?"#) {
        if let Ok(sql) = ::sql::flight::plain::sql_of(text.as_bytes()) {
            prop_assert!(sql.len() <= 4 * text.len() + 64);
        }
    }
}

#[tokio::test]
async fn any_bytes_are_a_question_or_an_error() {
    let server = Server::new().await;
    let mut client = server.client();
    let mut seed = 1u64;
    for _ in 0..500 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = match seed >> 33 & 3 {
            0 => every_command()[(seed >> 40) as usize % 12].1.cmd.to_vec(),
            1 => statement("SELECT 1").cmd.to_vec(),
            2 => prepared(&b"0123456789012345678901234567890123456789"[..].into()).cmd.to_vec(),
            _ => seed.to_le_bytes().to_vec(),
        };
        let at = (seed >> 20) as usize % bytes.len();
        bytes[at] ^= (seed >> 12) as u8;
        let infos = client.get_flight_info(FlightDescriptor::new_cmd(bytes.clone())).await;
        let gets = client.do_get(Ticket::new(bytes.clone())).await;
        let acts = client.do_action(Action::new("CreatePreparedStatement", bytes)).await;
        for status in [infos.err(), gets.err(), acts.err()].into_iter().flatten() {
            assert!(!matches!(status.code(), Code::Internal | Code::Unknown), "{status}");
        }
    }
}
