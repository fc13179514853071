//! In which form an answer is given: JSON, unless the client wants protobuf.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use prost::Message;

use super::json::{self, Json};

const PROTOBUF: &str = "application/protobuf";

/// Whether the client names protobuf anywhere among what it accepts.
pub(super) fn wants_protobuf(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).any(|v| v.contains(PROTOBUF))
}

/// `message` in the form that the client wants.
pub(super) fn respond<M: Message + Json>(headers: &HeaderMap, message: M) -> Response {
    if wants_protobuf(headers) { protobuf(&message) } else { json::response(message) }
}

/// `message` as bytes.
pub(super) fn protobuf(message: &impl Message) -> Response {
    let bytes = Body::from(message.encode_to_vec());
    ([(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))], bytes).into_response()
}
