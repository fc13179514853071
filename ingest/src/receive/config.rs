//! What receivers accept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;

/// Limits of all receivers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiveConfig {
    /// Largest request body as sent, in bytes (OTLP recommends 64 MiB).
    pub body_bytes_max: u64,
    /// Largest request body after decompression, in bytes.
    pub decompressed_bytes_max: u64,
    /// Bytes of bodies (decompressed where the size is known) that may be in work at once; more are refused before decoding.
    pub in_flight_bytes_max: u64,
    /// Attributes of one record, span, event, link, scope or resource; a record with more is refused.
    pub attributes_max: usize,
    /// Bytes of an attribute's name and value together; a record with a longer one is refused.
    pub attribute_bytes_max: usize,
    /// Bytes of one log line or span name and of any other text field; a record with a longer one is refused.
    pub text_bytes_max: usize,
    /// Events or links of one span; a span with more is refused.
    pub span_items_max: usize,
    /// How far behind this node's clock a log record or span may lie, e.g. `"7d"`; unset: any past is taken. Any future is.
    #[serde(with = "humantime_serde")]
    pub past_max: Option<Duration>,
    /// Memory for the ids of streams and resources that are stored already, in bytes.
    pub seen_ids_bytes: u64,
}

impl Default for ReceiveConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * MIB,
            decompressed_bytes_max: 64 * MIB,
            in_flight_bytes_max: 256 * MIB,
            attributes_max: 1_024,
            attribute_bytes_max: 64 << 10,
            text_bytes_max: 1 << 20,
            span_items_max: 1_024,
            past_max: None,
            seen_ids_bytes: 32 * MIB,
        }
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("receive.{key} is {value}, must be {bound}")]
pub struct InvalidReceiveConfig {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: u64,
    /// What it must be.
    pub bound: &'static str,
}

impl ReceiveConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidReceiveConfig> {
        let sizes = [
            ("body_bytes_max", self.body_bytes_max),
            ("decompressed_bytes_max", self.decompressed_bytes_max),
            ("in_flight_bytes_max", self.in_flight_bytes_max),
        ];
        // Offsets within Arrow text columns have 31 bits, and attribute values grow up to elevenfold as JSON.
        for (key, value) in sizes {
            if value == 0 || (key != "in_flight_bytes_max" && value > 128 * MIB) {
                return Err(InvalidReceiveConfig { key, value, bound: "between 1 and 128 MiB" });
            }
        }
        let largest = self.body_bytes_max.max(self.decompressed_bytes_max);
        if self.in_flight_bytes_max < largest {
            return Err(InvalidReceiveConfig {
                key: "in_flight_bytes_max",
                value: self.in_flight_bytes_max,
                bound: "no less than the largest body",
            });
        }
        let counts = [
            ("attributes_max", self.attributes_max),
            ("attribute_bytes_max", self.attribute_bytes_max),
            ("text_bytes_max", self.text_bytes_max),
            ("span_items_max", self.span_items_max),
        ];
        match counts.into_iter().find(|(_, value)| *value == 0) {
            Some((key, value)) => Err(InvalidReceiveConfig { key, value: value as u64, bound: "at least 1" }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let key_of = |config: ReceiveConfig| config.validate().err().map(|e| e.key);
        let default = ReceiveConfig::default();
        assert_eq!(key_of(default.clone()), None);
        assert_eq!(key_of(ReceiveConfig { body_bytes_max: 0, ..default.clone() }), Some("body_bytes_max"));
        assert_eq!(
            key_of(ReceiveConfig { decompressed_bytes_max: 129 * MIB, ..default.clone() }),
            Some("decompressed_bytes_max")
        );
        assert_eq!(key_of(ReceiveConfig { in_flight_bytes_max: MIB, ..default.clone() }), Some("in_flight_bytes_max"));
        assert_eq!(key_of(ReceiveConfig { attributes_max: 0, ..default }), Some("attributes_max"));
    }
}
