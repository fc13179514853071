//! `unpack`: undoes what an agent packed: the strings of an object become labels, its `_entry` the line. An object without `_entry`
//! changes nothing. Source: Loki `pkg/logql/log/parser.go`, `UnpackParser`.

use super::json::{Escapes, Stop, Value, each_field, set_string, unescape};
use crate::labels::{Labels, PipelineError};

const ENTRY: &str = "_entry";

/// Writes the new line into `out`; false if the line stays. `buffer` is scratch space.
pub(super) fn run(line: &str, labels: &mut Labels, out: &mut String, buffer: &mut Vec<u8>) -> bool {
    if line.is_empty() {
        return false;
    }
    if !line.starts_with('{') {
        labels.set_error(PipelineError::Json, "expecting json object(6), but it is not");
        return false;
    }
    let mut packed = false;
    out.clear();
    let entry = each_field(line, |key, value| {
        if let (ENTRY, Value::String(text, _)) = (key, value) {
            buffer.clear();
            let fault = Stop::Fault("Encountered an invalid escape sequence in a string");
            unescape(text.as_bytes(), buffer, Escapes::Json).ok_or(fault)?;
            out.clear();
            out.push_str(std::str::from_utf8(buffer).map_err(|_| fault)?);
            packed = true;
        }
        Ok(())
    });
    if let Err(Stop::Fault(fault)) = entry {
        labels.set_error(PipelineError::Json, fault);
        return false;
    }
    if packed {
        // the object was read to its end: no fault can come
        let _ = each_field(line, |key, value| {
            if let Value::String(text, escaped) = value
                && key != ENTRY
                && let Some(name) = labels.parsed_name(key)
                && labels.is_required(name)
                && !labels.is_parsed(name)
            {
                set_string(labels, name, text, escaped, buffer);
            }
            Ok(())
        });
    }
    packed
}
