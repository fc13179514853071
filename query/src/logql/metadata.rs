//! A row's structured metadata: what Loki's receivers make of a record beside its stream and its line.
//!
//! ```text
//! level ► detected_level      attrs_* ► names as labels, maps flattened with `_`       resource, scope ► as attributes
//! trace_id, span_id ► hex     severity_*, flags, event_name, observed_ts, scope_* ► the names of Loki's receiver
//! ```
//! Source: Loki `pkg/loghttp/push/otlp.go`.

use std::fmt::Write;
use std::ops::Range;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array, MapArray, RecordBatch,
    StringArray, TimestampNanosecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use catalog::labels::label_name;
use logql::labels::{ERROR_DETAILS_LABEL, ERROR_LABEL};
use serde_json::Value as Json;

use super::resources::Resources;

/// The column of a line's level.
pub(super) const LEVEL: &str = "level";
/// The label that it becomes.
pub(super) const LEVEL_LABEL: &str = "detected_level";
/// Columns of `logs` with the label that each becomes.
const PLAIN: [(&str, &str); 12] = [
    (LEVEL, LEVEL_LABEL),
    ("trace_id", "trace_id"),
    ("span_id", "span_id"),
    ("observed_ts", "observed_timestamp"),
    ("severity_number", "severity_number"),
    ("severity_text", "severity_text"),
    ("flags", "flags"),
    ("event_name", "event_name"),
    ("dropped_attributes", "dropped_attributes_count"),
    ("scope_name", "scope_name"),
    ("scope_version", "scope_version"),
    ("scope_attrs", ""),
];
/// Whether metadata of this name comes from a column of its own.
pub(super) fn is_column(name: &str) -> bool {
    let base = name.strip_suffix("_extracted").unwrap_or(name);
    PLAIN.iter().any(|(_, label)| *label == base)
}

/// The maps of attributes of a row, and of its resource.
pub(super) const MAPS: [&str; 5] = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];

/// Which metadata a query needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Need {
    columns: Vec<&'static str>,
}

impl Need {
    /// All of it.
    pub(super) fn all() -> Self {
        let columns = PLAIN.iter().map(|(column, _)| *column).chain(MAPS).chain(["resource_id"]);
        Self { columns: columns.collect() }
    }

    /// What can become one of the labels `names`.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut columns: Vec<&'static str> = Vec::new();
        for name in names {
            // An attribute that clashes with a label of the stream has this ending.
            let base = name.strip_suffix("_extracted").unwrap_or(name);
            columns.extend(PLAIN.iter().filter(|(_, label)| *label == base).map(|(column, _)| *column));
            columns.extend(MAPS.into_iter().chain(["resource_id", "scope_attrs"]));
        }
        columns.sort_unstable();
        columns.dedup();
        Self { columns }
    }

    /// The columns to read.
    pub(super) fn columns(&self) -> &[&'static str] {
        &self.columns
    }

    /// Whether `column` is one of them.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains(&column)
    }
}

/// Names and values in one text, used again row by row.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    text: String,
    spans: Vec<(Range<usize>, Range<usize>)>,
    /// Names that somebody asks for; `None`: all of them.
    wanted: Option<Vec<Box<str>>>,
}

impl Pairs {
    /// From now on takes no other names than `wanted`, and those of errors; `None`: all names.
    pub(super) fn only<'a>(&mut self, wanted: Option<impl Iterator<Item = &'a str>>) {
        self.wanted = wanted.map(|wanted| wanted.chain([ERROR_LABEL, ERROR_DETAILS_LABEL]).map(Box::from).collect());
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.iter().any(|known| **known == *name))
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.spans.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// Bytes of names and values.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Adds a label: what is no letter, digit or `_` in its name becomes `_`.
    fn push(&mut self, name: &str, value: impl std::fmt::Display) {
        let label = label_name(name);
        if !self.wants(&label) {
            return;
        }
        let start = self.text.len();
        self.text.push_str(&label);
        let middle = self.text.len();
        // Writing to memory cannot fail.
        let _ = write!(self.text, "{value}");
        self.spans.push((start..middle, middle..self.text.len()));
    }

    fn push_text(&mut self, name: &str, value: &str) {
        let label = label_name(name);
        if !self.wants(&label) {
            return;
        }
        let start = self.text.len();
        self.text.push_str(&label);
        let middle = self.text.len();
        self.text.push_str(value);
        self.spans.push((start..middle, middle..self.text.len()));
    }

    /// Adds a value in OTLP's JSON: maps are flattened, lists are their JSON.
    fn push_json(&mut self, name: &str, value: &Json) {
        let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return };
        match (kind.as_str(), inner.get("values").and_then(Json::as_array)) {
            ("kvlistValue", Some(entries)) => {
                for entry in entries {
                    if let (Some(key), Some(value)) = (entry.get("key").and_then(Json::as_str), entry.get("value")) {
                        self.push_json(&format!("{name}_{key}"), value);
                    }
                }
            }
            _ => match plain(value) {
                Json::String(text) => self.push_text(name, &text),
                Json::Null => {}
                other => self.push(name, other),
            },
        }
    }
}

/// A value of OTLP's JSON as plain JSON.
fn plain(value: &Json) -> Json {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else { return Json::Null };
    let values = || inner.get("values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    match kind.as_str() {
        "arrayValue" => Json::Array(values().iter().map(plain).collect()),
        "kvlistValue" => {
            let entry = |entry: &Json| Some((entry.get("key")?.as_str()?.to_owned(), plain(entry.get("value")?)));
            Json::Object(values().iter().filter_map(entry).collect())
        }
        "intValue" => inner.as_str().and_then(|text| text.parse::<i64>().ok()).map_or_else(|| inner.clone(), Json::from),
        _ => inner.clone(),
    }
}

/// A map column of attributes.
#[derive(Debug)]
pub(super) enum Attributes<'a> {
    Text(&'a MapArray, &'a StringArray, &'a StringArray),
    Int(&'a MapArray, &'a StringArray, &'a Int64Array),
    Double(&'a MapArray, &'a StringArray, &'a Float64Array),
    Bool(&'a MapArray, &'a StringArray, &'a BooleanArray),
}

impl<'a> Attributes<'a> {
    /// `None` of a column of another shape.
    pub(super) fn of(column: &'a ArrayRef) -> Option<Self> {
        let map = column.as_map_opt()?;
        let (names, values) = (map.keys().as_string_opt::<i32>()?, map.values());
        if let Some(values) = values.as_string_opt::<i32>() {
            return Some(Self::Text(map, names, values));
        }
        if let Some(values) = values.as_primitive_opt::<Int64Type>() {
            return Some(Self::Int(map, names, values));
        }
        if let Some(values) = values.as_primitive_opt::<Float64Type>() {
            return Some(Self::Double(map, names, values));
        }
        Some(Self::Bool(map, names, values.as_boolean_opt()?))
    }

    /// Adds those of a row.
    pub(super) fn read(&self, row: usize, pairs: &mut Pairs) {
        let map = match self {
            Self::Text(map, ..) | Self::Int(map, ..) | Self::Double(map, ..) | Self::Bool(map, ..) => map,
        };
        let offsets = map.value_offsets();
        for at in offsets[row] as usize..offsets[row + 1] as usize {
            match self {
                Self::Text(_, names, values) if values.is_valid(at) => pairs.push_text(names.value(at), values.value(at)),
                Self::Int(_, names, values) if values.is_valid(at) => pairs.push(names.value(at), values.value(at)),
                Self::Double(_, names, values) if values.is_valid(at) => pairs.push(names.value(at), values.value(at)),
                Self::Bool(_, names, values) if values.is_valid(at) => pairs.push(names.value(at), values.value(at)),
                _ => {}
            }
        }
    }

    fn read_json(&self, row: usize, pairs: &mut Pairs) {
        let Self::Text(map, names, values) = self else { return };
        for at in map.value_offsets()[row] as usize..map.value_offsets()[row + 1] as usize {
            if let Ok(value) = serde_json::from_str(values.value(at)) {
                pairs.push_json(names.value(at), &value);
            }
        }
    }
}

/// A dictionary column of texts.
#[derive(Debug)]
struct Texts<'a> {
    values: Vec<&'a str>,
    keys: &'a [i32],
    rows: &'a dyn Array,
}

impl<'a> Texts<'a> {
    /// The text of a row; none if it is null or empty.
    fn get(&self, row: usize) -> Option<&'a str> {
        let text = if self.rows.is_valid(row) { self.values[self.keys[row] as usize] } else { "" };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// Whether no row has a value in `column`: all are null, or maps without entries.
pub(super) fn is_blank(column: &ArrayRef) -> bool {
    let has_no_entries = |map: &MapArray| map.value_offsets().first() == map.value_offsets().last();
    column.null_count() == column.len() || column.as_map_opt().is_some_and(has_no_entries)
}

/// The columns of one batch.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    texts: Vec<(&'static str, Texts<'a>)>,
    ids: Vec<(&'static str, &'a FixedSizeBinaryArray)>,
    numbers: Vec<(&'static str, &'a Int32Array)>,
    observed: Option<&'a TimestampNanosecondArray>,
    maps: Vec<(Attributes<'a>, bool)>,
    scope: Option<Texts<'a>>,
    resources: Option<(&'a Int64Array, &'a Resources)>,
}

impl<'a> Reader<'a> {
    /// Reads what `batch` has.
    pub(super) fn new(batch: &'a RecordBatch, resources: &'a Resources) -> Self {
        let mut this = Self {
            texts: Vec::new(),
            ids: Vec::new(),
            numbers: Vec::new(),
            observed: None,
            maps: Vec::new(),
            scope: None,
            resources: None,
        };
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let name = field.name().as_str();
            let label = PLAIN.iter().find(|(plain, _)| *plain == name).map(|(_, label)| *label);
            // A column without any value costs nothing per row.
            if is_blank(column) {
                continue;
            }
            if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
                let Some(values) = dictionary.values().as_string_opt::<i32>() else { continue };
                let values: Vec<&str> = (0..values.len()).map(|at| values.value(at)).collect();
                let texts = Texts { values, keys: dictionary.keys().values(), rows: column.as_ref() };
                match label {
                    Some("") => this.scope = Some(texts),
                    Some(label) => this.texts.push((label, texts)),
                    None => {}
                }
            } else if let (Some(label), Some(ids)) = (label, column.as_fixed_size_binary_opt()) {
                this.ids.push((label, ids));
            } else if let (Some(label), Some(numbers)) = (label, column.as_primitive_opt::<Int32Type>()) {
                this.numbers.push((label, numbers));
            } else if let (Some(_), Some(times)) = (label, column.as_primitive_opt::<TimestampNanosecondType>()) {
                this.observed = Some(times);
            } else if MAPS.contains(&name)
                && let Some(map) = Attributes::of(column)
            {
                this.maps.push((map, name == "attrs_json"));
            } else if name == "resource_id"
                && let Some(ids) = column.as_primitive_opt::<Int64Type>()
            {
                this.resources = Some((ids, resources));
            }
        }
        this
    }

    /// Whether a level is all the metadata that any row has.
    pub(super) fn is_level(&self) -> bool {
        let Self { texts, ids, numbers, observed, maps, scope, resources } = self;
        let no_others = ids.is_empty() && numbers.is_empty() && maps.is_empty();
        no_others
            && observed.is_none()
            && scope.is_none()
            && resources.is_none()
            && texts.iter().all(|(label, _)| *label == LEVEL_LABEL)
    }

    /// The level of a row; none if it has none.
    pub(super) fn level(&self, row: usize) -> Option<&'a str> {
        self.texts.iter().filter(|(label, _)| *label == LEVEL_LABEL).find_map(|(_, texts)| texts.get(row))
    }

    /// The metadata of a row. Of equal names the first counts: a record's own before its scope's and its resource's. What of the resource
    /// became a label of the stream, as `is_label` knows, is no metadata.
    pub(super) fn read(&self, row: usize, is_label: impl Fn(&str) -> bool, pairs: &mut Pairs) {
        pairs.clear();
        for (label, texts) in &self.texts {
            if let Some(text) = texts.get(row) {
                pairs.push_text(label, text);
            }
        }
        for (label, ids) in &self.ids {
            if ids.is_valid(row) {
                pairs.push(label, Hex(ids.value(row)));
            }
        }
        for (label, numbers) in &self.numbers {
            if numbers.is_valid(row) {
                pairs.push(label, numbers.value(row));
            }
        }
        if let Some(times) = self.observed
            && times.is_valid(row)
        {
            pairs.push("observed_timestamp", times.value(row));
        }
        for (map, is_json) in &self.maps {
            if *is_json { map.read_json(row, pairs) } else { map.read(row, pairs) }
        }
        if let Some(text) = self.scope.as_ref().and_then(|scope| scope.get(row))
            && let Ok(Json::Array(entries)) = serde_json::from_str(text)
        {
            for entry in &entries {
                if let (Some(key), Some(value)) = (entry.get("key").and_then(Json::as_str), entry.get("value")) {
                    pairs.push_json(key, value);
                }
            }
        }
        if let Some((ids, resources)) = self.resources
            && ids.is_valid(row)
            && let Some(attributes) = resources.get(ids.value(row))
        {
            let others = attributes.iter().filter(|(name, _)| !is_label(name));
            others.for_each(|(name, value)| pairs.push_text(name, value));
        }
    }
}

/// Bytes in hexadecimal.
struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
