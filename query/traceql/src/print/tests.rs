//! What is printed of any tree that the parser could give is read as that tree.

use proptest::prelude::*;
use proptest::sample::select;

use crate::ast::{
    Aggregate, AggregateFunction, BinaryOp, Field, FieldExpr, FieldName, Hint, Intrinsic, Metrics, MetricsFunction, Pipeline,
    Query, Root, Scalar, ScalarFilter, Scope, SecondStage, Spansets, Spelling, Stage,
};
use crate::parse::{ErrorKind, parse, tree};
use crate::value::Value;
use crate::{fold, words};

const ARITHMETIC: [BinaryOp; 6] =
    [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Divide, BinaryOp::Modulo, BinaryOp::Power];
const ORDER: [BinaryOp; 6] =
    [BinaryOp::Equal, BinaryOp::NotEqual, BinaryOp::Less, BinaryOp::LessEqual, BinaryOp::Greater, BinaryOp::GreaterEqual];

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z`\"\\\\\n\r\t{}()|&.<> é\u{10ff80}]{0,8}"]
}

/// The parser knows no other numbers.
fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>().prop_filter("finite", |v| v.is_finite()), (-1000..1000_i32).prop_map(f64::from)]
}

fn number() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (-9..9_i64).prop_map(Value::Int),
        finite().prop_map(Value::Float),
        any::<i64>().prop_filter("whose digits alone are too large", |ns| *ns != i64::MIN).prop_map(Value::Duration),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        number(),
        any_text().prop_map(|text| Value::Str(text.into())),
        any::<bool>().prop_map(Value::Bool),
        select(words::STATUSES.to_vec()).prop_map(|(status, _)| Value::Status(status)),
        select(words::KINDS.to_vec()).prop_map(|(kind, _)| Value::Kind(kind)),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    let name = prop_oneof![
        "[a-z.\"\\\\ é:+-]{1,8}",
        any_text().prop_filter("a name", |name| !name.is_empty()),
        select(vec!["duration", "parent", "span.x", "resource.y", "span:id", "1a", "http.method", "span."])
            .prop_map(str::to_owned),
    ];
    let attribute = (select(words::SCOPES.to_vec()), name).prop_map(|((scope, _), name)| FieldName::Attribute(scope, name));
    let intrinsic = select(vec![
        (Intrinsic::Name, Spelling::Legacy),
        (Intrinsic::Name, Spelling::Scoped),
        (Intrinsic::RootService, Spelling::Legacy),
        (Intrinsic::RootService, Spelling::Scoped),
        (Intrinsic::NestedSetParent, Spelling::Legacy),
        (Intrinsic::ChildCount, Spelling::Scoped),
        (Intrinsic::EventTimeSinceStart, Spelling::Scoped),
        (Intrinsic::Kind, Spelling::Scoped),
    ])
    .prop_map(|(intrinsic, spelling)| FieldName::Intrinsic(intrinsic, spelling));
    (any::<bool>(), prop_oneof![attribute, intrinsic]).prop_map(|(parent, name)| {
        // only these scopes are there behind `parent.`
        let of_parent =
            matches!(name, FieldName::Attribute(Scope::Any | Scope::Span | Scope::Resource, _) | FieldName::Intrinsic(..));
        Field { parent: parent && of_parent, name }
    })
}

/// Expressions as the grammar has them; whether their types fit is another question.
fn expr() -> impl Strategy<Value = FieldExpr> {
    let leaf = prop_oneof![value().prop_map(FieldExpr::Literal), field().prop_map(FieldExpr::Field)];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let op = select(words::BINARY_OPS.to_vec()).prop_map(|(op, _)| op);
        let nil = (select(vec![BinaryOp::Equal, BinaryOp::NotEqual]), inner.clone(), any::<bool>());
        prop_oneof![
            4 => (op, inner.clone(), inner.clone()).prop_map(|(op, left, right)| fold::binary(op, left, right)),
            1 => nil.prop_map(|(op, of, first)| {
                let nil = FieldExpr::Literal(Value::Nil);
                if first { fold::binary(op, nil, of) } else { fold::binary(op, of, nil) }
            }),
            1 => inner.clone().prop_map(fold::negate),
            1 => inner.prop_map(fold::not),
        ]
    })
}

/// Filters and what combines them.
fn filters() -> impl Strategy<Value = Spansets> {
    combined(expr().prop_map(Spansets::Filter))
}

/// The same with pipelines among them.
fn pipelines() -> impl Strategy<Value = Spansets> {
    let alone = |p: &Pipeline| !matches!(p.stages.as_slice(), [Stage::Spansets(_)]);
    let piped = pipeline().prop_filter("one of spansets alone is these", alone);
    combined(prop_oneof![2 => expr().prop_map(Spansets::Filter), 1 => piped.prop_map(Spansets::Pipeline)])
}

fn combined(leaf: impl Strategy<Value = Spansets> + 'static) -> impl Strategy<Value = Spansets> {
    leaf.prop_recursive(2, 4, 2, |inner| {
        let op = select(words::SPANSET_OPS.to_vec()).prop_map(|(op, _)| op);
        (op, inner.clone(), inner).prop_map(|(op, left, right)| Spansets::Binary { op, left: left.into(), right: right.into() })
    })
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let aggregate = prop_oneof![
        Just(Aggregate { function: AggregateFunction::Count, of: None }),
        (select(words::AGGREGATES[1..].to_vec()), expr()).prop_map(|((function, _), of)| Aggregate { function, of: Some(of) }),
    ];
    let leaf = prop_oneof![2 => aggregate.prop_map(Scalar::Aggregate), 1 => number().prop_map(Scalar::Literal)];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let of_pipeline = (filters(), inner.clone()).prop_map(|(spansets, inner)| {
            Scalar::Pipeline(Pipeline { stages: vec![Stage::Spansets(spansets)] }, Box::new(inner))
        });
        prop_oneof![
            3 => (select(ARITHMETIC.to_vec()), inner.clone(), inner.clone()).prop_map(|(op, l, r)| fold::scalar_binary(op, l, r)),
            1 => inner.prop_map(fold::scalar_negate),
            1 => of_pipeline,
        ]
    })
}

fn scalar_filter() -> impl Strategy<Value = ScalarFilter> {
    let count = || Scalar::Aggregate(Aggregate { function: AggregateFunction::Count, of: None });
    (scalar(), select(ORDER.to_vec()), scalar(), any::<bool>()).prop_map(move |(scalar, op, other, first)| {
        // one side at least is of the spans
        let (left, right) = if first { (count(), other) } else { (scalar, count()) };
        ScalarFilter { left, op, right }
    })
}

fn pipeline() -> impl Strategy<Value = Pipeline> {
    let stage = || {
        prop_oneof![
            filters().prop_map(Stage::Spansets),
            scalar_filter().prop_map(Stage::Scalar),
            expr().prop_map(Stage::By),
            prop::collection::vec(field(), 1..4).prop_map(Stage::Select),
        ]
    };
    let later = prop_oneof![4 => stage(), 1 => Just(Stage::Coalesce)];
    (stage(), prop::collection::vec(later, 0..3)).prop_map(|(first, later)| {
        let mut stages = vec![first];
        stages.extend(later);
        Pipeline { stages }
    })
}

fn function() -> impl Strategy<Value = MetricsFunction> {
    let by = || prop::collection::vec(field(), 0..3);
    let window = prop::option::of((0..i64::MAX, 0..i64::MAX));
    let over_time = (select(words::OVER_TIME.to_vec()), field(), by());
    let quantiles = prop::collection::vec(0.0..=1.0_f64, 1..3);
    prop_oneof![
        by().prop_map(|by| MetricsFunction::Rate { by }),
        by().prop_map(|by| MetricsFunction::Count { by }),
        over_time.prop_map(|((function, _), of, by)| MetricsFunction::OverTime { function, of, by }),
        (field(), quantiles, by()).prop_map(|(of, quantiles, by)| MetricsFunction::Quantile { of, quantiles, by }),
        (field(), by()).prop_map(|(of, by)| MetricsFunction::Histogram { of, by }),
        (expr(), 0..2000_usize, window).prop_map(|(filter, top, window)| MetricsFunction::Compare { filter, top, window }),
    ]
}

fn metrics() -> impl Strategy<Value = Metrics> {
    let leaf = (pipeline(), function()).prop_map(|(pipeline, function)| Metrics::Of { pipeline, function });
    let constant = || prop_oneof![finite(), select(vec![f64::INFINITY, f64::NEG_INFINITY])];
    leaf.prop_recursive(3, 6, 2, move |inner| {
        let stage = prop_oneof![
            (0..9_usize).prop_map(SecondStage::TopK),
            (0..9_usize).prop_map(SecondStage::BottomK),
            (select(ORDER.to_vec()), constant()).prop_map(|(op, number)| SecondStage::Compare(op, number)),
        ];
        let op = || select(ARITHMETIC[..4].to_vec());
        let binary = |op, left: Metrics, right: Metrics| Metrics::Binary { op, left: left.into(), right: right.into() };
        prop_oneof![
            (inner.clone(), stage).prop_map(|(of, stage)| Metrics::Then { of: of.into(), stage }),
            (op(), inner.clone(), inner.clone()).prop_map(move |(op, left, right)| binary(op, left, right)),
            (op(), inner.clone(), constant()).prop_map(move |(op, left, right)| binary(op, left, Metrics::Number(right))),
            (op(), constant(), inner).prop_map(move |(op, left, right)| binary(op, Metrics::Number(left), right)),
        ]
    })
}

fn query() -> impl Strategy<Value = Query> {
    let both = (select(words::SPANSET_OPS.to_vec()), pipelines(), pipelines()).prop_map(|((op, _), left, right)| Pipeline {
        stages: vec![Stage::Spansets(Spansets::Binary { op, left: left.into(), right: right.into() })],
    });
    let root = prop_oneof![pipeline().prop_map(Root::Search), both.prop_map(Root::Search), metrics().prop_map(Root::Metrics),];
    let hint = (
        "[a-z_]{1,6}",
        value().prop_filter("a hint", |v| !matches!(v, Value::Status(_) | Value::Kind(_) | Value::Int(i64::MIN))),
    );
    let hints = prop::collection::vec(hint.prop_map(|(key, value)| Hint { key, value }), 0..3);
    (root, hints).prop_map(|(root, hints)| Query { root, hints })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn printing_is_undone_by_parsing(query in query()) {
        let printed = query.to_string();
        let read = tree(&printed);
        prop_assert_eq!(read.as_ref(), Ok(&query), "{}", printed);
        // and validation ends with whatever it finds
        prop_assert_ne!(parse(&printed).map_err(|e| e.kind), Err(ErrorKind::Parse));
    }

    #[test]
    fn any_text_is_understood_or_refused_and_never_a_panic(text in "([{}()|&<>=!~.,\"`+*/^ -]|span\\.|parent\\.|a|count\\(\\)|rate\\(\\)|by|1|5s|nil|//|\n){0,40}") {
        if let Ok(query) = parse(&text) {
            prop_assert_eq!(parse(&query.to_string()), Ok(query));
        }
        let _ = crate::parse::lenient(&text);
        let _ = crate::parse::field(&text);
    }
}
