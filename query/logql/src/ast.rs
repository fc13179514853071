//! The syntax tree of a query, as its text said it: strings are unquoted, durations are nanoseconds, literals are folded, and nothing is
//! compiled.
//!
//! ```text
//! sum by (app) ( rate ( {app="a"} |= "x" | json | unwrap y [5m] offset 1m ) ) > 3
//!                       └selector┘└──── stages ──────────┘
//!                       └── LogExpr ───────────┘└unwrap┘
//!                       └── LogRange ─────────────────────────────┘
//!                └── RangeAggregation ────────────────────────────┘
//! └── VectorAggregation ────────────────────────────────────────────┘
//! └── Binary ───────────────────────────────────────────────────────────┘
//! ```
//! What a stage means is said where it is run. Grammar: Loki `pkg/logql/syntax/syntax.y`.
//!
//! # Invariants
//! - What the parser gives out is valid: parameters are there where an operation wants one, `unwrap` where it needs one, patterns of
//!   `regexp`, of matchers and of `label_replace` compile. Line filters, patterns of `ip`, templates and paths of `json` are checked when
//!   the pipeline is built, as in Loki.
//! - No tree is higher than [`crate::parse::HEIGHT_MAX`], of label filters [`crate::parse::FILTER_HEIGHT_MAX`]: code that walks it may
//!   recurse.

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Lines: a selector and stages.
    Log(LogExpr),
    /// Numbers over time.
    Metric(MetricExpr),
}

/// Which lines, and what is done to each.
#[derive(Debug, Clone, PartialEq)]
pub struct LogExpr {
    /// The streams.
    pub selector: Selector,
    /// In the order in which a line meets them.
    pub stages: Vec<Stage>,
}

/// `{app="a", level=~"warn|error"}`: the streams of which every matcher is true.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// At least one of a query's selector does not match the empty string; of `{}` alone, in requests that allow it, there is none.
    pub matchers: Vec<Matcher>,
}

/// How a label's value is compared with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: the whole value matches the pattern.
    Regex,
    /// `!~`
    NotRegex,
}

/// A comparison of a label with a text. A label that is absent is the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Operator.
    pub op: MatchOp,
    /// Value, or pattern (checked to be one, [`gosyntax::re2::compile_regex`]).
    pub value: String,
}

/// One step of the way of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `|= "text"`
    LineFilter(LineFilter),
    /// `| json`, or `| json a="x.y[0]", b` with extractions.
    Json {
        /// Empty: all fields become labels.
        extractions: Vec<Extraction>,
    },
    /// `| logfmt --strict --keep-empty a="x", b`
    Logfmt {
        /// A fault in a line is an error, not skipped.
        strict: bool,
        /// Keys without a value become labels.
        keep_empty: bool,
        /// Empty: all pairs become labels.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "(?P<name>..)"`: it has at least one named group, and no name twice.
    Regexp(String),
    /// `| pattern "<name> text <_>"`
    Pattern(String),
    /// `| unpack`
    Unpack,
    /// `| status >= 400 and method = "GET"`
    LabelFilter(LabelFilter),
    /// `| line_format "{{.template}}"`
    LineFormat(String),
    /// `| label_format a=b, c="{{.template}}"`; whether the targets may be set is seen when it is compiled.
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`
    Decolorize,
    /// `| drop a, b="x"`
    Drop(Vec<LabelChoice>),
    /// `| keep a, b="x"`
    Keep(Vec<LabelChoice>),
}

/// How a line filter looks at a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LineFilterOp {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Matches,
    /// `!~`
    NotMatches,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

impl LineFilterOp {
    /// Whether a line passes that has none of the alternatives.
    pub fn is_negative(self) -> bool {
        matches!(self, LineFilterOp::NotContains | LineFilterOp::NotMatches | LineFilterOp::NotPattern)
    }
}

/// `|= "a" or "b"`: a positive filter wants any of its alternatives. A negative one has one alternative: the parser makes one filter
/// of each member of its chain, as Loki prints it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineFilter {
    /// How.
    pub op: LineFilterOp,
    /// For what; never empty.
    pub alternatives: Vec<LineMatch>,
}

/// What a line filter looks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LineMatch {
    /// A text, an expression or a pattern, as the operator says, unchecked.
    Text(String),
    /// `ip("10.0.0.0/8")`; unchecked, and with `|=` and `!=` only once it is compiled.
    Ip(String),
}

/// `a="x.y"`: a label and where its value is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Extraction {
    /// The label.
    pub label: String,
    /// The path; the label's name when it was not said.
    pub expression: String,
}

/// How a label's value is compared with a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `==` or `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
}

/// A predicate on the labels of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    /// `a="x"`
    String(Matcher),
    /// `a > 3`
    Number {
        /// Label name.
        name: String,
        /// Operator.
        op: CompareOp,
        /// Right side.
        value: f64,
    },
    /// `a > 20ms`
    Duration {
        /// Label name.
        name: String,
        /// Operator.
        op: CompareOp,
        /// Right side, nanoseconds.
        value_ns: i64,
    },
    /// `a > 2KiB`
    Bytes {
        /// Label name.
        name: String,
        /// Operator.
        op: CompareOp,
        /// Right side.
        value_bytes: u64,
    },
    /// `a = ip("10.0.0.0/8")`, `a != ip("..")`
    Ip {
        /// Label name.
        name: String,
        /// Whether it is `!=`.
        negated: bool,
        /// The pattern, unchecked.
        pattern: String,
    },
    /// `a, b`, `a and b`, `a b`
    And(Box<LabelFilter>, Box<LabelFilter>),
    /// `a or b`
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// One assignment of `label_format`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelFormat {
    /// The label that is set.
    pub target: String,
    /// To what.
    pub value: LabelFormatValue,
}

/// What `label_format` sets a label to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelFormatValue {
    /// `a=b`: the value of label `b`, which goes away.
    Rename(String),
    /// `a="{{.b}}"`
    Template(String),
}

/// A member of the list of `drop` and `keep`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LabelChoice {
    /// The label, whatever its value.
    Name(String),
    /// The label, if it matches.
    Matcher(Matcher),
}

/// An expression whose value is numbers over time.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricExpr {
    /// `rate({..}[5m])`
    RangeAggregation(Box<RangeAggregation>),
    /// `sum by (a) (..)`
    VectorAggregation(Box<VectorAggregation>),
    /// `a / on (x) b`
    Binary(Box<Binary>),
    /// `label_replace(a, "dst", "$1", "src", "(.*)")`
    LabelReplace(Box<LabelReplace>),
    /// `histogram_quantile(0.9, a)`: an extension, Loki has none.
    HistogramQuantile(Box<HistogramQuantile>),
    /// `vector(1)`
    Vector(f64),
    /// `1`; arithmetic of literals is folded.
    Literal(f64),
}

/// Operations on the samples of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RangeOp {
    /// `count_over_time`
    CountOverTime,
    /// `rate`
    Rate,
    /// `rate_counter`
    RateCounter,
    /// `bytes_over_time`
    BytesOverTime,
    /// `bytes_rate`
    BytesRate,
    /// `avg_over_time`
    AvgOverTime,
    /// `sum_over_time`
    SumOverTime,
    /// `min_over_time`
    MinOverTime,
    /// `max_over_time`
    MaxOverTime,
    /// `stddev_over_time`
    StddevOverTime,
    /// `stdvar_over_time`
    StdvarOverTime,
    /// `quantile_over_time`
    QuantileOverTime,
    /// `first_over_time`
    FirstOverTime,
    /// `last_over_time`
    LastOverTime,
    /// `absent_over_time`
    AbsentOverTime,
}

/// `quantile_over_time(0.9, {..} | unwrap x [5m]) by (a)`
#[derive(Debug, Clone, PartialEq)]
pub struct RangeAggregation {
    /// The operation.
    pub op: RangeOp,
    /// φ of `quantile_over_time`, which alone has a parameter, and always.
    pub param: Option<f64>,
    /// The lines.
    pub range: LogRange,
    /// Which labels the samples keep; `None`: all of them. `Some` with some operations on unwrapped values only.
    pub grouping: Option<Grouping>,
}

/// `{..} | stage | unwrap x [5m] offset 1m`: the samples of step T are those in `(T - offset - range, T - offset]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRange {
    /// The lines.
    pub log: LogExpr,
    /// What is taken from a line instead of a 1 or its length.
    pub unwrap: Option<Unwrap>,
    /// Length of the window, nanoseconds, not negative; nothing is in one of 0.
    pub range_ns: i64,
    /// How much earlier the window ends than the step, nanoseconds; may be negative.
    pub offset_ns: i64,
}

/// `| unwrap duration(x) | y > 3`
#[derive(Debug, Clone, PartialEq)]
pub struct Unwrap {
    /// How the label's value is read.
    pub conversion: Conversion,
    /// The label.
    pub label: String,
    /// What is asked of the labels once the value was read, in order.
    pub post_filters: Vec<LabelFilter>,
}

/// How `unwrap` reads a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// As a number.
    Float,
    /// `bytes(x)`
    Bytes,
    /// `duration(x)`: seconds.
    Duration,
    /// `duration_seconds(x)`: the same by another name.
    DurationSeconds,
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grouping {
    /// Whether the labels are those that go.
    pub without: bool,
    /// As written: in that order, possibly twice.
    pub labels: Vec<String>,
}

/// Operations on the samples of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VectorOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `max`
    Max,
    /// `min`
    Min,
    /// `count`
    Count,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `bottomk`
    Bottomk,
    /// `topk`
    Topk,
    /// `sort`
    Sort,
    /// `sort_desc`
    SortDesc,
    /// `approx_topk`; ours is exact.
    ApproxTopk,
}

/// `topk by (a) (3, ..)`
#[derive(Debug, Clone, PartialEq)]
pub struct VectorAggregation {
    /// The operation.
    pub op: VectorOp,
    /// k of `topk`, `bottomk`, `approx_topk`, which always have one, at least 1; 0 with the others.
    pub k: u64,
    /// `None`: one group of everything.
    pub grouping: Option<Grouping>,
    /// Of what.
    pub of: MetricExpr,
}

/// Operators between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
}

impl BinaryOp {
    /// `== != > >= < <=`
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        matches!(self, Equal | NotEqual | Greater | GreaterEqual | Less | LessEqual)
    }

    /// How tight it binds, from 1 for `or` to 6 for `^`. All but `^` associate to the left.
    pub fn tightness(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            _ if self.is_comparison() => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Pow => 6,
            _ => 5,
        }
    }

    /// `and or unless`
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
    }
}

/// `lhs / on (x) group_left (y) rhs`. Not both sides are literals.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// `bool`: a comparison gives 0 and 1 instead of leaving samples out.
    pub returns_bool: bool,
    /// How samples of both sides find each other; `None`: by all their labels, one to one.
    pub matching: Option<Matching>,
    /// Left side.
    pub lhs: MetricExpr,
    /// Right side.
    pub rhs: MetricExpr,
}

/// How many samples of one side belong to one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// No `group_` modifier.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
}

/// `on (a) group_left (b)`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matching {
    /// `on`; else `ignoring`.
    pub on: bool,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Which side may have many.
    pub cardinality: Cardinality,
    /// The labels that the result takes from the side with one.
    pub include: Vec<String>,
}

/// `label_replace(of, destination, replacement, source, pattern)`
#[derive(Debug, Clone, PartialEq)]
pub struct LabelReplace {
    /// Whose labels.
    pub of: MetricExpr,
    /// The label that is written.
    pub destination: String,
    /// What it becomes, with `$1` and `${name}`.
    pub replacement: String,
    /// The label that is read.
    pub source: String,
    /// What its whole value must match; checked to be a pattern.
    pub pattern: String,
}

/// `histogram_quantile(φ, of)`: over series that differ in their label `le`.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramQuantile {
    /// Which quantile.
    pub quantile: f64,
    /// The buckets.
    pub of: MetricExpr,
}
