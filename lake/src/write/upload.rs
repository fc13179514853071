//! Sends an object while it is being made: whole when small, in parts when large.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use crate::error::{Error, Result};

/// Objects below this go up in one request; parts have this size (S3 wants at least 5 MiB, R2 equal ones).
const PART_BYTES: usize = 8 << 20;
/// Parts in flight.
const PARTS_MAX: usize = 2;

/// One object on its way.
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    held: Vec<u8>,
    parts: Option<WriteMultipart>,
}

impl Upload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self { store, path, held: Vec::new(), parts: None }
    }

    /// Adds bytes. Waits while too many parts are in flight.
    pub(super) async fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        match &self.parts {
            None if self.held.is_empty() => self.held = bytes,
            None => self.held.extend_from_slice(&bytes),
            Some(_) => self.held = bytes,
        }
        if self.parts.is_none() && self.held.len() >= PART_BYTES {
            let upload = self.store.put_multipart(&self.path).await.map_err(|e| self.failed(e))?;
            self.parts = Some(WriteMultipart::new_with_chunk_size(upload, PART_BYTES));
        }
        let path = &self.path;
        if let Some(parts) = &mut self.parts {
            let failed = |source| Error::Store { path: path.clone(), source };
            for chunk in self.held.chunks(PART_BYTES) {
                parts.wait_for_capacity(PARTS_MAX).await.map_err(failed)?;
                parts.write(chunk);
            }
            self.held = Vec::new();
        }
        Ok(())
    }

    /// Completes the object. It is durable when this returns.
    pub(super) async fn finish(mut self) -> Result<()> {
        match self.parts.take() {
            Some(parts) => parts.finish().await.map(|_| ()).map_err(|e| self.failed(e)),
            None => {
                let bytes = std::mem::take(&mut self.held);
                self.store.put(&self.path, bytes.into()).await.map(|_| ()).map_err(|e| self.failed(e))
            }
        }
    }

    fn failed(&self, source: object_store::Error) -> Error {
        Error::Store { path: self.path.clone(), source }
    }
}
