//! Bits in a row, and the numbers of few bits that chunks are made of.
//! Source: Prometheus `tsdb/chunkenc/bstream.go`, `varbit.go`.

/// Bytes that are written bit by bit, the highest bit of each first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are free.
    free: u32,
}

impl Bits {
    /// The bytes; what is left of the last one is 0.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the lowest `count` bits of `value`, 64 at most.
    pub(super) fn write(&mut self, value: u64, count: u32) {
        debug_assert!(count <= 64, "a word has 64 bits");
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = left.min(self.free);
            let bits = (value >> (left - take)) & ((1 << take) - 1);
            let last = self.bytes.last_mut().expect("pushed above");
            *last |= (bits as u8) << (self.free - take);
            (self.free, left) = (self.free - take, left - take);
        }
    }

    /// Appends seven bits a byte, the lowest first.
    pub(super) fn write_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.write((value & 0x7f) | 0x80, 8);
            value >>= 7;
        }
        self.write(value, 8);
    }

    /// The same for a number with a sign, in zigzag.
    pub(super) fn write_varint(&mut self, value: i64) {
        self.write_uvarint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A number with a sign behind a prefix of ones that says how many bits it has: none, 3, 6, 9, 12, 18, 25, 56 or 64.
    pub(super) fn write_varbit(&mut self, value: i64) {
        if value == 0 {
            return self.write(0, 1);
        }
        // Not symmetrical: of n bits one more is above zero than below.
        let fits = |bits: u32| -((1i64 << (bits - 1)) - 1) <= value && value <= 1 << (bits - 1);
        self.write_prefixed(value as u64, fits);
    }

    /// The same without a sign.
    pub(super) fn write_varbit_unsigned(&mut self, value: u64) {
        if value == 0 {
            return self.write(0, 1);
        }
        self.write_prefixed(value, |bits| value.leading_zeros() >= 64 - bits);
    }

    fn write_prefixed(&mut self, value: u64, fits: impl Fn(u32) -> bool) {
        // As many ones as the place in the list says, then a zero.
        for (at, bits) in [3, 6, 9, 12, 18, 25, 56].into_iter().enumerate() {
            if fits(bits) {
                let ones = at as u32 + 1;
                self.write((1 << (ones + 1)) - 2, ones + 1);
                return self.write(value, bits);
            }
        }
        self.write(0xff, 8);
        self.write(value, 64);
    }
}

/// Differences of floats: where the bits of two values agree, nothing is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor {
    value: u64,
    leading: u32,
    trailing: u32,
}

impl Xor {
    /// `value` was written as it is.
    pub(super) const fn after(value: f64) -> Self {
        // No window yet: none is that wide.
        Self { value: value.to_bits(), leading: u32::MAX, trailing: 0 }
    }

    /// Appends what is different in `value`.
    pub(super) fn write(&mut self, bits: &mut Bits, value: f64) {
        let delta = value.to_bits() ^ self.value;
        self.value = value.to_bits();
        if delta == 0 {
            return bits.write(0, 1);
        }
        bits.write(1, 1);
        // Five bits have room for 31.
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if self.leading != u32::MAX && leading >= self.leading && trailing >= self.trailing {
            bits.write(0, 1);
            return bits.write(delta >> self.trailing, 64 - self.leading - self.trailing);
        }
        (self.leading, self.trailing) = (leading, trailing);
        let significant = 64 - leading - trailing;
        bits.write(1, 1);
        bits.write(u64::from(leading), 5);
        // 64 of them are written as 0, which cannot be.
        bits.write(u64::from(significant) & 0x3f, 6);
        bits.write(delta >> trailing, significant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_top() {
        let mut bits = Bits::default();
        bits.write(0b1, 1);
        bits.write(0b01, 2);
        bits.write(0xff, 8);
        bits.write(u64::MAX, 64);
        assert_eq!(bits.into_bytes(), [0b1011_1111, 0xff, 255, 255, 255, 255, 255, 255, 255, 0b1110_0000]);
    }

    #[test]
    fn varbits() {
        #[track_caller]
        fn check(value: i64, expected: &str) {
            let mut bits = Bits::default();
            bits.write_varbit(value);
            let text: String = bits.into_bytes().iter().map(|b| format!("{b:08b}")).collect();
            assert!(text.starts_with(expected) && text[expected.len()..].chars().all(|c| c == '0'), "{value}: {text}");
        }
        check(0, "0");
        check(1, "10001");
        check(4, "10100");
        check(-3, "10101");
        check(5, "110000101");
        check(-4, "110111100");
        check(33, "1110000100001");
        check(1 << 60, &format!("11111111{:064b}", 1u64 << 60));
    }
}
