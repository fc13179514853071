//! A stream of frames: series by series, in chunks.
//!
//! ```text
//! frame = length (uvarint) │ CRC-32C (4 bytes, the highest first) │ ChunkedReadResponse: one series, some of its chunks
//! ```
//! Source: Prometheus `storage/remote/chunked.go`, `StreamChunkedReadResponses`.

use promql::value::RawSeries;
use prost::Message;

use super::proto::{Chunk, ChunkedReadResponse, ChunkedSeries, FLOAT_HISTOGRAM, Label, XOR};
use super::{histogram, labels, xor};

/// A frame is closed once its chunks have so many bytes.
const FRAME_BYTES: usize = 1 << 20;
/// Samples of a chunk, as Prometheus cuts them.
const CHUNK_SAMPLES: usize = 120;

/// The frames of `series`, an answer of query `query_index`.
pub(super) fn of(series: &RawSeries, query_index: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let labels = labels(&series.labels);
    let mut frame: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for chunk in chunks(series) {
        bytes += chunk.data.len();
        frame.push(chunk);
        if bytes >= FRAME_BYTES {
            write(&mut out, &labels, std::mem::take(&mut frame), query_index);
            bytes = 0;
        }
    }
    if !frame.is_empty() {
        write(&mut out, &labels, frame, query_index);
    }
    out
}

/// Chunks ascending by time; floats and histograms change places where the series does.
fn chunks(series: &RawSeries) -> Vec<Chunk> {
    let floats: Vec<(i64, f64)> = series.times_ms.iter().copied().zip(series.floats.iter().copied()).collect();
    let histograms: Vec<_> = series.histograms.iter().map(|s| (s.time_ms, &*s.histogram)).collect();
    let (mut floats, mut histograms) = (&floats[..], &histograms[..]);
    let mut chunks = Vec::new();
    while !floats.is_empty() || !histograms.is_empty() {
        let next_histogram = histograms.first().map_or(i64::MAX, |h| h.0);
        let run = floats.iter().take(CHUNK_SAMPLES).take_while(|f| f.0 < next_histogram || histograms.is_empty()).count();
        if run > 0 {
            let (now, later) = floats.split_at(run);
            chunks.push(Chunk { min_time_ms: now[0].0, max_time_ms: now[run - 1].0, kind: XOR, data: xor::chunk(now) });
            floats = later;
            continue;
        }
        let next_float = floats.first().map_or(i64::MAX, |f| f.0);
        let mut run = 1;
        while run < histograms.len().min(CHUNK_SAMPLES)
            && (histograms[run].0 < next_float || floats.is_empty())
            && histogram::can_follow(histograms[run - 1].1, histograms[run].1)
        {
            run += 1;
        }
        let (now, later) = histograms.split_at(run);
        let data = histogram::chunk(now);
        chunks.push(Chunk { min_time_ms: now[0].0, max_time_ms: now[run - 1].0, kind: FLOAT_HISTOGRAM, data });
        histograms = later;
    }
    chunks
}

fn write(out: &mut Vec<u8>, labels: &[Label], chunks: Vec<Chunk>, query_index: i64) {
    let message = ChunkedReadResponse { chunked_series: vec![ChunkedSeries { labels: labels.to_vec(), chunks }], query_index };
    let message = message.encode_to_vec();
    prost::encoding::encode_varint(message.len() as u64, out);
    out.extend_from_slice(&crc32c(&message).to_be_bytes());
    out.extend_from_slice(&message);
}

/// CRC-32 with Castagnoli's polynomial, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0x82f6_3b78 } else { value >> 1 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use promql::histogram::Histogram;
    use promql::labels::Labels;
    use promql::value::HistogramSample;

    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // The check value of the catalogue of CRCs, and RFC 3720 B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    fn read(mut bytes: &[u8]) -> Vec<ChunkedReadResponse> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let length = prost::encoding::decode_varint(&mut bytes).unwrap() as usize;
            let (sum, rest) = bytes.split_at(4);
            let (message, rest) = rest.split_at(length);
            assert_eq!(sum, crc32c(message).to_be_bytes());
            frames.push(ChunkedReadResponse::decode(message).unwrap());
            bytes = rest;
        }
        frames
    }

    #[test]
    fn series_are_cut_into_chunks_and_frames() {
        let times: Vec<i64> = (0..300).map(|n| n * 1000).collect();
        let sample = |time_ms| HistogramSample { time_ms, start_ms: 0, histogram: Arc::new(Histogram::default()) };
        let series = RawSeries {
            labels: Labels::new([("__name__", "up"), ("job", "a")]),
            floats: vec![1.0; times.len()],
            times_ms: times,
            histograms: vec![sample(150_500), sample(1_000_000)],
            ..RawSeries::default()
        };
        let frames = read(&of(&series, 3));
        assert_eq!((frames.len(), frames[0].query_index), (1, 3));
        let chunks: Vec<_> = frames[0].chunked_series[0].chunks.iter().map(|c| (c.kind, c.min_time_ms, c.max_time_ms)).collect();
        let expected = [
            (XOR, 0, 119_000),
            (XOR, 120_000, 150_000),
            (FLOAT_HISTOGRAM, 150_500, 150_500),
            (XOR, 151_000, 270_000),
            (XOR, 271_000, 299_000),
            (FLOAT_HISTOGRAM, 1_000_000, 1_000_000),
        ];
        assert_eq!(chunks, expected);
    }

    #[test]
    fn long_series_have_many_frames() {
        let times: Vec<i64> = (0..300_000).collect();
        // Values that share no bits: nine bytes each.
        let floats = times.iter().map(|n| f64::from_bits((*n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        let frames = read(&of(&RawSeries { times_ms: times, floats, ..RawSeries::default() }, 0));
        assert!((2..5).contains(&frames.len()), "{}", frames.len());
        let chunks: usize = frames.iter().map(|f| f.chunked_series[0].chunks.len()).sum();
        assert_eq!(chunks, 300_000 / CHUNK_SAMPLES);
    }
}
