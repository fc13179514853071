//! Queries whose value at a step does not depend on which other steps were asked for, to the last bit: steps of one answer may be given in
//! another one.
//!
//! "A range query is its instants" is nearly true of every query. Here is what is left when "nearly" is taken out. Not steady are:
//!
//! | what | why |
//! |---|---|
//! | `@`, `start()`, `end()`, `range()`, `step()`, durations computed from them | speak of the query's own times |
//! | `sort`, `sort_desc`, `sort_by_label` ... | say in a query of several steps that they do nothing |
//! | `sum`, `avg`, `stddev`, `topk` ... over series whose order may differ | floats are added in the order of series, of equal values the first is kept |
//! | a union of series that lose their name and series that keep it | which of two becomes which depends on where they first are |
//! | functions of ranges where two series may get the same labels, without delayed name removal | an error even if they never meet |
//! | `limitk`, `limit_ratio`, `info`, `histogram_quantiles`, `anchored`, `smoothed`, names that are set by `label_replace` | not thought through |
//!
//! What is not known to be steady is not.

use super::operators::{Aggregate, Instant, InstantSelect, RangeFunction, VectorBinary};
use super::plan::{Node, Operator, Plan};
use crate::ast::{AggregateOp, BinaryOp, DurationValue, Expr, ExprKind, Extension, Function, MatchOp, VectorSelector};
use crate::labels::{NAME, TYPE, UNIT};

/// What a step of a steady query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steady {
    /// No row that lies this much or more before the step, milliseconds.
    pub before_ms: i64,
    /// No row that lies more than this after the step, milliseconds; negative when all offsets look back.
    pub after_ms: i64,
    /// Whether the last bits of a value follow from how series are shared out between those who add them up.
    pub adds_up: bool,
    /// Whether it is taken for granted that series of one name have no labels that go with the name, as the type would.
    pub by_name: bool,
}

impl Steady {
    /// Of a query and its operators; `None` when it is not steady.
    pub fn of(expr: &Expr, plan: &Plan) -> Option<Self> {
        if plan.is_instant || !speaks_of_steps_only(expr) {
            return None;
        }
        let facts = Facts::of(&plan.root)?;
        // Without any selector there is nothing to read, and nothing worth keeping.
        let (before_ms, after_ms) = facts.reach?;
        Some(Self { before_ms, after_ms, adds_up: facts.adds_up, by_name: facts.by_name })
    }
}

/// Whether nothing in the text depends on the times of the query or is left out for other reasons.
fn speaks_of_steps_only(expr: &Expr) -> bool {
    let mut steady = true;
    let fixed = |duration: &DurationValue| matches!(duration, DurationValue::Fixed(_));
    let selector = |s: &VectorSelector| s.at.is_none() && fixed(&s.offset) && s.extension == Extension::None;
    expr.visit(&mut |part| {
        steady &= match &part.kind {
            ExprKind::Vector(vector) => selector(vector),
            ExprKind::Matrix(matrix) => fixed(&matrix.range),
            ExprKind::Subquery(s) => s.at.is_none() && fixed(&s.offset) && fixed(&s.range) && s.step.as_ref().is_none_or(fixed),
            ExprKind::Aggregate(aggregate) => !matches!(aggregate.op, AggregateOp::LimitK | AggregateOp::LimitRatio),
            ExprKind::Call(call) => is_steady(call.function) && !sets_name(call.function, &call.args),
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Binary(_) | ExprKind::Unary(_) | ExprKind::Paren(_) => true,
        };
    });
    steady
}

fn is_steady(function: Function) -> bool {
    use Function::{End, HistogramQuantiles, Info, Range, Sort, SortByLabel, SortByLabelDesc, SortDesc, Start, Step};
    !matches!(function, Start | End | Range | Step | Sort | SortDesc | SortByLabel | SortByLabelDesc | Info | HistogramQuantiles)
}

/// Whether a label that goes with the name is set.
fn sets_name(function: Function, args: &[Expr]) -> bool {
    let target = args.get(1).map(|arg| &arg.kind);
    matches!(function, Function::LabelReplace | Function::LabelJoin)
        && !matches!(target, Some(ExprKind::String(target)) if !is_metadata(target))
}

fn is_metadata(label: &str) -> bool {
    [NAME, TYPE, UNIT].contains(&label)
}

/// Whether series say that their name goes at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// There is no name that could go.
    None,
    /// No series does.
    Kept,
    /// All do.
    Dropped,
}

impl Naming {
    /// Of both together; `None` when some do and some do not.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::None, other) | (other, Self::None) => Some(other),
            (a, b) => (a == b).then_some(a),
        }
    }
}

/// What is known of the output of an operator.
#[derive(Debug, Clone, Copy)]
struct Facts {
    /// See [`Steady`]; `None` when nothing is read.
    reach: Option<(i64, i64)>,
    /// See [`Steady`].
    adds_up: bool,
    /// See [`Steady`].
    by_name: bool,
    /// Whether the series that are there at a step are in an order that no other step has a say in.
    ordered: bool,
    naming: Naming,
    /// Whether series have different labels even without their names.
    distinct: bool,
}

/// Of what has no series, or one without labels.
const SCALAR: Facts = Facts { reach: None, adds_up: false, by_name: false, ordered: true, naming: Naming::None, distinct: true };

impl Facts {
    fn of(node: &Node) -> Option<Self> {
        let inputs = node.inputs.iter().map(Self::of).collect::<Option<Vec<_>>>()?;
        let (first, rest) = inputs.split_first().map_or((SCALAR, &[][..]), |(first, rest)| (*first, rest));
        let all = rest.iter().fold(first, |all, more| all.beside(*more));
        match &node.op {
            Operator::Select(select) => {
                let distinct = select.matchers.iter().any(|m| m.name == NAME && m.op == MatchOp::Equal);
                Some(Self { reach: Some((0, 0)), naming: Naming::Kept, distinct, ..SCALAR })
            }
            Operator::InstantSelect(op) => all.newest(op),
            Operator::RangeFunction(op) => rest.iter().try_fold(first.windows(op)?, |all, more| Some(all.beside(*more))),
            Operator::MarkResets | Operator::Subquery(_) | Operator::Repeat => Some(all),
            Operator::Scalar(_) | Operator::Text(_) | Operator::Nothing => Some(SCALAR.beside(all)),
            Operator::Map(_) | Operator::Date(_) => Some(Self { naming: lost(all.naming), ..all }),
            Operator::VectorScalar(op) => {
                Some(Self { naming: if op.drops_name() { lost(all.naming) } else { all.naming }, ..all })
            }
            Operator::Labeling(_) => Some(Self { distinct: false, ..all }),
            Operator::Absent(op) => {
                let naming = if op.drop_name { Naming::Dropped } else { Naming::Kept };
                Some(Self { naming, ..SCALAR }.beside(all))
            }
            Operator::HistogramVector(_) => {
                // Counts of buckets with the same bound are added up.
                first.ordered.then_some(Self { ordered: false, naming: lost(all.naming), distinct: false, ..all })
            }
            Operator::Aggregate(op) => op.facts(all),
            Operator::VectorBinary(op) => op.facts(all, first, rest.first().copied().unwrap_or(SCALAR)),
            Operator::Unite(super::operators::Unite::Refuse) => first.distinct.then_some(Self { by_name: true, ..all }),
            Operator::Unite(super::operators::Unite::Merge) => {
                let ordered = all.ordered && all.distinct;
                Some(Self { ordered, by_name: all.by_name || ordered, ..all })
            }
            Operator::DropNames => Some(Self { ordered: false, ..all }),
            Operator::Window(_) | Operator::Sort(_) | Operator::Info(_) => None,
        }
    }

    /// Of a selector over its samples.
    fn newest(self, op: &InstantSelect) -> Option<Self> {
        let naming = match op.what {
            Instant::Value => Naming::Kept,
            Instant::Time | Instant::Start => Naming::Dropped,
            Instant::Smoothed | Instant::InfoTime => return None,
        };
        op.time.at_ms.is_none().then_some(Self { naming, ..self.reading(op.time.offset_ms, op.lookback_ms) })
    }

    /// Of a function of ranges over its samples.
    fn windows(self, op: &RangeFunction) -> Option<Self> {
        let window = op.window;
        if window.time.at_ms.is_some() || window.extension != Extension::None {
            return None;
        }
        let keeps = matches!(op.function, Function::LastOverTime | Function::FirstOverTime);
        let naming = if keeps { self.naming } else { lost(self.naming) };
        Some(Self { naming, ..self.reading(window.time.offset_ms, window.range_ms) })
    }

    /// With a window of `range_ms` that ends `offset_ms` before the step.
    fn reading(self, offset_ms: i64, range_ms: i64) -> Self {
        let window = |(before, after): (i64, i64)| {
            (before.saturating_add(offset_ms).saturating_add(range_ms), after.saturating_sub(offset_ms))
        };
        Self { reach: self.reach.map(window), ..self }
    }

    /// The same, with what else `other` reads.
    fn beside(self, other: Self) -> Self {
        Self {
            reach: widest(self.reach, other.reach),
            adds_up: self.adds_up || other.adds_up,
            by_name: self.by_name || other.by_name,
            ..self
        }
    }
}

/// Of series that lose their name.
fn lost(naming: Naming) -> Naming {
    if naming == Naming::None { Naming::None } else { Naming::Dropped }
}

fn widest(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Aggregate {
    fn facts(&self, input: Facts) -> Option<Facts> {
        use AggregateOp::{Avg, BottomK, Count, CountValues, Group, Stddev, Stdvar, Sum, TopK};
        if !input.ordered && !matches!(self.op, Count | Group | CountValues) {
            return None;
        }
        let keeps_series = matches!(self.op, TopK | BottomK);
        let named = self.without || self.grouping.iter().any(|label| is_metadata(label));
        Some(Facts {
            adds_up: input.adds_up || matches!(self.op, Sum | Avg | Stddev | Stdvar | TopK | BottomK),
            ordered: !keeps_series && self.op != CountValues,
            naming: if keeps_series || named { input.naming } else { Naming::None },
            distinct: if keeps_series { input.distinct } else { self.op != CountValues && !named },
            ..input
        })
    }
}

impl VectorBinary {
    fn facts(&self, all: Facts, left: Facts, right: Facts) -> Option<Facts> {
        match self.op {
            BinaryOp::And | BinaryOp::Unless => Some(Facts { ordered: left.ordered, ..all }),
            BinaryOp::Or => Some(Facts { ordered: false, naming: left.naming.and(right.naming)?, distinct: false, ..all }),
            // Which series come first follows from which pairs met first.
            _ => {
                let naming = if self.return_bool { Naming::Dropped } else { Naming::Kept };
                Some(Facts { ordered: false, naming, distinct: false, ..all })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{QueryOptions, lower};
    use crate::parse::{ParseOptions, parse};

    fn steady(text: &str, delayed_name_removal: bool) -> Option<Steady> {
        let expr = parse(text, &ParseOptions { experimental: true }).expect("a query");
        let options = QueryOptions { delayed_name_removal, ..QueryOptions::range(0, 600_000, 60_000) };
        Steady::of(&expr, &lower(&expr, &options).expect("a plan"))
    }

    #[test]
    fn what_a_step_reads() {
        #[track_caller]
        fn check(text: &str, seconds: (i64, i64), adds_up: bool) {
            let (before_ms, after_ms) = (seconds.0 * 1_000, seconds.1 * 1_000);
            assert_eq!(steady(text, true), Some(Steady { before_ms, after_ms, adds_up, by_name: false }), "{text}");
        }
        check("x", (300, 0), false);
        check("x offset 1h", (3_900, -3_600), false);
        check("x offset -1h", (-3_300, 3_600), false);
        check("rate(x[10m])", (600, 0), false);
        check("rate(x[10m] offset 1h) * 2", (4_200, -3_600), false);
        check("sum by (a) (rate(x[10m]))", (600, 0), true);
        check("x - x offset 1h", (3_900, 0), false);
        check("max_over_time(rate(x[10m])[1h:])", (4_200, 0), false);
        check("max_over_time((x offset 1m)[1h:] offset 1h)", (7_560, -3_660), false);
        check("quantile_over_time(scalar(y offset 1d), x[1m])", (86_700, 0), false);
        check("sum(x) / count(x) or vector(0)", (300, 0), true);
        check("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", (300, 0), true);
        check("topk(3, sum by (a) (x))", (300, 0), true);
        check(r#"count(label_replace(x, "a", "$1", "b", "(.*)"))"#, (300, 0), false);
        check("avg_over_time(x[4m])", (240, 0), false);
        check("sum_over_time(x[10m:1m])", (900, 0), false);
        check("x or y", (300, 0), false);
        check("clamp_max(rate(x[1m]), 3) or abs(y)", (300, 0), false);
    }

    #[test]
    fn what_is_not_steady() {
        for text in [
            "x @ 10",
            "x @ start()",
            "rate(x[5m] @ end())",
            "max_over_time(x[5m:] @ 10)",
            "x + step()",
            "x + range()",
            "x > start()",
            "rate(x[step()])",
            "x offset step()",
            "sort(x)",
            "sort_by_label(x, \"a\")",
            "limitk(2, x)",
            "limit_ratio(0.5, x)",
            "info(x)",
            "rate(x[5m] smoothed)",
            "x smoothed",
            // The order in which these come follows from the steps.
            "sum(topk(3, x))",
            "sum(x / y)",
            "sum(x or y)",
            "sum(label_replace(x, \"a\", \"$1\", \"b\", \"(.*)\"))",
            // Which of both becomes a series with a name.
            "x or rate(x[5m])",
            "label_replace(x, \"__name__\", \"y\", \"b\", \"(.*)\")",
            // Nothing is read.
            "time()",
            "vector(1)",
        ] {
            assert_eq!(steady(text, true), None, "{text}");
        }
    }

    #[test]
    fn names_that_go_at_once_must_not_be_needed() {
        let of = |text| steady(text, false).map(|steady| steady.by_name);
        assert_eq!(of("rate(x[5m])"), Some(true));
        assert_eq!(of("sum by (a) (rate(x[5m]))"), Some(true));
        assert_eq!(of("sum(x)"), Some(false));
        assert_eq!(of("rate({__name__=~\"x|y\"}[5m])"), None);
        assert_eq!(of("sum(abs({__name__=~\"x|y\"}))"), None);
        assert_eq!(of("sum(abs(x))"), Some(true));
        assert_eq!(of("abs({__name__=~\"x|y\"})"), Some(false));
    }

    #[test]
    fn an_instant_is_not() {
        let expr = parse("x", &ParseOptions::default()).expect("a query");
        let plan = lower(&expr, &QueryOptions::instant(0)).expect("a plan");
        assert_eq!(Steady::of(&expr, &plan), None);
    }
}
