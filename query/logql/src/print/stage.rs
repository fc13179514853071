//! Stages and what they are made of.

use std::fmt::{self, Display, Formatter};

use gosyntax::quote::quote;

use super::{comma_separated, literal_text, words};
use crate::ast::{
    Conversion, Extraction, LabelChoice, LabelFilter, LabelFormat, LabelFormatValue, LineFilter, LineMatch, Matcher, Stage,
    Unwrap,
};
use crate::units::{bytes_text, duration_text};

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.name, words::match_op(self.op), quote(&self.value))
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::LineFilter(filter) => filter.fmt(f),
            Stage::Json { extractions } => with_list(f, "| json", extractions),
            Stage::Logfmt { strict, keep_empty, extractions } => {
                let strict = if *strict { " --strict" } else { "" };
                let keep_empty = if *keep_empty { " --keep-empty" } else { "" };
                with_list(f, &format!("| logfmt{strict}{keep_empty}"), extractions)
            }
            Stage::Regexp(pattern) => write!(f, "| regexp {}", quote(pattern)),
            Stage::Pattern(pattern) => write!(f, "| pattern {}", quote(pattern)),
            Stage::Unpack => f.write_str("| unpack"),
            Stage::LabelFilter(filter) => write!(f, "| {filter}"),
            Stage::LineFormat(template) => write!(f, "| line_format {}", quote(template)),
            Stage::LabelFormat(formats) => with_list(f, "| label_format", formats),
            Stage::Decolorize => f.write_str("| decolorize"),
            Stage::Drop(choices) => with_list(f, "| drop", choices),
            Stage::Keep(choices) => with_list(f, "| keep", choices),
        }
    }
}

fn with_list<T: Display>(f: &mut Formatter<'_>, stage: &str, members: &[T]) -> fmt::Result {
    f.write_str(stage)?;
    if members.is_empty() {
        return Ok(());
    }
    f.write_str(" ")?;
    comma_separated(f, members, ",")
}

impl Display for LineFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(words::line_filter_op(self.op))?;
        for (at, alternative) in self.alternatives.iter().enumerate() {
            f.write_str(if at == 0 { " " } else { " or " })?;
            match alternative {
                LineMatch::Text(text) => f.write_str(&quote(text))?,
                LineMatch::Ip(pattern) => write!(f, "ip({})", quote(pattern))?,
            }
        }
        Ok(())
    }
}

impl Display for Extraction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.label, quote(&self.expression))
    }
}

impl Display for LabelFormat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            LabelFormatValue::Rename(source) => write!(f, "{}={source}", self.target),
            LabelFormatValue::Template(template) => write!(f, "{}={}", self.target, quote(template)),
        }
    }
}

impl Display for LabelChoice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelChoice::Name(name) => f.write_str(name),
            LabelChoice::Matcher(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for LabelFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LabelFilter::String(matcher) => matcher.fmt(f),
            LabelFilter::Number { name, op, value } => write!(f, "{name}{}{}", words::compare_op(*op), literal_text(*value)),
            LabelFilter::Duration { name, op, value_ns } => {
                write!(f, "{name}{}{}", words::compare_op(*op), duration_text(*value_ns))
            }
            LabelFilter::Bytes { name, op, value_bytes } => {
                write!(f, "{name}{}{}", words::compare_op(*op), bytes_text(*value_bytes))
            }
            LabelFilter::Ip { name, negated, pattern } => {
                write!(f, "{name}{}ip({})", if *negated { "!=" } else { "=" }, quote(pattern))
            }
            LabelFilter::And(left, right) => write!(f, "( {left} , {right} )"),
            LabelFilter::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

impl Display for Unwrap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.conversion {
            Conversion::Float => write!(f, "| unwrap {}", self.label)?,
            conversion => write!(f, "| unwrap {}({})", words::conversion(conversion), self.label)?,
        }
        self.post_filters.iter().try_for_each(|filter| write!(f, " | {filter}"))
    }
}
