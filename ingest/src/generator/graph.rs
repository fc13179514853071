//! Who calls whom: the span of a client and the server's span below it are one request.
//!
//! ```text
//! client or producer ─ (trace, own id) ────┐                    ┌► both sides: an edge
//! server or consumer ─ (trace, parent id) ─┴─► [edges] waiting ─┼► a client that names its peer: a virtual server
//!   │ no parent ─────► at once: a virtual client, `user`        └► neither, after `wait`: unpaired, counted
//!   └ client of a database ─► at once: the database
//! ```
//! Rules are Tempo's; where its answer depends on the order in which spans come, ours is the one that does not:
//! - An edge is one of messages if either side says so, and failed if either side failed.
//! - A span whose side is taken already counts as unpaired; Tempo lets the later one win.
//! - A span of a database's client is an edge of its own, whatever spans lie below it. Its latency is that of both sides.
//! - A root span of a server needs no wait: nothing can come that it pairs with.
//! - A span whose resource has no `service.name` is one of `unknown_service`, as it is stored; Tempo leaves it out.

use std::sync::Arc;
use std::time::Duration;

use catalog::Timestamp;

use super::attributes::Attributes;
use super::batch::SpanBatch;
use super::config::{GeneratorConfig, ServiceGraphConfig};
use super::edges::{EdgeKey, Waiting, edge_key};
use super::entries::{Budget, Entries, Layout, Metric, Moment};
use super::labels::{LabelSet, bounded, sanitized};
use super::latency::{Bounds, Latency};
use super::resources::{Known, Resources, Wanted};
use super::spans::Source;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const STATUS_ERROR: i32 = 2;

const NS_PER_S: f64 = 1e9;
/// The client of a root span that names no peer.
const USER: &str = "user";
/// Attributes that say that a span is a database's client's.
const DATABASE: [&str; 4] = ["db.namespace", "db.name", "db.system", "db.system.name"];

/// Histograms of an edge, by their place.
const SERVER_SECONDS: usize = 0;
const CLIENT_SECONDS: usize = 1;
const MESSAGING_SECONDS: usize = 2;

/// How edges become label sets.
#[derive(Debug)]
pub(super) struct GraphPlan {
    pub(super) enabled: bool,
    wait: Duration,
    peers: Vec<String>,
    dimensions: Vec<EdgeDimension>,
    prefixed: bool,
    virtual_node_label: bool,
    messaging_latency: bool,
}

#[derive(Debug)]
struct EdgeDimension {
    source: Source,
    label: String,
    client_label: String,
    server_label: String,
}

/// The tables that a graph is counted in.
pub(super) struct GraphTables<'t> {
    pub(super) edges: &'t mut Entries,
    pub(super) unpaired: &'t mut Entries,
    pub(super) dropped: &'t mut Entries,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// A span that is one side of an edge.
#[derive(Debug)]
pub(super) struct Half {
    side: Side,
    service: Arc<str>,
    duration_ns: i64,
    /// The end of a client's span, the start of a server's.
    turn_ns: i64,
    failed: bool,
    messaging: bool,
    /// Of a client's span that waits: whom it called.
    peer: Option<Box<str>>,
    /// Values of the configured labels, empty for those it lacks.
    dimensions: Box<[Box<str>]>,
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

/// What joins two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Direct,
    Messaging,
    Database,
    /// One side sent no span: which.
    Virtual(Side),
}

/// Two nodes and what is known of the request between them.
struct Edge<'h> {
    client: &'h str,
    server: &'h str,
    connection: Connection,
    client_half: Option<&'h Half>,
    server_half: Option<&'h Half>,
}

impl GraphPlan {
    pub(super) fn new(config: &ServiceGraphConfig, wanted: &mut Wanted) -> Self {
        let names: &[String] = if config.enabled { &config.dimensions } else { &[] };
        let dimensions = names.iter().map(|name| EdgeDimension {
            source: Source::new(name, wanted),
            label: sanitized(name, &["client", "server", "connection_type", "virtual_node"]),
            client_label: sanitized(&format!("client_{name}"), &[]),
            server_label: sanitized(&format!("server_{name}"), &[]),
        });
        Self {
            enabled: config.enabled,
            wait: config.wait,
            peers: config.peer_attributes.clone(),
            dimensions: dimensions.collect(),
            prefixed: config.client_server_prefix,
            virtual_node_label: config.virtual_node_label,
            messaging_latency: config.messaging_latency,
        }
    }

    /// The metrics of edges, of unpaired spans and of dropped ones.
    pub(super) fn layouts(config: &GeneratorConfig) -> [Layout; 3] {
        let graph = &config.service_graph;
        let seconds = |name, help| (Metric { name, help }, Bounds::new(&graph.buckets, NS_PER_S), "seconds");
        let mut histograms = vec![
            seconds("traces_service_graph_request_server_seconds", "Durations of requests as the server saw them."),
            seconds("traces_service_graph_request_client_seconds", "Durations of requests as the client saw them."),
        ];
        if graph.messaging_latency {
            let name = "traces_service_graph_request_messaging_system_seconds";
            histograms.push(seconds(name, "Time between the end of a producer's span and the start of its consumer's."));
        }
        let counters = vec![
            Metric { name: "traces_service_graph_request_total", help: "Requests between two nodes." },
            Metric { name: "traces_service_graph_request_failed_total", help: "Requests between two nodes that failed." },
        ];
        let counted = |name, help| Layout::counting(vec![Metric { name, help }]);
        [
            Layout { counters, histograms, kind: config.histograms, is_info: false, points: config.exemplars },
            counted("traces_service_graph_unpaired_spans_total", "Spans whose counterpart did not come."),
            counted("traces_service_graph_dropped_spans_total", "Spans that there was no room to let wait."),
        ]
    }

    fn half(&self, batch: &SpanBatch<'_>, row: usize, kind: i32, service: Arc<str>, resource: Option<&Known>) -> Half {
        let side = if matches!(kind, CLIENT | PRODUCER) { Side::Client } else { Side::Server };
        let (start, duration_ns) = (batch.starts.value(row), batch.duration_ns(row));
        let value = |dimension: &EdgeDimension| {
            let value = dimension.source.value(resource, &batch.attributes, row, |value| bounded(value).into());
            value.unwrap_or_default()
        };
        Half {
            side,
            service,
            duration_ns,
            turn_ns: if side == Side::Client { start.saturating_add(duration_ns) } else { start },
            failed: batch.statuses.value(row) == STATUS_ERROR,
            messaging: matches!(kind, PRODUCER | CONSUMER),
            peer: None,
            dimensions: self.dimensions.iter().map(value).collect(),
            trace_id: batch.trace_id(row),
            span_id: batch.span_id(row),
        }
    }

    /// The other side by its own word.
    fn peer(&self, attributes: &Attributes<'_>, row: usize) -> Option<Box<str>> {
        self.peers.iter().find_map(|name| attributes.find(row, name)).map(|peer| bounded(&peer).into())
    }

    /// The labels of an edge.
    fn labels(&self, edge: &Edge<'_>, labels: &mut LabelSet) {
        labels.clear();
        labels.push("client", edge.client);
        labels.push("server", edge.server);
        let (connection, missing) = match edge.connection {
            Connection::Direct => ("", ""),
            Connection::Messaging => ("messaging_system", ""),
            Connection::Database => ("database", ""),
            Connection::Virtual(Side::Client) => ("virtual_node", "client"),
            Connection::Virtual(Side::Server) => ("virtual_node", "server"),
        };
        labels.push("connection_type", connection);
        if self.virtual_node_label {
            labels.push("virtual_node", missing);
        }
        for (at, dimension) in self.dimensions.iter().enumerate() {
            let of = |half: Option<&'_ Half>| half.map_or("", |half| &half.dimensions[at]).to_owned();
            let (client, server) = (of(edge.client_half), of(edge.server_half));
            if self.prefixed {
                labels.push(&dimension.client_label, &client);
                labels.push(&dimension.server_label, &server);
            } else {
                labels.push(&dimension.label, if server.is_empty() { &client } else { &server });
            }
        }
    }
}

/// The node of the database that a client's span asks; `None` if it asks none.
fn database(attributes: &Attributes<'_>, row: usize) -> Option<Box<str>> {
    if !attributes.any(row, |name| name.starts_with("db.")) {
        return None;
    }
    let name = DATABASE.iter().find_map(|name| attributes.find(row, name))?;
    let find = |name: &str| attributes.find(row, name);
    if let Some(node) = find("peer.service").or_else(|| find("server.address")) {
        return Some(bounded(&node).into());
    }
    if let Some(address) = find("network.peer.address") {
        let node = find("network.peer.port").map_or_else(|| address.to_string(), |port| format!("{address}:{port}"));
        return Some(bounded(&node).into());
    }
    Some(bounded(&name).into())
}

/// The graph of one tenant.
pub(super) struct Graph<'t> {
    pub(super) plan: &'t GraphPlan,
    pub(super) waiting: &'t mut Waiting<Half>,
    pub(super) tables: GraphTables<'t>,
    pub(super) budget: &'t mut Budget,
    pub(super) moment: Moment,
    pub(super) now: Timestamp,
    /// Of the edge at hand.
    pub(super) labels: LabelSet,
}

impl Graph<'_> {
    /// Takes every span of `batch` that may be one side of an edge.
    pub(super) fn count(&mut self, batch: &SpanBatch<'_>, resources: &mut Resources) {
        self.expire();
        let mut services: hashbrown::HashMap<i32, Arc<str>> = hashbrown::HashMap::new();
        let wants_resource = !self.plan.dimensions.is_empty();
        for (row, &kind) in batch.kinds.values().iter().enumerate() {
            if !matches!(kind, SERVER | CLIENT | PRODUCER | CONSUMER) {
                continue;
            }
            let service = services.entry(batch.services.key(row)).or_insert_with(|| bounded(batch.services.get(row)).into());
            let resource = if wants_resource { resources.get(batch.resources.value(row)) } else { None };
            let half = self.plan.half(batch, row, kind, Arc::clone(service), resource.as_deref());
            let plan = self.plan;
            // Only who is left alone is asked for its peer.
            let peer = || plan.peer(&batch.attributes, row);
            match half.side {
                Side::Client => match database(&batch.attributes, row) {
                    Some(node) => self.database(&half, &node),
                    None => self.pair(edge_key(half.trace_id, half.span_id), half, peer),
                },
                Side::Server => match batch.parent_id(row) {
                    Some(parent) => self.pair(edge_key(half.trace_id, parent), half, || None),
                    None => self.root(&half, peer()),
                },
            }
        }
    }

    /// Gives up on halves that waited long enough.
    pub(super) fn expire(&mut self) {
        let until = self.now.saturating_sub(self.plan.wait);
        while let Some(half) = self.waiting.expired(until) {
            match (half.side, &half.peer) {
                (Side::Client, Some(peer)) => {
                    let connection = Connection::Virtual(Side::Server);
                    let (client, server) = (half.service.as_ref(), peer.as_ref());
                    self.edge(&Edge { client, server, connection, client_half: Some(&half), server_half: None });
                }
                _ => self.unpaired(&half),
            }
        }
    }

    fn pair(&mut self, key: EdgeKey, mut half: Half, peer: impl FnOnce() -> Option<Box<str>>) {
        match self.waiting.get(&key).map(|waiting| waiting.side) {
            Some(side) if side == half.side => self.unpaired(&half),
            Some(_) => {
                let Some(other) = self.waiting.take(&key) else { return };
                let (client, server) = if half.side == Side::Client { (&half, &other) } else { (&other, &half) };
                let connection = if half.messaging || other.messaging { Connection::Messaging } else { Connection::Direct };
                self.edge(&Edge {
                    client: &client.service,
                    server: &server.service,
                    connection,
                    client_half: Some(client),
                    server_half: Some(server),
                });
            }
            None => {
                half.peer = peer();
                if let Err(half) = self.waiting.insert(key, self.now, half) {
                    metrics::counter!("telelake_generator_dropped_spans_total", "reason" => "edges").increment(1);
                    Self::alone(&half, self.tables.dropped, self.budget, self.moment);
                }
            }
        }
    }

    fn database(&mut self, half: &Half, node: &str) {
        let connection = Connection::Database;
        self.edge(&Edge { client: &half.service, server: node, connection, client_half: Some(half), server_half: None });
    }

    fn root(&mut self, half: &Half, peer: Option<Box<str>>) {
        let connection = Connection::Virtual(Side::Client);
        let client = peer.as_deref().unwrap_or(USER);
        self.edge(&Edge { client, server: &half.service, connection, client_half: None, server_half: Some(half) });
    }

    fn unpaired(&mut self, half: &Half) {
        Self::alone(half, self.tables.unpaired, self.budget, self.moment);
    }

    /// Counts a span that is no part of an edge under its own node.
    fn alone(half: &Half, table: &mut Entries, budget: &mut Budget, moment: Moment) {
        let mut labels = LabelSet::default();
        labels.push(if half.side == Side::Client { "client" } else { "server" }, &half.service);
        let slot = table.slot(&labels, budget, moment);
        table.add_to(slot, 0, 1, moment.now_ms);
    }

    fn edge(&mut self, edge: &Edge<'_>) {
        self.plan.labels(edge, &mut self.labels);
        let table = &mut *self.tables.edges;
        let slot = table.slot(&self.labels, self.budget, self.moment);
        let failed = [edge.client_half, edge.server_half].into_iter().flatten().any(|half| half.failed);
        table.add_to(slot, 0, 1, self.moment.now_ms);
        table.add_to(slot, 1, u64::from(failed), self.moment.now_ms);
        let client = edge.client_half;
        // What a database does is seen by its client alone.
        let server = edge.server_half.or(client.filter(|_| edge.connection == Connection::Database));
        for (histogram, half) in [(SERVER_SECONDS, server), (CLIENT_SECONDS, client)] {
            match half {
                Some(half) => {
                    let Half { duration_ns, trace_id, span_id, .. } = *half;
                    table.observe(slot, histogram, &Latency { duration_ns, trace_id, span_id, at: self.now });
                }
                None => table.observe_nothing(slot, histogram, self.now),
            }
        }
        if let (true, Connection::Messaging, Some(client), Some(server)) =
            (self.plan.messaging_latency, edge.connection, edge.client_half, edge.server_half)
        {
            let duration_ns = server.turn_ns.saturating_sub(client.turn_ns);
            // Clocks that disagree measure nothing.
            if duration_ns > 0 {
                let latency = Latency { duration_ns, trace_id: server.trace_id, span_id: server.span_id, at: self.now };
                table.observe(slot, MESSAGING_SECONDS, &latency);
            }
        }
    }
}
