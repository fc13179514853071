//! Reading bits: the numbers that chunks are made of. Source: Prometheus `tsdb/chunkenc/bstream.go`, `varbit.go`.

/// The chunk ends before its samples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// A cursor over bits, the highest of each byte first.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits are left: what is still to come cannot be more things than that.
    pub(super) fn left(&self) -> usize {
        8 * self.bytes.len() - self.at
    }

    /// The next `count` bits, at most 64, as the lowest of a word.
    pub(super) fn read(&mut self, count: u32) -> Result<u64, Ended> {
        debug_assert!(count <= 64, "a word has 64 bits");
        if self.left() < count as usize {
            return Err(Ended);
        }
        let mut value = 0u64;
        let mut left = count;
        while left > 0 {
            let free = 8 - (self.at % 8) as u32;
            let take = left.min(free);
            let byte = u64::from(self.bytes[self.at / 8]);
            value = value << (take - 1) << 1 | (byte >> (free - take)) & ((1 << take) - 1);
            self.at += take as usize;
            left -= take;
        }
        Ok(value)
    }

    pub(super) fn bit(&mut self) -> Result<bool, Ended> {
        self.read(1).map(|bit| bit == 1)
    }

    pub(super) fn float(&mut self) -> Result<f64, Ended> {
        self.read(64).map(f64::from_bits)
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn uvarint(&mut self) -> Result<u64, Ended> {
        let mut value = 0u64;
        for at in 0..10 {
            let byte = self.read(8)?;
            value |= (byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Ended)
    }

    pub(super) fn varint(&mut self) -> Result<i64, Ended> {
        self.uvarint().map(|v| (v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// As many ones as come, `max` at most, and the zero behind fewer than that.
    pub(super) fn ones(&mut self, max: u32) -> Result<u32, Ended> {
        let mut count = 0;
        while count < max && self.bit()? {
            count += 1;
        }
        Ok(count)
    }

    /// A signed number of `count` bits in which one more is above zero than below.
    pub(super) fn signed(&mut self, count: u32) -> Result<i64, Ended> {
        let value = self.read(count)?;
        Ok(if count < 64 && value > 1 << (count - 1) { value as i64 - (1 << count) } else { value as i64 })
    }

    /// A signed number behind a prefix of ones that says how many bits it has.
    pub(super) fn varbit(&mut self) -> Result<i64, Ended> {
        match VARBITS[self.ones(8)? as usize] {
            0 => Ok(0),
            count => self.signed(count),
        }
    }

    /// The same without a sign.
    pub(super) fn varbit_unsigned(&mut self) -> Result<u64, Ended> {
        match VARBITS[self.ones(8)? as usize] {
            0 => Ok(0),
            count => self.read(count),
        }
    }
}

/// Bits behind 0 to 8 ones.
const VARBITS: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];

/// Floats as differences: where the bits of two values agree, nothing was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Xor {
    value: u64,
    leading: u32,
    trailing: u32,
}

impl Xor {
    pub(super) fn after(value: f64) -> Self {
        Self { value: value.to_bits(), leading: 0, trailing: 0 }
    }

    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.value)
    }

    /// The next value.
    pub(super) fn next(&mut self, bits: &mut Bits<'_>) -> Result<f64, Ended> {
        if bits.bit()? {
            if bits.bit()? {
                self.leading = bits.read(5)? as u32;
                // 64 were written as 0, which cannot be.
                let significant = Some(bits.read(6)? as u32).filter(|bits| *bits > 0).unwrap_or(64);
                self.trailing = 64u32.checked_sub(self.leading + significant).ok_or(Ended)?;
            }
            self.value ^= bits.read(64 - self.leading - self.trailing)? << self.trailing;
        }
        Ok(self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_top() {
        let mut bits = Bits::new(&[0b1011_1111, 0xff, 255, 255, 255, 255, 255, 255, 255, 0b1110_0000]);
        assert_eq!([bits.read(1), bits.read(2), bits.read(8), bits.read(64)], [Ok(1), Ok(1), Ok(255), Ok(u64::MAX)]);
        assert_eq!((bits.left(), bits.read(6), bits.read(0)), (5, Err(Ended), Ok(0)));
    }

    #[test]
    fn varbits() {
        #[track_caller]
        fn check(bits: &str, expected: i64) {
            let padded = format!("{bits:0<80}");
            let bytes: Vec<u8> =
                padded.as_bytes().chunks(8).map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap()).collect();
            assert_eq!(Bits::new(&bytes).varbit(), Ok(expected), "{bits}");
        }
        check("0", 0);
        check("10001", 1);
        check("10100", 4);
        check("10101", -3);
        check("110000101", 5);
        check("110111100", -4);
        check("1110000100001", 33);
        check(&format!("11111111{:064b}", 1u64 << 60), 1 << 60);
        check(&format!("11111111{:064b}", -(1i64 << 60)), -(1 << 60));
    }
}
