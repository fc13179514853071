//! Whether the store can do what the log is built on: create an object only if it is absent.

use bytes::Bytes;

use super::access::{Access, is_definite};
use super::layout;
use crate::error::{Error, Result};

/// Creates an object twice. The second time must be refused.
///
/// # Errors
/// [`Error::NoCreateIfAbsent`] when it is not, or the store does not know the request; [`Error::Store`] when the store cannot be
/// reached or denies access.
pub(super) async fn probe(access: &Access) -> Result<()> {
    let path = layout::probe(access.env.new_uuid());
    create(access, &path).await?;
    let twice = create(access, &path).await;
    if let Err(error) = access.delete(&path).await {
        tracing::warn!(%path, %error, "probe object stays behind");
    }
    match twice? {
        Created::Now => Err(Error::NoCreateIfAbsent),
        Created::Before => Ok(()),
    }
}

enum Created {
    Now,
    Before,
}

async fn create(access: &Access, path: &object_store::path::Path) -> Result<Created> {
    let mut attempt = 0;
    loop {
        let source = match access.create_once(path, Bytes::from_static(b"telelake")).await {
            Ok(()) => return Ok(Created::Now),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                return Ok(Created::Before);
            }
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                return Err(Error::NoCreateIfAbsent);
            }
            Err(source) => source,
        };
        attempt += 1;
        if is_definite(&source) || attempt >= access.config.attempts_max {
            return Err(Error::Store { path: path.clone(), source });
        }
        access.pause(attempt).await;
    }
}
