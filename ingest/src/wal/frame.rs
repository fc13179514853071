//! Segments and frames: how records lie on the disk so that old bytes are never taken for new ones.
//!
//! ```text
//! segment := head (64 B) · checkpoint frame · record frames ... · (zeros or stale bytes of the segment's earlier life)
//! frame   := magic u32 · head crc u32 · segment u64 · sequence u64 · durable u64 · length u32 · body crc u32 · kind u8 · 0 × 7
//!            · body · padding to 8
//! ```
//! The head's checksum is seeded with the writer's id and covers the segment's number, so a frame of a recycled segment's earlier life
//! or of another log never passes. `durable` is the newest record that was known to be synced when the frame was written:
//! where a frame cannot be read but a later one calls its record durable, the log is damaged, else it merely ends there.

use catalog::Timestamp;
use catalog::manifest::WriterId;

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 48;
/// Bytes of a segment's head.
pub(crate) const SEGMENT_HEAD_BYTES: usize = 64;
/// Version of this layout.
pub(crate) const FORMAT_VERSION: u32 = 1;

const FRAME_MAGIC: [u8; 4] = *b"TLf1";
const SEGMENT_MAGIC: [u8; 8] = *b"TLWALSEG";

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A record, which has a sequence number of its own.
    Record,
    /// The fingerprints that were live when the segment began. Has the number of the segment's first record.
    Checkpoint,
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment's number.
    pub(crate) segment: u64,
    /// The record's number.
    pub(crate) sequence: u64,
    /// The newest record known to be synced.
    pub(crate) durable: u64,
    /// Bytes of the body.
    pub(crate) length: u32,
    /// crc32 of the body.
    pub(crate) body_crc: u32,
    /// What the body is.
    pub(crate) kind: Kind,
}

impl Header {
    /// Writes the header to the front of `frame`.
    pub(crate) fn write(&self, writer: WriterId, frame: &mut [u8]) {
        let header = &mut frame[..HEADER_BYTES];
        header[0..4].copy_from_slice(&FRAME_MAGIC);
        header[8..16].copy_from_slice(&self.segment.to_le_bytes());
        header[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        header[24..32].copy_from_slice(&self.durable.to_le_bytes());
        header[32..36].copy_from_slice(&self.length.to_le_bytes());
        header[36..40].copy_from_slice(&self.body_crc.to_le_bytes());
        header[40..48].copy_from_slice(&[self.kind as u8 + 1, 0, 0, 0, 0, 0, 0, 0]);
        let crc = checksum(writer, &header[8..]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header at the front of `bytes`, if there is a good one.
    pub(crate) fn read(writer: WriterId, bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        if header[0..4] != FRAME_MAGIC || u32_at(header, 4) != checksum(writer, &header[8..]) {
            return None;
        }
        let kind = match header[40] {
            1 => Kind::Record,
            2 => Kind::Checkpoint,
            _ => return None,
        };
        Some(Self {
            segment: u64_at(header, 8),
            sequence: u64_at(header, 16),
            durable: u64_at(header, 24),
            length: u32_at(header, 32),
            body_crc: u32_at(header, 36),
            kind,
        })
    }

    /// Bytes of the whole frame, padding included.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.length as usize)
    }
}

/// Bytes of a frame whose body has `length` bytes.
pub(crate) fn frame_bytes(length: usize) -> usize {
    (HEADER_BYTES + length).next_multiple_of(8)
}

/// A good frame of `segment` at `at`: its header and its body.
pub(crate) fn frame_at(writer: WriterId, segment: u64, bytes: &[u8], at: usize) -> Option<(Header, &[u8])> {
    let header = Header::read(writer, bytes.get(at..)?)?;
    let body = bytes.get(at + HEADER_BYTES..)?.get(..header.length as usize)?;
    (header.segment == segment && crc32fast::hash(body) == header.body_crc).then_some((header, body))
}

/// The first good frame of `segment` at or behind `at`.
pub(crate) fn next_frame(writer: WriterId, segment: u64, bytes: &[u8], at: usize) -> Option<(usize, Header)> {
    (at.next_multiple_of(8)..bytes.len().saturating_sub(HEADER_BYTES - 1)).step_by(8).find_map(|at| {
        // The magic first: this walks over megabytes of zeros or old bytes.
        let candidate = bytes[at..at + 4] == FRAME_MAGIC;
        let (header, _) = candidate.then(|| frame_at(writer, segment, bytes, at)).flatten()?;
        Some((at, header))
    })
}

/// A segment's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Whose log.
    pub(crate) writer: WriterId,
    /// The segment's number.
    pub(crate) number: u64,
    /// The first record in it. Frames of earlier segments with this number or a later one are void: their sync failed.
    pub(crate) first: u64,
}

/// What the first bytes of a segment file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadState {
    /// A good head.
    Good(SegmentHead),
    /// A good magic and a newer version.
    Newer(u32),
    /// Anything else: never begun, or torn.
    None,
}

impl SegmentHead {
    /// The head's bytes.
    pub(crate) fn to_bytes(self) -> [u8; SEGMENT_HEAD_BYTES] {
        let mut bytes = [0; SEGMENT_HEAD_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.writer.as_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first.to_le_bytes());
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the head of a segment file.
    pub(crate) fn read(bytes: &[u8]) -> HeadState {
        let Some(head) = bytes.first_chunk::<SEGMENT_HEAD_BYTES>() else { return HeadState::None };
        if head[0..8] != SEGMENT_MAGIC {
            return HeadState::None;
        }
        let version = u32_at(head, 8);
        if version > FORMAT_VERSION {
            return HeadState::Newer(version);
        }
        if u32_at(head, 12) != crc32fast::hash(&head[16..]) {
            return HeadState::None;
        }
        let mut writer = [0; 16];
        writer.copy_from_slice(&head[16..32]);
        HeadState::Good(Self { writer: WriterId::from_bytes(writer), number: u64_at(head, 32), first: u64_at(head, 40) })
    }
}

/// The body of a checkpoint frame: (fingerprint, received ms) pairs of 24 bytes.
pub(crate) fn encode_checkpoint(window: &[(u128, Timestamp)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(window.len() * 24);
    for (fingerprint, at) in window {
        body.extend_from_slice(&fingerprint.to_le_bytes());
        body.extend_from_slice(&at.as_millis().to_le_bytes());
    }
    body
}

/// The pairs of a checkpoint frame's body.
pub(crate) fn decode_checkpoint(body: &[u8]) -> impl Iterator<Item = (u128, Timestamp)> + '_ {
    body.as_chunks::<24>().0.iter().map(|entry| {
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&entry[..16]);
        (u128::from_le_bytes(fingerprint), Timestamp::from_millis(u64_at(entry, 16) as i64))
    })
}

fn checksum(writer: WriterId, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(writer.as_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(writer: WriterId, segment: u64, sequence: u64, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; frame_bytes(body.len())];
        frame[HEADER_BYTES..HEADER_BYTES + body.len()].copy_from_slice(body);
        let body_crc = crc32fast::hash(body);
        let header = Header { segment, sequence, durable: sequence - 1, length: body.len() as u32, body_crc, kind: Kind::Record };
        header.write(writer, &mut frame);
        frame
    }

    #[test]
    fn frames_of_another_life_do_not_pass() {
        let (ours, other) = (WriterId::from_u128(1), WriterId::from_u128(2));
        let bytes = frame(ours, 7, 41, b"rows");
        assert!(frame_at(ours, 7, &bytes, 0).is_some());
        assert!(frame_at(ours, 8, &bytes, 0).is_none());
        assert!(frame_at(other, 7, &bytes, 0).is_none());
        assert!(frame_at(ours, 7, &bytes[..HEADER_BYTES + 3], 0).is_none());
        let mut spaced = vec![0; 64];
        spaced.extend(&bytes);
        assert_eq!(next_frame(ours, 7, &spaced, 3).map(|(at, h)| (at, h.sequence)), Some((64, 41)));
        assert_eq!(next_frame(ours, 8, &spaced, 3), None);
    }

    #[test]
    fn checkpoints_round_trip() {
        let window = [(u128::MAX, Timestamp::from_millis(-5)), (3, Timestamp::from_millis(1_700_000_000_000))];
        assert!(decode_checkpoint(&encode_checkpoint(&window)).eq(window));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..300) {
            let writer = WriterId::nil();
            let _ = (frame_at(writer, 0, &bytes, at), next_frame(writer, 0, &bytes, at), SegmentHead::read(&bytes));
            let _ = decode_checkpoint(&bytes).count();
        }

        #[test]
        fn one_wrong_bit_does_not_pass(body in prop::collection::vec(any::<u8>(), 1..80), bit: prop::sample::Index) {
            let writer = WriterId::from_u128(9);
            let mut bytes = frame(writer, 3, 5, &body);
            let bit = bit.index((HEADER_BYTES + body.len()) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(frame_at(writer, 3, &bytes, 0).is_none());
        }
    }
}
