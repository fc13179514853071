//! Trees that no parser would make: an error or an answer, never the end of the stack.

use traceql::ast::{
    BinaryOp, Field, FieldExpr, FieldName, Metrics as Query, MetricsFunction, Pipeline, Scalar, ScalarFilter, Scope, SpansetOp,
    Spansets, Stage,
};
use traceql::eval::{Conditions, Error, Filter, Metrics, Options, Search};
use traceql::memory::{Span, Trace};
use traceql::spans::Slots;
use traceql::value::Value;

fn field(name: usize) -> FieldExpr {
    FieldExpr::Field(Field { parent: false, name: FieldName::Attribute(Scope::Span, name.to_string()) })
}

fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `(((x op x) op x) op x) ...`, the operators in turn.
fn nested(levels: usize, ops: [BinaryOp; 2]) -> FieldExpr {
    (0..levels).fold(field(0), |inner, level| binary(ops[level % 2], inner, field(0)))
}

fn compiled(expr: &FieldExpr) -> Result<usize, Error> {
    let mut slots = Slots::default();
    let filter = Filter::new(expr, &mut slots)?;
    let spans = [Span { attributes: vec![("0".to_owned(), Value::Bool(true))], ..Span::default() }];
    filter.matches(&Trace::new(&spans, &slots), 0);
    Ok(Conditions::of(expr).len())
}

#[test]
fn chains_may_be_long_and_nests_not_deep() {
    assert!(compiled(&nested(10_000, [BinaryOp::And, BinaryOp::And])).is_ok());
    assert!(compiled(&nested(10_000, [BinaryOp::Or, BinaryOp::Or])).is_ok());
    // The parser's trees are up to 400 levels high.
    assert!(compiled(&nested(400, [BinaryOp::And, BinaryOp::Or])).is_ok());
    let compared = binary(BinaryOp::Less, nested(400, [BinaryOp::Add, BinaryOp::Multiply]), field(1));
    assert!(compiled(&compared).is_ok());
    for ops in [[BinaryOp::And, BinaryOp::Or], [BinaryOp::Add, BinaryOp::Multiply], [BinaryOp::Equal, BinaryOp::Equal]] {
        let compared = binary(BinaryOp::Less, nested(2_000, ops), field(1));
        assert!(matches!(compiled(&compared), Err(Error::TooDeep { .. })), "{ops:?}");
    }
    let not = (0..2_000).fold(binary(BinaryOp::Equal, field(0), field(1)), |inner, _| FieldExpr::Not(Box::new(inner)));
    assert!(matches!(compiled(&not), Err(Error::TooDeep { .. })));
}

#[test]
fn spansets_scalars_and_arithmetic_are_not_deep() {
    let filter = || Spansets::Filter(FieldExpr::Literal(Value::Bool(true)));
    let and = |inner: Spansets, _| Spansets::Binary { op: SpansetOp::And, left: Box::new(inner), right: Box::new(filter()) };
    let search = |stage: Stage| Search::new(&Pipeline { stages: vec![stage] }).map(|_| ());
    assert_eq!(search(Stage::Spansets((0..400).fold(filter(), and))), Ok(()));
    assert!(matches!(search(Stage::Spansets((0..2_000).fold(filter(), and))), Err(Error::TooDeep { .. })));
    let negate = |inner: Scalar, _| Scalar::Negate(Box::new(inner));
    let left = (0..2_000).fold(Scalar::Literal(Value::Int(1)), negate);
    let scalar = ScalarFilter { left, op: BinaryOp::Equal, right: Scalar::Literal(Value::Int(1)) };
    assert!(matches!(search(Stage::Scalar(scalar)), Err(Error::TooDeep { .. })));
    let leaf = || Query::Of {
        pipeline: Pipeline { stages: vec![Stage::Spansets(filter())] },
        function: MetricsFunction::Rate { by: Vec::new() },
    };
    let plus = |left: Query, right: Query| Query::Binary { op: BinaryOp::Add, left: Box::new(left), right: Box::new(right) };
    let metrics = |query: &Query| Metrics::new(query, Options::default()).map(|_| ());
    assert!(matches!(metrics(&(0..2_000).fold(leaf(), |l, _| plus(l, Query::Number(1.0)))), Err(Error::TooDeep { .. })));
    assert!(matches!(metrics(&(0..150).fold(leaf(), |l, _| plus(l, leaf()))), Err(Error::TooManyLeaves { .. })));
}

#[test]
fn fields_are_numbered() {
    let all = (0..1_001).map(field).reduce(|l, r| binary(BinaryOp::And, l, r)).expect("some");
    assert_eq!(compiled(&all), Err(Error::TooManyFields { limit: 1_000 }));
    let by = (0..1_001).map(|name| Field { parent: false, name: FieldName::Attribute(Scope::Any, name.to_string()) }).collect();
    let pipeline = Pipeline { stages: vec![Stage::Spansets(Spansets::Filter(FieldExpr::Literal(Value::Bool(true))))] };
    let query = Query::Of { pipeline, function: MetricsFunction::Rate { by } };
    assert_eq!(Metrics::new(&query, Options::default()).map(|_| ()), Err(Error::TooManyFields { limit: 1_000 }));
}
