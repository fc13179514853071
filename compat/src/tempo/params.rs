//! Parameters of Tempo's requests, in its types and with its words when one is refused.
//!
//! Source: Tempo `pkg/api/http.go` and its recorded answers; Go's `strconv`, `time.ParseDuration`, `time.Parse`.

use axum::extract::{FromRequest, Request};
use gosyntax::quote::quote;
use logql::units::{parse_go_duration, parse_prometheus_duration};
use query::traceql::Window;
use query::usage::note;

use super::error::ApiError;
use crate::form::Form;
use crate::time::parse_rfc3339;

const SECOND_NS: i64 = 1_000_000_000;
/// How far back metrics begin when nothing is said.
const DEFAULT_SINCE_NS: i64 = 3600 * SECOND_NS;
/// Numbers of so many digits are seconds, longer ones nanoseconds.
const SECONDS_DIGITS_MAX: usize = 10;

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Params(Form);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        // What cannot be read is not there, as in Go's `url.Query()`.
        let params = Self(Form::of(request).await?);
        note(|row| row.set_text(params.metrics_query()));
        Ok(params)
    }
}

impl Params {
    /// The parameters behind the question mark of a URL.
    #[cfg(test)]
    pub(super) fn of_url(query: &str) -> Self {
        Self(Form::of_url(query).expect("few parameters"))
    }

    /// The first value of `name`; `None` when there is none or it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)).filter(|text| !text.is_empty())
    }

    /// The first value of each name.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for (name, value) in self.0.pairs() {
            if !value.is_empty() && !pairs.iter().any(|(known, _)| *known == name) {
                pairs.push((name, value));
            }
        }
        pairs
    }

    /// `start` and `end` in seconds; 0 for one that is not there.
    ///
    /// # Errors
    /// A text that is no number of 32 bits.
    pub(super) fn seconds(&self) -> Result<(u32, u32), ApiError> {
        let one = |name: &str| match self.get(name) {
            None => Ok(0),
            Some(text) => parse_int(text, i64::from(i32::MAX))
                .map(|seconds| u32::try_from(seconds).unwrap_or(0))
                .map_err(|reason| ApiError::bad_request(format!("invalid {name}: {reason}"))),
        };
        Ok((one("start")?, one("end")?))
    }

    /// A number of 32 bits without a sign; `None` when it is not there.
    pub(super) fn count(&self, name: &str) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse_uint(text).map(Some).map_err(|reason| ApiError::bad_request(format!("invalid {name}: {reason}")))
    }

    /// A number of 32 bits without a sign; one that is none is as good as none.
    pub(super) fn count_or_zero(&self, name: &str) -> u32 {
        self.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A flag; what is none is off.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| crate::form::parse_bool(text).unwrap_or(false))
    }

    /// A duration in Go's form as milliseconds; 0 when it is not there.
    pub(super) fn duration_ms(&self, name: &str) -> Result<u32, ApiError> {
        let Some(text) = self.get(name) else { return Ok(0) };
        let ns = parse_go_duration(text).map_err(|reason| ApiError::bad_request(format!("invalid {name}: {reason}")))?;
        Ok(u32::try_from(ns.max(0) / 1_000_000).unwrap_or(u32::MAX))
    }

    /// The TraceQL of metrics: `q`, or `query` as Prometheus calls it.
    pub(super) fn metrics_query(&self) -> &str {
        self.get("q").or_else(|| self.get("query")).unwrap_or_default()
    }

    /// `start` and `end` of metrics, nanoseconds: seconds, nanoseconds or RFC 3339; the last hour, or `since`, when nothing is said.
    pub(super) fn bounds(&self, now_ns: i64) -> Result<Window, String> {
        let refused = |name: &str, reason: String| format!("could not parse '{name}' parameter: {reason}");
        let since_ns = match self.get("since") {
            None => DEFAULT_SINCE_NS,
            Some(text) => parse_prometheus_duration(text).map_err(|e| refused("since", e))?,
        };
        let end_ns = timestamp(self.get("end"), now_ns).map_err(|e| refused("end", e))?;
        // Reckoned from the end, but from now when that is in the future.
        let start_ns =
            timestamp(self.get("start"), end_ns.min(now_ns).saturating_sub(since_ns)).map_err(|e| refused("start", e))?;
        Ok(Window { start_ns, end_ns })
    }

    /// `step` in nanoseconds: seconds or a duration in Go's form; `None`: what fits the range.
    pub(super) fn step_ns(&self) -> Result<Option<i64>, String> {
        let Some(text) = self.get("step") else { return Ok(None) };
        match text.parse::<f64>() {
            Ok(seconds) => {
                let ns = seconds * SECOND_NS as f64;
                if !ns.is_finite() || ns.abs() > i64::MAX as f64 {
                    return Err(format!("cannot parse {} to a valid duration. It overflows int64", quote(text)));
                }
                Ok(Some(ns as i64))
            }
            Err(_) => parse_go_duration(text).map(Some).map_err(|_| format!("cannot parse {} to a valid duration", quote(text))),
        }
    }
}

/// The range of `start` and `end` in seconds; `None` when nothing is said: any time.
///
/// # Errors
/// An end that is not behind the start.
pub(super) fn window(start_s: u32, end_s: u32) -> Result<Option<Window>, ApiError> {
    if (start_s, end_s) == (0, 0) {
        return Ok(None);
    }
    if end_s <= start_s {
        return Err(ApiError::bad_request(format!(
            "http parameter start must be before end. received start={start_s} end={end_s}"
        )));
    }
    Ok(Some(Window { start_ns: i64::from(start_s) * SECOND_NS, end_ns: i64::from(end_s) * SECOND_NS }))
}

/// A time: seconds with a point in them, a number that is seconds or nanoseconds by its length, or RFC 3339.
fn timestamp(text: Option<&str>, default_ns: i64) -> Result<i64, String> {
    let Some(text) = text else { return Ok(default_ns) };
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        let fraction = (seconds.fract() * 1000.0).round() / 1000.0;
        return Ok((seconds.trunc() as i64).saturating_mul(SECOND_NS).saturating_add((fraction * SECOND_NS as f64) as i64));
    }
    match parse_int(text, i64::MAX) {
        Ok(seconds) if text.len() <= SECONDS_DIGITS_MAX => Ok(seconds.saturating_mul(SECOND_NS)),
        Ok(ns) => Ok(ns),
        Err(reason) => match parse_rfc3339(text) {
            Some((seconds, nanos)) => Ok(seconds.saturating_mul(SECOND_NS).saturating_add(i64::from(nanos))),
            None => Err(reason),
        },
    }
}

/// A whole number as Go's `strconv.ParseInt` reads it, up to `max` on both sides.
pub(super) fn parse_int(text: &str, max: i64) -> Result<i64, String> {
    let refused = |reason: &str| format!("strconv.ParseInt: parsing {}: {reason}", quote(text));
    match text.parse::<i64>() {
        Ok(number) if number > max || number < -max - 1 => Err(refused("value out of range")),
        Ok(number) => Ok(number),
        Err(error) => Err(refused(reason(error.kind()))),
    }
}

/// A whole number of 32 bits as Go's `strconv.ParseUint` reads it.
fn parse_uint(text: &str) -> Result<u32, String> {
    let signed = text.starts_with('+');
    match text.parse::<u32>() {
        Ok(number) if !signed => Ok(number),
        Ok(_) => Err(format!("strconv.ParseUint: parsing {}: invalid syntax", quote(text))),
        Err(error) => Err(format!("strconv.ParseUint: parsing {}: {}", quote(text), reason(error.kind()))),
    }
}

fn reason(kind: &std::num::IntErrorKind) -> &'static str {
    match kind {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_NS: i64 = 1_793_500_000 * SECOND_NS;

    #[test]
    fn seconds_of_a_search() {
        #[track_caller]
        fn check(url: &str, expected: Result<Option<(i64, i64)>, &str>) {
            let got = Params::of_url(url).seconds().and_then(|(start, end)| window(start, end));
            let got = got.map(|w| w.map(|w| (w.start_ns / SECOND_NS, w.end_ns / SECOND_NS))).map_err(|e| e.message);
            assert_eq!(got, expected.map_err(str::to_owned), "{url}");
        }
        check("", Ok(None));
        check("start=1&end=2", Ok(Some((1, 2))));
        check("start=2&end=1", Err("http parameter start must be before end. received start=2 end=1"));
        check("start=5", Err("http parameter start must be before end. received start=5 end=0"));
        check("start=x", Err("invalid start: strconv.ParseInt: parsing \"x\": invalid syntax"));
        check("end=99999999999", Err("invalid end: strconv.ParseInt: parsing \"99999999999\": value out of range"));
    }

    #[test]
    fn bounds_of_metrics() {
        #[track_caller]
        fn check(url: &str, expected: Result<(i64, i64), &str>) {
            let got = Params::of_url(url).bounds(NOW_NS).map(|w| (w.start_ns, w.end_ns));
            assert_eq!(got, expected.map_err(str::to_owned), "{url}");
        }
        check("", Ok((NOW_NS - 3600 * SECOND_NS, NOW_NS)));
        check("since=5m", Ok((NOW_NS - 300 * SECOND_NS, NOW_NS)));
        check("start=1793491200&end=1793498400", Ok((1_793_491_200 * SECOND_NS, 1_793_498_400 * SECOND_NS)));
        check("start=1793491200000000001&end=1793491200.5", Ok((1_793_491_200_000_000_001, 1_793_491_200_500_000_000)));
        check("start=2026-11-01T00:00:00Z&end=1793491201", Ok((1_793_491_200 * SECOND_NS, 1_793_491_201 * SECOND_NS)));
        check("start=zz", Err("could not parse 'start' parameter: strconv.ParseInt: parsing \"zz\": invalid syntax"));
        check("end=1e300.", Err("could not parse 'end' parameter: strconv.ParseInt: parsing \"1e300.\": invalid syntax"));
    }

    #[test]
    fn steps() {
        #[track_caller]
        fn check(url: &str, expected: Result<Option<i64>, &str>) {
            assert_eq!(Params::of_url(url).step_ns(), expected.map_err(str::to_owned), "{url}");
        }
        check("", Ok(None));
        check("step=15", Ok(Some(15 * SECOND_NS)));
        check("step=0.5", Ok(Some(SECOND_NS / 2)));
        check("step=1m30s", Ok(Some(90 * SECOND_NS)));
        check("step=abc", Err("cannot parse \"abc\" to a valid duration"));
        check("step=1e300", Err("cannot parse \"1e300\" to a valid duration. It overflows int64"));
    }

    #[test]
    fn counts() {
        let read = |url: &str| Params::of_url(url).count("limit").map_err(|e| e.message);
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("limit=7"), Ok(Some(7)));
        assert_eq!(read("limit=-1"), Err("invalid limit: strconv.ParseUint: parsing \"-1\": invalid syntax".to_owned()));
        assert_eq!(
            read("limit=4294967296"),
            Err("invalid limit: strconv.ParseUint: parsing \"4294967296\": value out of range".to_owned())
        );
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "\\PC*") {
            let params = Params::of_url(&format!("start={text}&end={text}&step={text}&since={text}&limit={text}"));
            let _ = params.seconds().map(|(start, end)| window(start, end));
            let _ = (params.bounds(NOW_NS), params.step_ns(), params.count("limit"), params.duration_ms("step"));
        }
    }
}
