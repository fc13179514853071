//! The resources that spans point to.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use catalog::{Table, TimeRange};
use hashbrown::HashMap;
use lake::dictionary::Lookup;
use lake::series::Scope;
use traceql::value::Value;

use super::super::answer::{AnyValue, Resource};
use super::super::error::Result;
use super::attributes::{self, MapColumn};
use super::batch::MAPS;
use crate::scan::layout::whole_days;
use crate::view::View;

/// One resource.
#[derive(Debug)]
pub(in crate::traceql) struct ResourceRow {
    /// As it was sent.
    pub(in crate::traceql) resource: Arc<Resource>,
    /// Its attributes as TraceQL sees them; what it knows no value for is not there.
    pub(in crate::traceql) values: Vec<(String, Value<'static>)>,
}

impl ResourceRow {
    /// An attribute.
    pub(in crate::traceql) fn value(&self, name: &str) -> Value<'static> {
        self.values.iter().find(|(known, _)| known == name).map_or(Value::Nil, |(_, value)| value.clone())
    }
}

/// Resources by id. Those that somebody looks at are read, once.
#[derive(Debug, Default)]
pub(in crate::traceql) struct Resources {
    rows: Option<Lookup>,
    read: HashMap<i64, OnceLock<ResourceRow>>,
}

impl Resources {
    /// Those that spans in `time` can point to.
    ///
    /// # Errors
    /// The lake's.
    pub(in crate::traceql) async fn load(view: &View, time: TimeRange) -> Result<Self> {
        let files = view.files(Table::Resources, whole_days(time));
        view.open(&files)?;
        let scope = Scope { table: Table::Resources, files, fresh: view.fresh(Table::Resources) };
        if scope.files.is_empty() && scope.fresh.is_empty() {
            return Ok(Self::default());
        }
        let rows = view.lake().dictionaries().lookup(&scope).await?;
        let read = rows.iter().map(|(id, _, _)| (id, OnceLock::new())).collect();
        Ok(Self { rows: Some(rows), read })
    }

    /// The resource `id`.
    pub(in crate::traceql) fn get(&self, id: i64) -> Option<&ResourceRow> {
        let (batch, row) = self.rows.as_ref()?.get(id)?;
        Some(self.read.get(&id)?.get_or_init(|| read(id, batch, row)))
    }

    /// What each of them has under `name`, without reading the rest.
    pub(in crate::traceql) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (i64, Value<'static>)> + 'a {
        let value = move |batch: &RecordBatch, row: usize| {
            let found = MAPS.iter().find_map(|column| {
                let map = MapColumn::of(batch.column_by_name(column)?, *column == "attrs_json")?;
                map.row(row).find(|(known, _)| *known == name).map(|(_, value)| value.into_owned())
            });
            found.unwrap_or(Value::Nil)
        };
        self.rows.iter().flat_map(Lookup::iter).map(move |(id, batch, row)| (id, value(batch, row)))
    }
}

fn read(id: i64, batch: &RecordBatch, row: usize) -> ResourceRow {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_dictionary_opt::<Int32Type>()?;
        let values = column.values().as_string_opt::<i32>()?;
        column.key(row).filter(|_| column.is_valid(row)).map(|key| values.value(key).to_owned())
    };
    let mut attributes = Vec::new();
    for name in MAPS {
        let map = batch.column_by_name(name).and_then(|column| MapColumn::of(column, name == "attrs_json"));
        map.iter().for_each(|map| map.any(row, &mut attributes));
    }
    let dropped = batch.column_by_name("dropped_attributes").and_then(|column| column.as_primitive_opt::<Int32Type>());
    let values = attributes.iter().map(|(name, any): &(String, AnyValue)| (name.clone(), attributes::value(any)));
    let values = values.filter(|(_, value)| *value != Value::Nil).collect();
    let resource = Resource {
        id,
        service: text("service").unwrap_or_default(),
        attributes,
        dropped_attributes: dropped.filter(|d| d.is_valid(row)).map_or(0, |d| d.value(row).cast_unsigned()),
        schema_url: text("schema_url").unwrap_or_default(),
    };
    ResourceRow { resource: Arc::new(resource), values }
}
