//! A pipeline over the spans of one trace.
//!
//! ```text
//! all spans of a trace ─► { a } >> { b } ─► by(.x) ─► count() > 2 ─► coalesce() ─► spansets
//!                         one spanset       several   some of them    one
//! ```
//! A stage sees each spanset by itself; one without spans is none.

use std::cell::OnceCell;
use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::conditions::Conditions;
use super::error::{Error, Result};
use super::key::{Key, hash_value};
use super::names;
use super::program::{At, Operand, Test};
use super::returned::Returned;
use super::scalar::{ScalarFilter, set};
use super::spansets::Spansets;
use super::{compile, roots};
use crate::ast::{self, BinaryOp, Field, FieldExpr, FieldName, Intrinsic, Pipeline};
use crate::spans::{Reference, Slot, Slots, Source, Spans};
use crate::tree::Tree;
use crate::value::Value;

/// Levels of spansets within spansets that are evaluated. The parser allows fewer.
const DEPTH_MAX: usize = 500;

/// A compiled pipeline without metrics.
#[derive(Debug, Clone)]
pub struct Search {
    slots: Slots,
    stages: Vec<Stage>,
    returned: Vec<Returned>,
    name: Option<Returned>,
    needs: Needs,
    conditions: Vec<Conditions>,
    parent_id: Option<Slot>,
}

/// What an evaluation needs beyond the values of the spans themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Spans of a trace must be evaluated together. When not, each is judged by itself, and a part of a trace gives that part's spans.
    pub whole_trace: bool,
    /// [`Spans::parent`] must be known, and for that all spans of a trace must be there, not only those that match.
    pub structure: bool,
    /// Fields whose source is [`Source::Trace`] are named.
    pub trace_values: bool,
    /// Fields of events or links are named.
    pub items: bool,
}

/// Spans of a trace that matched together.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanset {
    /// Their rows, by start, then row.
    pub rows: Vec<usize>,
    /// What groups and aggregates say of it, named as Tempo does: `by(name)`, `count()`.
    pub attributes: Vec<(String, Value<'static>)>,
}

#[derive(Debug, Clone)]
pub(super) enum Stage {
    Spansets(Spansets),
    Scalar(ScalarFilter),
    By { name: String, of: Operand },
    Coalesce,
    Select,
}

impl Search {
    /// Compiles a pipeline.
    ///
    /// # Errors
    /// A pattern that is none; a tree that is too deep or names too many fields.
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        Self::compiled(pipeline, true)
    }

    /// Compiles a pipeline of which only the spans are wanted, in no matter which spansets, and nothing is returned of them.
    pub(super) fn of_spans(pipeline: &Pipeline) -> Result<Self> {
        Self::compiled(pipeline, false)
    }

    fn compiled(pipeline: &Pipeline, returns_spansets: bool) -> Result<Self> {
        let mut compiler = Compiler { returns_spansets, ..Compiler::default() };
        let stages = compiler.stages(pipeline)?;
        let conditions = Conditions::of_pipeline(pipeline);
        let single = stages.iter().all(|stage| match stage {
            Stage::Spansets(spansets) => spansets.is_of_single_spans(),
            Stage::Select => true,
            Stage::By { .. } | Stage::Coalesce => !returns_spansets,
            Stage::Scalar(_) => false,
        });
        let Compiler { slots, returned, name, structure, parent_id, .. } = compiler;
        let mut search = Self { slots, stages, returned, name, needs: Needs::default(), conditions, parent_id };
        search.needs.structure = structure;
        search.needs.whole_trace = !single;
        search.settle_needs();
        Ok(search)
    }

    /// A further field that is asked for.
    pub(super) fn reference(&mut self, field: &Field) -> Result<Reference> {
        self.needs.structure |= field.parent;
        let reference = self.slots.reference(field);
        compile::check_slots(&self.slots)?;
        self.settle_needs();
        Ok(reference)
    }

    /// A further filter.
    pub(super) fn test(&mut self, expr: &FieldExpr) -> Result<Test> {
        self.needs.structure |= names_parent(expr);
        let test = compile::test(expr, &mut self.slots)?;
        self.settle_needs();
        Ok(test)
    }

    /// Says that [`Spans::all`] will be called, which tells also of the trace.
    pub(super) fn needs_all(&mut self) {
        self.needs.trace_values = true;
        self.settle_needs();
    }

    fn settle_needs(&mut self) {
        for source in self.slots.fields().iter().map(Source::of) {
            self.needs.items |= matches!(source, Source::Event | Source::Link);
            self.needs.trace_values |= source == Source::Trace;
        }
        self.needs.whole_trace |= self.needs.structure || self.needs.trace_values;
    }

    /// The fields that it asks for.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What is returned of each span.
    pub fn returned(&self) -> &[Returned] {
        &self.returned
    }

    /// The name of spans, when it was asked for.
    pub fn name(&self) -> Option<&Returned> {
        self.name.as_ref()
    }

    /// What it needs.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// What spans have to satisfy: a trace can only match when one of its spans satisfies one of these. None: nothing matches. Unless
    /// structure or values of the trace are needed, spans that satisfy none of them may be left out, also where spans are needed together.
    pub fn conditions(&self) -> &[Conditions] {
        &self.conditions
    }

    /// Evaluates it over `spans`, which are those of one trace: all of them when [`Needs`] says so, else at least all that satisfy one of the
    /// conditions.
    ///
    /// # Errors
    /// None of now; limits may come.
    pub fn evaluate(&self, spans: &dyn Spans) -> Result<Vec<Spanset>> {
        let mut found = self.spansets(spans);
        for spanset in &mut found {
            spanset.rows.sort_by_key(|row| (spans.start_ns(*row), *row));
        }
        Ok(found)
    }

    /// The same for who counts spans, with rows in no promised order.
    pub(super) fn spansets(&self, spans: &dyn Spans) -> Vec<Spanset> {
        let run = Run { spans, parent_id: self.parent_id, tree: OnceCell::new() };
        run.through(&self.stages, Spanset { rows: (0..spans.len()).collect(), attributes: Vec::new() })
    }
}

/// One evaluation over one trace.
pub(super) struct Run<'a> {
    pub(super) spans: &'a dyn Spans,
    parent_id: Option<Slot>,
    tree: OnceCell<Tree>,
}

impl Run<'_> {
    /// The structure of the trace, made when first asked for.
    pub(super) fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| {
            let parents: Vec<_> = (0..self.spans.len()).map(|row| self.spans.parent(row)).collect();
            let no_parent = Value::text("");
            Tree::new(&parents, |row| self.parent_id.is_none_or(|slot| self.spans.value(slot, row) == no_parent))
        })
    }

    /// The spans of all spansets that `stages` make of `rows`.
    pub(super) fn rows_of(&self, stages: &[Stage], rows: &[usize]) -> Vec<usize> {
        let found = self.through(stages, Spanset { rows: rows.to_vec(), attributes: Vec::new() });
        merged(found)
    }

    fn through(&self, stages: &[Stage], first: Spanset) -> Vec<Spanset> {
        let mut spansets = vec![first];
        spansets.retain(|spanset| !spanset.rows.is_empty());
        for stage in stages {
            spansets = match stage {
                Stage::Select => spansets,
                Stage::Coalesce if spansets.is_empty() => spansets,
                Stage::Coalesce => vec![Spanset { rows: merged(spansets), attributes: Vec::new() }],
                Stage::By { name, of } => spansets.into_iter().flat_map(|spanset| self.grouped(spanset, name, of)).collect(),
                Stage::Spansets(selection) => {
                    spansets.iter_mut().for_each(|spanset| spanset.rows = selection.select(self, &spanset.rows));
                    spansets
                }
                Stage::Scalar(filter) => {
                    spansets.retain_mut(|Spanset { rows, attributes }| filter.passes(self, rows, attributes));
                    spansets
                }
            };
            spansets.retain(|spanset| !spanset.rows.is_empty());
        }
        spansets
    }

    /// One spanset for each value, in the order in which they first come.
    fn grouped(&self, spanset: Spanset, name: &str, of: &Operand) -> Vec<Spanset> {
        let hasher = DefaultHashBuilder::default();
        let mut groups: Vec<(Key, Vec<usize>)> = Vec::new();
        let mut known: HashTable<(u64, usize)> = HashTable::new();
        for row in spanset.rows {
            let value = of.value(At::span(self.spans, row));
            let mut state = hasher.build_hasher();
            hash_value(&value, &mut state);
            let hash = state.finish();
            let found = known.find(hash, |(h, at)| *h == hash && groups[*at].0.is(&value)).map(|(_, at)| *at);
            let at = found.unwrap_or_else(|| {
                known.insert_unique(hash, (hash, groups.len()), |(h, _)| *h);
                groups.push((Key::from(&value), Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(row);
        }
        let group = |(key, rows): (Key, Vec<usize>)| {
            let mut attributes = spanset.attributes.clone();
            set(&mut attributes, name, Value::from(&key));
            Spanset { rows, attributes }
        };
        groups.into_iter().map(group).collect()
    }
}

/// All spans, each once, ascending by row.
fn merged(spansets: Vec<Spanset>) -> Vec<usize> {
    let mut rows: Vec<usize> = spansets.into_iter().flat_map(|spanset| spanset.rows).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Compiles stages and keeps what they have in common.
#[derive(Default)]
pub(super) struct Compiler {
    returns_spansets: bool,
    slots: Slots,
    returned: Vec<Returned>,
    name: Option<Returned>,
    structure: bool,
    parent_id: Option<Slot>,
    depth: usize,
}

impl Compiler {
    pub(super) fn stages(&mut self, pipeline: &Pipeline) -> Result<Vec<Stage>> {
        self.deeper(|this| pipeline.stages.iter().map(|stage| this.stage(stage)).collect())
    }

    fn stage(&mut self, stage: &ast::Stage) -> Result<Stage> {
        Ok(match stage {
            ast::Stage::Spansets(spansets) => Stage::Spansets(Spansets::new(spansets, self)?),
            ast::Stage::Scalar(filter) => Stage::Scalar(ScalarFilter::new(filter, self)?),
            ast::Stage::By(expr) => Stage::By { name: format!("by({})", names::expression(expr)), of: self.operand(expr)? },
            ast::Stage::Coalesce => Stage::Coalesce,
            ast::Stage::Select(fields) => {
                fields.iter().try_for_each(|field| self.seen(field, None))?;
                Stage::Select
            }
        })
    }

    pub(super) fn deeper<T>(&mut self, compile: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            return Err(Error::TooDeep { limit: DEPTH_MAX });
        }
        self.depth += 1;
        let compiled = compile(self);
        self.depth -= 1;
        compiled
    }

    pub(super) fn test(&mut self, expr: &FieldExpr) -> Result<Test> {
        self.fields_of(expr)?;
        compile::test(expr, &mut self.slots)
    }

    pub(super) fn operand(&mut self, expr: &FieldExpr) -> Result<Operand> {
        self.fields_of(expr)?;
        compile::operand(expr, &mut self.slots)
    }

    pub(super) fn needs_structure(&mut self) {
        self.structure = true;
        // Of spans without a known parent only those that name none are roots.
        self.parent_id = Some(self.slots.slot(&roots::parent_id()));
    }

    fn fields_of(&mut self, expr: &FieldExpr) -> Result<()> {
        // A stack, since chains are as deep as a query is long.
        let mut todo = vec![expr];
        while let Some(expr) = todo.pop() {
            match expr {
                FieldExpr::Literal(_) => {}
                FieldExpr::Field(field) => self.seen(field, None)?,
                FieldExpr::Negate(inner) | FieldExpr::Not(inner) => todo.push(inner),
                FieldExpr::Binary { op, left, right } => match compared(*op, left, right) {
                    Some(field) if self.returns_spansets => {
                        let test = compile::test(expr, &mut self.slots)?;
                        self.seen(field, Some(test))?;
                    }
                    _ => todo.extend([&**right, &**left]),
                },
            }
        }
        Ok(())
    }

    /// A field that a query names is returned, but for those that every answer has a place of its own for.
    fn seen(&mut self, field: &Field, test: Option<Test>) -> Result<()> {
        self.structure |= field.parent;
        if !self.returns_spansets {
            return Ok(());
        }
        let reference = self.slots.reference(field);
        compile::check_slots(&self.slots)?;
        if let FieldName::Intrinsic(intrinsic, _) = field.name
            && !field.parent
        {
            match intrinsic {
                Intrinsic::Name => {
                    match &mut self.name {
                        Some(known) => known.also(test),
                        None => self.name = Some(Returned::new(String::from("name"), reference, test)),
                    }
                    return Ok(());
                }
                Intrinsic::Duration
                | Intrinsic::SpanId
                | Intrinsic::TraceId
                | Intrinsic::TraceDuration
                | Intrinsic::RootName
                | Intrinsic::RootService => return Ok(()),
                _ => {}
            }
        }
        let name = if field.parent { names::field_label(field) } else { names::field_name(&field.name).to_owned() };
        match self.returned.iter_mut().find(|known| known.is(&name, reference)) {
            Some(known) => known.also(test),
            None => self.returned.push(Returned::new(name, reference, test)),
        }
        Ok(())
    }
}

/// The field that is compared with a literal, if that is all there is.
fn compared<'a>(op: BinaryOp, left: &'a FieldExpr, right: &'a FieldExpr) -> Option<&'a Field> {
    let is_pattern = matches!(op, BinaryOp::Match | BinaryOp::NotMatch);
    match (left, right) {
        (FieldExpr::Field(field), FieldExpr::Literal(_)) if is_pattern || compile::comparison(op).is_some() => Some(field),
        (FieldExpr::Literal(_), FieldExpr::Field(field)) if compile::comparison(op).is_some() => Some(field),
        _ => None,
    }
}

pub(super) fn names_parent(expr: &FieldExpr) -> bool {
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        match expr {
            FieldExpr::Literal(_) => {}
            FieldExpr::Field(field) if field.parent => return true,
            FieldExpr::Field(_) => {}
            FieldExpr::Negate(inner) | FieldExpr::Not(inner) => todo.push(inner),
            FieldExpr::Binary { left, right, .. } => todo.extend([&**left, &**right]),
        }
    }
    false
}
