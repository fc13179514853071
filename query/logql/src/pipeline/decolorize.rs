//! `decolorize`: takes out the escape sequences that colour and move a terminal's text.
//!
//! ```text
//! ESC [ parameters 0x30..0x3f, intermediates 0x20..0x2f, final 0x40..0x7e      CSI; U+009B stands for ESC [
//! ESC ] text, BEL or ESC \                                                      OSC: titles, links
//! ESC intermediates, final 0x30..0x7e                                           all others
//! ```
//! Source: ECMA-48 (5th edition), 5.3 and 5.4; xterm's `ctlseqs` for BEL at the end of OSC. What breaks off stays as it is.

/// The character that opens sequences.
const ESCAPE: char = '\x1b';
/// `ESC [` as one character.
const CSI: char = '\u{9b}';

#[derive(Debug, Default)]
pub(super) struct Decolorize;

impl Decolorize {
    pub(super) fn new() -> Self {
        Decolorize
    }

    /// Writes `line` without sequences into `out`; false, and nothing written, if it has none.
    pub(super) fn run(&self, line: &str, out: &mut String) -> bool {
        if !line.contains([ESCAPE, CSI]) {
            return false;
        }
        out.clear();
        let mut rest = line;
        while let Some(at) = rest.find([ESCAPE, CSI]) {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let length = sequence(rest).unwrap_or_else(|| {
                let kept = rest.chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..kept]);
                kept
            });
            rest = &rest[length..];
        }
        out.push_str(rest);
        true
    }
}

/// Bytes of the sequence that `text` begins with; `None` if it is none, or breaks off.
fn sequence(text: &str) -> Option<usize> {
    if let Some(body) = text.strip_prefix(CSI) {
        return Some(CSI.len_utf8() + control(body.as_bytes())?);
    }
    let body = text.strip_prefix(ESCAPE)?.as_bytes();
    let inner = match body.first()? {
        b'[' => 1 + control(&body[1..])?,
        b']' => 1 + command(&body[1..])?,
        _ => {
            let intermediates = body.iter().take_while(|byte| matches!(byte, 0x20..=0x2f)).count();
            matches!(body.get(intermediates)?, 0x30..=0x7e).then_some(intermediates + 1)?
        }
    };
    Some(ESCAPE.len_utf8() + inner)
}

/// Parameters, intermediates and the final byte of CSI.
fn control(body: &[u8]) -> Option<usize> {
    let parameters = body.iter().take_while(|byte| matches!(byte, 0x30..=0x3f)).count();
    let intermediates = body[parameters..].iter().take_while(|byte| matches!(byte, 0x20..=0x2f)).count();
    let at = parameters + intermediates;
    matches!(body.get(at)?, 0x40..=0x7e).then_some(at + 1)
}

/// The text of OSC and its end.
fn command(body: &[u8]) -> Option<usize> {
    let end = body.iter().position(|byte| matches!(byte, 0x07 | 0x1b))?;
    match (body[end], body.get(end + 1)) {
        (0x07, _) => Some(end + 1),
        (_, Some(b'\\')) => Some(end + 2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go() {
        #[track_caller]
        fn check(line: &str, expected: &str) {
            let mut out = String::new();
            let changed = Decolorize::new().run(line, &mut out);
            assert_eq!(if changed { &out } else { line }, expected, "{line:?}");
        }
        check("plain", "plain");
        check("\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[m", "red and green");
        check("\u{9b}4munder\u{9b}24m", "under");
        check("\x1b[38;2;10;20;30mé\x1b[39m", "é");
        check("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", "textlink");
        check("\x1b(Bascii\x1b7", "ascii");
        check("broken \x1b[31", "broken \x1b[31");
        check("end \x1b", "end \x1b");
        check("\x1b]never closed", "\x1b]never closed");
    }
}
