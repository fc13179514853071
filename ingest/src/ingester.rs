//! The durable half put together: log, buffer, flush, behind [`RowSink`] and [`FreshRows`].

use std::sync::Arc;

use async_trait::async_trait;
use catalog::manifest::WriterId;
use catalog::{Env, TenantId};
use lake::{FreshCapture, FreshRows};

use crate::config::IngestConfig;
use crate::error::{Error, Result};
use crate::flush::Destination;
use crate::sink::{Append, Appended, RowSink, SinkError};

/// Takes rows, keeps them durable and visible, and turns them into files.
#[derive(Debug)]
pub struct Ingester {}

impl Ingester {
    /// Opens the log, fences older incarnations of this writer, replays what is not in files yet, and starts.
    ///
    /// `destination` is an `Arc<lake::Lake>`. Returns when every acknowledged row is visible. Memory stays within
    /// `config.flush.buffered_bytes_max`: a longer log is flushed while it is replayed.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Locked`], [`Error::Io`], [`Error::Corrupt`], [`Error::Unsupported`], [`Error::Catalog`].
    pub async fn open(config: IngestConfig, _destination: Arc<dyn Destination>, _env: Env) -> Result<Arc<Self>> {
        config.validate()?;
        Ok(Arc::new(Self {}))
    }

    /// The identity of this log in the manifest.
    pub fn writer(&self) -> WriterId {
        WriterId::nil()
    }

    /// Turns everything acknowledged so far into files and commits them; returns after the commit. Waits as long as the store is
    /// down: put a timeout around it.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Stopped`].
    pub async fn flush_now(&self) -> Result<()> {
        Ok(())
    }

    /// Refuses new rows, flushes everything, stops. Rows that could not be flushed in time are still in the log: a timeout around
    /// this call loses nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`].
    pub async fn shutdown(&self) -> Result<()> {
        Ok(())
    }

    /// Resolves when this ingester can never commit again (it was fenced); the process should stop. Pending otherwise.
    pub async fn failed(&self) -> Error {
        std::future::pending().await
    }
}

#[async_trait]
impl RowSink for Ingester {
    async fn append(&self, _append: Append) -> Result<Appended, SinkError> {
        Err(SinkError::ShuttingDown)
    }
}

impl FreshRows for Ingester {
    fn capture(&self, _tenant: &TenantId) -> FreshCapture {
        FreshCapture::default()
    }
}
