//! The syntax tree. Every node knows where it stands in the text, for errors and annotations.

mod visit;

use std::fmt;

pub use crate::function::Function;

/// A range of bytes in the query's text, half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// An expression and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `Inf`; `5m` as a number of seconds.
    Number(NumberLiteral),
    /// `"text"`.
    String(String),
    /// `name{label="value"} offset 5m @ 10`.
    Vector(VectorSelector),
    /// A vector selector with `[5m]`.
    Matrix(MatrixSelector),
    /// `expr[1h:5m] offset 5m @ 10`.
    Subquery(Subquery),
    /// `sum by (a) (expr)`.
    Aggregate(Aggregate),
    /// `a + on (x) group_left () b`.
    Binary(Binary),
    /// `-a`, `+a`.
    Unary(Unary),
    /// `(a)`.
    Paren(Box<Expr>),
    /// `rate(a[5m])`.
    Call(Call),
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// A text.
    String,
    /// A set of series with one sample each per step.
    Vector,
    /// A set of series with many samples each.
    Matrix,
}

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberLiteral {
    /// Its value; seconds when it was written as a duration.
    pub value: f64,
    /// Whether it was written as a duration: `5m`.
    pub duration: bool,
}

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// One matcher of a selector. The name of the metric is a matcher of `__name__`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Operator.
    pub op: MatchOp,
    /// Value, or pattern (checked to be one).
    pub value: String,
}

/// A length of time in the text: a literal, or computed when step and range of the query are known.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationValue {
    /// Milliseconds.
    Fixed(i64),
    /// An expression, to be resolved when the query's steps are known.
    Computed(Box<DurationExpr>),
}

/// Arithmetic on durations. Numbers are seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationExprKind,
    /// Where it stands.
    pub span: Span,
    /// Whether it was written in parentheses.
    pub wrapped: bool,
}

/// The kinds of duration expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationExprKind {
    /// A literal; alone it is a [`DurationValue::Fixed`], in parentheses it is not.
    Number(NumberLiteral),
    /// `step()`: the step of the query, 0 s in an instant query.
    Step,
    /// `range()`: end minus start of the query.
    Range,
    /// `min_of(a, b)`.
    Min(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    Max(Box<DurationExpr>, Box<DurationExpr>),
    /// `-a`; the flag says whether it is negated. The parser reads `+a` as `a`.
    Sign(bool, Box<DurationExpr>),
    /// `a + b`: one of `+ - * / % ^`.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// `@ 1.5`: milliseconds.
    Time(i64),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// How the edges of a window get their values (extended range selectors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Extension {
    /// Not at all: what lies in the window.
    #[default]
    None,
    /// `anchored`: the sample before the window counts at its left edge.
    Anchored,
    /// `smoothed`: values at both edges are interpolated.
    Smoothed,
}

/// `name{label="value"}` with its modifiers.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces, `None` when it stands inside them or nowhere.
    pub name: Option<String>,
    /// All matchers, the one of the name among them, in order of the text (the name's last, as Prometheus has it).
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: DurationValue,
    /// `@`.
    pub at: Option<At>,
    /// `anchored` or `smoothed` behind the selector (or behind the range of the matrix selector around it).
    pub extension: Extension,
}

/// A vector selector with a range.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// The selector. Offset, `@` and extension of the whole are in it. Its span ends before the `[`.
    pub selector: Box<Expr>,
    /// The range.
    pub range: DurationValue,
}

/// A subquery.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub expr: Box<Expr>,
    /// The range.
    pub range: DurationValue,
    /// The step; `None` for the default one.
    pub step: Option<DurationValue>,
    /// `offset`.
    pub offset: DurationValue,
    /// `@`.
    pub at: Option<At>,
}

/// The aggregations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
}

/// `sum by (a) (expr)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// The parameter of topk, bottomk, count_values, quantile, limitk, limit_ratio.
    pub param: Option<Box<Expr>>,
    /// Label names of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether it is `without`.
    pub without: bool,
}

/// The binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Unless,
    /// `</`: the part of a histogram below a value.
    TrimUpper,
    /// `>/`: the part of a histogram above a value.
    TrimLower,
}

/// How many elements of each side may belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cardinality {
    /// One on each side.
    #[default]
    OneToOne,
    /// `group_left`.
    ManyToOne,
    /// `group_right`.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How the elements of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorMatching {
    /// Cardinality.
    pub cardinality: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether it is `on`.
    pub on: bool,
    /// Labels of `group_left` or `group_right`.
    pub include: Vec<String>,
    /// `fill`, `fill_left`: the value for a left element that is missing.
    pub fill_left: Option<f64>,
    /// `fill`, `fill_right`: the value for a right element that is missing.
    pub fill_right: Option<f64>,
}

/// `a + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// Operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Box<Expr>,
    /// Right side.
    pub rhs: Box<Expr>,
    /// Set when both sides are vectors.
    pub matching: Option<VectorMatching>,
    /// Whether a comparison has `bool`.
    pub return_bool: bool,
}

/// `-a`.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// Whether it negates.
    pub negate: bool,
    /// Operand.
    pub expr: Box<Expr>,
}

/// `rate(a[5m])`.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// Arguments as they were written; defaults are not filled in.
    pub args: Vec<Expr>,
}

impl Expr {
    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Binary(b) if b.lhs.value_type() == ValueType::Scalar && b.rhs.value_type() == ValueType::Scalar => {
                ValueType::Scalar
            }
            ExprKind::Binary(_) => ValueType::Vector,
            ExprKind::Unary(unary) => unary.expr.value_type(),
            ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Call(call) => call.function.signature().returns,
        }
    }
}

impl ValueType {
    /// As results of the API name it: `vector`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::TopK,
        Self::BottomK,
        Self::CountValues,
        Self::Quantile,
        Self::LimitK,
        Self::LimitRatio,
    ];

    /// Its name in the text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether a parameter comes before what is aggregated.
    pub const fn has_param(self) -> bool {
        use AggregateOp::{BottomK, CountValues, LimitK, LimitRatio, Quantile, TopK};
        matches!(self, TopK | BottomK | CountValues | Quantile | LimitK | LimitRatio)
    }

    /// Whether it is refused unless experimental functions are on.
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}

impl BinaryOp {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    pub const fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual)
    }

    /// `and`, `or`, `unless`.
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        })
    }
}
