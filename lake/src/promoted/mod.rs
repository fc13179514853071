//! Attributes of spans that nearly every span has lie in columns of their own, beside the maps.
//!
//! ```text
//! write (L1, L2)   attrs_str {a: x, b: y}   ─►  attrs_str {a: x, b: y}   attrs_str:a = x      names of attrs_str: a, b
//!                                                                        └ of many rows and few values: chosen by the first rows
//! scan for `a`     attrs_str {a: x}         ◄──────────────────────────  attrs_str:a          the map is not read
//! scan for `c`     attrs_str {}             ◄─────────────────────────────────────────────    its names say that there is none
//! ```
//! A filter asks for one or two attributes, and a map has to be decoded whole for any: with 20 attributes a span that is 35 times the
//! work of the one column. Which columns a file has, and which names its maps have, is a note in its footer.
//!
//! # Invariants
//! - The maps are whole. Whoever asks for all attributes, or does not know of this, sees no difference.
//! - A map that is made of columns has the entries of the names asked for, and each at most once, the first.
//! - The columns are no columns of the table: they have no field id, and another file may have others.

mod read;
mod write;

#[cfg(test)]
mod format_tests;

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Field};
use catalog::{Table, schema};
use serde::{Deserialize, Serialize};

pub(crate) use read::map_of;
pub(crate) use write::Promoting;

/// The key of the note in the file's metadata.
pub(crate) const NOTE_KEY: &str = "telelake.attributes";

/// The key of the note on [`OTHERS`]: apart, so that who does not know of it reads the first as ever.
pub(crate) const OTHERS_KEY: &str = "telelake.attributes.others";

/// The maps of attributes.
const MAPS: [&str; 5] = ["attrs_str", "attrs_int", "attrs_f64", "attrs_bool", "attrs_json"];

/// Columns besides the maps whose attributes are told as well: lists of structs with a map of them, and texts that hold them.
const OTHERS: [&str; 3] = ["events", "links", "scope_attrs"];

/// The names of attributes that the spans of a file have, each list `None` when its footer does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeNames {
    /// Of the spans themselves, some perhaps twice.
    pub spans: Option<Vec<String>>,
    /// Of their events.
    pub events: Option<Vec<String>>,
    /// Of their links.
    pub links: Option<Vec<String>>,
    /// What the column `scope_attrs` holds, each text once.
    pub scopes: Option<Vec<String>>,
}

/// What a file says of the attributes of its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    columns: Vec<Promoted>,
    /// By map all names that it has; a map with too many is not there.
    names: BTreeMap<String, Vec<String>>,
}

/// What a file says of the attributes of items and scopes: by column of [`OTHERS`] all names, or texts; a column with too many is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OthersNote(BTreeMap<String, Vec<String>>);

impl OthersNote {
    /// Reads what [`OthersNote::text`] wrote.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("its note of items' attributes is none: {e}"))
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("names are JSON")
    }
}

impl AttributeNames {
    /// What both notes of a footer tell.
    pub(crate) fn told(note: Option<&Note>, others: &OthersNote) -> Self {
        let [events, links, scopes] = OTHERS.map(|column| others.0.get(column).cloned());
        Self { spans: note.and_then(Note::all_names), events, links, scopes }
    }
}

/// An attribute with a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Promoted {
    /// The map that it is from.
    map: String,
    /// Its name.
    pub(crate) name: String,
    /// The column.
    pub(crate) column: String,
}

impl Note {
    /// Reads what [`Note::text`] wrote.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let note: Self = serde_json::from_str(text).map_err(|e| format!("its note of attributes is none: {e}"))?;
        match note.columns.iter().find(|promoted| promoted.field(Table::Spans).is_none()) {
            Some(promoted) => Err(format!("its column {:?} is of a map {:?} that there is not", promoted.column, promoted.map)),
            None => Ok(note),
        }
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("names and text are JSON")
    }

    /// The field of a column that is none of the table.
    pub(crate) fn field(&self, table: Table, column: &str) -> Option<Field> {
        self.columns.iter().find(|promoted| promoted.column == column)?.field(table)
    }

    /// The names of all maps; `None` when one of them has too many.
    pub(crate) fn all_names(&self) -> Option<Vec<String>> {
        let of_maps: Option<Vec<&Vec<String>>> = MAPS.iter().map(|map| self.names.get(*map)).collect();
        Some(of_maps?.into_iter().flatten().cloned().collect())
    }

    /// The columns that have all entries of the map `map` under one of `names`; `None` when only the map tells.
    pub(crate) fn columns_of(&self, map: &str, names: &[String]) -> Option<Vec<Promoted>> {
        let known = self.names.get(map)?;
        let mut columns: Vec<Promoted> = Vec::new();
        for name in names.iter().filter(|name| known.binary_search(name).is_ok()) {
            if columns.iter().all(|column| column.name != *name) {
                columns.push(self.columns.iter().find(|promoted| promoted.map == map && promoted.name == *name)?.clone());
            }
        }
        Some(columns)
    }
}

impl Promoted {
    fn field(&self, table: Table) -> Option<Field> {
        let rows = schema::rows(table);
        let (_, map) = rows.fields().find(&self.map)?;
        Some(Field::new(&self.column, value_type(map)?, true))
    }
}

/// The type of the values of a map of attributes.
fn value_type(map: &Field) -> Option<DataType> {
    match (map.data_type(), MAPS.contains(&map.name().as_str())) {
        (DataType::Map(entries, _), true) => match entries.data_type() {
            DataType::Struct(fields) => Some(fields.get(1)?.data_type().clone()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notes_tell_names() {
        let names =
            |columns: &[&str]| columns.iter().map(|column| ((*column).to_owned(), vec![format!("of {column}")])).collect();
        let (note, others) = (Note { columns: Vec::new(), names: names(&MAPS) }, OthersNote(names(&OTHERS[..2])));
        assert_eq!(OthersNote::parse(&others.text()), Ok(others.clone()));
        assert!(OthersNote::parse("[]").is_err());
        let told = AttributeNames::told(Some(&note), &others);
        assert_eq!(told.spans.map(|names| names.len()), Some(MAPS.len()));
        assert_eq!((told.events, told.scopes), (Some(vec!["of events".to_owned()]), None));
        assert_eq!(AttributeNames::told(None, &OthersNote::default()), AttributeNames::default());
    }

    #[test]
    fn a_note_says_what_columns_are_enough() {
        let promoted = |map: &str, name: &str| Promoted { map: map.into(), name: name.into(), column: format!("{map}:{name}") };
        let names =
            BTreeMap::from([("attrs_str".to_owned(), vec!["a".to_owned(), "b".to_owned()]), ("attrs_bool".to_owned(), vec![])]);
        let note = Note { columns: vec![promoted("attrs_str", "a")], names };
        assert_eq!(Note::parse(&note.text()), Ok(note.clone()));
        #[track_caller]
        fn check(note: &Note, map: &str, names: &[&str], expected: Option<&[&str]>) {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let found = note.columns_of(map, &names);
            let found: Option<Vec<&str>> = found.as_ref().map(|found| found.iter().map(|p| p.column.as_str()).collect());
            assert_eq!(found.as_deref(), expected, "{map} {names:?}");
        }
        check(&note, "attrs_str", &["a"], Some(&["attrs_str:a"]));
        check(&note, "attrs_str", &["a", "a"], Some(&["attrs_str:a"]));
        check(&note, "attrs_str", &["a", "c"], Some(&["attrs_str:a"]));
        check(&note, "attrs_str", &["b"], None);
        check(&note, "attrs_str", &["c"], Some(&[]));
        check(&note, "attrs_bool", &["a"], Some(&[]));
        check(&note, "attrs_int", &["a"], None);
        assert_eq!(note.all_names(), None, "three maps have too many");
        let names = MAPS.into_iter().map(|map| (map.to_owned(), vec![format!("of {map}")])).collect();
        let all = Note { columns: Vec::new(), names }.all_names().map(|names| names.len());
        assert_eq!(all, Some(MAPS.len()));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"columns\":[],\"names\":{},\"more\":1}",
            "{\"columns\":[{\"map\":\"events\",\"name\":\"a\",\"column\":\"b\"}],\"names\":{}}",
        ] {
            assert!(Note::parse(text).is_err(), "{text}");
        }
    }
}
