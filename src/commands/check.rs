//! `sql`.
use crate::cli::CheckArgs; use crate::failure::Failure;
pub(crate) fn run(_a: CheckArgs) -> Result<(), Failure> { Ok(()) }
