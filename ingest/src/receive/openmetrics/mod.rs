//! OpenMetrics text with times, as remote write requests: for a move, as `promtool tsdb create-blocks-from openmetrics` makes blocks.
//!
//! ```text
//! lines ─[line]─► TYPE, HELP, UNIT, sample, EOF ─[points]─► samples that know when their counter began ─► requests of 2.0
//! ```
//! Read as Prometheus reads it: every sample needs a time, `le` and `quantile` are written as floats (`1` is `1.0`), a `_created` line is
//! no series but the start time of those around it. Text without `# EOF` at its end was cut off, which is an error.
//!
//! # Invariants
//! - Memory is bounded: one line ([`LINE_BYTES_MAX`]), one request, and the samples of one metric that wait for its `_created` line.
//! - An error names its line. What was read before it is not taken back.

mod line;
mod points;

use std::io::BufRead;

use catalog::ErrorKind;

use super::prometheus::batch::Encoded;
use line::Line;
use points::Points;

#[cfg(test)]
mod tests;

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Why text cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct OpenMetricsError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}

impl OpenMetricsError {
    /// What the caller can do about it: correct the text.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// Reads text, a request at a time.
#[derive(Debug)]
pub struct OpenMetricsReader<R> {
    input: R,
    line: u64,
    text: Vec<u8>,
    points: Points,
    ended: bool,
}

impl<R: BufRead> OpenMetricsReader<R> {
    /// Starts at the first line of `input`.
    pub fn new(input: R) -> Self {
        Self { input, line: 0, text: Vec::new(), points: Points::default(), ended: false }
    }

    /// The next request, or `None` at the end.
    ///
    /// # Errors
    /// The first line that is wrong; the reader is then of no use.
    pub fn next_batch(&mut self) -> Result<Option<Encoded>, OpenMetricsError> {
        while !self.ended && !self.points.batch.is_full() {
            self.read_line()?;
            let text = std::str::from_utf8(&self.text).map_err(|_| self.error("text is not valid UTF-8"))?;
            match Line::parse(text).and_then(|line| self.points.take(line)) {
                Ok(points::Taken::More) => {}
                Ok(points::Taken::End) => self.finish()?,
                Err(reason) => return Err(self.error(reason)),
            }
        }
        Ok(self.points.batch.take())
    }

    fn read_line(&mut self) -> Result<(), OpenMetricsError> {
        self.text.clear();
        self.line += 1;
        loop {
            let available = self.input.fill_buf().map_err(|e| OpenMetricsError { line: self.line, reason: e.to_string() })?;
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = &available[..end.unwrap_or(available.len())];
            let (is_over, consumed) = (available.is_empty(), taken.len() + usize::from(end.is_some()));
            let is_long = self.text.len() + taken.len() > LINE_BYTES_MAX;
            if !is_long {
                self.text.extend_from_slice(taken);
            }
            self.input.consume(consumed);
            if is_long {
                return Err(self.error(format!("the line is longer than {LINE_BYTES_MAX} bytes")));
            }
            // The last line may come without a newline behind it.
            if end.is_some() || (is_over && !self.text.is_empty()) {
                return Ok(());
            }
            if is_over {
                return Err(self.error("the text ends without `# EOF`, so that some of it is missing"));
            }
        }
    }

    fn at_end(&mut self) -> Result<bool, OpenMetricsError> {
        self.input.fill_buf().map(<[u8]>::is_empty).map_err(|e| OpenMetricsError { line: self.line, reason: e.to_string() })
    }

    fn finish(&mut self) -> Result<(), OpenMetricsError> {
        self.ended = true;
        if self.at_end()? {
            return Ok(());
        }
        self.line += 1;
        Err(self.error("there is text behind `# EOF`"))
    }

    fn error(&self, reason: impl Into<String>) -> OpenMetricsError {
        OpenMetricsError { line: self.line, reason: reason.into() }
    }
}
