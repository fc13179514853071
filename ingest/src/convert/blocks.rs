//! The walk from a request down to its records, the same for logs and spans.
//!
//! ```text
//! Export...Request ─1─► Resource{Logs,Spans} ─2─► Scope{Logs,Spans} ─2─► record ─► Records::record
//!                       └─1─► resource            └─1─► scope
//! ```
//! # Invariants
//! - What breaks a rule is refused as far as the rule reaches: a record alone, a resource or scope with all records below it.
//! - Malformed bytes end the walk; the request is refused whole.

use std::sync::Arc;

use super::json::{ValueError, text};
use super::report::Report;
use super::resources::{Resource, Resources, Scope};
use crate::receive::ReceiveConfig;
use crate::wire::{Reader, WireError};

/// Takes the records that a [`walk`] finds.
pub(super) trait Records<'a> {
    /// Takes one record.
    ///
    /// # Errors
    /// The rule that it breaks, and then nothing of it was taken; or malformed bytes.
    fn record(&mut self, message: &'a [u8], resource: &Arc<Resource>, scope: &Scope<'_>) -> Result<(), ValueError>;

    /// Where refused records are counted.
    fn report(&mut self) -> &mut Report;
}

/// Hands every record of the request `body` to `records`, in order.
pub(super) fn walk<'a>(
    body: &'a [u8],
    resources: &Resources,
    config: &ReceiveConfig,
    records: &mut impl Records<'a>,
) -> Result<(), WireError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.next()? {
        if field.number == 1 {
            resource_block(field.bytes()?, resources, config, records)?;
        }
    }
    Ok(())
}

fn resource_block<'a>(
    message: &'a [u8],
    resources: &Resources,
    config: &ReceiveConfig,
    records: &mut impl Records<'a>,
) -> Result<(), WireError> {
    let block = Block::read(message)?;
    let resource = text(block.schema_url).and_then(|url| resources.get(block.head.unwrap_or_default(), url));
    match taken(resource, || Block::records_below(message), records)? {
        Some(resource) => {
            Block::items(message, |scope_block| self::scope_block(scope_block, &resource, resources, config, records))
        }
        None => Ok(()),
    }
}

fn scope_block<'a>(
    message: &'a [u8],
    resource: &Arc<Resource>,
    resources: &Resources,
    config: &ReceiveConfig,
    records: &mut impl Records<'a>,
) -> Result<(), WireError> {
    let block = Block::read(message)?;
    let scope = Scope::read(block.head, resources, config.text_bytes_max);
    let Some(scope) = taken(scope, || block.items, records)? else { return Ok(()) };
    Block::items(message, |message| {
        let record = records.record(message, resource, &scope);
        taken(record, || 1, records).map(drop)
    })
}

/// What was read; `None` when it breaks a rule, which refuses as many records as `below` says.
fn taken<'a, T>(
    read: Result<T, ValueError>,
    below: impl FnOnce() -> u64,
    records: &mut impl Records<'a>,
) -> Result<Option<T>, WireError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ValueError::Rule(rule)) => {
            records.report().refuse(rule, below());
            Ok(None)
        }
        Err(ValueError::Wire(error)) => Err(error),
    }
}

/// A message of a block that holds the records: `Resource`, and text that belongs to all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Block<'a> {
    /// The bytes of field 1, the resource or the scope.
    pub(crate) head: Option<&'a [u8]>,
    /// Field 3.
    pub(crate) schema_url: &'a [u8],
    /// How many messages field 2 has.
    pub(crate) items: u64,
}

impl<'a> Block<'a> {
    /// Reads `ResourceLogs`, `ScopeLogs` and their likes, which all have the same shape: head 1, items 2, schema url 3.
    /// The head may come after the items.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut this = Self::default();
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            match field.number {
                1 if this.head.is_some() => return Err(WireError::Repeated { field: 1 }),
                1 => this.head = Some(field.bytes()?),
                2 => {
                    field.bytes()?;
                    this.items += 1;
                }
                3 => this.schema_url = field.bytes()?,
                _ => {}
            }
        }
        Ok(this)
    }

    /// Calls `each` for every item's bytes, in order.
    pub(crate) fn items<E: From<WireError>>(message: &'a [u8], mut each: impl FnMut(&'a [u8]) -> Result<(), E>) -> Result<(), E> {
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next()? {
            if field.number == 2 {
                each(field.bytes()?)?;
            }
        }
        Ok(())
    }

    /// How many records lie below, where items are blocks themselves. Blocks that cannot be read count as empty.
    pub(crate) fn records_below(message: &'a [u8]) -> u64 {
        let mut count = 0;
        let _ = Self::items(message, |block| {
            count += Block::read(block).map_or(0, |b| b.items);
            Ok::<_, WireError>(())
        });
        count
    }
}
