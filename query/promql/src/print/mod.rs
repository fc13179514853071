//! Tree to text: the canonical form on one line ([`std::fmt::Display`] of [`Expr`]), indented ([`pretty()`]), and as JSON ([`json()`]).
//! Source: Prometheus `promql/parser/printer.go`, `prettier.go`, `web/api/v1/translate_ast.go`.
//!
//! # Invariants
//! - What the parser has read is read again from its text as the same tree, spans aside.

mod json;
mod pretty;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod trees;

use std::fmt;

pub use json::json;
pub use pretty::pretty;

use crate::ast::{
    Aggregate, At, Binary, BinaryOp, Cardinality, DurationExpr, DurationExprKind, DurationValue, Expr, ExprKind, Extension,
    MatchOp, Matcher, MatrixSelector, NumberLiteral, Subquery, VectorMatching, VectorSelector,
};
use crate::labels;
use crate::parse::{format_duration, quote};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => f.write_str(&quote(text)),
            ExprKind::Vector(selector) => selector.fmt(f),
            ExprKind::Matrix(matrix) => write_matrix(f, matrix),
            ExprKind::Subquery(subquery) => write!(f, "{}{}", subquery.expr, Suffix(subquery)),
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}(", Head(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            // a plus would be the sign of the whole power
            ExprKind::Binary(binary) if binary.op == BinaryOp::Pow && is_infinity(&binary.lhs) => {
                write!(f, "Inf {} {}", Operator(binary), binary.rhs)
            }
            ExprKind::Binary(binary) => write!(f, "{} {} {}", binary.lhs, Operator(binary), binary.rhs),
            ExprKind::Unary(unary) => write!(f, "{}{}", if unary.negate { '-' } else { '+' }, unary.expr),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.signature().name)?;
                for (at, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}

fn is_infinity(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Number(NumberLiteral { value: f64::INFINITY, .. }))
}

impl fmt::Display for NumberLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.duration {
            return f.write_str(&format_duration((self.value * 1000.0).round() as i64));
        }
        f.write_str(&decimal(self.value))
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_label(&self.name) {
            f.write_str(&self.name)?;
        } else {
            f.write_str(&quote(&self.name))?;
        }
        write!(f, "{}{}", self.op.as_str(), quote(&self.value))
    }
}

impl MatchOp {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

impl fmt::Display for VectorSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, self)?;
        write_at(f, self.at)?;
        write_extension(f, self.extension)?;
        write_offset(f, &self.offset)
    }
}

/// Name and matchers, the latter sorted as texts.
fn write_names(f: &mut fmt::Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let is_name = |m: &Matcher| m.name == labels::NAME && m.op == MatchOp::Equal && m.value == name && !name.is_empty();
    let mut matchers: Vec<String> = selector.matchers.iter().filter(|m| !is_name(m)).map(Matcher::to_string).collect();
    matchers.sort_unstable();
    if matchers.is_empty() && !name.is_empty() {
        return Ok(());
    }
    write!(f, "{{{}}}", matchers.join(","))
}

fn write_matrix(f: &mut fmt::Formatter<'_>, matrix: &MatrixSelector) -> fmt::Result {
    let ExprKind::Vector(selector) = &matrix.selector.kind else {
        return write!(f, "{}[{}]", matrix.selector, matrix.range);
    };
    write_names(f, selector)?;
    write!(f, "[{}]", matrix.range)?;
    write_extension(f, selector.extension)?;
    write_at(f, selector.at)?;
    write_offset(f, &selector.offset)
}

fn write_extension(f: &mut fmt::Formatter<'_>, extension: Extension) -> fmt::Result {
    f.write_str(match extension {
        Extension::None => "",
        Extension::Anchored => " anchored",
        Extension::Smoothed => " smoothed",
    })
}

fn write_at(f: &mut fmt::Formatter<'_>, at: Option<At>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(At::Start) => f.write_str(" @ start()"),
        Some(At::End) => f.write_str(" @ end()"),
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            write!(f, " @ {sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
        }
    }
}

fn write_offset(f: &mut fmt::Formatter<'_>, offset: &DurationValue) -> fmt::Result {
    match offset {
        DurationValue::Fixed(0) => Ok(()),
        DurationValue::Computed(expr) if !stands_behind_offset(expr) => write!(f, " offset ({offset})"),
        _ => write!(f, " offset {offset}"),
    }
}

/// Whether the parser reads all of `expr` behind `offset`, where arithmetic goes on only behind parentheses or two signs. Prometheus
/// writes what does not as well, and then reads less than it wrote.
fn stands_behind_offset(expr: &DurationExpr) -> bool {
    let two_signs = |expr: &DurationExpr| matches!(&expr.kind, DurationExprKind::Sign(_, inner) if !inner.wrapped && matches!(inner.kind, DurationExprKind::Sign(..)));
    let is_binary = |expr: &DurationExpr| !expr.wrapped && matches!(expr.kind, DurationExprKind::Binary(..));
    match &expr.kind {
        _ if expr.wrapped || two_signs(expr) => true,
        DurationExprKind::Sign(_, inner) => !is_binary(inner),
        DurationExprKind::Binary(_, first, _) => {
            let mut first = first;
            while let DurationExprKind::Binary(_, further, _) = &first.kind
                && !first.wrapped
            {
                first = further;
            }
            first.wrapped || two_signs(first)
        }
        _ => true,
    }
}

impl fmt::Display for DurationValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(ms) => f.write_str(&format_duration(*ms)),
            Self::Computed(expr) => expr.fmt(f),
        }
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            f.write_str("(")?;
        }
        match &self.kind {
            DurationExprKind::Number(number) => number.fmt(f)?,
            DurationExprKind::Step => f.write_str("step()")?,
            DurationExprKind::Range => f.write_str("range()")?,
            DurationExprKind::Min(a, b) => write!(f, "min_of({a}, {b})")?,
            DurationExprKind::Max(a, b) => write!(f, "max_of({a}, {b})")?,
            DurationExprKind::Sign(negate, inner) => write!(f, "{}{inner}", if *negate { "-" } else { "" })?,
            DurationExprKind::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str())?,
        }
        f.write_str(if self.wrapped { ")" } else { "" })
    }
}

/// The range, step and modifiers behind a subquery.
struct Suffix<'a>(&'a Subquery);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            step.fmt(f)?;
        }
        f.write_str("]")?;
        write_at(f, self.0.at)?;
        write_offset(f, &self.0.offset)
    }
}

/// An aggregation before its parentheses.
struct Head<'a>(&'a Aggregate);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Aggregate { op, without, grouping, .. } = self.0;
        f.write_str(op.as_str())?;
        match (without, grouping.is_empty()) {
            (true, _) => write!(f, " without ({}) ", LabelList(grouping)),
            (false, false) => write!(f, " by ({}) ", LabelList(grouping)),
            (false, true) => Ok(()),
        }
    }
}

/// A binary operator with its modifiers.
struct Operator<'a>(&'a Binary);

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| write_matching(f, matching))
    }
}

fn write_matching(f: &mut fmt::Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || group.is_some() || !matching.labels.is_empty() {
        write!(f, " {} ({})", if matching.on { "on" } else { "ignoring" }, LabelList(&matching.labels))?;
    }
    if let Some(side) = group {
        write!(f, " group_{side} ({})", LabelList(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left == right => write!(f, " fill ({})", float(left)),
        (left, right) => {
            let mut fill = |side, value: Option<f64>| value.map_or(Ok(()), |v| write!(f, " fill_{side} ({})", float(v)));
            fill("left", left)?;
            fill("right", right)
        }
    }
}

/// Label names between commas, in quotes where they need them.
struct LabelList<'a>(&'a [String]);

impl fmt::Display for LabelList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, label) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            // `without`, `inf` and `nan` are the names that only quotes make a label: Prometheus forgets them here
            let is_keyword = ["without", "inf", "nan"].iter().any(|word| word.eq_ignore_ascii_case(label));
            if is_plain_label(label) && !is_keyword { f.write_str(label)? } else { f.write_str(&quote(label))? }
        }
        Ok(())
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn is_plain_label(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// `value` without an exponent, as Go's format `f`: the shortest digits that read back.
pub(crate) fn decimal(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { float(value) }
}

/// `value` as Go's `fmt.Sprint` writes a float: the shortest text that reads back, with an exponent below 1e-4 and from 1e6 on.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
