//! Functions of texts. `trunc`, `substr` count bytes, `alignLeft` and `alignRight` characters, as in sprig and Loki.

use std::borrow::Cow;

use memchr::memmem;

use super::super::OUTPUT_BYTES_MAX;
use super::super::value::Value;
use super::Call;

type Result<'a> = std::result::Result<Value<'a>, String>;

/// Which ends of a text are trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Both,
    Left,
    Right,
}

/// Letters one by one: what becomes two in the other case stays.
fn map_case(text: &str, map: impl Fn(char) -> (char, usize)) -> String {
    text.chars().map(|c| if let (mapped, 1) = map(c) { mapped } else { c }).collect()
}

fn first_and_count(mut chars: impl Iterator<Item = char>) -> (char, usize) {
    (chars.next().unwrap_or_default(), 1 + chars.count())
}

pub(super) fn lower<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(map_case(&call.str(0), |c| first_and_count(c.to_lowercase()))))
}

pub(super) fn upper<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(map_case(&call.str(0), |c| first_and_count(c.to_uppercase()))))
}

/// The first letter of each word; words are of letters, digits and `_`.
pub(super) fn title<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let mut inside = false;
    let title = |c: char| {
        let is_first = !std::mem::replace(&mut inside, c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace()));
        match first_and_count(c.to_uppercase()) {
            (upper, 1) if is_first => upper,
            _ => c,
        }
    };
    let text: String = call.str(0).chars().map(title).collect();
    Ok(Value::text(text))
}

pub(super) fn trunc<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let (count, text) = (call.int(0), call.bytes(1));
    let length = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let cut = if length >= text.len() {
        text
    } else if count < 0 {
        &text[text.len() - length..]
    } else {
        &text[..length]
    };
    Ok(Value::bytes(cut.to_vec()))
}

pub(super) fn substr<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let (start, end, text) = (call.int(0), call.int(1), call.bytes(2));
    let length = text.len() as i64;
    let (from, to) = match (start, end) {
        (..0, _) => (0, end),
        (_, end) if end < 0 || end > length => (start, length),
        _ => (start, end),
    };
    if from < 0 || to < from || to > length {
        return Err(format!("slice bounds out of range [{from}:{to}] with length {length}"));
    }
    Ok(Value::bytes(text[from as usize..to as usize].to_vec()))
}

pub(super) fn contains<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::Bool(memmem::find(call.bytes(1), call.bytes(0)).is_some()))
}

fn indented(count: i64, text: &[u8], out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count".to_owned())?;
    let lines = memchr::memchr_iter(b'\n', text).count() + 1;
    bounded(lines.saturating_mul(count).saturating_add(text.len()))?;
    for (at, line) in text.split(|c| *c == b'\n').enumerate() {
        if at > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + count, b' ');
        out.extend_from_slice(line);
    }
    Ok(())
}

fn bounded(bytes: usize) -> std::result::Result<(), String> {
    if bytes > OUTPUT_BYTES_MAX { Err(format!("more than {OUTPUT_BYTES_MAX} bytes")) } else { Ok(()) }
}

pub(super) fn indent<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let mut out = Vec::new();
    indented(call.int(0), call.bytes(1), &mut out)?;
    Ok(Value::bytes(out))
}

pub(super) fn nindent<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let mut out = vec![b'\n'];
    indented(call.int(0), call.bytes(1), &mut out)?;
    Ok(Value::bytes(out))
}

fn replaced(text: &[u8], old: &[u8], new: &[u8], count: Option<usize>) -> std::result::Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut end = 0;
    let most = count.unwrap_or(usize::MAX);
    let ends: Vec<usize> = if old.is_empty() {
        // before each character, and at the end
        let text = String::from_utf8_lossy(text);
        text.char_indices().map(|(at, _)| at).chain([text.len()]).take(most).collect()
    } else {
        memmem::find_iter(text, old).take(most).collect()
    };
    for at in ends {
        let at = at.min(text.len());
        out.extend_from_slice(&text[end..at]);
        out.extend_from_slice(new);
        end = at + old.len();
        bounded(out.len())?;
    }
    out.extend_from_slice(&text[end..]);
    Ok(out)
}

pub(super) fn replace<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    replaced(call.bytes(2), call.bytes(0), call.bytes(1), None).map(Value::bytes)
}

pub(super) fn replace_some<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    replaced(call.bytes(0), call.bytes(1), call.bytes(2), usize::try_from(call.int(3)).ok()).map(Value::bytes)
}

pub(super) fn repeat<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let count = usize::try_from(call.int(0)).map_err(|_| "strings: negative Repeat count".to_owned())?;
    bounded(count.saturating_mul(call.bytes(1).len().max(1)))?;
    Ok(Value::bytes(call.bytes(1).repeat(count)))
}

pub(super) fn trim<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(call.str(0).trim()))
}

/// Takes the characters of the argument at `set` off the ends of that at `of`.
pub(super) fn trim_of<'a>(call: &mut Call<'a, '_>, of: usize, set: usize, ends: Ends) -> Result<'a> {
    let (text, set) = (call.str(of), call.str(set));
    let in_set = |c: char| set.contains(c);
    let mut text: &str = &text;
    if ends != Ends::Right {
        text = text.trim_start_matches(in_set);
    }
    if ends != Ends::Left {
        text = text.trim_end_matches(in_set);
    }
    Ok(Value::text(text))
}

pub(super) fn trim_prefix<'a>(call: &mut Call<'a, '_>, of: usize, prefix: usize) -> Result<'a> {
    let text = call.bytes(of);
    Ok(Value::bytes(text.strip_prefix(call.bytes(prefix)).unwrap_or(text).to_vec()))
}

pub(super) fn trim_suffix<'a>(call: &mut Call<'a, '_>, of: usize, suffix: usize) -> Result<'a> {
    let text = call.bytes(of);
    Ok(Value::bytes(text.strip_suffix(call.bytes(suffix)).unwrap_or(text).to_vec()))
}

/// The spaces that fill a text up to `count` characters, or how many of its characters are left.
fn align(count: i64, text: &str) -> std::result::Result<(usize, usize), String> {
    let length = text.chars().count();
    let Ok(count) = usize::try_from(count) else { return Ok((0, length)) };
    bounded(count)?;
    Ok((count.saturating_sub(length), count.min(length)))
}

pub(super) fn align_left<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text: Cow<'_, str> = call.str(1);
    let (spaces, left) = align(call.int(0), &text)?;
    let mut out: String = text.chars().take(left).collect();
    out.extend(std::iter::repeat_n(' ', spaces));
    Ok(Value::text(out))
}

pub(super) fn align_right<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text: Cow<'_, str> = call.str(1);
    let (spaces, left) = align(call.int(0), &text)?;
    let mut out = " ".repeat(spaces);
    out.extend(text.chars().skip(text.chars().count() - left));
    Ok(Value::text(out))
}
