//! What a scan may skip: a conjunction of simple tests on columns.
//!
//! A predicate only prunes (files by manifest, row groups and pages by statistics, blocks by the index section). It may let rows
//! through that do not match; it never drops one that does. The caller filters again.

use std::fmt::Debug;

/// Tells by their texts which rows a reader wants, before other columns of these rows are decoded. Unlike a [`Predicate`] it is exact: no other row
/// is delivered.
pub trait TextTest: Send + Sync + Debug {
    /// The column of texts, one that has no nulls.
    fn column(&self) -> &str;

    /// Clears in `rows` those whose texts are not wanted. The text of row i is `buffer[offsets[i]..offsets[i + 1]]`; offsets ascend and end within the
    /// buffer. Rows that are false stay so: their texts are none of the reader's business. Rows come in file order, each once, but for those
    /// that a [`Predicate`] rules out.
    fn retain(&self, buffer: &[u8], offsets: &[i32], rows: &mut [bool]);
}

/// A constant to compare a column with. Timestamps are nanoseconds whatever the column's unit.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Integer columns.
    Int(i64),
    /// Float columns.
    Float(f64),
    /// Text and dictionary columns.
    Text(String),
    /// Trace and span ids.
    Bytes(Vec<u8>),
    /// Nanoseconds since the epoch.
    TimeNs(i64),
}

/// A test on one column's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal to one of these. Never empty.
    In(Vec<Scalar>),
    /// Within closed bounds.
    Between(Option<Scalar>, Option<Scalar>),
    /// The text has this as a substring, byte for byte.
    Contains(String),
    /// The map column has this value under this key.
    KeyIs(String, Scalar),
    /// A log row has attributes, of its own or of its scope; the test's own column says nothing.
    HasAttributes,
    /// One of these passes, on whatever columns; the test's own column says nothing.
    AnyOf(Vec<ColumnTest>),
}

/// A test and its column, named as in [`catalog::schema::rows`].
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnTest {
    /// Column name.
    pub column: String,
    /// Test.
    pub test: Test,
}

impl ColumnTest {
    /// That one of `tests` passes.
    pub fn any_of(tests: Vec<ColumnTest>) -> Self {
        Self { column: String::new(), test: Test::AnyOf(tests) }
    }

    /// That a log row has attributes.
    pub fn has_attributes() -> Self {
        Self { column: String::new(), test: Test::HasAttributes }
    }
}

/// All of these hold for every row that the caller wants.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predicate {
    /// The tests.
    pub all: Vec<ColumnTest>,
}
