//! Limits of remote write, and the deduplication of replicas.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;

/// What remote write accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteWriteConfig {
    /// Largest request body after decompression, in bytes. The size that a body claims is checked before memory is taken.
    pub decoded_bytes_max: u64,
    /// How far ahead of this node's clock a sample may lie, e.g. `"10m"`.
    #[serde(with = "humantime_serde")]
    pub future_max: Duration,
    /// How far behind this node's clock a sample may lie, e.g. `"30d"`; unset: any past is taken, in any order.
    #[serde(with = "humantime_serde")]
    pub past_max: Option<Duration>,
    /// Labels of one series; series with more are refused.
    pub labels_max: usize,
    /// Bytes of a metric or label name; series with a longer one are refused.
    pub name_bytes_max: usize,
    /// Bytes of a label value; series with a longer one are refused.
    pub label_value_bytes_max: usize,
    /// Buckets on one side of a native histogram, and its spans; histograms with more are refused.
    pub buckets_max: usize,
    /// Pairs of servers that send the same series.
    pub ha: HaConfig,
}

/// Of several replicas of one server, only the elected one's samples are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HaConfig {
    /// Whether replicas are told apart. Off: the two labels below are labels like others.
    pub enabled: bool,
    /// The label that names the group of replicas. It is stored.
    pub cluster_label: String,
    /// The label that tells one replica from another. It is not stored.
    pub replica_label: String,
    /// After so long without a request of the elected replica the next one to come is elected.
    #[serde(with = "humantime_serde")]
    pub failover_timeout: Duration,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            decoded_bytes_max: 32 * MIB,
            future_max: Duration::from_secs(600),
            past_max: None,
            labels_max: 64,
            name_bytes_max: 1_024,
            label_value_bytes_max: 4_096,
            buckets_max: 4_096,
            ha: HaConfig::default(),
        }
    }
}

impl Default for HaConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            cluster_label: "cluster".to_owned(),
            replica_label: "__replica__".to_owned(),
            failover_timeout: Duration::from_secs(30),
        }
    }
}

/// A setting out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("remote_write.{key} is {value}, must be {bound}")]
pub struct InvalidRemoteWriteConfig {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What it must be.
    pub bound: &'static str,
}

impl RemoteWriteConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), InvalidRemoteWriteConfig> {
        let bad = |key, value: String, bound| Err(InvalidRemoteWriteConfig { key, value, bound });
        // Offsets within Arrow text columns have 31 bits.
        if self.decoded_bytes_max == 0 || self.decoded_bytes_max > 128 * MIB {
            return bad("decoded_bytes_max", self.decoded_bytes_max.to_string(), "between 1 and 128 MiB");
        }
        let counts = [
            ("labels_max", self.labels_max),
            ("name_bytes_max", self.name_bytes_max),
            ("label_value_bytes_max", self.label_value_bytes_max),
            ("buckets_max", self.buckets_max),
        ];
        if let Some((key, value)) = counts.into_iter().find(|(_, value)| *value == 0 || *value > 1 << 20) {
            return bad(key, value.to_string(), "between 1 and 1,048,576");
        }
        let ha = &self.ha;
        for (key, label) in [("ha.cluster_label", &ha.cluster_label), ("ha.replica_label", &ha.replica_label)] {
            if label.is_empty() || label == "__name__" {
                return bad(key, format!("{label:?}"), "a label name other than __name__");
            }
        }
        if ha.cluster_label == ha.replica_label {
            return bad("ha.replica_label", format!("{:?}", ha.replica_label), "another label than ha.cluster_label");
        }
        if ha.failover_timeout < Duration::from_secs(1) {
            return bad("ha.failover_timeout", format!("{:?}", ha.failover_timeout), "at least 1s");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        let default = RemoteWriteConfig::default();
        default.validate().unwrap();
        #[track_caller]
        fn refused(config: RemoteWriteConfig, expected: &str) {
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
        refused(
            RemoteWriteConfig { decoded_bytes_max: 0, ..default.clone() },
            "remote_write.decoded_bytes_max is 0, must be between 1 and 128 MiB",
        );
        refused(
            RemoteWriteConfig { labels_max: 0, ..default.clone() },
            "remote_write.labels_max is 0, must be between 1 and 1,048,576",
        );
        let ha = HaConfig { replica_label: "cluster".to_owned(), ..HaConfig::default() };
        refused(
            RemoteWriteConfig { ha, ..default },
            "remote_write.ha.replica_label is \"cluster\", must be another label than ha.cluster_label",
        );
    }
}
