//! Writes small blocks, by the documentation of the format and by nothing of the reader's.

use std::path::Path;

use super::super::bytes::crc32c;
use crate::receive::prometheus::messages::{BucketSpan, Count, Histogram, ZeroCount};

#[derive(Debug, Default)]
struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    fn write(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> at & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn uvarint(&mut self, value: u64) {
        uvarint(value).into_iter().for_each(|byte| self.write(u64::from(byte), 8));
    }

    fn prefixed(&mut self, ones: u32, zero: bool, value: u64, count: u32) {
        (0..ones).for_each(|_| self.write(1, 1));
        self.write(0, u32::from(zero));
        self.write(value, count);
    }

    fn varbit(&mut self, value: i64) {
        let fits = |count: u32| -((1i64 << (count - 1)) - 1) <= value && value <= 1 << (count - 1);
        match (1..).zip([3, 6, 9, 12, 18, 25, 56]).find(|(_, count)| fits(*count)) {
            _ if value == 0 => self.write(0, 1),
            Some((ones, count)) => self.prefixed(ones, true, value as u64, count),
            None => self.prefixed(8, false, value as u64, 64),
        }
    }

    fn varbit_unsigned(&mut self, value: u64) {
        match (1..).zip([3, 6, 9, 12, 18, 25, 56]).find(|(_, count)| value < 1 << count) {
            _ if value == 0 => self.write(0, 1),
            Some((ones, count)) => self.prefixed(ones, true, value, count),
            None => self.prefixed(8, false, value, 64),
        }
    }

    /// `window` is what the last value that was written in full left: leading and trailing zeros.
    fn xor(&mut self, before: f64, now: f64, window: &mut Option<(u32, u32)>) {
        let delta = before.to_bits() ^ now.to_bits();
        if delta == 0 {
            return self.write(0, 1);
        }
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        match *window {
            Some((l, t)) if leading >= l && trailing >= t => {
                self.write(0b10, 2);
                self.write(delta >> t, 64 - l - t);
            }
            _ => {
                *window = Some((leading, trailing));
                let significant = 64 - leading - trailing;
                self.write(0b11, 2);
                self.write(u64::from(leading), 5);
                self.write(u64::from(significant % 64), 6);
                self.write(delta >> trailing, significant);
            }
        }
    }
}

fn uvarint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn varint(value: i64) -> Vec<u8> {
    uvarint((value << 1 ^ value >> 63) as u64)
}

/// Encoding, first and last time, data.
#[derive(Debug)]
pub(super) struct Chunk {
    encoding: u8,
    times: (i64, i64),
    pub(super) data: Vec<u8>,
}

impl Chunk {
    pub(super) fn floats(samples: &[(i64, f64)]) -> Self {
        let mut bits = BitWriter::default();
        bits.write(samples.len() as u64, 16);
        let (mut delta, mut window) = (0, None);
        for (at, (ts, value)) in samples.iter().enumerate() {
            if at == 0 {
                varint(*ts).into_iter().for_each(|byte| bits.write(u64::from(byte), 8));
                bits.write(value.to_bits(), 64);
                continue;
            }
            let now = ts.wrapping_sub(samples[at - 1].0);
            let change = now.wrapping_sub(delta);
            let fits = |count: u32| -((1i64 << (count - 1)) - 1) <= change && change <= 1 << (count - 1);
            match (1..).zip([14, 17, 20]).find(|(_, count)| fits(*count)) {
                _ if at == 1 => bits.uvarint(now as u64),
                _ if change == 0 => bits.write(0, 1),
                Some((ones, count)) => bits.prefixed(ones, true, change as u64, count),
                None => bits.prefixed(4, false, change as u64, 64),
            }
            bits.xor(samples[at - 1].1, *value, &mut window);
            delta = now;
        }
        Self { encoding: 1, times: (samples[0].0, samples[samples.len() - 1].0), data: bits.bytes }
    }

    /// All of the first one's layout; integer ones if the first is.
    pub(super) fn histograms(flags: u8, histograms: &[Histogram]) -> Self {
        let first = &histograms[0];
        let mut bits = BitWriter::default();
        bits.write(histograms.len() as u64, 16);
        bits.write(u64::from(flags), 8);
        match first.zero_threshold {
            0.0 => bits.write(0, 8),
            0.25 => bits.write(242, 8), // 2^-2
            other => {
                bits.write(255, 8);
                bits.write(other.to_bits(), 64);
            }
        }
        bits.varbit(i64::from(first.schema));
        for spans in [&first.positive_spans, &first.negative_spans] {
            bits.varbit_unsigned(spans.len() as u64);
            for BucketSpan { offset, length } in spans {
                bits.varbit_unsigned(u64::from(*length));
                bits.varbit(i64::from(*offset));
            }
        }
        if first.schema == -53 {
            bits.varbit_unsigned(first.custom_values.len() as u64);
            for bound in &first.custom_values {
                let thousandths = (bound * 1000.0).round();
                if thousandths / 1000.0 == *bound && thousandths <= 33_554_430.0 {
                    bits.varbit_unsigned(thousandths as u64 + 1);
                } else {
                    bits.write(0, 1);
                    bits.write(bound.to_bits(), 64);
                }
            }
        }
        let is_float = matches!(first.count, Some(Count::CountFloat(_)));
        if is_float {
            write_floats(&mut bits, histograms)
        } else {
            write_integers(&mut bits, histograms)
        }
        let times = (first.timestamp, histograms[histograms.len() - 1].timestamp);
        Self { encoding: if is_float { 3 } else { 2 }, times, data: bits.bytes }
    }
}

fn is_stale(histogram: &Histogram) -> bool {
    histogram.sum.to_bits() == 0x7ff0_0000_0000_0002
}

fn write_integers(bits: &mut BitWriter, histograms: &[Histogram]) {
    // time, count, zero count, buckets
    let numbers = |h: &Histogram| {
        let count = if let Some(Count::CountInt(count)) = h.count { count as i64 } else { 0 };
        let zero = if let Some(ZeroCount::ZeroCountInt(count)) = h.zero_count { count as i64 } else { 0 };
        let mut numbers = vec![h.timestamp, count, zero];
        numbers.extend(h.positive_deltas.iter().chain(&h.negative_deltas));
        numbers
    };
    let (mut before, mut deltas, mut window) = (numbers(&histograms[0]), vec![0; 64], None);
    for (at, histogram) in histograms.iter().enumerate() {
        let now = numbers(histogram);
        for (number, value) in now.iter().enumerate() {
            if number == 3 {
                write_sum(bits, histograms, at, &mut window);
            }
            let delta = value - before[number];
            match at {
                0 if number == 1 || number == 2 => bits.varbit_unsigned(*value as u64),
                0 => bits.varbit(*value),
                1 => bits.varbit(delta),
                _ => bits.varbit(delta - deltas[number]),
            }
            if at > 0 {
                deltas[number] = delta;
            }
            before[number] = *value;
        }
        if now.len() == 3 {
            write_sum(bits, histograms, at, &mut window);
        }
    }
}

fn write_sum(bits: &mut BitWriter, histograms: &[Histogram], at: usize, window: &mut Option<(u32, u32)>) {
    if at == 0 {
        return bits.write(histograms[0].sum.to_bits(), 64);
    }
    bits.xor(histograms[at - 1].sum, histograms[at].sum, window);
}

fn write_floats(bits: &mut BitWriter, histograms: &[Histogram]) {
    let values = |h: &Histogram| {
        let count = if let Some(Count::CountFloat(count)) = h.count { count } else { 0.0 };
        let zero = if let Some(ZeroCount::ZeroCountFloat(count)) = h.zero_count { count } else { 0.0 };
        let mut values = vec![count, zero, h.sum];
        values.extend(h.positive_counts.iter().chain(&h.negative_counts));
        values
    };
    let (mut before, mut windows, mut delta) = (values(&histograms[0]), vec![None; 64], 0);
    for (at, histogram) in histograms.iter().enumerate() {
        match at {
            0 => bits.varbit(histogram.timestamp),
            _ => {
                let now = histogram.timestamp - histograms[at - 1].timestamp;
                bits.varbit(now - delta);
                delta = now;
            }
        }
        let now = values(histogram);
        for (number, value) in now.iter().enumerate() {
            if at == 0 {
                bits.write(value.to_bits(), 64);
            } else {
                bits.xor(before[number], *value, &mut windows[number]);
            }
            before[number] = *value;
        }
        assert!(!is_stale(histogram) || now.len() == 3);
    }
}

#[derive(Debug)]
struct Series {
    /// Symbols.
    labels: Vec<(usize, usize)>,
    /// Time range and place of every chunk.
    chunks: Vec<((i64, i64), u64)>,
}

/// Series and their chunks.
#[derive(Debug, Default)]
pub(super) struct Block {
    symbols: Vec<String>,
    series: Vec<Series>,
    chunks: Vec<u8>,
    /// Series reference, first and last time.
    pub(super) tombstones: Vec<(u64, i64, i64)>,
}

impl Block {
    fn symbol(&mut self, text: &str) -> usize {
        self.symbols.iter().position(|known| known == text).unwrap_or_else(|| {
            self.symbols.push(text.to_owned());
            self.symbols.len() - 1
        })
    }

    /// Adds a series; the reference that it will have, as long as no symbol is new in a later one.
    pub(super) fn series(&mut self, labels: &[(&str, &str)], chunks: &[Chunk]) -> u64 {
        // All symbols that these tests use, so that the table does not grow later.
        for text in ["__name__", "up", "job", "a", "ü", "zero"] {
            self.symbol(text);
        }
        let labels = labels.iter().map(|(name, value)| (self.symbol(name), self.symbol(value))).collect();
        let mut places = Vec::new();
        for chunk in chunks {
            places.push((chunk.times, 8 + self.chunks.len() as u64));
            self.chunks.extend(uvarint(chunk.data.len() as u64));
            let body = [&[chunk.encoding][..], &chunk.data].concat();
            self.chunks.extend_from_slice(&body);
            self.chunks.extend(crc32c(&body).to_be_bytes());
        }
        self.series.push(Series { labels, chunks: places });
        self.index().1[self.series.len() - 1]
    }

    /// The index, and the reference of every series.
    fn index(&self) -> (Vec<u8>, Vec<u64>) {
        let mut out = vec![0xba, 0xaa, 0xd7, 0x00, 2];
        let mut symbols = (self.symbols.len() as u32).to_be_bytes().to_vec();
        for text in &self.symbols {
            symbols.extend(uvarint(text.len() as u64));
            symbols.extend(text.as_bytes());
        }
        out.extend((symbols.len() as u32).to_be_bytes());
        out.extend_from_slice(&symbols);
        out.extend(crc32c(&symbols).to_be_bytes());
        out.resize(out.len().next_multiple_of(16), 0);
        let (start, mut references) = (out.len() as u64, Vec::new());
        for Series { labels, chunks } in &self.series {
            out.resize(out.len().next_multiple_of(16), 0);
            references.push(out.len() as u64 / 16);
            let mut entry = uvarint(labels.len() as u64);
            labels.iter().for_each(|(name, value)| entry.extend([uvarint(*name as u64), uvarint(*value as u64)].concat()));
            entry.extend(uvarint(chunks.len() as u64));
            for (at, ((first, last), place)) in chunks.iter().enumerate() {
                if at == 0 {
                    entry.extend([varint(*first), uvarint((last - first) as u64), uvarint(*place)].concat());
                } else {
                    let ((_, end), before) = chunks[at - 1];
                    let change = varint(*place as i64 - before as i64);
                    entry.extend([uvarint((first - end) as u64), uvarint((last - first) as u64), change].concat());
                }
            }
            out.extend(uvarint(entry.len() as u64));
            out.extend_from_slice(&entry);
            out.extend(crc32c(&entry).to_be_bytes());
        }
        let end = out.len() as u64;
        let mut toc = Vec::new();
        [5, start, 0, 0, end, 0].iter().for_each(|offset| toc.extend(u64::to_be_bytes(*offset)));
        out.extend([0, 0, 0, 0]); // postings, which nobody reads
        out.extend_from_slice(&toc);
        out.extend(crc32c(&toc).to_be_bytes());
        (out, references)
    }

    pub(super) fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder.join("chunks")).unwrap();
        std::fs::write(folder.join("meta.json"), "{}").unwrap();
        std::fs::write(folder.join("index"), self.index().0).unwrap();
        let head = [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
        std::fs::write(folder.join("chunks/000001"), [&head[..], &self.chunks].concat()).unwrap();
        let mut stones = Vec::new();
        for (reference, first, last) in &self.tombstones {
            stones.extend([uvarint(*reference), varint(*first), varint(*last)].concat());
        }
        let checksum = crc32c(&stones).to_be_bytes();
        std::fs::write(folder.join("tombstones"), [&[0x01, 0x30, 0xba, 0x30, 1][..], &stones, &checksum].concat()).unwrap();
    }
}
