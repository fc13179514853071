//! Which names fit a search, and how well.
//! Source: Prometheus `web/api/v1/search_filters.go`.

use super::jaro_winkler;
use super::subsequence;

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Algorithm {
    /// The search's characters appear in order.
    #[default]
    Subsequence,
    /// The search is a part of the name, or near to it by Jaro and Winkler.
    JaroWinkler,
}

impl Algorithm {
    /// The algorithm of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "subsequence" => Some(Self::Subsequence),
            "jarowinkler" => Some(Self::JaroWinkler),
            _ => None,
        }
    }
}

/// Searches, of which one must fit. None: everything fits.
#[derive(Debug)]
pub(super) struct Filter {
    searches: Vec<String>,
    algorithm: Algorithm,
    /// 0 to 1.
    threshold: f64,
    case_sensitive: bool,
}

impl Filter {
    /// `threshold` is in percent.
    pub(super) fn new<'a>(
        searches: impl Iterator<Item = &'a str>,
        algorithm: Algorithm,
        threshold: u8,
        case_sensitive: bool,
    ) -> Self {
        let searches = searches.map(|s| if case_sensitive { s.to_owned() } else { s.to_lowercase() }).collect();
        Self { searches, algorithm, threshold: f64::from(threshold) / 100.0, case_sensitive }
    }

    /// Whether there is anything to search for.
    pub(super) fn is_empty(&self) -> bool {
        self.searches.is_empty()
    }

    /// The score of `name`, 0 to 1; `None` when it does not fit.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.is_empty() {
            return Some(1.0);
        }
        let lower = (!self.case_sensitive).then(|| name.to_lowercase());
        let name = lower.as_deref().unwrap_or(name);
        self.searches.iter().filter_map(|search| self.score_of(search, name)).max_by(f64::total_cmp)
    }

    fn score_of(&self, search: &str, name: &str) -> Option<f64> {
        // An empty search is a prefix of everything.
        if name.starts_with(search) {
            return Some(1.0);
        }
        match self.algorithm {
            Algorithm::Subsequence => Some(subsequence::score(search, name)).filter(|s| *s > 0.0 && *s >= self.threshold),
            Algorithm::JaroWinkler if name.contains(search) => Some(0.9),
            Algorithm::JaroWinkler if self.threshold < 1.0 => {
                Some(jaro_winkler::score(search, name)).filter(|s| *s >= self.threshold)
            }
            Algorithm::JaroWinkler => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(searches: &[&str], algorithm: Algorithm, threshold: u8, case_sensitive: bool, name: &str, fits: bool) {
        let filter = Filter::new(searches.iter().copied(), algorithm, threshold, case_sensitive);
        assert_eq!(filter.score(name).is_some(), fits, "{searches:?} {threshold} {name}");
    }

    #[test]
    fn filters() {
        use Algorithm::{JaroWinkler, Subsequence};
        check(&[], Subsequence, 100, true, "anything", true);
        check(&[""], Subsequence, 100, true, "anything", true);
        check(&["http"], Subsequence, 100, true, "http_requests_total", true); // a prefix always fits
        check(&["hrt"], Subsequence, 0, true, "http_requests_total", true);
        check(&["hrt"], Subsequence, 90, true, "http_requests_total", false);
        check(&["tot"], Subsequence, 0, true, "http", false);
        check(&["HTTP"], Subsequence, 0, true, "http", false);
        check(&["HTTP"], Subsequence, 0, false, "http", true);
        check(&["xyz", "req"], Subsequence, 0, true, "http_requests", true); // one is enough
        check(&["requests"], JaroWinkler, 100, true, "http_requests", true); // a part
        check(&["htpt"], JaroWinkler, 100, true, "http", false);
        check(&["htpt"], JaroWinkler, 80, true, "http", true);
        check(&["htpt"], JaroWinkler, 99, true, "http", false);
    }
}
