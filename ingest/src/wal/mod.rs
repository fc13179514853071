//! The write-ahead log: what makes an acknowledgement true.
//!
//! ```text
//! callers   encode ─► queue ─► group: one write, one sync ─► buffer, in order ─► acknowledgements
//!                                    │
//! wal/  lock  writer  00..07.seg ► 00..08.seg ► (rotate)        trim: records in files ─► free-07.seg ─► written again as 00..09
//! ```
//! One log per process. Segments are allocated at once and recycled, so that a sync writes data and no metadata. Records are numbered
//! from 1 without gaps over the life of the log; the manifest's mark says how many of them are in files.
//!
//! # Invariants
//! - A record is applied and acknowledged only after its group's sync succeeded. A failed write or sync fails the group, the segment
//!   is abandoned and its remains are void once the next segment has begun; a sync is never repeated as if the first had not failed.
//! - Bytes of a segment's earlier life, or of another log, never pass as frames ([`frame`]).
//! - What was synced and cannot be read back stops the start ([`recover`]); a torn tail, which was never acknowledged, does not.
//! - The fingerprints of the window survive trimming: each segment begins with those of its predecessors.

pub(crate) mod columns;
pub(crate) mod disk;
pub(crate) mod driver;
pub(crate) mod folder;
pub(crate) mod frame;
pub mod fs;
mod raw;
mod readonly;
pub(crate) mod record;
pub(crate) mod recover;
pub mod sim;

pub use fs::{DiskFs, Space, WalFile, WalFs};
pub use raw::{decode_record, encode_record, scan_segment};
pub use readonly::{StoppedRows, replay_readonly};
pub use sim::SimFs;

use crate::error::{Error, Result};

/// Runs `work` where it may block: on a thread for it, or at once when the file system is simulated.
///
/// # Errors
/// [`Error::Stopped`] when the runtime is going away or the work panicked.
pub(crate) async fn off_thread<T: Send + 'static>(blocks: bool, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if !blocks {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
}
