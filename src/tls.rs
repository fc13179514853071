//! TLS for every listener: one certificate and its key, read at the start and again when their files change.
//!
//! ```text
//! start   ── files ─► [`Tls`] or the node does not start ─► one setting per protocol, which all ask [`Tls`] for the certificate
//! SIGHUP, every 30 s ── files have changed? ─► fit together? ─ yes ─► new connections get the new one
//!                                                            └ no ──► a warning, the old one stays
//! ```
//! # Invariants
//! - A listener never serves plain text because a file is bad: at the start that ends the node, later the old certificate stays.
//! - Where TLS is on, nothing else is spoken, on no listener.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::config::TlsConfig;
use crate::dialect::Dialect;
use crate::failure::Failure;

/// How long a new certificate may lie there unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The certificate that listeners show.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    shown: RwLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    certificate: Arc<CertifiedKey>,
    /// SHA-256 of the files it was read from.
    digest: [u8; 32],
}

impl Tls {
    /// Reads the certificate and the key that `files` names; `None`: TLS is off.
    ///
    /// # Errors
    /// A file that cannot be read, has nothing of the kind in it, or does not fit the other: named, with what to do.
    pub(crate) fn open(files: &TlsConfig) -> Result<Option<Arc<Self>>, Failure> {
        if !files.is_on() {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let shown = read(files).and_then(|read| read.shown(files, &provider)).map_err(Failure::usage)?;
        Ok(Some(Arc::new(Self { files: files.clone(), provider, shown: RwLock::new(shown) })))
    }

    /// How connections of `dialect` are encrypted.
    ///
    /// # Errors
    /// The library has no version of TLS that its ciphers could be used with, which would be a bug.
    pub(crate) fn server(self: &Arc<Self>, dialect: Dialect) -> Result<Arc<ServerConfig>, Failure> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| Failure::failed(format!("TLS cannot be offered: {e}")))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        let protocols: &[&[u8]] = match dialect {
            Dialect::Postgres => &[b"postgresql"],
            _ => &[b"h2", b"http/1.1"],
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// Follows the files until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut told = signal(SignalKind::hangup()).ok();
        loop {
            let hangup = async {
                match &mut told {
                    Some(told) => drop(told.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = hangup => {}
            }
            match self.reread() {
                Ok(true) => {
                    tracing::info!(certificate = %self.files.certificate.display(), "new connections get the new certificate")
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error, "the certificate is not what it should be any more; the one before stays in use")
                }
            }
        }
    }

    /// Takes what the files have now; whether that is something else.
    fn reread(&self) -> Result<bool, String> {
        let read = read(&self.files)?;
        if read.digest == self.shown.read().digest {
            return Ok(false);
        }
        let shown = read.shown(&self.files, &self.provider)?;
        *self.shown.write() = shown;
        Ok(true)
    }
}

impl ResolvesServerCert for Tls {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().certificate))
    }
}

/// Both files as they are.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    digest: [u8; 32],
}

fn read(files: &TlsConfig) -> Result<Read, String> {
    let file = |key: &str, path: &Path| fs::read(path).map_err(|e| format!("cannot read {key}, {}: {e}", path.display()));
    let certificate = file("tls.certificate", &files.certificate)?;
    let key = file("tls.key", &files.key)?;
    let digest = Sha256::new().chain_update(Sha256::digest(&certificate)).chain_update(&key).finalize().into();
    Ok(Read { certificate, key, digest })
}

impl Read {
    fn shown(self, files: &TlsConfig, provider: &CryptoProvider) -> Result<Shown, String> {
        let (certificate_path, key_path) = (files.certificate.display(), files.key.display());
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| format!("tls.certificate, {certificate_path}, is no sound PEM: {e}"))?;
        if chain.is_empty() {
            return Err(format!(
                "tls.certificate, {certificate_path}, has no certificate in it: it has to be PEM (-----BEGIN CERTIFICATE-----), the \
                 node's own certificate first, then those that signed it"
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound if self.key.windows(21).any(|bytes| bytes == b"ENCRYPTED PRIVATE KEY") => {
                format!("tls.key, {key_path}, is encrypted: decrypt it with `openssl pkey -in {key_path} -out FILE`")
            }
            pem::Error::NoItemsFound => {
                format!("tls.key, {key_path}, has no private key in it: it has to be PEM (-----BEGIN PRIVATE KEY-----)")
            }
            error => format!("tls.key, {key_path}, is no sound PEM: {error}"),
        })?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "tls.key, {key_path}, is not the key of the first certificate in tls.certificate, {certificate_path}: name the key that \
                 the certificate was made for, and put the node's own certificate before those that signed it"
            ),
            Error::InvalidCertificate(error) => format!("tls.certificate, {certificate_path}, is no sound certificate: {error}"),
            error => format!("tls.key, {key_path}, cannot be used: {error}"),
        })?;
        Ok(Shown { certificate: Arc::new(certified), digest: self.digest })
    }
}
