//! Chunks of floats.
//!
//! ```text
//! count (16 bits) │ t0 varint, v0 64 bits │ t1 - t0 uvarint, v1 xor │ difference of differences, v2 xor │ ...
//! ```
//! Source: Prometheus `tsdb/chunkenc/xor.go`.

use super::bits::{Bits, Xor};

/// The chunk of `samples`, of which there are 1 to 65,535, ascending by time.
pub(super) fn chunk(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut bits = Bits::default();
    let count = u16::try_from(samples.len()).expect("the caller cuts chunks");
    bits.write(u64::from(count), 16);
    let Some(&(first_ms, first)) = samples.first() else { return bits.into_bytes() };
    bits.write_varint(first_ms);
    bits.write(first.to_bits(), 64);
    let (mut last_ms, mut last_delta, mut xor) = (first_ms, None, Xor::after(first));
    for &(time_ms, value) in &samples[1..] {
        let delta = time_ms.wrapping_sub(last_ms);
        match last_delta {
            None => bits.write_uvarint(delta as u64),
            Some(last) => write_change(&mut bits, delta.wrapping_sub(last)),
        }
        xor.write(&mut bits, value);
        (last_ms, last_delta) = (time_ms, Some(delta));
    }
    bits.into_bytes()
}

/// A prefix of ones says how many bits follow: 14, 17, 20 or 64.
fn write_change(bits: &mut Bits, change: i64) {
    let fits = |n: u32| -((1i64 << (n - 1)) - 1) <= change && change <= 1 << (n - 1);
    let (prefix, prefix_bits, value_bits) = match change {
        0 => (0b0, 1, 0),
        _ if fits(14) => (0b10, 2, 14),
        _ if fits(17) => (0b110, 3, 17),
        _ if fits(20) => (0b1110, 4, 20),
        _ => (0b1111, 4, 64),
    };
    bits.write(prefix, prefix_bits);
    bits.write(change as u64, value_bits);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads bits back: the decoder of the format, for the tests only.
    struct Reader<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Reader<'_> {
        fn bits(&mut self, count: usize) -> u64 {
            (0..count).fold(0, |value, _| {
                let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
                self.at += 1;
                value << 1 | u64::from(bit)
            })
        }

        fn uvarint(&mut self) -> u64 {
            let (mut value, mut shift) = (0, 0);
            loop {
                let byte = self.bits(8);
                value |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return value;
                }
            }
        }

        fn signed(&mut self, count: usize) -> i64 {
            let value = self.bits(count);
            if count < 64 && value > 1 << (count - 1) { value as i64 - (1 << count) } else { value as i64 }
        }
    }

    fn read(bytes: &[u8]) -> Vec<(i64, u64)> {
        let mut reader = Reader { bytes, at: 0 };
        let count = reader.bits(16);
        let zigzag = reader.uvarint();
        let (mut time, mut value) = ((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64), reader.bits(64));
        let mut samples = vec![(time, value)];
        let (mut delta, mut leading, mut width) = (0i64, 0, 0);
        for n in 1..count {
            if n == 1 {
                delta = reader.uvarint() as i64;
            } else {
                let ones = (0..4).take_while(|_| reader.bits(1) == 1).count();
                let width = [0, 14, 17, 20, 64][ones];
                delta = delta.wrapping_add(if width == 0 { 0 } else { reader.signed(width) });
            }
            time = time.wrapping_add(delta);
            if reader.bits(1) == 1 {
                if reader.bits(1) == 1 {
                    leading = reader.bits(5) as usize;
                    width = reader.bits(6) as usize;
                    width = if width == 0 { 64 } else { width };
                }
                value ^= reader.bits(width) << (64 - leading - width);
            }
            samples.push((time, value));
        }
        samples
    }

    proptest::proptest! {
        #[test]
        fn every_chunk_comes_back(samples in proptest::collection::vec((0i64..1 << 40, proptest::num::u64::ANY), 1..200)) {
            let mut samples = samples;
            samples.sort();
            let floats: Vec<(i64, f64)> = samples.iter().map(|(t, v)| (*t, f64::from_bits(*v))).collect();
            proptest::prop_assert_eq!(read(&chunk(&floats)), samples);
        }
    }

    #[test]
    fn regular_series_are_small() {
        let regular: Vec<(i64, f64)> = (0..120).map(|n| (1_793_491_200_000 + n * 15_000, 1.0)).collect();
        let bytes = chunk(&regular);
        // 2 + 6 + 8 bytes for the first sample, 2 bytes for the first distance, one bit for its value, then two bits each.
        assert_eq!(bytes.len(), 16 + (16 + 1 + 118 * 2usize).div_ceil(8));
        assert_eq!(read(&bytes).len(), 120);
        let bits = |samples: &[(i64, f64)]| samples.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        let odd = [(-5, 1.5), (0, f64::NAN), (1, f64::INFINITY), (2, -0.0), (1 << 50, 5e-324)];
        assert_eq!(read(&chunk(&odd)), bits(&odd));
    }
}
