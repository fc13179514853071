//! Tree to text: on one line, as Loki prints a query ([`Expr`]'s `Display`), and over many lines ([`pretty()`]).
//!
//! # Invariants
//! - What is printed parses, and gives the same tree. Where Loki's own text would not (sizes that it rounds, numbers beyond its digits,
//!   operators that lose their parentheses), ours says more.

mod pretty;
mod stage;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::fmt::{self, Display, Formatter};

use gosyntax::quote::quote;

use crate::ast::{
    Binary, Cardinality, Expr, Grouping, LogExpr, LogRange, MetricExpr, RangeAggregation, Selector, VectorAggregation,
};
use crate::units::{duration_text, parse_prometheus_duration, prometheus_duration_text};
pub use pretty::pretty;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Log(log) => log.fmt(f),
            Expr::Metric(metric) => metric.fmt(f),
        }
    }
}

impl Display for LogExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.selector.fmt(f)?;
        self.stages.iter().try_for_each(|stage| write!(f, " {stage}"))
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        comma_separated(f, &self.matchers, ", ")?;
        f.write_str("}")
    }
}

fn comma_separated<T: Display>(f: &mut Formatter<'_>, members: &[T], comma: &str) -> fmt::Result {
    for (at, member) in members.iter().enumerate() {
        f.write_str(if at == 0 { "" } else { comma })?;
        member.fmt(f)?;
    }
    Ok(())
}

impl Display for LogRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        write!(f, "[{}]", prometheus_duration_text(self.range_ns))?;
        self.offset_text().map_or(Ok(()), |offset| f.write_str(&offset))
    }
}

impl LogRange {
    /// ` offset 5m`, if there is one.
    fn offset_text(&self) -> Option<String> {
        let offset_ns = self.offset_ns;
        let short = prometheus_duration_text(offset_ns);
        let text = if parse_prometheus_duration(&short) == Ok(offset_ns) { short } else { duration_text(offset_ns) };
        (offset_ns != 0).then(|| format!(" offset {text}"))
    }
}

impl Display for Grouping {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.without { " without (" } else { " by (" })?;
        comma_separated(f, &self.labels, ",")?;
        f.write_str(")")
    }
}

impl Display for MetricExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MetricExpr::RangeAggregation(r) => r.fmt(f),
            MetricExpr::VectorAggregation(v) => v.fmt(f),
            MetricExpr::Binary(b) => write!(f, "({} {} {})", b.lhs, b.operator_text(","), b.rhs),
            MetricExpr::LabelReplace(l) => {
                write!(f, "label_replace({}", l.of)?;
                [&l.destination, &l.replacement, &l.source, &l.pattern]
                    .iter()
                    .try_for_each(|text| write!(f, ",{}", quote(text)))?;
                f.write_str(")")
            }
            MetricExpr::HistogramQuantile(h) => write!(f, "histogram_quantile({},{})", literal_text(h.quantile), h.of),
            MetricExpr::Vector(value) => write!(f, "vector({})", vector_text(*value)),
            MetricExpr::Literal(value) => f.write_str(&literal_text(*value)),
        }
    }
}

impl Display for RangeAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", words::range_op(self.op))?;
        if let Some(param) = self.param {
            write!(f, "{},", literal_text(param))?;
        }
        write!(f, "{})", self.range)?;
        self.grouping.as_ref().map_or(Ok(()), |grouping| grouping.fmt(f))
    }
}

impl Display for VectorAggregation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(words::vector_op(self.op))?;
        if let Some(grouping) = &self.grouping {
            grouping.fmt(f)?;
        }
        f.write_str("(")?;
        if self.k > 0 {
            write!(f, "{},", self.k)?;
        }
        write!(f, "{})", self.of)
    }
}

impl Binary {
    /// `+ bool on (a,b) group_left (c)`
    fn operator_text(&self, comma: &str) -> String {
        let mut out = words::binary_op(self.op).to_owned();
        if self.returns_bool {
            out.push_str(" bool");
        }
        let Some(matching) = &self.matching else { return out };
        let list = |labels: &[String]| labels.join(comma);
        out.push_str(&format!(" {} ({})", if matching.on { "on" } else { "ignoring" }, list(&matching.labels)));
        let side = match matching.cardinality {
            Cardinality::OneToOne => return out,
            Cardinality::ManyToOne => "group_left",
            Cardinality::OneToMany => "group_right",
        };
        // without the list a parenthesis that opens the right side would be taken for it
        out.push_str(&format!(" {side} ({})", list(&matching.include)));
        out
    }
}

/// A number as Go prints it in general, and so that it is read again: what no literal says is written as the sum that gives it.
fn literal_text(value: f64) -> String {
    if value.is_nan() {
        return "(0 / 0)".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "(10 ^ 400)" } else { "(-10 ^ 401)" }.to_owned();
    }
    let mut out = Vec::new();
    let size = value.abs();
    // Go's %v: an exponent from 1e21 on and below 1e-4
    if size != 0.0 && !(1e-4..1e21).contains(&size) {
        gosyntax::number::write_exponent(&mut out, value);
    } else {
        gosyntax::number::write_float(&mut out, value);
    }
    String::from_utf8(out).expect("digits are ASCII")
}

/// With six decimals, or more if it takes more.
fn vector_text(value: f64) -> String {
    let rounded = format!("{value:.6}");
    if rounded.parse() == Ok(value) { rounded } else { literal_text(value) }
}
