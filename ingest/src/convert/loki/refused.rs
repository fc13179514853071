//! What was refused of a request, in Loki's words: senders and their operators search for these.

use std::fmt::Write;

/// Different sentences of one request that are kept; further ones are only counted.
const SENTENCES_MAX: usize = 16;
/// Bytes of a label set or a label in a sentence.
const SHOWN_BYTES_MAX: usize = 1_024;

/// A rule that a stream or a line breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The text of the labels is no label set.
    InvalidLabels,
    /// There is no label.
    MissingLabels,
    /// Too many labels.
    LabelNames,
    /// A label name that is too long.
    LabelNameTooLong,
    /// A label value that is too long.
    LabelValueTooLong,
    /// A label that is there twice.
    DuplicateLabel,
    /// A line that is too long.
    LineTooLong,
    /// Too much structured metadata.
    MetadataTooLarge,
    /// Too many entries of structured metadata.
    MetadataTooMany,
    /// Too far in the past.
    TooOld,
    /// Too far in the future.
    TooNew,
    /// A time that 64-bit nanoseconds cannot hold.
    TimeRange,
    /// A document that is none.
    Document,
    /// The tenant has too many active streams.
    StreamLimit,
    /// The tenant pushes too fast.
    RateLimited,
}

impl Rule {
    /// The rule's name in metrics: Loki's reason.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InvalidLabels => "invalid_labels",
            Self::MissingLabels => "missing_labels",
            Self::LabelNames => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabel => "duplicate_label_names",
            Self::LineTooLong => "line_too_long",
            Self::MetadataTooLarge => "structured_metadata_too_large",
            Self::MetadataTooMany => "structured_metadata_too_many",
            Self::TooOld => "greater_than_max_sample_age",
            Self::TooNew => "too_far_in_future",
            Self::TimeRange => "time_range",
            Self::Document => "invalid_document",
            Self::StreamLimit => "stream_limit",
            Self::RateLimited => "rate_limited",
        }
    }

    /// Whether sending the same again later may help.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::StreamLimit | Self::RateLimited)
    }
}

/// A broken rule, and the sentence that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) rule: Rule,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(rule: Rule, text: String) -> Self {
        Self { rule, text }
    }
}

/// `text`, cut if it is very long.
pub(crate) fn shown(text: &str) -> &str {
    let end = (0..=text.len().min(SHOWN_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// What was refused of one request.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    sentences: Vec<(Refusal, u64)>,
    others: u64,
}

impl Refused {
    /// `lines` lines were refused.
    pub(crate) fn add(&mut self, refusal: Refusal, lines: u64) {
        metrics::counter!("telelake_ingest_records_off_total", "signal" => "logs", "what" => "refused", "rule" => refusal.rule.name())
            .increment(lines);
        match self.sentences.iter().position(|(known, _)| *known == refusal) {
            Some(at) => self.sentences[at].1 += lines,
            None if self.sentences.len() < SENTENCES_MAX => self.sentences.push((refusal, lines)),
            None => self.others += lines,
        }
    }

    /// Lines that were refused.
    pub(crate) fn lines(&self) -> u64 {
        self.others + self.sentences.iter().map(|(_, count)| count).sum::<u64>()
    }

    /// The sentences of rules that pass with time, if there are such; else those of all others. As Loki groups them: a single one stands
    /// alone, several with their counts. `None` when nothing was refused.
    pub(crate) fn sentence(&self) -> Option<(bool, String)> {
        let passes = self.sentences.iter().any(|(refusal, _)| refusal.rule.passes());
        let told: Vec<_> = self.sentences.iter().filter(|(refusal, _)| refusal.rule.passes() == passes).collect();
        let single = matches!(told.as_slice(), [(_, 1)]) && self.others == 0;
        let mut out = String::new();
        for (at, (refusal, count)) in told.iter().enumerate() {
            let separator = if at > 0 { "; " } else { "" };
            let _ = match single {
                true => write!(out, "{}", refusal.text),
                false => write!(out, "{separator}{count} errors like: {}", refusal.text),
            };
        }
        if self.others > 0 {
            let _ = write!(out, "; {} more errors", self.others);
        }
        (!out.is_empty()).then_some((passes, out))
    }
}
