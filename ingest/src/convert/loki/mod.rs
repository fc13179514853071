//! Pushed log lines as rows: Loki's protobuf and JSON, and whatever else comes as streams of lines.
//!
//! ```text
//! protobuf ─ label text ─┐                                      ┌─ times, sizes, level, metadata ─► [Lines] rows of logs
//! JSON ───── label map ──┼─hash─► memo ─ known ─► Stream ─ lines ┤
//! other ──── pairs ──────┘         └─ new: read, check          └─ refused, in Loki's words
//! ```
//! Rules are Loki's, [`LokiConfig`] has its limits. What differs, on purpose:
//! - Any past is taken unless a limit is set, in any order, and a line that is there twice is stored twice; only a request that is sent
//!   again as a whole is recognised.
//! - Bytes that are not UTF-8 are stored as U+FFFD.
//! - Metadata `trace_id` and `span_id` go to the columns of these ids where they print back as they came; `detected_level` to `level`.
//! - Of metadata with one name the first is kept.
//!
//! # Invariants
//! - A stream that is refused, and a line that is, leaves its neighbours alone. Bytes that are no request refuse it as a whole.
//! - A label set seen before costs a hash and no allocation.
//! - Any bytes convert or are a [`DecodeError`]; nothing panics. Memory is proportional to the body's size.

pub mod config;
mod json;
pub(crate) mod labels;
mod protobuf;
pub(crate) mod push;
pub(crate) mod refused;
mod tenants;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use catalog::{Env, TenantId};
use moka::sync::Cache;
use xxhash_rust::xxh3::Xxh3;

pub use config::{InvalidLokiConfig, LokiConfig};

use super::streams::Stream;
use super::{Converted, DecodeError, Resources};
use push::Push;
use refused::Refusal;
use tenants::Tenants;

/// Memory for label sets that were read. A hundred thousand of them; a miss costs a few microseconds.
const MEMO_BYTES: u64 = 64 << 20;

/// The form of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushFormat {
    /// `logproto.PushRequest`.
    Protobuf,
    /// `{"streams":[{"stream":{..},"values":[[ns, line, {..}]]}]}`.
    Json,
    /// `{"streams":[{"labels":"{..}","entries":[{"ts":..,"line":..}]}]}`, of `/api/prom/push`.
    LegacyJson,
}

impl PushFormat {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "protobuf",
            Self::Json => "json",
            Self::LegacyJson => "legacy_json",
        }
    }
}

/// What a request became.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Rows. [`Converted::reason`] is what was refused, and makes the answer an error; the rest is stored all the same.
    pub converted: Converted,
    /// Whether some of what was refused would be taken later: the answer is 429, else 400.
    pub throttled: bool,
    /// Differs between two outcomes for the same body, such as more lines being taken now that a limit was met before.
    pub outcome: u64,
}

/// Turns pushes into rows. One per process: it remembers the label sets of every tenant.
pub struct PushConverter {
    config: LokiConfig,
    env: Env,
    resources: Arc<Resources>,
    memo: Cache<u128, Arc<KnownStream>>,
    tenants: Tenants,
    /// The number of the next line; starts at the clock, so that it ascends over restarts as well.
    next_seq: AtomicI64,
    /// Of the hashes that stand for labels; random, so that nobody can aim at a collision.
    seed: u64,
}

/// A label set as it was sent, and the stream that it is.
#[derive(Debug)]
struct KnownStream {
    sent: Box<[u8]>,
    stream: Arc<Stream>,
}

impl PushConverter {
    /// A converter that has seen nothing. `config` is valid ([`LokiConfig::validate`]). `resources` is shared with OTLP's converters: a
    /// stream is one stream, whatever protocol its lines come by.
    pub fn new(config: LokiConfig, env: Env, resources: Arc<Resources>) -> Arc<Self> {
        let weigh = |_: &u128, known: &Arc<KnownStream>| u32::try_from(3 * known.sent.len() + 256).unwrap_or(u32::MAX);
        Arc::new(Self {
            next_seq: AtomicI64::new(env.now().as_nanos()),
            seed: env.entropy.next_u64(),
            memo: Cache::builder().max_capacity(MEMO_BYTES).weigher(weigh).build(),
            tenants: Tenants::new(),
            config,
            env,
            resources,
        })
    }

    /// The limits.
    pub fn config(&self) -> &LokiConfig {
        &self.config
    }

    /// Converts the whole `body` (decompressed) for `tenant`. CPU work only.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] for bytes that are no such request. What is wrong with single streams and lines is in
    /// [`Converted::reason`] instead.
    pub fn convert(&self, tenant: &TenantId, format: PushFormat, body: &[u8]) -> Result<Pushed, DecodeError> {
        let mut push = Push::new(self, tenant, body.len());
        match format {
            PushFormat::Protobuf => {
                protobuf::read(body, &mut push).map_err(|e| DecodeError::wire("logproto.PushRequest", e))?;
            }
            PushFormat::Json | PushFormat::LegacyJson => {
                let text = push.text(body);
                json::read(&text, format, &mut push)
                    .map_err(|e| DecodeError::Malformed { message: "push request", reason: e.to_string() })?;
            }
        }
        push.finish()
    }

    /// The stream that was sent as `sent`; `read` reads it when it is not remembered. `kind` tells ways of sending apart.
    fn stream(&self, kind: u8, sent: &[u8], read: impl FnOnce() -> Result<Stream, Refusal>) -> Result<Arc<Stream>, Refusal> {
        let mut hasher = Xxh3::with_seed(self.seed.wrapping_add(u64::from(kind)));
        hasher.update(sent);
        let key = hasher.digest128();
        if let Some(known) = self.memo.get(&key).filter(|known| *known.sent == *sent) {
            return Ok(Arc::clone(&known.stream));
        }
        let stream = Arc::new(read()?);
        self.memo.insert(key, Arc::new(KnownStream { sent: sent.into(), stream: Arc::clone(&stream) }));
        Ok(stream)
    }

    fn take_seq(&self, lines: usize) -> i64 {
        self.next_seq.fetch_add(lines as i64, Ordering::Relaxed)
    }
}

impl fmt::Debug for PushConverter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConverter").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
