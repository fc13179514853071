//! What an evaluation asks of spans, wherever they are stored.
//!
//! ```text
//! query ─► [`Slots`]: every field it names, numbered       storage ─► columns per slot ─► [`Spans`]: slot, row ► value
//! ```
//! A field is resolved once per query to a slot, and by storage once per batch to columns, not once per span.

use std::borrow::Cow;
use std::sync::Arc;

use crate::ast::{Field, FieldName, Intrinsic, Scope};
use crate::value::Value;

/// A field of a query by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// The fields that a query names, each once. What the structure of a trace tells (nested sets, children, parents) and what a trace
/// as a whole tells (duration, root) is here too; [`Source::of`] says which is which.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slots {
    fields: Vec<FieldName>,
}

impl Slots {
    /// The slot of `field`, new or known.
    pub fn slot(&mut self, field: &FieldName) -> Slot {
        let known = self.fields.iter().position(|f| same(f, field));
        let at = known.unwrap_or_else(|| {
            self.fields.push(field.clone());
            self.fields.len() - 1
        });
        Slot(u16::try_from(at).unwrap_or(u16::MAX))
    }

    /// The fields in the order of their slots.
    pub fn fields(&self) -> &[FieldName] {
        &self.fields
    }
}

/// Fields that differ in spelling only are one.
fn same(a: &FieldName, b: &FieldName) -> bool {
    match (a, b) {
        (FieldName::Intrinsic(a, _), FieldName::Intrinsic(b, _)) => a == b,
        (a, b) => a == b,
    }
}

/// Where the value of a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Of the span: one value per row.
    Row,
    /// Of each of its events.
    Event,
    /// Of each of its links.
    Link,
    /// Of the trace's structure or of the trace as a whole: known once all of its spans are.
    Trace,
}

impl Source {
    /// That of `field`.
    pub fn of(field: &FieldName) -> Self {
        match field {
            FieldName::Attribute(Scope::Event, _) => Self::Event,
            FieldName::Attribute(Scope::Link, _) => Self::Link,
            FieldName::Attribute(..) => Self::Row,
            FieldName::Intrinsic(intrinsic, _) => match intrinsic {
                Intrinsic::EventName | Intrinsic::EventTimeSinceStart => Self::Event,
                Intrinsic::LinkTraceId | Intrinsic::LinkSpanId => Self::Link,
                Intrinsic::NestedSetLeft
                | Intrinsic::NestedSetRight
                | Intrinsic::NestedSetParent
                | Intrinsic::ChildCount
                | Intrinsic::TraceDuration
                | Intrinsic::RootName
                | Intrinsic::RootService => Self::Trace,
                _ => Self::Row,
            },
        }
    }
}

/// A field whose values repeat, over all rows at once. Who judges many spans judges each value once.
#[derive(Debug, Clone)]
pub struct Coded<'a> {
    /// Of each row a number below `len`; rows with the same number have equal values.
    pub places: Cow<'a, [u32]>,
    /// One more than the largest number.
    pub len: usize,
}

/// The attributes of many spans, each name with a value once: what [`Spans::all`] tells, but for what only a trace tells.
///
/// ```text
/// attributes   0: span.a = 1   1: span.a = 2   2: resource.b = x      row 0: 0, group 0   row 1: 1, group 0      group 0: 2
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// Name as TraceQL writes it, and value, which is never [`Value::Nil`].
    pub attributes: Vec<(String, Value<'static>)>,
    /// Where in `codes` each row's own begin, and where those of the last one end.
    pub starts: Vec<u32>,
    /// Places in `attributes`.
    pub codes: Vec<u32>,
    /// What many rows have together, as places in `attributes`.
    pub groups: Vec<Vec<u32>>,
    /// Of each row its group.
    pub group_of: Vec<u32>,
}

impl Listed {
    /// The places of a row's attributes.
    pub fn of(&self, row: usize) -> impl Iterator<Item = u32> + '_ {
        let own = self.starts[row] as usize..self.starts[row + 1] as usize;
        self.codes[own].iter().chain(&self.groups[self.group_of[row] as usize]).copied()
    }
}

/// Spans by row.
///
/// Rows are numbered from 0. In an evaluation of a trace all rows are spans of that trace; filters alone may see any spans.
pub trait Spans {
    /// How many rows.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field whose source is [`Source::Row`] or [`Source::Trace`]; [`Value::Nil`] when the span has none. Ids are lower-case hex; a
    /// parent id that is not there is empty text. Of `.x` the span's value hides the resource's.
    fn value(&self, slot: Slot, row: usize) -> Value<'_>;

    /// Whether the value of such a field is empty text, as the parent's id of a root is.
    fn is_blank(&self, slot: Slot, row: usize) -> bool {
        matches!(self.value(slot, row), Value::Str(text) if text.is_empty())
    }

    /// A field whose source is [`Source::Row`], where storage has its values as numbers; `None` says nothing. It saves work and no more.
    fn coded(&self, _slot: Slot) -> Option<Coded<'_>> {
        None
    }

    /// [`Spans::start_ns`] of all rows, where they lie side by side.
    fn starts_ns(&self) -> Option<&[i64]> {
        None
    }

    /// [`Spans::duration_ns`] of all rows, where they lie side by side.
    fn durations_ns(&self) -> Option<&[i64]> {
        None
    }

    /// How many events (or links) a span has.
    fn items(&self, source: Source, row: usize) -> usize;

    /// The value of a field of one event (or link).
    fn item(&self, slot: Slot, row: usize, item: usize) -> Value<'_>;

    /// The start of a span, nanoseconds since the epoch.
    fn start_ns(&self, row: usize) -> i64;

    /// Its length, nanoseconds.
    fn duration_ns(&self, row: usize) -> i64;

    /// The row of a span's parent in its trace, `None` for roots, spans whose parent is not there, and when structure is not known.
    fn parent(&self, row: usize) -> Option<usize>;

    /// Every attribute and the usual intrinsics of a span (name, status, kind, ...), for `compare()`: name as TraceQL writes it (`span.x`,
    /// `resource.y`, `name`) and value.
    fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>));

    /// Where storage has them so, the attributes of all rows and the place of the first row among those of the list. Together with
    /// [`Spans::all_of_trace`] they are those of [`Spans::all`]. It saves work and no more.
    fn listed(&self) -> Option<(&Arc<Listed>, usize)> {
        None
    }

    /// Those of [`Spans::all`] that only the trace tells.
    fn all_of_trace(&self, _row: usize, _take: &mut dyn FnMut(&'static str, Value<'_>)) {}
}

/// A field as an evaluation uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Which.
    pub slot: Slot,
    /// Where from.
    pub source: Source,
    /// Of the parent.
    pub parent: bool,
}

impl Slots {
    /// `field` as an evaluation uses it.
    pub fn reference(&mut self, field: &Field) -> Reference {
        Reference { slot: self.slot(&field.name), source: Source::of(&field.name), parent: field.parent }
    }
}
