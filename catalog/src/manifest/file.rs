//! What the manifest knows of one file, so that planning needs no footer.

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partition::Partition;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// The id of a file: version 7, so it sorts by the time it was minted. Never reused; part of the file's name.
pub type FileId = Uuid;

/// How often a file's rows have been rewritten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    /// As flushed from the buffer.
    L0,
    /// A closed two-hour slice.
    L1,
    /// A closed day.
    L2,
}

/// A byte range inside the file, before its footer, that holds the index section (see `lake::index`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexSection {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// One live Parquet file. Immutable.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its id.
    pub id: FileId,
    /// Owner.
    pub tenant: TenantId,
    /// Table.
    pub table: Table,
    /// Day and slice.
    pub partition: Partition,
    /// Level.
    pub level: Level,
    /// Size of the object in bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Times of the first and the last row.
    pub time: TimeRange,
    /// Smallest and largest value of the first text column of the sort order (metric, service), cut to 64 bytes: the upper bound is
    /// cut upwards, so both bounds hold. `None` where the first sort column is no text. Of users' tables the table's name, twice.
    pub key_range: Option<(String, String)>,
    /// Smallest and largest sid, stream id or resource id; for spans the first 8 bytes of the trace id, big endian, sign bit flipped.
    pub id_range: Option<(i64, i64)>,
    /// Where the index section lies, if there is one.
    pub index: Option<IndexSection>,
    /// Length of page table, page indexes, Parquet footer and its 8-byte tail, which end the file, so that one ranged read fetches them.
    pub footer_bytes: u64,
    /// crc32 of the whole object.
    pub crc32: u32,
    /// Bytes of the rows in memory when the file was written: what compaction and cost reports plan with.
    pub raw_bytes: u64,
    /// Column layout version.
    pub schema_version: u32,
}

impl FileEntry {
    /// The object's path below the store's root: `data/{tenant}/{table}/{day}/{slice}/{level}-{id}.parquet`.
    pub fn path(&self) -> Path {
        data_path(&self.tenant, self.table, self.partition, self.level, self.id)
    }
}

/// When `id` was minted, to the millisecond; the end of time for an id that does not say.
pub(super) fn minted_at(id: FileId) -> Timestamp {
    if id.get_version_num() != 7 {
        return Timestamp::MAX;
    }
    let ms = i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX);
    Timestamp::from_millis(ms)
}

pub(super) fn data_path(tenant: &TenantId, table: Table, partition: Partition, level: Level, id: FileId) -> Path {
    Path::from(format!("data/{}/{table}/{}/{level:?}-{id}.parquet", tenant.path_segment(), partition.path()))
}
