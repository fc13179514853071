//! Frames in any order, whole and damaged, behind a good head, as recovery meets them.
//!
//! ```text
//! input := (kind u8, sequence u8, durable u8, length u8, body)*      kind: 0 record, 1 checkpoint, 2 bytes as they are
//! ```
//! The checksums are put in here: without them nothing of a fuzzer's would ever pass for a frame.
#![no_main]

use ingest::wal::scan_segment;
use libfuzzer_sys::fuzz_target;

const WRITER: [u8; 16] = [7; 16];
const SEGMENT: u64 = 3;

fn head() -> Vec<u8> {
    let mut head = vec![0; 64];
    head[0..8].copy_from_slice(b"TLWALSEG");
    head[8..12].copy_from_slice(&1_u32.to_le_bytes());
    head[16..32].copy_from_slice(&WRITER);
    head[32..40].copy_from_slice(&SEGMENT.to_le_bytes());
    head[40..48].copy_from_slice(&1_u64.to_le_bytes());
    let crc = crc32fast::hash(&head[16..]);
    head[12..16].copy_from_slice(&crc.to_le_bytes());
    head
}

fn frame(kind: u8, sequence: u8, durable: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; (48 + body.len()).next_multiple_of(8)];
    frame[0..4].copy_from_slice(b"TLf1");
    frame[8..16].copy_from_slice(&SEGMENT.to_le_bytes());
    frame[16..24].copy_from_slice(&u64::from(sequence).to_le_bytes());
    frame[24..32].copy_from_slice(&u64::from(durable).to_le_bytes());
    frame[32..36].copy_from_slice(&(body.len() as u32).to_le_bytes());
    frame[36..40].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    frame[40] = kind + 1;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&WRITER);
    crc.update(&frame[8..48]);
    frame[4..8].copy_from_slice(&crc.finalize().to_le_bytes());
    frame[48..48 + body.len()].copy_from_slice(body);
    frame
}

fuzz_target!(|input: &[u8]| {
    let _ = scan_segment(input);
    let mut segment = head();
    let mut rest = input;
    while let [kind, sequence, durable, length, more @ ..] = rest {
        let (body, behind) = more.split_at(usize::from(*length).min(more.len()));
        match kind % 3 {
            2 => segment.extend_from_slice(body),
            kind => segment.extend(frame(kind, *sequence, *durable, body)),
        }
        rest = behind;
    }
    let (found, _missing) = scan_segment(&segment).expect("the head is good");
    assert!(found <= (segment.len() / 48) as u64, "no record without a frame");
});
