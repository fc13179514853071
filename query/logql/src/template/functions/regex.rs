//! Functions with expressions, which are compiled once.

use regex::bytes::NoExpand;

use super::super::OUTPUT_BYTES_MAX;
use super::super::value::Value;
use super::Call;

type Result<'a> = std::result::Result<Value<'a>, String>;

fn parts<'c>(arguments: &'c [Value<'_>]) -> [&'c [u8]; 3] {
    [0, 1, 2].map(|at| match arguments.get(at) {
        Some(Value::Text(text)) => text.as_ref(),
        _ => &[],
    })
}

/// `$1`, `${name}` in the replacement stand for groups; a name is as long as it can be.
pub(super) fn replace_all<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let [pattern, text, replacement] = parts(&call.arguments);
    let regex = call.regexes.get(pattern)?;
    bounded(text, replacement)?;
    Ok(Value::bytes(regex.replace_all(text, replacement).into_owned()))
}

pub(super) fn replace_all_literal<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let [pattern, text, replacement] = parts(&call.arguments);
    let regex = call.regexes.get(pattern)?;
    bounded(text, replacement)?;
    Ok(Value::bytes(regex.replace_all(text, NoExpand(replacement)).into_owned()))
}

pub(super) fn count<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let [pattern, text, _] = parts(&call.arguments);
    let regex = call.regexes.get(pattern)?;
    Ok(Value::Int(regex.find_iter(text).count() as i64))
}

/// Refuses what could write more than a value may have: a match at each byte, each with a group of everything.
fn bounded(text: &[u8], replacement: &[u8]) -> std::result::Result<(), String> {
    let groups = memchr::memchr_iter(b'$', replacement).count();
    let most = (text.len() + 1).saturating_mul(replacement.len()).saturating_add(text.len().saturating_mul(groups + 1));
    if most > 64 * OUTPUT_BYTES_MAX { Err(format!("the replacement may need {most} bytes")) } else { Ok(()) }
}
