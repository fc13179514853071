//! The attributes of a batch's spans by number, for who counts them all.
//!
//! ```text
//! attrs_str  {a: x, b: y} {a: x, b: z} ...   ─►   0: span.a = x   1: span.b = y   2: span.b = z     rows: [0 1] [0 2] ...
//! ```
//! An entry is compared with that at its place in the row before, then looked up by the hash of its name and value as they lie in their columns.
//! Nothing is owned but each attribute once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use traceql::spans::{Coded, Listed};
use traceql::value::Value;

use super::attributes::MapColumn;
use super::batch::{KINDS, STATUSES, SpanBatch, Texts, few, kind_of, status_of};

/// What `compare()` counts of spans beside their attributes, and the columns that it is in.
const INTRINSICS: [(&str, &str); 6] = [
    ("name", "name"),
    ("kind", "kind"),
    ("status", "status_code"),
    ("statusMessage", "status_message"),
    ("instrumentation:name", "scope_name"),
    ("instrumentation:version", "scope_version"),
];

/// One of these over all rows.
struct CodedIntrinsic {
    /// Its name in answers.
    label: &'static str,
    column: &'static str,
    /// Its values by number.
    values: Coded<'static>,
}

impl SpanBatch {
    /// Every attribute of a span and its usual intrinsics, but for what only its trace tells; see [`traceql::spans::Spans::all`].
    pub(super) fn all(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        INTRINSICS.into_iter().for_each(|(label, column)| take(label, self.intrinsic_of(column, row)));
        let mut text = String::new();
        let mut named = |scope: &str, name: &str, value: Value<'_>| {
            text.clear();
            text.push_str(scope);
            text.push_str(name);
            take(&text, value);
        };
        self.of_resource(row, &mut |name, value| named("resource.", name, value));
        self.attributes(row, |name, value| named("span.", name, value));
    }

    /// The usual intrinsics of all rows, each with its values by number.
    fn coded_intrinsics(&self) -> Vec<CodedIntrinsic> {
        let rows = 0..self.len();
        let absent = || Coded { places: vec![0; self.len()].into(), len: 1 };
        let texts = |column: &str| self.rows().column_by_name(column).and_then(Texts::of);
        let [kinds, statuses] = self.numbers();
        INTRINSICS
            .into_iter()
            .map(|(label, column)| {
                let values = match column {
                    "kind" => kinds.map(|kinds| few(kinds, KINDS)),
                    "status_code" => statuses.map(|statuses| few(statuses, STATUSES)),
                    column => texts(column).map(|texts| texts.coded(rows.clone())),
                };
                CodedIntrinsic { label, column, values: values.unwrap_or_else(absent) }
            })
            .collect()
    }

    /// The value of the intrinsic in `column`.
    fn intrinsic_of(&self, column: &str, row: usize) -> Value<'_> {
        match column {
            "kind" => Value::Kind(kind_of(self.kind(row))),
            "status_code" => Value::Status(status_of(self.status(row))),
            column => Value::text(self.text(column, row)),
        }
    }

    /// The attributes of a span's resource, one of them always its service.
    fn of_resource(&self, row: usize, take: &mut dyn FnMut(&str, Value<'_>)) {
        let resource = self.resource(row);
        if resource.is_none_or(|resource| resource.value("service.name") == Value::Nil) {
            take("service.name", Value::text(""));
        }
        resource.iter().flat_map(|resource| &resource.values).for_each(|(name, value)| take(name, value.borrowed()));
    }
}

/// The list of all rows of `batch`.
pub(super) fn of(batch: &SpanBatch) -> Listed {
    let mut listed = Listed::default();
    let mut numbering: Vec<Entries<'_>> = batch.maps().iter().map(Entries::new).collect();
    let mut intrinsics: Vec<Intrinsics> = batch.coded_intrinsics().into_iter().map(Intrinsics::new).collect();
    listed.starts.push(0);
    for row in 0..batch.len() {
        for of_field in &mut intrinsics {
            of_field.row(batch, row, &mut listed);
        }
        for entries in &mut numbering {
            entries.row(row, &mut listed);
        }
        listed.starts.push(u32::try_from(listed.codes.len()).unwrap_or(u32::MAX));
    }
    match batch.resource_places() {
        Some((places, count)) => {
            listed.group_of = places.to_vec();
            listed.groups = vec![Vec::new(); count];
            let mut is_new = vec![true; count];
            for (row, place) in places.iter().map(|place| *place as usize).enumerate() {
                if std::mem::take(&mut is_new[place]) {
                    listed.groups[place] = of_resource(batch, row, &mut listed.attributes);
                }
            }
        }
        None => {
            listed.group_of = vec![0; batch.len()];
            listed.groups = if batch.len() == 0 { Vec::new() } else { vec![of_resource(batch, 0, &mut listed.attributes)] };
        }
    }
    listed
}

fn of_resource(batch: &SpanBatch, row: usize, attributes: &mut Vec<(String, Value<'static>)>) -> Vec<u32> {
    let mut codes = Vec::new();
    batch.of_resource(row, &mut |name, value| {
        if value != Value::Nil {
            codes.push(add(attributes, format!("resource.{name}"), value.into_owned()));
        }
    });
    codes
}

fn add(attributes: &mut Vec<(String, Value<'static>)>, name: String, value: Value<'static>) -> u32 {
    attributes.push((name, value));
    u32::try_from(attributes.len() - 1).unwrap_or(u32::MAX)
}

/// An intrinsic whose values are numbered already.
struct Intrinsics {
    of: CodedIntrinsic,
    /// By these numbers the attribute's; [`NONE`] of what was not seen.
    codes: Vec<u32>,
}

impl Intrinsics {
    fn new(of: CodedIntrinsic) -> Self {
        Self { codes: vec![NONE; of.values.len], of }
    }

    fn row(&mut self, batch: &SpanBatch, row: usize, listed: &mut Listed) {
        let code = &mut self.codes[self.of.values.places[row] as usize];
        if *code == NONE {
            let value = batch.intrinsic_of(self.of.column, row).into_owned();
            *code = add(&mut listed.attributes, self.of.label.to_owned(), value);
        }
        listed.codes.push(*code);
    }
}

/// The entries of a map: which were seen.
struct Entries<'a> {
    map: &'a MapColumn,
    hasher: DefaultHashBuilder,
    /// Hash, an entry, and the number of its attribute.
    known: HashTable<(u64, usize, u32)>,
    /// The entries of the row before with their numbers.
    before: Vec<(usize, u32)>,
}

/// The number of an entry without a value.
const NONE: u32 = u32::MAX;

impl<'a> Entries<'a> {
    fn new(map: &'a MapColumn) -> Self {
        Self { map, hasher: DefaultHashBuilder::default(), known: HashTable::new(), before: Vec::new() }
    }

    fn row(&mut self, row: usize, listed: &mut Listed) {
        for (nth, at) in self.map.entries(row).enumerate() {
            let code = match self.before.get(nth) {
                Some((before, code)) if self.map.is_same(*before, at) => *code,
                _ => self.code(at, listed),
            };
            match self.before.get_mut(nth) {
                Some(before) => *before = (at, code),
                None => self.before.push((at, code)),
            }
            if code != NONE {
                listed.codes.push(code);
            }
        }
    }

    fn code(&mut self, at: usize, listed: &mut Listed) -> u32 {
        let (map, hash) = (self.map, self.hasher.hash_one(self.map.raw(at)));
        if let Some((_, _, code)) = self.known.find(hash, |(known, entry, _)| *known == hash && map.is_same(*entry, at)) {
            return *code;
        }
        let (name, value) = map.entry(at);
        let code = match value {
            Value::Nil => NONE,
            value => add(&mut listed.attributes, format!("span.{name}"), value.into_owned()),
        };
        self.known.insert_unique(hash, (hash, at, code), |(hash, _, _)| *hash);
        code
    }
}
