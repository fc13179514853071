//! What is counted for one tenant, and how: everything behind one lock.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::Timestamp;

use super::batch::SpanBatch;
use super::config::GeneratorConfig;
use super::edges::Waiting;
use super::entries::{Budget, Entries, Layout, Metric, Moment};
use super::graph::{Graph, GraphPlan, GraphTables, Half, Side};
use super::hosts;
use super::labels::LabelSet;
use super::resources::{Resources, Wanted};
use super::spans::{self, SpanPlan};
use super::write::Families;
use crate::registry::TenantSeries;

/// Places of the tables in [`Tenant::tables`]; those of the profiles follow.
const EDGES: usize = 0;
const TARGETS: usize = 4;
const HOSTS: usize = 5;
const PROFILES: usize = 6;

/// The settings, worked out: shared by all tenants.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: GeneratorConfig,
    pub(super) instance: String,
    seed: u64,
    wanted: Wanted,
    spans: SpanPlan,
    graph: GraphPlan,
    layouts: Vec<Arc<Layout>>,
}

impl Plan {
    pub(super) fn new(config: GeneratorConfig, instance: &str, seed: u64) -> Self {
        let mut wanted = Wanted::default();
        let (spans, profiles) = SpanPlan::new(&config, &mut wanted);
        let graph = GraphPlan::new(&config.service_graph, &mut wanted);
        if config.host_info.enabled {
            wanted.hosts.clone_from(&config.host_info.host_identifiers);
        }
        let targets = Metric::new("traces_target_info", "Resources of spans.");
        let targets = Layout { is_info: true, ..Layout::counting(vec![targets]) };
        let infos = [targets, hosts::layout(&config.host_info)];
        let layouts = GraphPlan::layouts(&config).into_iter().chain(infos).map(Arc::new).chain(profiles).collect();
        Self { config, instance: instance.to_owned(), seed, wanted, spans, graph, layouts }
    }
}

/// One tenant's counts.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) plan: Arc<Plan>,
    pub(super) series: Arc<TenantSeries>,
    /// Edges, unpaired spans, dropped spans, infos of edges, of resources and of hosts, then one table per profile.
    pub(super) tables: Vec<Entries>,
    pub(super) budget: Budget,
    waiting: Waiting<Half>,
    left_out: Waiting<Side>,
    resources: Resources,
    pub(super) families: Families,
}

impl Tenant {
    pub(super) fn new(plan: Arc<Plan>, series: Arc<TenantSeries>) -> Self {
        Self {
            series,
            tables: plan.layouts.iter().map(|layout| Entries::new(Arc::clone(layout), plan.seed)).collect(),
            budget: Budget { used: 0, max: plan.config.series_max },
            waiting: Waiting::new(plan.config.service_graph.edges_max, plan.seed),
            left_out: Waiting::new(plan.config.service_graph.edges_max, plan.seed),
            resources: Resources::default(),
            families: Families::default(),
            plan,
        }
    }

    /// Forgets all counts and whatever waits. Resources stay known: their rows do not come again.
    pub(super) fn begin_anew(&mut self) {
        let fresh = Self::new(Arc::clone(&self.plan), Arc::clone(&self.series));
        (self.tables, self.budget) = (fresh.tables, fresh.budget);
        (self.waiting, self.left_out) = (fresh.waiting, fresh.left_out);
    }

    /// How many series are counted.
    pub(super) fn series(&self) -> usize {
        self.budget.used
    }

    /// Remembers a batch of resources, if spans need anything of theirs.
    pub(super) fn learn(&mut self, batch: &RecordBatch) {
        if !self.plan.wanted.is_empty() {
            self.resources.learn(batch, &self.plan.wanted);
        }
    }

    /// Counts a batch of stored spans. What is new was 0 after `since_ms`.
    pub(super) fn count(&mut self, batch: &RecordBatch, since_ms: i64, now: Timestamp) {
        let plan = Arc::clone(&self.plan);
        let Some(spans) = SpanBatch::new(batch) else {
            tracing::error!("a batch of spans lacks columns; this is a bug");
            return;
        };
        let moment = Moment { since_ms, now_ms: now.as_millis() };
        let (others, profiles) = self.tables.split_at_mut(PROFILES);
        let targets = &mut others[TARGETS];
        spans::count(&plan.spans, &spans, (profiles, targets), &mut self.resources, &mut self.budget, (moment, now));
        if plan.config.host_info.enabled {
            hosts::count(&spans, &mut self.tables[HOSTS], &mut self.resources, &mut self.budget, moment);
        }
        self.graph(&plan, moment, now, |graph, resources| graph.count(&spans, resources));
        metrics::counter!("telelake_generator_spans_total").increment(batch.num_rows() as u64);
    }

    /// Gives up on edges that wait no longer.
    pub(super) fn expire(&mut self, since_ms: i64, now: Timestamp) {
        let plan = Arc::clone(&self.plan);
        self.graph(&plan, Moment { since_ms, now_ms: now.as_millis() }, now, |graph, _| graph.expire());
    }

    fn graph(&mut self, plan: &Plan, moment: Moment, now: Timestamp, work: impl FnOnce(&mut Graph<'_>, &mut Resources)) {
        if let ([edges, unpaired, dropped, connections, ..], true) = (&mut self.tables[EDGES..], plan.graph.enabled) {
            let tables = GraphTables { edges, unpaired, dropped, connections };
            let (waiting, left_out, budget) = (&mut self.waiting, &mut self.left_out, &mut self.budget);
            let (plan, labels) = (&plan.graph, LabelSet::default());
            work(&mut Graph { plan, waiting, left_out, tables, budget, moment, now, labels }, &mut self.resources);
        }
    }
}
