//! Reading a file of a table that a user made: some of its columns, all of its rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use catalog::FileEntry;
use futures::StreamExt;
use object_store::ObjectStore;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};

use crate::cache::{Caches, Footer, Reuse};
use crate::error::{Error, Result};
use crate::lake::BatchStream;

/// What to read.
#[derive(Debug, Clone)]
pub struct UserScan {
    /// Positions of columns, ascending. May be empty: batches then only have a row count.
    pub columns: Vec<usize>,
    /// Most rows of a batch.
    pub batch_rows: usize,
}

struct Scan {
    store: Arc<dyn ObjectStore>,
    caches: Arc<Caches>,
    file: Arc<FileEntry>,
    what: UserScan,
    decoder: Option<(Arc<Footer>, ParquetPushDecoder)>,
}

pub(crate) fn scan_user(store: Arc<dyn ObjectStore>, caches: Arc<Caches>, file: Arc<FileEntry>, what: UserScan) -> BatchStream {
    let scan = Scan { store, caches, file, what, decoder: None };
    futures::stream::try_unfold(scan, |mut scan| async move { Ok(scan.next().await?.map(|batch| (batch, scan))) }).boxed()
}

impl Scan {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (file, store) = (&self.file, self.store.as_ref());
        let undecodable =
            |e: parquet::errors::ParquetError| Error::Decode { table: file.table, file: file.id, reason: e.to_string() };
        let (footer, decoder) = match &mut self.decoder {
            Some(open) => open,
            none => {
                let footer = self.caches.footer(store, file).await?;
                let mask = ProjectionMask::roots(footer.reader.parquet_schema(), self.what.columns.iter().copied());
                let decoder = ParquetPushDecoderBuilder::new_with_metadata(footer.reader.clone())
                    .with_projection(mask)
                    .with_batch_size(self.what.batch_rows.max(1))
                    .build()
                    .map_err(undecodable)?;
                none.insert((footer, decoder))
            }
        };
        loop {
            match decoder.try_decode().map_err(undecodable)? {
                DecodeResult::NeedsData(ranges) => {
                    let bytes = self.caches.pages(store, file, footer, ranges.clone(), Reuse::Likely).await?;
                    decoder.push_ranges(ranges, bytes).map_err(undecodable)?;
                }
                DecodeResult::Data(rows) => return Ok(Some(rows)),
                DecodeResult::Finished => return Ok(None),
            }
        }
    }
}
