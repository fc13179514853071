//! Traces of 50,000 spans, deep and wide: no evaluation may be quadratic or recurse along them.

use std::time::{Duration, Instant};

use traceql::ast::{
    Aggregate, AggregateFunction, BinaryOp, Field, FieldExpr, FieldName, Form, Intrinsic, Pipeline, Relation, Scalar,
    ScalarFilter, Scope, SpansetOp, Spansets, Spelling, Stage,
};
use traceql::eval::{Search, Spanset};
use traceql::memory::{Span, Trace};
use traceql::value::Value;

const SPANS: usize = 50_000;

/// What an evaluation may take without optimisation on a busy machine; a quadratic one takes minutes.
const LONGEST: Duration = Duration::from_secs(30);

fn trace(parent: impl Fn(usize) -> Option<usize>) -> Vec<Span> {
    let id = |row: usize| format!("{:016x}", row + 1);
    let span = |row: usize| Span {
        trace_id: "1".repeat(32),
        id: id(row),
        parent_id: parent(row).map(id).unwrap_or_default(),
        name: if row.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        start_ns: row as i64,
        duration_ns: 1,
        attributes: vec![("n".to_owned(), Value::Int(row as i64))],
        ..Span::default()
    };
    (0..SPANS).map(span).collect()
}

fn evaluate(spans: &[Span], stages: Vec<Stage>) -> Vec<Spanset> {
    let search = Search::new(&Pipeline { stages }).expect("a search");
    let trace = Trace::new(spans, search.slots());
    let start = Instant::now();
    let found = search.evaluate(&trace).expect("spansets");
    assert!(start.elapsed() < LONGEST, "took {:?}", start.elapsed());
    found
}

fn named(name: &'static str) -> Box<Spansets> {
    let field = Field { parent: false, name: FieldName::Intrinsic(Intrinsic::Name, Spelling::Legacy) };
    let (left, right) = (Box::new(FieldExpr::Field(field)), Box::new(FieldExpr::Literal(Value::text(name))));
    Box::new(Spansets::Filter(FieldExpr::Binary { op: BinaryOp::Equal, left, right }))
}

fn structural(relation: Relation, form: Form) -> Stage {
    let op = SpansetOp::Structural(relation, form);
    Stage::Spansets(Spansets::Binary { op, left: named("even"), right: named("odd") })
}

fn n() -> FieldExpr {
    FieldExpr::Field(Field { parent: false, name: FieldName::Attribute(Scope::Any, "n".to_owned()) })
}

#[test]
fn no_shape_of_a_trace_makes_structure_slow() {
    let chain = trace(|row| row.checked_sub(1));
    let wide = trace(|row| (row > 0).then_some(0));
    let cycle = trace(|row| Some((row + 1) % SPANS));
    let relations = [Relation::Child, Relation::Descendant, Relation::Parent, Relation::Ancestor, Relation::Sibling];
    let count = |spans: &[Span], relation, form| {
        evaluate(spans, vec![structural(relation, form)]).iter().map(|spanset| spanset.rows.len()).sum::<usize>()
    };
    // By relation: plain, negated, union.
    let half = SPANS / 2;
    let of_chain = [[half, 0, SPANS], [half, 0, SPANS], [half - 1, 1, SPANS - 2], [half - 1, 1, SPANS - 2], [0, half, 0]];
    let of_wide = [[half, 0, half + 1], [half, 0, half + 1], [0, half, 0], [0, half, 0], [half, 0, SPANS - 1]];
    for (at, relation) in relations.into_iter().enumerate() {
        for (form, kept) in [Form::Plain, Form::Not, Form::Union].into_iter().zip(0..) {
            let kept: usize = kept;
            assert_eq!(count(&chain, relation, form), of_chain[at][kept], "{relation:?} {form:?} of a chain");
            assert_eq!(count(&wide, relation, form), of_wide[at][kept], "{relation:?} {form:?} below one span");
            // Who stands where in a circle is not known, so nobody is said to.
            let of_circle = if form == Form::Not { half } else { 0 };
            assert_eq!(count(&cycle, relation, form), of_circle, "{relation:?} {form:?} in a circle");
        }
    }
}

#[test]
fn many_groups_cost_no_more_than_their_spans() {
    let chain = trace(|row| row.checked_sub(1));
    let count = Scalar::Aggregate(Aggregate { function: AggregateFunction::Count, of: None });
    let sum = Scalar::Aggregate(Aggregate { function: AggregateFunction::Sum, of: Some(n()) });
    let filter = |left, op, right| Stage::Scalar(ScalarFilter { left, op, right: Scalar::Literal(Value::Int(right)) });
    let found = evaluate(
        &chain,
        vec![
            Stage::By(n()),
            structural(Relation::Ancestor, Form::Not),
            filter(count, BinaryOp::Equal, 1),
            filter(sum, BinaryOp::Greater, 10),
        ],
    );
    assert_eq!(found.len(), SPANS / 2 - 5);
    let coalesced = evaluate(&chain, vec![Stage::By(n()), Stage::Coalesce]);
    assert_eq!(coalesced.len(), 1);
    assert_eq!(coalesced[0].rows.len(), SPANS);
}
