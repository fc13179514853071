//! Blocks that a writer of these tests makes. Real ones are read in `tests/e2e/test_import.py`.

mod writer;

use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount, v2};
use writer::{Block, Chunk};

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// All samples of a block, by series.
#[derive(Debug, Default, PartialEq)]
struct Read {
    floats: BTreeMap<String, Vec<(i64, u64)>>,
    histograms: BTreeMap<String, Vec<Histogram>>,
}

fn read(folder: &Path) -> Result<Read, TsdbError> {
    let mut reader = BlockReader::open(folder)?;
    let mut read = Read::default();
    while let Some(batch) = reader.next_batch()? {
        let request = v2::Request::decode(batch.body.as_slice()).unwrap();
        let text = |symbol: u32| request.symbols[symbol as usize].as_str();
        for series in &request.timeseries {
            let name: Vec<_> = series.labels_refs.chunks(2).map(|p| format!("{}={}", text(p[0]), text(p[1]))).collect();
            let floats = series.samples.iter().map(|s| (s.timestamp, s.value().to_bits()));
            if !series.samples.is_empty() {
                read.floats.entry(name.join(",")).or_default().extend(floats);
            }
            if !series.histograms.is_empty() {
                read.histograms.entry(name.join(",")).or_default().extend_from_slice(&series.histograms);
            }
        }
    }
    let (done, all) = reader.progress();
    assert!(done <= all && done + 16 >= all, "{done} of {all}");
    Ok(read)
}

const UP: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

fn floats(times: &[i64]) -> Chunk {
    Chunk::floats(&times.iter().map(|ts| (*ts, *ts as f64 / 10.0)).collect::<Vec<_>>())
}

#[test]
fn series_come_with_their_samples() {
    let folder = tempfile::tempdir().unwrap();
    let long: Vec<i64> = (0..120).map(|n| 1_793_491_200_000 + n * 15_000 + n % 3).collect();
    let mut block = Block::default();
    block.series(&UP, &[floats(&[1, 2, 4]), floats(&long)]);
    block.series(&[("__name__", "up"), ("job", "ü")], &[]);
    block.series(&[("__name__", "zero")], &[Chunk::floats(&[(-5, STALE), (7, f64::NEG_INFINITY), (1 << 50, -0.0)])]);
    block.write(folder.path());
    let read = read(folder.path()).unwrap();
    let expected = |times: &[i64]| times.iter().map(|ts| (*ts, (*ts as f64 / 10.0).to_bits())).collect::<Vec<_>>();
    assert_eq!(read.floats["__name__=up,job=a"], [expected(&[1, 2, 4]), expected(&long)].concat());
    let odd = [(-5, STALE), (7, f64::NEG_INFINITY), (1 << 50, -0.0)].map(|(ts, value)| (ts, value.to_bits()));
    assert_eq!(read.floats["__name__=zero"], odd);
    assert_eq!(read.floats.len(), 2);
}

#[test]
fn what_was_deleted_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut block = Block::default();
    let first = block.series(&UP, &[floats(&[1, 2, 3, 4, 5])]);
    let second = block.series(&[("__name__", "zero")], &[floats(&[1, 2])]);
    block.tombstones = vec![(first, 2, 3), (first, 5, i64::MAX), (second, i64::MIN, i64::MAX), (99, 0, 9)];
    block.write(folder.path());
    let read = read(folder.path()).unwrap();
    assert_eq!(read.floats.keys().collect::<Vec<_>>(), ["__name__=up,job=a"]);
    assert_eq!(read.floats["__name__=up,job=a"].iter().map(|(ts, _)| *ts).collect::<Vec<_>>(), [1, 4]);
}

fn integer(timestamp: i64, deltas: &[i64], reset_hint: i32) -> Histogram {
    Histogram {
        count: Some(Count::CountInt(timestamp as u64 * 3)),
        zero_count: Some(ZeroCount::ZeroCountInt(timestamp as u64)),
        sum: timestamp as f64 * 1.5,
        schema: 3,
        zero_threshold: 0.25,
        positive_spans: vec![BucketSpan { offset: -3, length: 2 }, BucketSpan { offset: 7, length: 1 }],
        positive_deltas: deltas.to_vec(),
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_deltas: vec![timestamp],
        timestamp,
        reset_hint,
        ..Histogram::default()
    }
}

#[test]
fn histograms_come_back() {
    #[track_caller]
    fn check(flags: u8, histograms: &[Histogram]) {
        let folder = tempfile::tempdir().unwrap();
        let mut block = Block::default();
        block.series(&UP, &[Chunk::histograms(flags, histograms)]);
        block.write(folder.path());
        // As text: NaN is not equal to itself.
        let read = read(folder.path()).unwrap();
        assert_eq!(format!("{:?}", read.histograms["__name__=up,job=a"]), format!("{histograms:?}"));
    }
    let stale = Histogram { sum: STALE, timestamp: 9, ..Histogram::default() };
    check(0, &[integer(1, &[1, 2, -1], 0), integer(2, &[2, 2, 0], 2), integer(5, &[700, 2, 1 << 40], 2)]);
    check(0b1000_0000, &[integer(1, &[1, 2, -1], 1), integer(2, &[2, 2, 0], 2), stale.clone()]);
    check(0b1100_0000, &[integer(1, &[9, -2, -1], 3), integer(2, &[2, 2, 0], 3)]);
    let float = |timestamp: i64, reset_hint| Histogram {
        count: Some(Count::CountFloat(timestamp as f64 / 3.0)),
        zero_count: Some(ZeroCount::ZeroCountFloat(0.5)),
        positive_deltas: vec![],
        negative_deltas: vec![],
        positive_counts: vec![0.5, timestamp as f64, 1e300],
        negative_counts: vec![2.0],
        zero_threshold: 1e-128,
        ..integer(timestamp, &[], reset_hint)
    };
    let stale = Histogram { count: Some(Count::CountFloat(0.0)), ..stale };
    check(0b0100_0000, &[float(1, 0), float(3, 2), float(4, 2), stale]);
    let custom = |timestamp: i64, reset_hint| Histogram {
        schema: -53,
        zero_threshold: 0.0,
        negative_spans: vec![],
        negative_deltas: vec![],
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        custom_values: vec![0.005, 0.1, 1.0 / 3.0, 33_554.43, 1e9],
        ..integer(timestamp, &[1, 2, 3], reset_hint)
    };
    check(0, &[custom(1, 0), custom(2, 2)]);
}

#[test]
fn damage_is_named() {
    #[track_caller]
    fn check(file: &str, at: isize, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let mut block = Block::default();
        let reference = block.series(&UP, &[floats(&[1, 2, 4])]);
        block.tombstones = vec![(reference, 9, 9)];
        block.write(folder.path());
        let path = folder.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at as usize };
        bytes[at] ^= 0x40;
        std::fs::write(&path, bytes).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()) && error.ends_with(expected), "{error}");
    }
    check("index", 0, "damaged at byte 0: this is no index");
    check("index", 4, "has format version 66, only 2 is known");
    check("index", 14, "the table of symbols does not match its checksum");
    check("index", -62, "a series does not match its checksum");
    check("index", -10, "the table of contents does not match its checksum");
    check("chunks/000001", 0, "this is no file of chunks");
    check("chunks/000001", 12, "damaged at byte 8: a chunk does not match its checksum");
    check("chunks/000001", 8, "damaged at byte 8: a chunk is longer than its segment");
    check("tombstones", 6, "the tombstones do not match their checksum");
}

#[test]
fn blocks_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["01B", "01A"] {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        Block::default().write(&path);
    }
    std::fs::create_dir(folder.path().join("wal")).unwrap();
    let found = blocks(folder.path()).unwrap();
    assert_eq!(found, [folder.path().join("01A"), folder.path().join("01B")]);
    assert_eq!(blocks(&found[0]).unwrap(), found[..1]);
    assert_eq!(read(&found[0]).unwrap(), Read::default());
}

proptest! {
    #[test]
    fn floats_come_back(samples in prop::collection::vec((0i64..1 << 45, any::<u64>()), 1..300)) {
        let samples: Vec<(i64, f64)> = samples.into_iter().map(|(ts, bits)| (ts, f64::from_bits(bits))).collect();
        let mut read = Vec::new();
        decode::chunk(1, &Chunk::floats(&samples).data, |sample| match sample {
            decode::Sample::Float(sample) => read.push((sample.timestamp, sample.value().to_bits())),
            decode::Sample::Histogram(_) => unreachable!("floats were written"),
        }).unwrap();
        prop_assert_eq!(read, samples.into_iter().map(|(ts, value)| (ts, value.to_bits())).collect::<Vec<_>>());
    }

    #[test]
    fn any_chunk_ends(encoding in 0u8..5, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut samples = 0u32;
        let _ = decode::chunk(encoding, &bytes, |_| samples += 1);
        prop_assert!(samples <= 1 << 16);
    }
}
