//! A query as a tree. Parentheses are gone; what they said is in the shape.

use crate::value::Value;

/// A whole query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is asked.
    pub root: Root,
    /// `with(...)`, in the order written; of two with one key the last counts.
    pub hints: Vec<Hint>,
}

/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// Spansets.
    Search(Pipeline),
    /// Series.
    Metrics(Metrics),
}

/// `key=value` of `with(...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Hint {
    /// As written.
    pub key: String,
    /// An int, float, duration, string or bool.
    pub value: Value<'static>,
}

/// Stages between `|`. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The first may be any stage but [`Stage::Coalesce`]; without an expression of spansets at the front every span is one spanset.
    pub stages: Vec<Stage>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `{ ... }` and what combines them.
    Spansets(Spansets),
    /// `count() > 2`.
    Scalar(ScalarFilter),
    /// `by(expr)`.
    By(FieldExpr),
    /// `coalesce()`.
    Coalesce,
    /// `select(field, ...)`.
    Select(Vec<Field>),
}

/// Spansets of one trace.
#[derive(Debug, Clone, PartialEq)]
pub enum Spansets {
    /// `{ expr }`; `{}` is `{ true }`.
    Filter(FieldExpr),
    /// Two combined.
    Binary {
        /// How.
        op: SpansetOp,
        /// Left.
        left: Box<Spansets>,
        /// Right.
        right: Box<Spansets>,
    },
    /// A pipeline in parentheses as an operand.
    Pipeline(Pipeline),
}

/// How two spansets are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpansetOp {
    /// `&&`: both have spans; the union.
    And,
    /// `||`: the union.
    Union,
    /// `>`, `!>>`, `&~` ...
    Structural(Relation, Form),
}

/// What a span on the right is to one on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `>`
    Child,
    /// `>>`
    Descendant,
    /// `<`
    Parent,
    /// `<<`
    Ancestor,
    /// `~`
    Sibling,
}

/// Which spans of a structural operator are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Those on the right that stand in the relation to one on the left.
    Plain,
    /// `!`: those on the right that do not.
    Not,
    /// `&`: those of both sides that do.
    Union,
}

/// `left op right`, of which at least one side is no literal.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarFilter {
    /// Left.
    pub left: Scalar,
    /// A comparison: `=`, `!=`, `<`, `<=`, `>`, `>=`.
    pub op: BinaryOp,
    /// Right.
    pub right: Scalar,
}

/// A number per spanset.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Folded: arithmetic between literals is one literal.
    Literal(Value<'static>),
    /// `count()`, `avg(duration)` ...
    Aggregate(Aggregate),
    /// Arithmetic.
    Binary {
        /// `+ - * / % ^`.
        op: BinaryOp,
        /// Left.
        left: Box<Scalar>,
        /// Right.
        right: Box<Scalar>,
    },
    /// `-scalar`.
    Negate(Box<Scalar>),
    /// A pipeline that ends in a scalar, in parentheses: `({a} | count())`.
    Pipeline(Pipeline, Box<Scalar>),
}

/// An aggregate over the spans of a spanset.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub function: AggregateFunction,
    /// Of what; nothing for `count()`.
    pub of: Option<FieldExpr>,
}

/// Aggregates of a spanset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count()`
    Count,
    /// `avg(expr)`
    Avg,
    /// `min(expr)`
    Min,
    /// `max(expr)`
    Max,
    /// `sum(expr)`
    Sum,
}

/// An expression over the fields of one span.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldExpr {
    /// A constant.
    Literal(Value<'static>),
    /// A field.
    Field(Field),
    /// `-expr`
    Negate(Box<FieldExpr>),
    /// `!expr`
    Not(Box<FieldExpr>),
    /// `left op right`
    Binary {
        /// How.
        op: BinaryOp,
        /// Left.
        left: Box<FieldExpr>,
        /// Right.
        right: Box<FieldExpr>,
    },
}

/// Operators between fields, literals and scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `&&`
    And,
    /// `||`
    Or,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Match,
    /// `!~`
    NotMatch,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
}

/// A field of a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// `parent.x`: that of the span's parent. An extension: Tempo parses it and refuses.
    pub parent: bool,
    /// Which.
    pub name: FieldName,
}

/// Which field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldName {
    /// `span.x`, `.x` ...
    Attribute(Scope, String),
    /// `name`, `trace:duration` ...
    Intrinsic(Intrinsic, Spelling),
}

/// Where an attribute is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// `.x`: the span's, else its resource's.
    Any,
    /// `span.x`
    Span,
    /// `resource.x`
    Resource,
    /// `event.x`: of any event.
    Event,
    /// `link.x`: of any link.
    Link,
    /// `instrumentation.x`: the scope that made the span.
    Instrumentation,
}

/// How an intrinsic was written; labels of series repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `duration`
    Legacy,
    /// `span:duration`
    Scoped,
}

/// What every span has, or knows of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intrinsic {
    /// `name`, `span:name`
    Name,
    /// `duration`, `span:duration`
    Duration,
    /// `kind`, `span:kind`
    Kind,
    /// `status`, `span:status`
    Status,
    /// `statusMessage`, `span:statusMessage`
    StatusMessage,
    /// `span:id`
    SpanId,
    /// `span:parentID`
    ParentId,
    /// `span:childCount`
    ChildCount,
    /// `parent`: whether there is one is all that it tells.
    Parent,
    /// `nestedSetLeft`
    NestedSetLeft,
    /// `nestedSetRight`
    NestedSetRight,
    /// `nestedSetParent`: -1 of a root, 0 of a span that hangs on no root.
    NestedSetParent,
    /// `traceDuration`, `trace:duration`
    TraceDuration,
    /// `rootName`, `trace:rootName`
    RootName,
    /// `rootServiceName`, `trace:rootService`
    RootService,
    /// `trace:id`
    TraceId,
    /// `event:name`
    EventName,
    /// `event:timeSinceStart`
    EventTimeSinceStart,
    /// `link:traceID`
    LinkTraceId,
    /// `link:spanID`
    LinkSpanId,
    /// `instrumentation:name`
    InstrumentationName,
    /// `instrumentation:version`
    InstrumentationVersion,
}

/// A query that gives series.
#[derive(Debug, Clone, PartialEq)]
pub enum Metrics {
    /// `pipeline | rate() by (...)`.
    Of {
        /// Which spans.
        pipeline: Pipeline,
        /// What of them.
        function: MetricsFunction,
    },
    /// `| topk(5)`, `| > 3`.
    Then {
        /// The series.
        of: Box<Metrics>,
        /// What happens to them.
        stage: SecondStage,
    },
    /// A number beside an operator.
    Number(f64),
    /// `( ... ) / ( ... )`; arithmetic only.
    Binary {
        /// `+ - * /`.
        op: BinaryOp,
        /// Left.
        left: Box<Metrics>,
        /// Right.
        right: Box<Metrics>,
    },
}

/// The first stage of metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricsFunction {
    /// `rate()`
    Rate {
        /// Groups.
        by: Vec<Field>,
    },
    /// `count_over_time()`
    Count {
        /// Groups.
        by: Vec<Field>,
    },
    /// `min_over_time(field)` and the like.
    OverTime {
        /// Min, max, sum or avg.
        function: AggregateFunction,
        /// Of what.
        of: Field,
        /// Groups.
        by: Vec<Field>,
    },
    /// `quantile_over_time(field, q, ...)`
    Quantile {
        /// Of what.
        of: Field,
        /// Each in [0, 1].
        quantiles: Vec<f64>,
        /// Groups.
        by: Vec<Field>,
    },
    /// `histogram_over_time(field)`
    Histogram {
        /// Of what.
        of: Field,
        /// Groups.
        by: Vec<Field>,
    },
    /// `compare({filter}, topN, start, end)`
    Compare {
        /// The selection; the rest is the baseline.
        filter: FieldExpr,
        /// Values per attribute.
        top: usize,
        /// The window of the selection, nanoseconds.
        window: Option<(i64, i64)>,
    },
}

/// What happens to series.
#[derive(Debug, Clone, PartialEq)]
pub enum SecondStage {
    /// `topk(n)`, per step.
    TopK(usize),
    /// `bottomk(n)`, per step.
    BottomK(usize),
    /// Keeps samples that compare so with the number; durations are seconds.
    Compare(BinaryOp, f64),
}
