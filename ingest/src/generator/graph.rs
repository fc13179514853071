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
//! - An edge counts as often as the side that stands for more spans; Tempo takes what came last.
//! - A span that no policy admits takes the other side of its edge with it, whichever comes first, for as long as spans wait.
//! - A span whose resource has no `service.name` is one of `unknown_service`, as it is stored; Tempo leaves it out.

mod plan;

use std::sync::Arc;

use catalog::Timestamp;

use super::batch::SpanBatch;
use super::edges::{EdgeKey, Waiting, edge_key};
use super::entries::{Budget, Entries, Moment};
use super::labels::{LabelSet, bounded};
use super::latency::Latency;
use super::resources::Resources;

pub(super) use plan::GraphPlan;

const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;
const STATUS_ERROR: i32 = 2;

/// The client of a root span that names no peer.
const USER: &str = "user";
/// Histograms of an edge, by their place.
const SERVER_SECONDS: usize = 0;
const CLIENT_SECONDS: usize = 1;
const MESSAGING_SECONDS: usize = 2;

/// The tables that a graph is counted in.
pub(super) struct GraphTables<'t> {
    pub(super) edges: &'t mut Entries,
    pub(super) unpaired: &'t mut Entries,
    pub(super) dropped: &'t mut Entries,
    pub(super) connections: &'t mut Entries,
}

/// One of the two spans of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    fn of(kind: i32) -> Self {
        if matches!(kind, CLIENT | PRODUCER) { Self::Client } else { Self::Server }
    }
}

/// A span that is one side of an edge.
#[derive(Debug)]
pub(super) struct Half {
    side: Side,
    service: Arc<str>,
    duration_ns: i64,
    /// For how many spans it stands.
    weight: f64,
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

/// The graph of one tenant.
pub(super) struct Graph<'t> {
    pub(super) plan: &'t GraphPlan,
    pub(super) waiting: &'t mut Waiting<Half>,
    /// Sides that no policy admitted.
    pub(super) left_out: &'t mut Waiting<Side>,
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
        let plan = self.plan;
        let wants_resource = plan.wants_resource();
        for (row, &kind) in batch.kinds.values().iter().enumerate() {
            if !matches!(kind, SERVER | CLIENT | PRODUCER | CONSUMER) {
                continue;
            }
            let resource = if wants_resource { resources.get(batch.resources.value(row)) } else { None };
            if !plan.filter.is_empty() && !plan.filter.admits(batch, row, resource.as_deref()) {
                self.leave_out(batch, row, Side::of(kind));
                continue;
            }
            let service = services.entry(batch.services.key(row)).or_insert_with(|| bounded(batch.services.get(row)).into());
            let half = plan.half(batch, (row, kind), Arc::clone(service), resource.as_deref());
            // Only who is left alone is asked for its peer.
            let peer = || plan.peer(&batch.attributes, row);
            match half.side {
                Side::Client => match plan.database(&batch.attributes, row) {
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
        while self.left_out.expired(until).is_some() {}
    }

    /// Remembers that this side of an edge is not counted, and forgets the other one.
    fn leave_out(&mut self, batch: &SpanBatch<'_>, row: usize, side: Side) {
        metrics::counter!("telelake_generator_filtered_spans_total", "of" => "service_graph").increment(1);
        let id = if side == Side::Client { Some(batch.span_id(row)) } else { batch.parent_id(row) };
        let Some(key) = id.map(|id| edge_key(batch.trace_id(row), id)) else { return };
        if self.waiting.get(&key).is_some_and(|half| half.side != side) {
            self.waiting.take(&key);
            Self::left_alone();
        }
        if self.left_out.get(&key).is_none() && self.left_out.insert(key, self.now, side).is_err() {
            metrics::counter!("telelake_generator_dropped_spans_total", "reason" => "left_out").increment(1);
        }
    }

    /// A side is not counted because the other one is not.
    fn left_alone() {
        metrics::counter!("telelake_generator_dropped_spans_total", "reason" => "filtered").increment(1);
    }

    fn pair(&mut self, key: EdgeKey, mut half: Half, peer: impl FnOnce() -> Option<Box<str>>) {
        if self.left_out.get(&key).is_some_and(|side| *side != half.side) {
            Self::left_alone();
            return;
        }
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
        table.touch(slot, moment.now_ms);
        table.add_to(slot, 0, 1.0);
    }

    fn edge(&mut self, edge: &Edge<'_>) {
        self.plan.labels(edge, &mut self.labels);
        if self.plan.connection_info {
            let table = &mut *self.tables.connections;
            let slot = table.slot(&self.labels, self.budget, self.moment);
            table.set_info(slot, self.moment.now_ms);
        }
        if !self.plan.requests && !self.plan.latency {
            return;
        }
        let table = &mut *self.tables.edges;
        let slot = table.slot(&self.labels, self.budget, self.moment);
        table.touch(slot, self.moment.now_ms);
        let halves = || [edge.client_half, edge.server_half].into_iter().flatten();
        let weight = halves().map(|half| half.weight).fold(0.0, f64::max);
        if self.plan.requests {
            table.add_to(slot, 0, weight);
            table.add_to(slot, 1, if halves().any(|half| half.failed) { weight } else { 0.0 });
        }
        if self.plan.latency {
            self.latency(slot, edge, weight);
        }
    }

    /// Measures an edge that counts `weight` times.
    fn latency(&mut self, slot: u32, edge: &Edge<'_>, weight: f64) {
        let table = &mut *self.tables.edges;
        let client = edge.client_half;
        // What a database does is seen by its client alone.
        let server = edge.server_half.or(client.filter(|_| edge.connection == Connection::Database));
        for (histogram, half) in [(SERVER_SECONDS, server), (CLIENT_SECONDS, client)] {
            match half {
                Some(half) => {
                    let Half { duration_ns, trace_id, span_id, .. } = *half;
                    table.observe(slot, histogram, &Latency { duration_ns, weight, trace_id, span_id, at: self.now });
                }
                None => table.observe_nothing(slot, histogram, weight, self.now),
            }
        }
        if let (true, Connection::Messaging, Some(client), Some(server)) =
            (self.plan.messaging_latency, edge.connection, edge.client_half, edge.server_half)
        {
            let duration_ns = server.turn_ns.saturating_sub(client.turn_ns);
            // Clocks that disagree measure nothing.
            if duration_ns > 0 {
                let Half { trace_id, span_id, .. } = *server;
                table.observe(slot, MESSAGING_SECONDS, &Latency { duration_ns, weight, trace_id, span_id, at: self.now });
            }
        }
    }
}
