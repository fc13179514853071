//! What a push says of itself, before its body is read.
//!
//! ```text
//! Content-Type      application/json                ─► JSON
//!                   anything else, or none          ─► protobuf in one snappy block
//! Content-Encoding  (none) | gzip | deflate | snappy    around either; `snappy` of protobuf is the block itself
//! ```

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::answer::PushError;
use crate::receive::body::Encoding;

/// The forms of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocol {
    /// Whether it is JSON, else protobuf in a snappy block.
    pub(super) json: bool,
    /// What is around that.
    pub(super) encoding: Encoding,
}

/// The form of a request with these headers.
///
/// # Errors
/// [`PushError::UnknownEncoding`].
pub(super) fn negotiate(headers: &HeaderMap) -> Result<Protocol, PushError> {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let media = content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let json = media.eq_ignore_ascii_case(b"application/json");
    let unknown =
        |sent: &[u8]| PushError::UnknownEncoding { encoding: String::from_utf8_lossy(&sent[..sent.len().min(64)]).into_owned() };
    let sent = headers.get_all(CONTENT_ENCODING).iter().collect::<Vec<_>>();
    let encoding = match sent.as_slice() {
        [] => Encoding::Identity,
        [one] => Encoding::parse(Some(one.as_bytes())).map_err(|_| unknown(one.as_bytes()))?,
        [first, ..] => return Err(unknown(first.as_bytes())),
    };
    Ok(match encoding {
        Encoding::Zstd => return Err(unknown(b"zstd")),
        // The block that protobuf is in anyway.
        Encoding::Snappy if !json => Protocol { json, encoding: Encoding::Identity },
        encoding => Protocol { json, encoding },
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn headers_name_the_form() {
        #[track_caller]
        fn check(content_type: Option<&str>, encoding: Option<&str>, expected: Option<(bool, Encoding)>) {
            let mut headers = HeaderMap::new();
            for (name, value) in [(CONTENT_TYPE, content_type), (CONTENT_ENCODING, encoding)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_str(value).unwrap());
                }
            }
            let found = negotiate(&headers).ok().map(|p| (p.json, p.encoding));
            assert_eq!(found, expected, "{content_type:?} {encoding:?}");
        }
        check(None, None, Some((false, Encoding::Identity)));
        check(Some("application/x-protobuf"), Some("snappy"), Some((false, Encoding::Identity)));
        check(Some("application/x-protobuf"), Some("gzip"), Some((false, Encoding::Gzip)));
        check(Some("application/json; charset=utf-8"), None, Some((true, Encoding::Identity)));
        check(Some("Application/JSON"), Some("deflate"), Some((true, Encoding::Deflate)));
        check(Some("application/json"), Some("snappy"), Some((true, Encoding::Snappy)));
        check(Some("application/json"), Some("br"), None);
        check(Some("application/json"), Some("zstd"), None);
    }
}
