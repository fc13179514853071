//! What happens to a line between the store and the answer: filters, parsers, formats.
//!
//! ```text
//! Pipeline      compiled stages, shared            ┌───────────── stages ─────────────┐
//!   └ stream() ─► StreamPipeline   line, metadata ─┤ filter ─► parse ─► filter ─► format ├─► Line { text, labels } ─► Groups: label set ► id
//!                 buffers, names                   └──────── dropped: nothing ────────┘
//! leading filters: ─► LeadingFilters: many lines in one buffer ► a bitmap; what they dropped never becomes a line
//! ```
//! Source: Loki `pkg/logql/log/pipeline.go`, `pkg/logql/syntax/ast.go`.
//!
//! # Invariants
//! - A line filter stands as early as Loki puts it: before everything since the last stage that it must not pass ([`ordered`]).
//! - A stage that fails sets `__error__` and keeps the line.
//! - Nothing is allocated per line once buffers have grown; a line that is dropped leaves nothing behind.

mod decolorize;
pub mod detect;
mod drop_keep;
mod group;
mod ip;
mod json;
mod label_filter;
mod label_format;
mod leading;
mod line_filter;
mod line_format;
mod literals;
mod logfmt;
mod paths;
mod pattern;
mod regexp;
#[cfg(test)]
mod tests;
mod unpack;

use std::sync::Arc;

pub use gosyntax::re2::Literal;
pub use group::{GroupBy, GroupId, Groups};
pub use ip::IpMatcher;
pub use label_filter::LabelPredicate;
pub use leading::LeadingFilters;
pub use line_filter::LinePredicate;
pub use literals::{LabelLiterals, label_literals, required_literals};
pub use logfmt::logfmt_value;
pub use paths::{PathStep, parse_json_path, parse_logfmt_path};

use crate::ast::Stage;
use crate::labels::{DUPLICATE_SUFFIX, Labels, NameId, Names};

/// Why a pipeline cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", place(.stage))]
pub struct CompileError {
    /// The stage, as it is printed; empty for a predicate that stands in none.
    pub stage: String,
    /// What is wrong with it.
    pub fault: StageFault,
}

fn place(stage: &str) -> String {
    if stage.is_empty() { String::new() } else { format!("stage '{stage}' : ") }
}

impl From<StageFault> for CompileError {
    fn from(fault: StageFault) -> Self {
        CompileError { stage: String::new(), fault }
    }
}

/// Why a stage cannot be built, in Loki's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageFault {
    /// A pattern of `ip`.
    #[error("ip: invalid pattern: {}", gosyntax::quote::quote(pattern))]
    Ip {
        /// As written.
        pattern: String,
    },
    /// `ip` with a filter for expressions or patterns.
    #[error("ip: filter operation not supported: only '|=' and '!=' take ip(\"{pattern}\")")]
    IpOperation {
        /// As written.
        pattern: String,
    },
    /// An expression.
    #[error("{reason}")]
    Regex {
        /// In Go's words.
        reason: String,
    },
    /// A pattern of `pattern`, `|>` or `!>`.
    #[error("invalid pattern '{pattern}': {reason}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A path of `json` or `logfmt`.
    #[error("cannot parse expression [{expression}]: {reason}")]
    Expression {
        /// As written.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// A template of `line_format`.
    #[error("invalid line template: {reason}")]
    LineTemplate {
        /// In Go's words.
        reason: String,
    },
    /// A template of `label_format`.
    #[error("invalid template for label '{label}': {reason}")]
    LabelTemplate {
        /// Whose.
        label: String,
        /// In Go's words.
        reason: String,
    },
    /// A target of `label_format`.
    #[error("{reason}")]
    LabelFormat {
        /// In Loki's words.
        reason: String,
    },
}

/// Which labels the caller looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// Names of labels: those of `by (..)` and of `unwrap`. `None`: all labels. An empty list: none, and then parsers do not even run
    /// unless a stage needs a label itself.
    pub labels: Option<Vec<String>>,
}

impl Hints {
    /// Every label.
    pub fn all() -> Self {
        Hints { labels: None }
    }

    /// These labels.
    pub fn only(labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Hints { labels: Some(labels.into_iter().map(Into::into).collect()) }
    }
}

/// Compiled stages: cheap to clone, shared by threads.
#[derive(Debug, Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
    /// The first of its stages that runs.
    first: usize,
}

#[derive(Debug)]
struct Inner {
    names: Names,
    required: Option<Vec<NameId>>,
    stages: Vec<Compiled>,
    regexps: usize,
    now_ns: i64,
}

#[derive(Debug)]
enum Compiled {
    LineFilter(line_filter::LinePredicate),
    Json(json::Json),
    JsonPaths(json::JsonPaths),
    Logfmt(logfmt::Logfmt),
    LogfmtPaths(logfmt::LogfmtPaths),
    Regexp(regexp::Regexp),
    Pattern(pattern::PatternParser),
    Unpack,
    LabelFilter(label_filter::LabelPredicate),
    LineFormat(line_format::LineFormat),
    LabelFormat(label_format::LabelFormat),
    Decolorize(decolorize::Decolorize),
    Drop(drop_keep::Choices),
    Keep(drop_keep::Choices),
}

/// The order in which stages run: a line filter goes before the stages in front of it, but not past `line_format`, `unpack` or a label
/// filter. (It does go past `decolorize`, in Loki too.) Source: `reorderStages`.
pub fn ordered(stages: &[Stage]) -> Vec<&Stage> {
    let (mut out, mut filters, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for stage in stages {
        match stage {
            Stage::LineFilter(_) => filters.push(stage),
            _ => rest.push(stage),
        }
        if matches!(stage, Stage::LineFormat(_) | Stage::Unpack) {
            out.append(&mut filters);
            out.append(&mut rest);
        } else if matches!(stage, Stage::LabelFilter(_)) {
            // the filter itself comes after the line filters in front of it, and before those behind it
            out.append(&mut filters);
            out.append(&mut rest);
        }
    }
    out.append(&mut filters);
    out.append(&mut rest);
    out
}

impl Pipeline {
    /// Compiles stages. `now_ns` is what templates call `now`, nanoseconds since the epoch.
    ///
    /// # Errors
    /// What Loki refuses when it builds a pipeline: patterns of `ip`, `pattern` and `|>`, templates, paths.
    pub fn new(stages: &[Stage], hints: Hints, now_ns: i64) -> Result<Pipeline, CompileError> {
        let mut names = Names::new();
        let mut wanted = Vec::new();
        let mut compiled = Vec::with_capacity(stages.len());
        let mut regexps = 0;
        for stage in ordered(stages) {
            let built = compile(stage, &mut names, &mut wanted, &mut regexps);
            let built = built.map_err(|fault| CompileError { stage: stage.to_string(), fault })?;
            compiled.extend(built.filter(|s| !matches!(s, Compiled::LineFilter(f) if f.is_always())));
        }
        let required = hints.labels.map(|labels| {
            let mut required: Vec<NameId> = Vec::new();
            for label in labels.iter().chain(&wanted) {
                let plain = label.strip_suffix(DUPLICATE_SUFFIX);
                for name in std::iter::once(label.as_str()).chain(plain) {
                    let id = names.intern(name);
                    if !required.contains(&id) {
                        required.push(id);
                    }
                }
            }
            required
        });
        Ok(Pipeline { inner: Arc::new(Inner { names, required, stages: compiled, regexps, now_ns }), first: 0 })
    }

    /// The pipeline for the lines of one stream.
    pub fn stream<'a>(&self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> StreamPipeline {
        let inner = self.inner.clone();
        // Where no stage is there to see them, labels that nobody asks for need no place.
        let unseen = inner.required.as_ref().filter(|_| self.is_empty());
        let is_asked_for = |name: &str| {
            let is_asked = |asked: &str| asked == name || asked.strip_suffix(DUPLICATE_SUFFIX) == Some(name);
            unseen.is_none_or(|required| required.iter().any(|id| is_asked(inner.names.text(*id))))
        };
        let labels = labels.into_iter().filter(|(name, _)| is_asked_for(name));
        let labels = Labels::new(inner.names.clone(), inner.required.clone(), labels);
        let scratch = Scratch { captures: (0..inner.regexps).map(|_| None).collect(), ..Scratch::default() };
        StreamPipeline { inner, first: self.first, labels, scratch }
    }

    /// The labels that stages or the caller look at; `None`: all of them.
    pub fn required_labels(&self) -> Option<impl Iterator<Item = &str>> {
        let Inner { names, required, .. } = &*self.inner;
        required.as_ref().map(|required| required.iter().map(|id| names.text(*id)))
    }

    /// Whether the pipeline changes nothing and drops nothing.
    pub fn is_empty(&self) -> bool {
        self.stages().is_empty()
    }

    /// The line filters that stand before everything else, to be run over many lines at once. Lines that pass may be processed by
    /// [`Pipeline::behind_filters`], or as any others: the filters hold for them again.
    pub fn leading_filters(&self) -> LeadingFilters {
        let leading = self.stages().iter().map_while(|stage| match stage {
            Compiled::LineFilter(filter) => Some(filter.clone()),
            _ => None,
        });
        LeadingFilters::new(leading.collect())
    }

    /// The stages behind the leading filters: for lines that have passed these.
    #[must_use]
    pub fn behind_filters(&self) -> Pipeline {
        let leading = self.stages().iter().take_while(|stage| matches!(stage, Compiled::LineFilter(_))).count();
        Pipeline { inner: Arc::clone(&self.inner), first: self.first + leading }
    }

    fn stages(&self) -> &[Compiled] {
        &self.inner.stages[self.first..]
    }

    /// As [`required_literals`].
    pub fn required_literals(stages: &[Stage]) -> Vec<Vec<Literal>> {
        required_literals(stages)
    }
}

/// One stage; none if it does nothing.
fn compile(
    stage: &Stage,
    names: &mut Names,
    wanted: &mut Vec<String>,
    regexps: &mut usize,
) -> Result<Option<Compiled>, StageFault> {
    Ok(Some(match stage {
        Stage::LineFilter(filter) => Compiled::LineFilter(line_filter::LinePredicate::new(filter)?),
        Stage::Json { extractions } if extractions.is_empty() => Compiled::Json(json::Json),
        Stage::Json { extractions } => Compiled::JsonPaths(json::JsonPaths::new(extractions, names)?),
        Stage::Logfmt { strict, keep_empty, extractions } => {
            let flags = logfmt::Logfmt { strict: *strict, keep_empty: *keep_empty };
            if extractions.is_empty() {
                Compiled::Logfmt(flags)
            } else {
                Compiled::LogfmtPaths(logfmt::LogfmtPaths::new(flags, extractions, names)?)
            }
        }
        Stage::Regexp(pattern) => {
            *regexps += 1;
            Compiled::Regexp(regexp::Regexp::new(pattern, *regexps - 1, names)?)
        }
        Stage::Pattern(pattern) => Compiled::Pattern(pattern::PatternParser::new(pattern, names)?),
        Stage::Unpack => Compiled::Unpack,
        Stage::LabelFilter(filter) => {
            let filter = LabelPredicate::new(filter)?;
            filter.names(wanted);
            Compiled::LabelFilter(filter.resolved(names))
        }
        Stage::LineFormat(template) => Compiled::LineFormat(line_format::LineFormat::new(template, names, wanted)?),
        Stage::LabelFormat(formats) => Compiled::LabelFormat(label_format::LabelFormat::new(formats, names, wanted)?),
        Stage::Decolorize => Compiled::Decolorize(decolorize::Decolorize::new()),
        Stage::Drop(choices) => Compiled::Drop(drop_keep::Choices::new(choices, names)?),
        Stage::Keep(choices) => Compiled::Keep(drop_keep::Choices::new(choices, names)?),
    }))
}

/// Buffers of a stream's pipeline.
#[derive(Debug, Default)]
struct Scratch {
    /// The line, once a stage replaced it.
    line: String,
    /// Where the next line is written while the one before is read.
    next: String,
    /// For one use within a stage.
    text: String,
    bytes: Vec<u8>,
    ids: Vec<NameId>,
    captures: Vec<Option<regex::bytes::CaptureLocations>>,
    regexes: crate::template::RegexCache,
}

/// A pipeline for the lines of one stream. Line after line reuses its buffers.
#[derive(Debug)]
pub struct StreamPipeline {
    inner: Arc<Inner>,
    first: usize,
    labels: Labels,
    scratch: Scratch,
}

/// What became of a line.
#[derive(Debug)]
pub struct Line<'a> {
    /// The text.
    pub text: &'a str,
    /// The labels, by category. Mutable, since taking a sample from a line may add an error and remove a label.
    pub labels: &'a mut Labels,
}

/// A line on its way.
struct Passage<'s, 'l> {
    ts_ns: i64,
    now_ns: i64,
    input: &'l str,
    replaced: bool,
    labels: &'s mut Labels,
    scratch: &'s mut Scratch,
}

impl StreamPipeline {
    /// Runs the stages over a line of the stream: what is left, or `None` if a filter dropped it. `ts_ns` is the line's time,
    /// `metadata` its structured metadata; `__error__` among it is an error that the line has already.
    pub fn process<'a, 'm>(
        &'a mut self,
        ts_ns: i64,
        line: &'a str,
        metadata: impl IntoIterator<Item = (&'m str, &'m str)>,
    ) -> Option<Line<'a>> {
        let StreamPipeline { inner, first, labels, scratch } = self;
        labels.begin();
        for (name, value) in metadata {
            labels.add_metadata(name, value);
        }
        let mut passage = Passage { ts_ns, now_ns: inner.now_ns, input: line, replaced: false, labels, scratch };
        for stage in &inner.stages[*first..] {
            if !passage.run(stage) {
                return None;
            }
        }
        let replaced = passage.replaced;
        Some(Line { text: if replaced { &scratch.line } else { line }, labels })
    }

    /// The labels of the line that was processed last.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Passage<'_, '_> {
    fn run(&mut self, stage: &Compiled) -> bool {
        let Passage { input, replaced, labels, scratch, .. } = self;
        let line: &str = if *replaced { &scratch.line } else { input };
        match stage {
            Compiled::LineFilter(filter) => return filter.matches(line.as_bytes()),
            Compiled::LabelFilter(filter) => return filter.matches(labels),
            Compiled::Json(_) | Compiled::JsonPaths(_) | Compiled::Logfmt(_) | Compiled::Regexp(_) | Compiled::Pattern(_)
                if labels.nothing_required() => {}
            Compiled::LogfmtPaths(_) | Compiled::Unpack if labels.nothing_required() => {}
            Compiled::Json(json) => json.run(line, labels, &mut scratch.text, &mut scratch.bytes),
            Compiled::JsonPaths(json) => json.run(line, labels, &mut scratch.bytes),
            Compiled::Logfmt(logfmt) => logfmt.run(line, labels, &mut scratch.bytes),
            Compiled::LogfmtPaths(logfmt) => logfmt.run(line, labels, &mut scratch.bytes),
            Compiled::Regexp(regexp) => regexp.run(line, labels, &mut scratch.captures),
            Compiled::Pattern(pattern) => pattern.run(line, labels),
            Compiled::Unpack => {
                if unpack::run(line, labels, &mut scratch.next, &mut scratch.bytes) {
                    self.replace();
                }
            }
            Compiled::LineFormat(format) => {
                let data = crate::template::Data { labels, line, ts_ns: self.ts_ns, now_ns: self.now_ns };
                match format.run(&data, &mut scratch.next, &mut scratch.regexes) {
                    Ok(()) => self.replace(),
                    Err(details) => labels.set_error(crate::labels::PipelineError::TemplateFormat, &details),
                }
            }
            Compiled::LabelFormat(format) => format.run(labels, line, (self.ts_ns, self.now_ns), &mut scratch.regexes),
            Compiled::Decolorize(decolorize) => {
                if decolorize.run(line, &mut scratch.next) {
                    self.replace();
                }
            }
            Compiled::Drop(choices) => choices.drop_from(labels),
            Compiled::Keep(choices) => choices.keep_of(labels, &mut scratch.ids),
        }
        true
    }

    /// What a stage wrote into `next` is the line.
    fn replace(&mut self) {
        std::mem::swap(&mut self.scratch.line, &mut self.scratch.next);
        self.replaced = true;
    }
}
