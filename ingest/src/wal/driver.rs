//! The one task that has the log: takes what waits, writes it as one group, applies it, acknowledges it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::{Table, TenantId, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::disk::{DiskLog, GroupError};
use super::off_thread;
use super::record::Encoded;
use crate::buffer::{Applied, Buffer, Reservation};
use crate::dedup::Claim;
use crate::sink::SinkError;

/// Bytes of one write, but for a single larger record. At the end of a segment up to this much stays unused.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Records of one write.
const GROUP_RECORDS_MAX: usize = 4096;
/// Suggested to senders while the disk is full.
const DISK_FULL_RETRY_S: u64 = 10;

/// A record on its way into the log.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) record: Encoded,
    pub(crate) tenant: TenantId,
    pub(crate) at: Timestamp,
    pub(crate) rows: Vec<(Table, RecordBatch)>,
    pub(crate) memory: Reservation,
    pub(crate) claim: Option<Claim>,
    pub(crate) ack: oneshot::Sender<Result<(), SinkError>>,
    /// Room in the queue.
    pub(crate) queued: OwnedSemaphorePermit,
}

/// What the driver does.
#[derive(Debug)]
pub(crate) enum Command {
    /// Makes a record durable and visible.
    Append(Box<Pending>),
    /// Records up to this one are in files.
    Trim(u64),
    /// Answers when everything before it is done.
    Barrier(oneshot::Sender<()>),
    /// Ends the task; the log is closed when it has ended.
    Stop,
}

/// Runs until [`Command::Stop`], or until all senders are gone.
pub(crate) async fn run(log: DiskLog, buffer: Arc<Buffer>, mut commands: mpsc::UnboundedReceiver<Command>) {
    let blocks = log.blocks();
    let mut log = Some(log);
    let mut left_over = None;
    loop {
        let next = match left_over.take() {
            Some(command) => Some(command),
            None => commands.recv().await,
        };
        match next {
            Some(Command::Append(first)) => {
                let (group, next) = gather(first, &mut commands);
                left_over = next;
                let Some(taken) = log.take() else { return };
                match write(taken, group, &buffer, blocks).await {
                    Some(returned) => log = Some(returned),
                    None => return, // The runtime is going away.
                }
            }
            Some(Command::Trim(committed)) => {
                let Some(mut taken) = log.take() else { return };
                let trimmed = off_thread(blocks, move || {
                    taken.trim(committed);
                    taken
                });
                match trimmed.await {
                    Ok(returned) => log = Some(returned),
                    Err(_) => return,
                }
            }
            Some(Command::Barrier(done)) => drop(done.send(())),
            Some(Command::Stop) | None => return,
        }
    }
}

/// Takes what already waits, up to a group's size. The second part of the answer did not fit or is no record.
#[expect(clippy::vec_box, reason = "they come boxed")]
fn gather(first: Box<Pending>, commands: &mut mpsc::UnboundedReceiver<Command>) -> (Vec<Box<Pending>>, Option<Command>) {
    let mut bytes = first.record.frame.len();
    let mut group = vec![first];
    while group.len() < GROUP_RECORDS_MAX {
        match commands.try_recv() {
            Ok(Command::Append(next)) if bytes + next.record.frame.len() <= GROUP_BYTES_MAX => {
                bytes += next.record.frame.len();
                group.push(next);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

#[expect(clippy::vec_box, reason = "they come boxed")]
async fn write(mut log: DiskLog, group: Vec<Box<Pending>>, buffer: &Arc<Buffer>, blocks: bool) -> Option<DiskLog> {
    let mut records = Vec::with_capacity(group.len());
    let mut waiting = Vec::with_capacity(group.len());
    for pending in group {
        let Pending { record, tenant, at, rows, memory, claim, ack, queued } = *pending;
        records.push(record);
        waiting.push((tenant, at, rows, memory, claim, ack, queued));
    }
    let written = off_thread(blocks, move || {
        let first = log.write_group(&mut records);
        (log, first)
    });
    let (log, first) = written.await.ok()?;
    metrics::histogram!("telelake_wal_group_records").record(waiting.len() as f64);
    let first = match first {
        Ok(first) => first,
        Err(error) => {
            let error = sink_error(error);
            // Claims and memory are given back before the senders hear of it.
            let acks: Vec<_> = waiting.into_iter().map(|(_, _, _, _, _, ack, _)| ack).collect();
            acks.into_iter().for_each(|ack| drop(ack.send(Err(error.clone()))));
            return Some(log);
        }
    };
    let mut applied = Vec::with_capacity(waiting.len());
    let mut acks = Vec::with_capacity(waiting.len());
    for (sequence, (tenant, at, rows, memory, claim, ack, _queued)) in (first..).zip(waiting) {
        applied.push(Applied { sequence, tenant, rows, bytes: memory.keep() });
        acks.push((claim, at, ack));
    }
    for place in buffer.apply(applied) {
        let buffer = Arc::clone(buffer);
        if blocks {
            drop(tokio::task::spawn_blocking(move || buffer.coalesce(&place)));
        } else {
            buffer.coalesce(&place);
        }
    }
    for (claim, at, ack) in acks {
        if let Some(claim) = claim {
            claim.stored(at);
        }
        let _ = ack.send(Ok(())); // The sender may have gone; its rows are stored all the same.
    }
    Some(log)
}

fn sink_error(error: GroupError) -> SinkError {
    match error {
        GroupError::Full(reason) => {
            metrics::counter!("telelake_ingest_refused_total", "reason" => "disk_full").increment(1);
            SinkError::Overloaded { reason, retry_after_s: DISK_FULL_RETRY_S }
        }
        GroupError::Failed(reason) => SinkError::Log { reason },
    }
}
