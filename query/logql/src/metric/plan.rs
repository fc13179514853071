//! What of a metric query needs data, and what is done with it afterwards.

use crate::ast::{
    Binary, BinaryOp, Grouping, LogRange, Matching, MetricExpr, RangeAggregation, RangeOp, VectorAggregation, VectorOp,
};

/// A range aggregation: what lines are read for, and how their samples become a value per step ([`super::LeafState`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The operation.
    pub op: RangeOp,
    /// φ of `quantile_over_time`.
    pub param: Option<f64>,
    /// The lines, and what is taken from them.
    pub range: LogRange,
    /// The labels that samples keep; `None`: all.
    pub grouping: Option<Grouping>,
}

/// A tree of operations over leaves. Equal leaves are there once.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) root: Node,
    leaves: Vec<Leaf>,
}

/// A node above, or a reference to a leaf.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Leaf(usize),
    Vector(f64),
    Literal(f64),
    Aggregation { op: VectorOp, k: u64, grouping: Grouping, of: Box<Node> },
    Binary { op: BinaryOp, returns_bool: bool, matching: Option<Matching>, lhs: Box<Node>, rhs: Box<Node> },
    LabelReplace { of: Box<Node>, destination: String, replacement: String, source: String, pattern: String },
    HistogramQuantile { quantile: f64, of: Box<Node> },
}

impl Plan {
    /// Takes an expression apart.
    pub fn of(expr: &MetricExpr) -> Self {
        let mut leaves = Vec::new();
        let root = node(expr, &mut leaves);
        Plan { root, leaves }
    }

    /// What needs data; [`super::evaluate()`] wants its results in this order.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Whether an instant answer is ordered by value, not by labels. Loki: `Sortable`.
    pub(super) fn is_sorted(&self) -> bool {
        fn sorts(node: &Node) -> bool {
            match node {
                Node::Aggregation { op: VectorOp::Sort | VectorOp::SortDesc, .. } => true,
                Node::Aggregation { of, .. } | Node::LabelReplace { of, .. } | Node::HistogramQuantile { of, .. } => sorts(of),
                Node::Binary { lhs, rhs, .. } => sorts(lhs) || sorts(rhs),
                Node::Leaf(_) | Node::Vector(_) | Node::Literal(_) => false,
            }
        }
        sorts(&self.root)
    }
}

fn node(expr: &MetricExpr, leaves: &mut Vec<Leaf>) -> Node {
    match expr {
        MetricExpr::RangeAggregation(r) => leaf(r, r.grouping.clone(), leaves),
        MetricExpr::VectorAggregation(v) => aggregation(v, leaves),
        MetricExpr::Binary(b) => binary(b, leaves),
        MetricExpr::LabelReplace(l) => Node::LabelReplace {
            of: Box::new(node(&l.of, leaves)),
            destination: l.destination.clone(),
            replacement: l.replacement.clone(),
            source: l.source.clone(),
            pattern: l.pattern.clone(),
        },
        MetricExpr::HistogramQuantile(h) => Node::HistogramQuantile { quantile: h.quantile, of: Box::new(node(&h.of, leaves)) },
        MetricExpr::Vector(value) => Node::Vector(*value),
        MetricExpr::Literal(value) => Node::Literal(*value),
    }
}

fn leaf(r: &RangeAggregation, grouping: Option<Grouping>, leaves: &mut Vec<Leaf>) -> Node {
    let leaf = Leaf { op: r.op, param: r.param, range: r.range.clone(), grouping };
    let known = leaves.iter().position(|l| *l == leaf);
    Node::Leaf(known.unwrap_or_else(|| {
        leaves.push(leaf);
        leaves.len() - 1
    }))
}

fn aggregation(v: &VectorAggregation, leaves: &mut Vec<Leaf>) -> Node {
    let grouping = v.grouping.clone().unwrap_or(Grouping { without: false, labels: Vec::new() });
    let of = match &v.of {
        // a sum of sums may as well be made of the samples, and then nobody remembers the labels that it drops
        MetricExpr::RangeAggregation(r) if v.op == VectorOp::Sum && r.grouping.is_none() && is_sum(r.op) => {
            leaf(r, Some(grouping.clone()), leaves)
        }
        of => node(of, leaves),
    };
    Node::Aggregation { op: v.op, k: v.k, grouping, of: Box::new(of) }
}

/// Loki: `canInjectVectorGrouping`.
fn is_sum(op: RangeOp) -> bool {
    matches!(op, RangeOp::CountOverTime | RangeOp::Rate | RangeOp::BytesOverTime | RangeOp::BytesRate | RangeOp::SumOverTime)
}

fn binary(b: &Binary, leaves: &mut Vec<Leaf>) -> Node {
    Node::Binary {
        op: b.op,
        returns_bool: b.returns_bool,
        matching: b.matching.clone(),
        lhs: Box::new(node(&b.lhs, leaves)),
        rhs: Box::new(node(&b.rhs, leaves)),
    }
}
