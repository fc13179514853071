//! The object stores that SQL can name: none. DataFusion's default registry opens the whole disk as `file://`.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use url::Url;

/// A registry that knows no store and takes none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoStores;

impl ObjectStoreRegistry for NoStores {
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, _url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Err(DataFusionError::Plan("files and URLs cannot be queried".to_owned()))
    }
}
