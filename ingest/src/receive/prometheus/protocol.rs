//! What a remote write request says of itself, before its body is read.
//!
//! ```text
//! Content-Type      (none) | application/x-protobuf                                  ─► 1.0
//!                   application/x-protobuf;proto=prometheus.WriteRequest             ─► 1.0
//!                   application/x-protobuf;proto=io.prometheus.write.v2.Request      ─► 2.0
//! Content-Encoding  (none) | snappy                                                  ─► one snappy block
//! ```
//! Anything else is 415. `X-Prometheus-Remote-Write-Version` decides nothing, as in Prometheus.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::answer::WriteError;
use crate::convert::prometheus::Message;

const PROTOBUF: &str = "application/x-protobuf";

/// The message of a request with these headers.
///
/// # Errors
/// [`WriteError::UnknownType`], [`WriteError::UnknownEncoding`].
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Message, WriteError> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default();
    let message = message_of(&text(CONTENT_TYPE))?;
    let encodings = headers.get_all(CONTENT_ENCODING).iter().count();
    let encoding = text(CONTENT_ENCODING);
    match encoding.trim() {
        "" => Ok(message),
        one if encodings == 1 && one.eq_ignore_ascii_case("snappy") => Ok(message),
        other => Err(WriteError::UnknownEncoding { encoding: shortened(other) }),
    }
}

fn message_of(content_type: &str) -> Result<Message, WriteError> {
    let unknown = |reason: &str| WriteError::UnknownType { content_type: shortened(content_type), reason: reason.to_owned() };
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && !media.eq_ignore_ascii_case(PROTOBUF) {
        return Err(unknown("expected application/x-protobuf"));
    }
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(|| unknown("a parameter has no `=`"))?;
        if name.trim().eq_ignore_ascii_case("proto") {
            let value = value.trim().trim_matches('"');
            return [Message::V1, Message::V2]
                .into_iter()
                .find(|message| message.name() == value)
                .ok_or_else(|| unknown("the message is neither prometheus.WriteRequest nor io.prometheus.write.v2.Request"));
        }
    }
    Ok(Message::V1)
}

fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_name_the_message() {
        #[track_caller]
        fn check(content_type: Option<&str>, encoding: Option<&str>, expected: Result<Message, u16>) {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            assert_eq!(negotiate(&headers).map_err(|error| error.status().as_u16()), expected, "{content_type:?} {encoding:?}");
        }
        const V1: &str = "application/x-protobuf;proto=prometheus.WriteRequest";
        const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
        check(None, None, Ok(Message::V1));
        check(Some("application/x-protobuf"), Some("snappy"), Ok(Message::V1));
        check(Some(V1), Some("Snappy"), Ok(Message::V1));
        check(Some(V2), Some("snappy"), Ok(Message::V2));
        check(Some("application/x-protobuf; charset=utf-8; proto=\"io.prometheus.write.v2.Request\""), None, Ok(Message::V2));
        check(Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), None, Err(415));
        check(Some("application/x-protobuf;proto"), None, Err(415));
        check(Some("application/json"), None, Err(415));
        check(Some("image/png"), Some("snappy"), Err(415));
        for encoding in ["gzip", "deflate", "zstd", "identity", "snappy, gzip"] {
            check(Some(V2), Some(encoding), Err(415));
        }
    }
}
