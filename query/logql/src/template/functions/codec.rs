//! Base64, URLs, JSON.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::super::exec::of_json;
use super::super::value::Value;
use super::Call;

type Result<'a> = std::result::Result<Value<'a>, String>;

/// Padding is written, and may be missing.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

pub(super) fn b64enc<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::text(BASE64.encode(call.bytes(0))))
}

/// What is no Base64 becomes the text of the mistake, as in sprig.
pub(super) fn b64dec<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text: Vec<u8> = call.bytes(0).iter().copied().filter(|c| !matches!(c, b'\r' | b'\n')).collect();
    Ok(match BASE64.decode(&text) {
        Ok(bytes) => Value::bytes(bytes),
        Err(base64::DecodeError::InvalidByte(at, _)) => Value::text(format!("illegal base64 data at input byte {at}")),
        Err(_) => Value::text(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    })
}

pub(super) fn urlencode<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(Value::bytes(query_escape(call.bytes(0))))
}

/// As in a query: space is `+`, and only letters, digits and `-_.~` stay.
pub(in crate::template) fn query_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(percent_encoding::percent_encode_byte(*byte).as_bytes()),
        }
    }
    out
}

pub(super) fn urldecode<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    let text = call.bytes(0);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = text.get(at + 1..at + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
                let code = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
                let Some(code) = code else {
                    let wrong = String::from_utf8_lossy(&text[at..text.len().min(at + 3)]);
                    return Err(format!("invalid URL escape {}", gosyntax::quote::quote(&wrong)));
                };
                out.push(code);
                at += 2;
            }
            _ => out.push(*byte),
        }
        at += 1;
    }
    Ok(Value::bytes(out))
}

/// What is no JSON is no value.
pub(super) fn from_json<'a>(call: &mut Call<'a, '_>) -> Result<'a> {
    Ok(serde_json::from_slice(call.bytes(0)).map_or(Value::Nil, of_json))
}
