//! What a query cost, in Loki's words: `data.stats` of an answer.
//!
//! Clients show the summary; the rest is there because some of them read it without asking whether it is. Blocks of files count as
//! chunks, and all of our work is a querier's: nothing is asked of ingesters, and no cache of Loki's is here.
//! Source: Loki `pkg/logqlmodel/stats/stats.proto`, `pkg/util/marshal/marshal_test.go`.

use query::logql::Stats;
use serde_json::{Value, json};

/// The caches of Loki, none of which is ours.
const CACHES: [&str; 10] = [
    "chunk",
    "index",
    "result",
    "statsResult",
    "volumeResult",
    "seriesResult",
    "labelResult",
    "instantMetricResult",
    "logResult",
    "taskResult",
];

/// The statistics, complete.
pub(super) fn json(stats: &Stats) -> Value {
    let caches: serde_json::Map<String, Value> = CACHES.iter().map(|name| ((*name).to_owned(), cache())).collect();
    json!({
        "summary": summary(stats),
        "querier": { "store": store(stats), "querierExecTime": stats.total.saturating_sub(stats.queued).as_secs_f64() },
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": 0,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": store(&Stats::default()),
        },
        "cache": caches,
        "index": {
            "totalChunks": 0,
            "postFilterChunks": 0,
            "shardsDuration": 0,
            "usedBloomFilters": false,
            "totalStreams": 0,
        },
    })
}

fn summary(stats: &Stats) -> Value {
    let worked = stats.total.saturating_sub(stats.queued).as_secs_f64();
    let per_second = |count: u64| if worked > 0.0 { (count as f64 / worked) as u64 } else { 0 };
    json!({
        "bytesProcessedPerSecond": per_second(stats.bytes),
        "linesProcessedPerSecond": per_second(stats.lines),
        "totalBytesProcessed": stats.bytes,
        "totalLinesProcessed": stats.lines,
        "execTime": worked,
        "queueTime": stats.queued.as_secs_f64(),
        "subqueries": 0,
        "totalEntriesReturned": stats.entries,
        "splits": 0,
        "shards": 0,
        "totalPostFilterLines": stats.lines_kept,
        "totalStructuredMetadataBytesProcessed": stats.metadata_bytes,
    })
}

fn store(stats: &Stats) -> Value {
    json!({
        "totalChunksRef": stats.files,
        "totalChunksDownloaded": stats.files,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": stats.metadata_bytes > 0,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": stats.bytes,
            "decompressedLines": stats.lines,
            "compressedBytes": stats.bytes_read,
            "totalDuplicates": 0,
            "postFilterLines": stats.lines_kept,
            "headChunkStructuredMetadataBytes": 0,
            "decompressedStructuredMetadataBytes": stats.metadata_bytes,
        },
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
        "dataobj": {},
    })
}

fn cache() -> Value {
    json!({
        "entriesFound": 0,
        "entriesRequested": 0,
        "entriesStored": 0,
        "bytesReceived": 0,
        "bytesSent": 0,
        "requests": 0,
        "downloadTime": 0,
        "queryLengthServed": 0,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_summary_counts() {
        let stats = Stats {
            queued: Duration::from_millis(500),
            total: Duration::from_millis(2500),
            bytes: 4_000,
            metadata_bytes: 40,
            lines: 100,
            lines_kept: 10,
            entries: 7,
            files: 3,
            bytes_read: 900,
        };
        let got = json(&stats);
        let summary = &got["summary"];
        assert_eq!((&summary["bytesProcessedPerSecond"], &summary["linesProcessedPerSecond"]), (&json!(2_000), &json!(50)));
        assert_eq!((&summary["execTime"], &summary["queueTime"]), (&json!(2.0), &json!(0.5)));
        assert_eq!((&summary["totalEntriesReturned"], &summary["totalPostFilterLines"]), (&json!(7), &json!(10)));
        assert_eq!(got["querier"]["store"]["chunk"]["compressedBytes"], json!(900));
        assert_eq!(got["cache"].as_object().unwrap().len(), 10);
        // Nothing was done in no time.
        assert_eq!(json(&Stats::default())["summary"]["bytesProcessedPerSecond"], json!(0));
    }
}
