//! Chunks of floats.
//!
//! ```text
//! count (16 bits) │ t0 varint, v0 64 bits │ t1 - t0 uvarint, v1 xor │ difference of differences, v2 xor │ ...
//! ```

use super::super::bits::{Bits, Ended, Xor};
use crate::receive::prometheus::messages::v2;

/// Bits of a difference of differences behind 0 to 4 ones.
const WIDTHS: [u32; 5] = [0, 14, 17, 20, 64];

pub(super) fn samples(data: &[u8], mut each: impl FnMut(v2::Sample)) -> Result<(), Ended> {
    let mut bits = Bits::new(data);
    let count = bits.read(16)?;
    if count == 0 {
        return Ok(());
    }
    let mut time = bits.varint()?;
    let mut value = Xor::after(bits.float()?);
    let mut delta = 0i64;
    let mut give = |timestamp, value| each(v2::Sample { value: Some(value), timestamp, start_timestamp: 0 });
    give(time, value.value());
    for at in 1..count {
        if at == 1 {
            delta = bits.uvarint()? as i64;
        } else {
            let width = WIDTHS[bits.ones(4)? as usize];
            delta = delta.wrapping_add(if width == 0 { 0 } else { bits.signed(width)? });
        }
        time = time.wrapping_add(delta);
        give(time, value.next(&mut bits)?);
    }
    Ok(())
}
