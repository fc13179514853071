//! Which labels a stream is told with: all that its entries have, so that there is a stream per distinct set of them.
//!
//! ```text
//! stream {app=a}: entry 1 {level=info}, entry 2 {level=warn}, entry 3 {level=info}
//!   ─► {app=a, level=info}: 1, 3    {app=a, level=warn}: 2
//! ```
//! A client may ask, in a header, that each entry says which labels are its own, and of what category; queries fold their streams all
//! the same, tails leave them as they are then. Source: Loki `pkg/util/httpreq/encoding_flags.go`, `pkg/logql/engine.go`
//! (`readStreams`), `pkg/querier/querier.go` (`Tail`); recorded answers.

use std::collections::HashMap;
use std::collections::hash_map;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use query::logql::{Direction, Entry, Labels, Stream};

/// The header with the flags, separated by commas.
const HEADER: &str = "x-loki-response-encoding-flags";
/// The one flag there is.
pub(super) const CATEGORIZE: &str = "categorize-labels";

/// Whether entries say which labels are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// They do not.
    Plain,
    /// They do, structured metadata and parsed labels apart.
    Categorized,
}

impl Encoding {
    /// What the client asks for; flags that nobody knows are passed over.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let flags = headers.get_all(HEADER).iter().filter_map(|value| value.to_str().ok());
        match flags.flat_map(|value| value.split(',')).any(|flag| flag.trim() == CATEGORIZE) {
            true => Self::Categorized,
            false => Self::Plain,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Encoding {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

/// `{app="a", level="info"}`: a label set as Loki prints it.
pub(super) fn labels_text(labels: &Labels) -> String {
    logql::labels::labels_text(labels.iter().map(|(name, value)| (&**name, &**value)))
}

/// Streams ascending by their labels as text.
pub(super) fn sorted(mut streams: Vec<Stream>) -> Vec<Stream> {
    if streams.len() > 1 {
        streams.sort_by_cached_key(|stream| labels_text(&stream.labels));
    }
    streams
}

/// One stream per distinct set of all labels, [`sorted`], its entries in the order of `direction`. The entries keep their own labels,
/// which are in the stream's as well now.
pub(super) fn folded(streams: Vec<Stream>, direction: Direction) -> Vec<Stream> {
    let mut folded: Vec<Stream> = Vec::new();
    let mut places: HashMap<Labels, Place> = HashMap::new();
    for (number, stream) in streams.into_iter().enumerate() {
        // Entries in a row mostly have the same labels.
        let mut last: Option<(Labels, Labels, usize)> = None;
        for entry in stream.entries {
            let known =
                last.as_ref().filter(|(metadata, parsed, _)| same(metadata, &entry.metadata) && same(parsed, &entry.parsed));
            let at = match known {
                Some((.., at)) => *at,
                None => {
                    let labels = all_labels(&stream.labels, &entry);
                    let at = match places.entry(labels) {
                        hash_map::Entry::Occupied(mut known) => {
                            let place = known.get_mut();
                            place.of_many |= place.first != number;
                            place.at
                        }
                        hash_map::Entry::Vacant(new) => {
                            let at = folded.len();
                            folded.push(Stream { labels: new.key().clone(), entries: Vec::new() });
                            new.insert(Place { at, first: number, of_many: false }).at
                        }
                    };
                    last = Some((entry.metadata.clone(), entry.parsed.clone(), at));
                    at
                }
            };
            folded[at].entries.push(entry);
        }
    }
    for place in places.values().filter(|place| place.of_many) {
        let entries = &mut folded[place.at].entries;
        match direction {
            Direction::Forward => entries.sort_by_key(|entry| entry.ts_ns),
            Direction::Backward => entries.sort_by_key(|entry| std::cmp::Reverse(entry.ts_ns)),
        }
    }
    sorted(folded)
}

/// Where the entries of a label set go.
struct Place {
    at: usize,
    /// The stream its first entry came from.
    first: usize,
    /// Whether others have the same labels in all.
    of_many: bool,
}

fn same(a: &Labels, b: &Labels) -> bool {
    std::sync::Arc::ptr_eq(a, b) || a == b
}

/// The labels of a stream and of an entry of it, which have no name in common.
fn all_labels(stream: &Labels, entry: &Entry) -> Labels {
    if entry.metadata.is_empty() && entry.parsed.is_empty() {
        return stream.clone();
    }
    let mut all: Vec<_> = stream.iter().chain(entry.metadata.iter()).chain(entry.parsed.iter()).cloned().collect();
    all.sort();
    all.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Labels of pairs that ascend.
    pub(in crate::loki) fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    pub(in crate::loki) fn entry(ts_ns: i64, line: &str, metadata: &[(&str, &str)], parsed: &[(&str, &str)]) -> Entry {
        Entry { ts_ns, line: line.to_owned(), metadata: labels(metadata), parsed: labels(parsed) }
    }

    fn shape(streams: &[Stream]) -> Vec<(String, Vec<i64>)> {
        streams.iter().map(|s| (labels_text(&s.labels), s.entries.iter().map(|e| e.ts_ns).collect())).collect()
    }

    #[test]
    fn flags_are_in_a_header() {
        #[track_caller]
        fn check(values: &[&'static str], expected: Encoding) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, http::HeaderValue::from_static(value));
            }
            assert_eq!(Encoding::of(&headers), expected);
        }
        check(&[], Encoding::Plain);
        check(&["something-new"], Encoding::Plain);
        check(&["categorize-labels"], Encoding::Categorized);
        check(&["something-new, categorize-labels"], Encoding::Categorized);
        check(&["something-new", "categorize-labels"], Encoding::Categorized);
    }

    #[test]
    fn label_sets_fold() {
        let streams = || {
            vec![
                Stream {
                    labels: labels(&[("app", "b")]),
                    entries: vec![
                        entry(9, "x", &[("level", "info")], &[]),
                        entry(8, "x", &[("level", "warn")], &[("z", "1")]),
                        entry(7, "x", &[("level", "info")], &[]),
                        entry(6, "x", &[], &[]),
                    ],
                },
                Stream {
                    labels: labels(&[("app", "b"), ("level", "info")]),
                    entries: vec![entry(8, "y", &[], &[]), entry(1, "y", &[], &[])],
                },
                Stream { labels: labels(&[("app", "a")]), entries: vec![entry(3, "w", &[], &[])] },
            ]
        };
        assert_eq!(
            shape(&folded(streams(), Direction::Backward)),
            [
                ("{app=\"a\"}".to_owned(), vec![3]),
                ("{app=\"b\", level=\"info\"}".to_owned(), vec![9, 8, 7, 1]),
                ("{app=\"b\", level=\"warn\", z=\"1\"}".to_owned(), vec![8]),
                ("{app=\"b\"}".to_owned(), vec![6]),
            ]
        );
        assert_eq!(
            shape(&sorted(streams())),
            [
                ("{app=\"a\"}".to_owned(), vec![3]),
                ("{app=\"b\", level=\"info\"}".to_owned(), vec![8, 1]),
                ("{app=\"b\"}".to_owned(), vec![9, 8, 7, 6]),
            ]
        );
    }
}
