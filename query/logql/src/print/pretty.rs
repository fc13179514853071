//! A query over many lines. What fits on one stays on one; the rest is taken apart, one part per line, two spaces per level.
//! Loki: `pkg/logql/syntax/prettier.go`.
//!
//! Loki drops the parentheses between operators and shows by indentation what belongs together, which changes the meaning of
//! `(a + b) * c`; here those that matter stay.

use gosyntax::quote::quote;

use super::{literal_text, words};
use crate::ast::{Binary, BinaryOp, Expr, LogExpr, LogRange, MetricExpr, RangeAggregation, Stage, VectorAggregation};

/// The query with lines of at most `width` characters where it can be taken apart; 100 is what Loki's API uses.
pub fn pretty(expr: &Expr, width: usize) -> String {
    let mut out = Pretty { width, text: String::new() };
    match expr {
        Expr::Log(log) => out.log(log, 0),
        Expr::Metric(metric) => out.metric(metric, 0),
    }
    out.text
}

struct Pretty {
    width: usize,
    text: String,
}

impl Pretty {
    fn indent(&mut self, level: usize) {
        self.text.extend(std::iter::repeat_n("  ", level));
    }

    fn line(&mut self, level: usize, text: &str) {
        self.indent(level);
        self.text.push_str(text);
    }

    /// Writes `whole` if it fits, indentation aside.
    fn fits(&mut self, level: usize, whole: &str) -> bool {
        let fits = whole.len() <= self.width;
        if fits {
            self.line(level, whole);
        }
        fits
    }

    fn log(&mut self, log: &LogExpr, level: usize) {
        if log.stages.is_empty() || !self.fits(level, &log.to_string()) {
            self.line(level, &log.selector.to_string());
            // line filters in a row are one stage
            for stages in log.stages.chunk_by(|a, b| matches!((a, b), (Stage::LineFilter(_), Stage::LineFilter(_)))) {
                self.stages(stages, level + 1);
            }
        }
    }

    /// A stage, or filters in a row: as many of the first as fit stand on one line, each of the others has its own.
    fn stages(&mut self, stages: &[Stage], level: usize) {
        let texts: Vec<String> = stages.iter().map(Stage::to_string).collect();
        let mut first = texts.len();
        while first > 1 && texts[..first].iter().map(|t| t.len() + 1).sum::<usize>() - 1 > self.width {
            first -= 1;
        }
        for line in std::iter::once(texts[..first].join(" ")).chain(texts[first..].iter().cloned()) {
            self.text.push('\n');
            self.line(level, &line);
        }
    }

    fn range(&mut self, range: &LogRange, level: usize) {
        self.log(&range.log, level);
        if let Some(unwrap) = &range.unwrap {
            let text = unwrap.to_string();
            let alone = crate::ast::Unwrap { post_filters: Vec::new(), ..unwrap.clone() }.to_string();
            debug_assert!(text.starts_with(&alone));
            self.text.push('\n');
            self.line(level + 1, &alone);
            for filter in &unwrap.post_filters {
                self.text.push('\n');
                self.line(level + 1, &format!("| {filter}"));
            }
        }
        self.text.push_str(&format!(" [{}]", crate::units::prometheus_duration_text(range.range_ns)));
        self.text.push_str(&range.offset_text().unwrap_or_default());
    }

    fn metric(&mut self, expr: &MetricExpr, level: usize) {
        let leaf = matches!(expr, MetricExpr::Vector(_) | MetricExpr::Literal(_));
        if !leaf && self.fits(level, &expr.to_string()) {
            return;
        }
        match expr {
            MetricExpr::RangeAggregation(r) => self.range_aggregation(r, level),
            MetricExpr::VectorAggregation(v) => self.vector_aggregation(v, level),
            MetricExpr::Binary(b) => self.binary(b, level),
            MetricExpr::LabelReplace(l) => {
                self.line(level, "label_replace(\n");
                self.metric(&l.of, level + 1);
                for text in [&l.destination, &l.replacement, &l.source, &l.pattern] {
                    self.text.push_str(",\n");
                    self.line(level + 1, &quote(text));
                }
                self.text.push('\n');
                self.line(level, ")");
            }
            MetricExpr::HistogramQuantile(h) => {
                self.line(level, "histogram_quantile(\n");
                self.line(level + 1, &format!("{},\n", literal_text(h.quantile)));
                self.metric(&h.of, level + 1);
                self.text.push('\n');
                self.line(level, ")");
            }
            MetricExpr::Vector(_) | MetricExpr::Literal(_) => self.line(level, &expr.to_string()),
        }
    }

    fn range_aggregation(&mut self, aggregation: &RangeAggregation, level: usize) {
        self.line(level, &format!("{}(\n", words::range_op(aggregation.op)));
        if let Some(param) = aggregation.param {
            self.line(level + 1, &format!("{},\n", literal_text(param)));
        }
        self.range(&aggregation.range, level + 1);
        self.text.push('\n');
        let grouping = aggregation.grouping.as_ref().map(|g| g.to_string().replace(',', ", "));
        self.line(level, &format!("){}", grouping.unwrap_or_default()));
    }

    fn vector_aggregation(&mut self, aggregation: &VectorAggregation, level: usize) {
        let grouping = aggregation.grouping.as_ref().map(|g| g.to_string().replace(',', ", "));
        self.line(level, &format!("{}{}(\n", words::vector_op(aggregation.op), grouping.unwrap_or_default()));
        if aggregation.k > 0 {
            self.line(level + 1, &format!("{},\n", aggregation.k));
        }
        self.metric(&aggregation.of, level + 1);
        self.text.push('\n');
        self.line(level, ")");
    }

    fn binary(&mut self, binary: &Binary, level: usize) {
        self.side(&binary.lhs, binary.op, Side::Left, level + 1);
        self.text.push('\n');
        self.line(level, &binary.operator_text(", "));
        self.text.push('\n');
        self.side(&binary.rhs, binary.op, Side::Right, level + 1);
    }

    /// One side of `op`, in parentheses if its own operator would go elsewhere without them.
    fn side(&mut self, expr: &MetricExpr, op: BinaryOp, side: Side, level: usize) {
        let needed = match expr {
            // what fits is printed with its parentheses
            MetricExpr::Binary(inner) if expr.to_string().len() > self.width => {
                let (inner, outer) = (inner.op.tightness(), op.tightness());
                let right_associative = op == BinaryOp::Pow;
                inner < outer || (inner == outer && (side == Side::Right) != right_associative)
            }
            _ => false,
        };
        if !needed {
            return self.metric(expr, level);
        }
        self.line(level, "(\n");
        self.metric(expr, level + 1);
        self.text.push('\n');
        self.line(level, ")");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}
