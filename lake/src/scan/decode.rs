//! Stored columns to rows.

use catalog::Table;

use crate::error::Result;

/// Which stored columns make up the columns asked for.
#[derive(Debug)]
pub(super) struct Projection {}

impl Projection {
    pub(super) fn new(_table: Table, _columns: &[String]) -> Result<Self> {
        Ok(Self {})
    }
}
