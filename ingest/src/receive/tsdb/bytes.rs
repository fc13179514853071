//! A cursor over bytes of a block's files: big-endian numbers and varints, and the checksum behind them.

/// The bytes end, or a varint is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Short;

/// A cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Short)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, Short> {
        let mut value = 0u64;
        for at in 0..10 {
            let byte = self.u8()?;
            if at == 9 && byte > 1 {
                return Err(Short);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    pub(super) fn varint(&mut self) -> Result<i64, Short> {
        self.uvarint().map(|v| (v >> 1) as i64 ^ -((v & 1) as i64))
    }

    /// A count or length of things of at least a byte each: no more than there are bytes left.
    pub(super) fn count(&mut self) -> Result<usize, Short> {
        let count = self.uvarint()?;
        usize::try_from(count).ok().filter(|count| *count <= self.0.len()).ok_or(Short)
    }
}

/// CRC-32C (Castagnoli), a byte at a time.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| CRC_TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // RFC 3720's polynomial, its check value
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn varints() {
        assert_eq!(Cursor(&[0x96, 0x01]).uvarint(), Ok(150));
        assert_eq!(Cursor(&[0x03]).varint(), Ok(-2));
        assert_eq!(Cursor(&[0xff; 9]).uvarint(), Err(Short));
        assert_eq!(Cursor(&[0xff; 10]).uvarint(), Err(Short));
        assert_eq!(Cursor(&[0x05, 0, 0]).count(), Err(Short));
    }
}
