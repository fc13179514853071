//! Errors as gRPC statuses: the code by what the client can do, the message with the limit's name.

use catalog::ErrorKind;
use tonic::{Code, Status};

use crate::error::Error;

/// Longest message: it travels in a header, and clients bound those.
const MESSAGE_CHARS_MAX: usize = 2_000;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Internal { id, message } = &error {
            tracing::error!(query = %id, %message, "flight failed");
        }
        let mut message = error.public_message();
        if let Some((cut, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(cut);
        }
        Self::new(code(error.kind()), message)
    }
}

/// The code for errors of `kind`.
fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::TooLarge | ErrorKind::Overloaded => Code::ResourceExhausted,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Unavailable | ErrorKind::Fenced => Code::Unavailable,
        ErrorKind::Corrupt => Code::DataLoss,
        // A bug, or a kind that is newer than this list.
        _ => Code::Internal,
    }
}
