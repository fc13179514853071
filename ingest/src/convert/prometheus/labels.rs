//! The labels of a series as they were sent, checked and put into order.

use std::borrow::Cow;
use std::fmt::Write;

use super::config::RemoteWriteConfig;
use super::refused::Refusal;

/// Names and values as they lie in the request, unvalidated. Reused from series to series.
#[derive(Debug, Default)]
pub(crate) struct RawLabels<'a>(Vec<(&'a [u8], &'a [u8])>);

/// A metric's name and its other labels: ascending by name, distinct, without empty values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SeriesLabels {
    pub(crate) metric: String,
    pub(crate) labels: Vec<(String, String)>,
}

impl<'a> RawLabels<'a> {
    /// Forgets those of the last series.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a label.
    ///
    /// # Errors
    /// More labels than are worth a look: the limit, the metric's name, the replica, and room for empty ones.
    pub(crate) fn push(&mut self, name: &'a [u8], value: &'a [u8], config: &RemoteWriteConfig) -> Result<(), Refusal> {
        if self.0.len() > config.labels_max + 64 {
            return Err(Refusal::TooManyLabels);
        }
        self.0.push((name, value));
        Ok(())
    }

    /// The value of `name`, if it is there and text.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == name.as_bytes())?;
        std::str::from_utf8(value).ok()
    }

    /// Checks everything and sorts. Empty values are left out, as Prometheus does, and so is the label `without`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&mut self, without: Option<&str>, config: &RemoteWriteConfig) -> Result<SeriesLabels, Refusal> {
        // Stable, so that of equal names the first one is named in errors.
        self.0.sort_by(|a, b| a.0.cmp(b.0));
        let (mut metric, mut labels, mut last) = (None, Vec::with_capacity(self.0.len()), None);
        for (name, value) in &self.0 {
            let (name, value) = (text(name)?, text(value)?);
            if name.is_empty() {
                return Err(Refusal::EmptyLabelName);
            }
            if last.replace(name) == Some(name) {
                return Err(Refusal::DuplicateLabel);
            }
            if name == "__name__" {
                metric = Some(value);
                continue;
            }
            if value.is_empty() || without == Some(name) {
                continue;
            }
            if name.len() > config.name_bytes_max {
                return Err(Refusal::NameTooLong);
            }
            if value.len() > config.label_value_bytes_max {
                return Err(Refusal::ValueTooLong);
            }
            labels.push((name.to_owned(), value.to_owned()));
        }
        let metric = metric.filter(|metric| !metric.is_empty()).ok_or(Refusal::NoName)?;
        if metric.len() > config.name_bytes_max {
            return Err(Refusal::NameTooLong);
        }
        if labels.len() > config.labels_max {
            return Err(Refusal::TooManyLabels);
        }
        Ok(SeriesLabels { metric: metric.to_owned(), labels })
    }

    /// As Prometheus writes a label set; for messages.
    pub(crate) fn render(&self) -> String {
        let text = |bytes: &'a [u8]| -> Cow<'a, str> { String::from_utf8_lossy(&bytes[..bytes.len().min(128)]) };
        let mut out = String::from("{");
        for (at, (name, value)) in self.0.iter().enumerate().take(16) {
            let separator = if at == 0 { "" } else { ", " };
            let _ = write!(out, "{separator}{}={:?}", text(name), text(value));
        }
        out.push('}');
        out
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Refusal::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_rules() {
        #[track_caller]
        fn check(labels: &[(&str, &[u8])], expected: Result<&str, Refusal>) {
            let config = RemoteWriteConfig { labels_max: 2, name_bytes_max: 8, label_value_bytes_max: 4, ..Default::default() };
            let mut raw = RawLabels::default();
            for (name, value) in labels {
                raw.push(name.as_bytes(), value, &config).unwrap();
            }
            let checked = raw.check(Some("r"), &config).map(|SeriesLabels { metric, labels }| format!("{metric} {labels:?}"));
            assert_eq!(checked, expected.map(str::to_owned));
        }
        check(&[("__name__", b"up")], Ok("up []"));
        check(&[("b", b"2"), ("__name__", b"up"), ("a", b"1")], Ok(r#"up [("a", "1"), ("b", "2")]"#)); // in any order
        check(&[("__name__", b"up"), ("a", b""), ("r", b"1")], Ok("up []")); // empty, and the replica
        check(&[("__name__", "grün".as_bytes()), ("ü.ö", b"\n")], Ok(r#"grün [("ü.ö", "\n")]"#));
        check(&[], Err(Refusal::NoName));
        check(&[("a", b"1")], Err(Refusal::NoName));
        check(&[("__name__", b"")], Err(Refusal::NoName));
        check(&[("__name__", b"up"), ("", b"1")], Err(Refusal::EmptyLabelName));
        check(&[("__name__", b"up"), ("a", b"1"), ("a", b"1")], Err(Refusal::DuplicateLabel));
        check(&[("__name__", b"up"), ("a", b""), ("a", b"1")], Err(Refusal::DuplicateLabel));
        check(&[("__name__", b"up"), ("__name__", b"up")], Err(Refusal::DuplicateLabel));
        check(&[("__name__", b"up"), ("a", b"\xff")], Err(Refusal::Utf8));
        check(&[("__name__", b"up"), ("a", b"12345")], Err(Refusal::ValueTooLong));
        check(&[("__name__", b"up"), ("123456789", b"1")], Err(Refusal::NameTooLong));
        check(&[("__name__", b"123456789")], Err(Refusal::NameTooLong));
        check(&[("__name__", b"up"), ("a", b"1"), ("b", b"1"), ("c", b"1")], Err(Refusal::TooManyLabels));
    }

    #[test]
    fn a_flood_of_labels_ends_early() {
        let (config, mut raw) = (RemoteWriteConfig::default(), RawLabels::default());
        let refused = (0..1_000).find_map(|_| raw.push(b"a", b"", &config).err());
        assert_eq!(refused, Some(Refusal::TooManyLabels));
    }
}
