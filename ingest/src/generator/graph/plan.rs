//! How edges become label sets: the settings of the graph, worked out.

use std::sync::Arc;
use std::time::Duration;

use super::{CONSUMER, Connection, Edge, Half, PRODUCER, STATUS_ERROR, Side};
use crate::generator::attributes::Attributes;
use crate::generator::batch::SpanBatch;
use crate::generator::config::{GeneratorConfig, ServiceGraphConfig};
use crate::generator::entries::{Layout, Metric};
use crate::generator::labels::{LabelSet, bounded, sanitized};
use crate::generator::latency::Bounds;
use crate::generator::policy::Filter;
use crate::generator::resources::{Known, Wanted};
use crate::generator::spans::Source;
use crate::generator::weight::Weights;

const NS_PER_S: f64 = 1e9;

/// How edges become label sets.
#[derive(Debug)]
pub(in crate::generator) struct GraphPlan {
    pub(in crate::generator) enabled: bool,
    pub(super) wait: Duration,
    /// Which metrics an edge has.
    pub(super) requests: bool,
    pub(super) latency: bool,
    pub(super) connection_info: bool,
    pub(super) messaging_latency: bool,
    pub(super) filter: Filter,
    weights: Weights,
    peers: Vec<String>,
    databases: Vec<String>,
    dimensions: Vec<EdgeDimension>,
    prefixed: bool,
    virtual_node_label: bool,
}

#[derive(Debug)]
struct EdgeDimension {
    source: Source,
    label: String,
    client_label: String,
    server_label: String,
}

impl GraphPlan {
    pub(in crate::generator) fn new(config: &ServiceGraphConfig, wanted: &mut Wanted) -> Self {
        let names: &[String] = if config.enabled { &config.dimensions } else { &[] };
        let dimensions = names.iter().map(|name| EdgeDimension {
            source: Source::new(name, wanted),
            label: sanitized(name, &["client", "server", "connection_type", "virtual_node"]),
            client_label: sanitized(&format!("client_{name}"), &[]),
            server_label: sanitized(&format!("server_{name}"), &[]),
        });
        let dimensions = dimensions.collect();
        Self {
            enabled: config.enabled,
            wait: config.wait,
            requests: config.requests,
            latency: config.latency,
            connection_info: config.connection_info,
            messaging_latency: config.messaging_latency,
            filter: Filter::new(if config.enabled { &config.filter_policies } else { &[] }, wanted),
            weights: Weights::new(
                if config.enabled { &config.span_multiplier_key } else { "" },
                config.tracestate_span_multiplier,
                wanted,
            ),
            peers: config.peer_attributes.clone(),
            databases: config.database_name_attributes.clone(),
            dimensions,
            prefixed: config.client_server_prefix,
            virtual_node_label: config.virtual_node_label,
        }
    }

    /// The metrics of edges, of unpaired spans, of dropped ones, and of edges again as infos.
    pub(in crate::generator) fn layouts(config: &GeneratorConfig) -> [Layout; 4] {
        let graph = &config.service_graph;
        let seconds = |name, help| (Metric::new(name, help), Bounds::new(&graph.buckets, NS_PER_S), "seconds");
        let mut histograms = vec![
            seconds("traces_service_graph_request_server_seconds", "Durations of requests as the server saw them."),
            seconds("traces_service_graph_request_client_seconds", "Durations of requests as the client saw them."),
        ];
        if graph.messaging_latency {
            let name = "traces_service_graph_request_messaging_system_seconds";
            histograms.push(seconds(name, "Time between the end of a producer's span and the start of its consumer's."));
        }
        let counters = vec![
            Metric::new("traces_service_graph_request_total", "Requests between two nodes."),
            Metric::new("traces_service_graph_request_failed_total", "Requests between two nodes that failed."),
        ];
        let counted = |name, help| Layout::counting(vec![Metric::new(name, help)]);
        let info = counted("traces_service_graph_connection_info", "Nodes between which there are requests.");
        [
            Layout {
                counters: if graph.requests { counters } else { Vec::new() },
                histograms: if graph.latency { histograms } else { Vec::new() },
                kind: config.histograms,
                is_info: false,
                points: config.exemplars,
                weighted: graph.is_weighted(),
            },
            counted("traces_service_graph_unpaired_spans_total", "Spans whose counterpart did not come."),
            counted("traces_service_graph_dropped_spans_total", "Spans that there was no room to let wait."),
            Layout { is_info: true, ..info },
        ]
    }

    /// Whether resources are asked.
    pub(super) fn wants_resource(&self) -> bool {
        !self.dimensions.is_empty() || self.filter.wants_resource() || self.weights.wants_resource()
    }

    /// The span in `row` as one side.
    pub(super) fn half(
        &self,
        batch: &SpanBatch<'_>,
        (row, kind): (usize, i32),
        service: Arc<str>,
        resource: Option<&Known>,
    ) -> Half {
        let side = Side::of(kind);
        let (start, duration_ns) = (batch.starts.value(row), batch.duration_ns(row));
        let value = |dimension: &EdgeDimension| {
            let value = dimension.source.value(resource, &batch.attributes, row, |value| bounded(value).into());
            value.unwrap_or_default()
        };
        Half {
            side,
            service,
            duration_ns,
            weight: if self.weights.is_one() { 1.0 } else { self.weights.of(batch, row, resource) },
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
    pub(super) fn peer(&self, attributes: &Attributes<'_>, row: usize) -> Option<Box<str>> {
        self.peers.iter().find_map(|name| attributes.find(row, name)).map(|peer| bounded(&peer).into())
    }

    /// The node of the database that a client's span asks; `None` if it asks none.
    pub(super) fn database(&self, attributes: &Attributes<'_>, row: usize) -> Option<Box<str>> {
        if !attributes.any(row, |name| self.databases.iter().any(|database| database == name)) {
            return None;
        }
        let name = self.databases.iter().find_map(|name| attributes.find(row, name))?;
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

    /// The labels of an edge.
    pub(super) fn labels(&self, edge: &Edge<'_>, labels: &mut LabelSet) {
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
