//! What was refused or changed in a request, for the sender and for our own metrics.

use std::fmt::Write;

/// A rule that a record can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Text that is not UTF-8.
    Utf8,
    /// More attributes than allowed.
    Attributes,
    /// An attribute that is too long.
    AttributeBytes,
    /// A text field that is too long.
    TextBytes,
    /// Attribute values nested too deeply.
    ValueDepth,
    /// A time that 64-bit nanoseconds cannot hold.
    TimeRange,
    /// A time that is too far in the past.
    TooOld,
    /// A span without a valid trace id.
    TraceId,
    /// A span without a valid span id.
    SpanId,
    /// More events or links than allowed.
    SpanItems,
    /// A bad trace or span id of a log record, set to none.
    LogContext,
    /// A bad parent id, set to none.
    ParentId,
    /// A link with a bad id, left out.
    LinkId,
    /// A span that ends before it starts; its duration is set to 0.
    NegativeDuration,
    /// An attribute that was there before; the first one counts.
    DuplicateAttribute,
}

const RULES: usize = Rule::DuplicateAttribute as usize + 1;

impl Rule {
    const ALL: [Self; RULES] = [
        Self::Utf8,
        Self::Attributes,
        Self::AttributeBytes,
        Self::TextBytes,
        Self::ValueDepth,
        Self::TimeRange,
        Self::TooOld,
        Self::TraceId,
        Self::SpanId,
        Self::SpanItems,
        Self::LogContext,
        Self::ParentId,
        Self::LinkId,
        Self::NegativeDuration,
        Self::DuplicateAttribute,
    ];

    /// The rule's name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Attributes => "attributes",
            Self::AttributeBytes => "attribute_bytes",
            Self::TextBytes => "text_bytes",
            Self::ValueDepth => "value_depth",
            Self::TimeRange => "time_range",
            Self::TooOld => "too_old",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::SpanItems => "span_items",
            Self::LogContext => "log_context",
            Self::ParentId => "parent_id",
            Self::LinkId => "link_id",
            Self::NegativeDuration => "negative_duration",
            Self::DuplicateAttribute => "duplicate_attribute",
        }
    }

    /// What the sender is told.
    fn text(self) -> &'static str {
        match self {
            Self::Utf8 => "text is not valid UTF-8",
            Self::Attributes => "too many attributes",
            Self::AttributeBytes => "an attribute is too long",
            Self::TextBytes => "a text field is too long",
            Self::ValueDepth => "attribute values are nested too deeply",
            Self::TimeRange => "the time is outside the years 1677 to 2262",
            Self::TooOld => "the time is too far in the past",
            Self::TraceId => "trace id is not 16 bytes or all zero",
            Self::SpanId => "span id is not 8 bytes or all zero",
            Self::SpanItems => "too many events or links",
            Self::LogContext => "trace or span id of the wrong length or all zero, stored as none",
            Self::ParentId => "parent span id is not 8 bytes, stored as none",
            Self::LinkId => "link with a bad trace or span id, left out",
            Self::NegativeDuration => "span ends before it starts, duration set to 0",
            Self::DuplicateAttribute => "attribute is there twice, the first one was kept",
        }
    }
}

/// Counts of one request.
#[derive(Debug, Default)]
pub(crate) struct Report {
    refused: [u64; RULES],
    changed: [u64; RULES],
}

impl Report {
    /// `records` records were refused for breaking `rule`.
    pub(crate) fn refuse(&mut self, rule: Rule, records: u64) {
        self.refused[rule as usize] += records;
    }

    /// A record was stored, but not as it was sent.
    pub(crate) fn change(&mut self, rule: Rule) {
        self.changed[rule as usize] += 1;
    }

    /// How many records were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// What to tell the sender; `None` when all went well. Counts the same in our own metrics, as records of `signal`.
    pub(crate) fn finish(self, signal: &'static str) -> Option<String> {
        let mut reason = String::new();
        for (kind, counts) in [("refused", self.refused), ("changed", self.changed)] {
            for (rule, count) in Rule::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
                metrics::counter!("telelake_ingest_records_off_total", "signal" => signal, "what" => kind, "rule" => rule.name())
                    .increment(count);
                let separator = if reason.is_empty() { "" } else { "; " };
                let _ = write!(reason, "{separator}{count} {kind}: {}", rule.text());
            }
        }
        Some(reason).filter(|r| !r.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_counts() {
        assert_eq!(Report::default().finish("logs"), None);
        let mut report = Report::default();
        report.refuse(Rule::Utf8, 2);
        report.refuse(Rule::TraceId, 1);
        report.change(Rule::LinkId);
        assert_eq!(report.refused(), 3);
        let expected = "2 refused: text is not valid UTF-8; 1 refused: trace id is not 16 bytes or all zero; \
                        1 changed: link with a bad trace or span id, left out";
        assert_eq!(report.finish("traces").as_deref(), Some(expected));
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, at);
        }
    }
}
