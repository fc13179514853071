//! A span with OTLP's fields.

use std::borrow::Cow;

use super::attributes::{Attributes, Text};

/// The kinds of a span, by OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Within an application.
    Internal = 1,
    /// The callee.
    Server = 2,
    /// The caller.
    Client = 3,
    /// Who sends a message.
    Producer = 4,
    /// Who gets it.
    Consumer = 5,
}

/// The status of a span, by OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    /// Not said.
    #[default]
    Unset = 0,
    /// Said to be well.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// What a span says of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Parent {
    /// It has none.
    #[default]
    None,
    /// Its id.
    Of([u8; 8]),
    /// Something that is no id: the converter stores none, and reports it.
    Bad,
}

/// A span. Ids that are `None` are missing or malformed, and refuse it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span<'a> {
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    pub(crate) parent: Parent,
    pub(crate) trace_state: Text<'a>,
    /// Whether the sampled bit of W3C's trace flags is set.
    pub(crate) sampled: bool,
    pub(crate) name: Text<'a>,
    pub(crate) kind: Kind,
    /// Nanoseconds since the Unix epoch; `u64::MAX` is out of range.
    pub(crate) start_ns: u64,
    /// As `start_ns`.
    pub(crate) end_ns: u64,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) events: Vec<Event<'a>>,
    pub(crate) links: Vec<Link<'a>>,
    pub(crate) status: Status,
    pub(crate) status_message: Text<'a>,
}

/// An event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event<'a> {
    /// As [`Span::start_ns`].
    pub(crate) time_ns: u64,
    pub(crate) name: Text<'a>,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes: u32,
}

/// A link. One whose ids are `None` or zero is left out, and reported.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link<'a> {
    pub(crate) trace_id: Option<[u8; 16]>,
    pub(crate) span_id: Option<[u8; 8]>,
    pub(crate) trace_state: Text<'a>,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes: u32,
}

/// A trace id of 8 or 16 bytes; a short one is the lower half.
pub(crate) fn trace_id(bytes: &[u8]) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    match bytes.len() {
        16 => id.copy_from_slice(bytes),
        8 => id[8..].copy_from_slice(bytes),
        _ => return None,
    }
    Some(id)
}

/// A time as OTLP has it. What it cannot hold is out of range for the converter too.
pub(crate) fn time(since_epoch_ns: i128) -> u64 {
    u64::try_from(since_epoch_ns).unwrap_or(u64::MAX)
}

/// Start and end of a span. An end before the start stays one, as far as it does not reach before the epoch: it is reported.
pub(crate) fn times(start_ns: i128, duration_ns: i128) -> (u64, u64) {
    let end_ns = start_ns.saturating_add(duration_ns).clamp(0, i128::from(u64::MAX));
    (time(start_ns), u64::try_from(end_ns).unwrap_or(u64::MAX))
}

/// Text that lives as long as the program.
pub(crate) fn fixed(text: &'static str) -> Text<'static> {
    Cow::Borrowed(text.as_bytes())
}
