//! Batches as Flight messages.
//!
//! ```text
//! schema ─► batch, split into pieces of about 2 MiB ─► ... ─► nothing for five seconds: an empty batch ─► ...
//! ```
//! The encoder of `arrow-flight` counts the whole buffer behind a slice and sends nothing for a batch without rows; both matter here.

use std::collections::VecDeque;
use std::time::Duration;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::StreamExt;
use futures::stream::{BoxStream, unfold};
use tonic::Status;

use crate::error::{Error, Result};

/// About how large a message is: well below the 4 MiB that gRPC clients take unless told otherwise.
const MESSAGE_BYTES: usize = 2 << 20;

/// A proxy may cut a stream that is silent for longer than some seconds.
const SILENT_FOR_MAX: Duration = Duration::from_secs(5);

/// Batches of an answer, all of one schema.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// The messages for `batches`, which have the schema `schema`, the schema first. Ends with the first error.
///
/// # Errors
/// The compression is not built in.
pub(super) fn messages(
    schema: &SchemaRef,
    batches: Batches,
    compression: Option<CompressionType>,
) -> Result<BoxStream<'static, Result<FlightData, Status>>> {
    let options = IpcWriteOptions::default().try_with_compression(compression).map_err(broken)?;
    let first = FlightData::from(SchemaAsIpc::new(schema, &options));
    let sending = Sending {
        ready: VecDeque::from([first]),
        empty: RecordBatch::new_empty(SchemaRef::clone(schema)),
        batches: Some(batches),
        encoder: Encoder { options, ..Encoder::default() },
    };
    Ok(unfold(sending, |mut sending| async move { Some((sending.next().await?, sending)) }).boxed())
}

/// The schema as FlightInfo and the answers of prepared statements have it.
///
/// # Errors
/// It cannot be written.
pub(super) fn schema_bytes(schema: &Schema) -> Result<bytes::Bytes> {
    let options = IpcWriteOptions::default();
    let message = arrow_flight::IpcMessage::try_from(SchemaAsIpc::new(schema, &options)).map_err(broken)?;
    Ok(message.0)
}

/// An answer on its way.
struct Sending {
    ready: VecDeque<FlightData>,
    empty: RecordBatch,
    /// Gone after the end or an error.
    batches: Option<Batches>,
    encoder: Encoder,
}

impl Sending {
    async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            let batches = self.batches.as_mut()?;
            let encoded = match tokio::time::timeout(SILENT_FOR_MAX, batches.next()).await {
                Ok(Some(Ok(batch))) => self.encoder.encode(&batch, &mut self.ready),
                Ok(Some(Err(error))) => Err(error),
                Ok(None) => {
                    self.batches = None;
                    return None;
                }
                Err(_) => self.encoder.message(&self.empty).map(|message| self.ready.push_back(message)),
            };
            if let Err(error) = encoded {
                self.batches = None;
                return Some(Err(error.into()));
            }
        }
    }
}

struct Encoder {
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    options: IpcWriteOptions,
    scratch: IpcWriteContext,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            generator: IpcDataGenerator::default(),
            // Answers have no dictionaries; one would be an error, not a message that nobody sends.
            dictionaries: DictionaryTracker::new(true),
            options: IpcWriteOptions::default(),
            scratch: IpcWriteContext::default(),
        }
    }
}

impl Encoder {
    /// Appends the messages of one batch: one, or several when it is large.
    fn encode(&mut self, batch: &RecordBatch, ready: &mut VecDeque<FlightData>) -> Result<()> {
        let pieces = bytes(batch).div_ceil(MESSAGE_BYTES).clamp(1, batch.num_rows().max(1));
        if pieces == 1 {
            ready.push_back(self.message(batch)?);
            return Ok(());
        }
        let rows = batch.num_rows().div_ceil(pieces);
        let mut from = 0;
        while from < batch.num_rows() {
            let length = rows.min(batch.num_rows() - from);
            // Rows differ in size: a piece may be too large again, with fewer rows each time.
            self.encode(&batch.slice(from, length), ready)?;
            from += length;
        }
        Ok(())
    }

    fn message(&mut self, batch: &RecordBatch) -> Result<FlightData> {
        let encoded = self.generator.encode(batch, &mut self.dictionaries, &self.options, &mut self.scratch);
        let (dictionaries, batch) = encoded.map_err(broken)?;
        if !dictionaries.is_empty() {
            return Err(Error::Encode { reason: "an answer holds a dictionary".to_owned() });
        }
        Ok(batch.into())
    }
}

/// Bytes of the rows of `batch`, not of all that its buffers hold.
fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

fn broken(error: ArrowError) -> Error {
    Error::Encode { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, StringArray};
    use arrow_flight::utils::flight_data_to_batches;
    use futures::TryStreamExt;

    use super::*;

    fn texts(texts: Vec<String>) -> RecordBatch {
        RecordBatch::try_from_iter([("x", Arc::new(StringArray::from(texts)) as ArrayRef)]).expect("one column")
    }

    #[tokio::test]
    async fn large_batches_are_split_and_rows_keep_their_order() {
        // One row is 3 MiB, the others are small: no message but the first row's is larger than the aim.
        let rows: Vec<String> = std::iter::once("x".repeat(3 << 20)).chain((0..5_000).map(|n| format!("{n:01024}"))).collect();
        let batch = texts(rows.clone());
        let batches = futures::stream::iter([Ok(batch.slice(0, 1)), Ok(batch.clone()), Ok(batch.slice(10, 0))]).boxed();
        let messages: Vec<_> =
            messages(&batch.schema(), batches, None).expect("no compression").try_collect().await.expect("no error");
        let large = messages.iter().filter(|m| m.data_body.len() > MESSAGE_BYTES + 4_096).count();
        assert_eq!(large, 2, "{:?}", messages.iter().map(|m| m.data_body.len()).collect::<Vec<_>>());
        assert!(messages.len() < 24, "{}", messages.len());
        let decoded = flight_data_to_batches(&messages).expect("decodes");
        let got: Vec<String> = decoded
            .iter()
            .flat_map(|b| b.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        assert!(got[0] == rows[0] && got[1..] == rows[..]);
        assert_eq!(decoded.last().map(RecordBatch::num_rows), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_query_keeps_its_stream_alive() {
        let batch = texts(vec!["a".to_owned()]);
        let late = batch.clone();
        let batches = futures::stream::once(async move {
            tokio::time::sleep(SILENT_FOR_MAX * 2 + Duration::from_secs(1)).await;
            Ok(late)
        });
        let messages: Vec<_> =
            messages(&batch.schema(), batches.boxed(), None).expect("fits").try_collect().await.expect("no error");
        let rows: Vec<_> = flight_data_to_batches(&messages).expect("decodes").iter().map(RecordBatch::num_rows).collect();
        assert_eq!(rows, [0, 0, 1]);
    }
}
