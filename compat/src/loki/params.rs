//! Parameters of Loki's requests, in its types and with its words when one is refused.
//!
//! Source: Loki `pkg/loghttp/{params,query,labels,series,tail,patterns}.go`, Go's `strconv`. Times are nanoseconds since the epoch
//! here; one that does not fit is the nearest that does.

use axum::extract::{FromRequest, Request};
use gosyntax::quote::quote;
use logql::units::{parse_float, parse_prometheus_duration};
use query::logql::{Direction, TimeNs, VolumeBy};
use query::usage::note;

use super::error::ApiError;
use crate::form::{Form, atoi};
use crate::time::parse_rfc3339;

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;
/// Numbers up to this are seconds, larger ones nanoseconds.
const SECONDS_MAX: i64 = 10_000_000_000;
/// How far back a range begins when nothing is said.
const DEFAULT_SINCE_NS: i64 = 3600 * SECOND_NS;
/// Entries of a log query, series of a volume, lines that fields are looked for in, when nothing is said.
const DEFAULT_LIMIT: usize = 100;
/// Fields, or values of one, when nothing is said.
const DEFAULT_FIELDS: usize = 1000;
/// Steps between the ends of a range.
const STEPS_MAX: i64 = 11_000;
/// Seconds that a tail may be held back.
const TAIL_DELAY_MAX_S: i64 = 5;

const END_BEFORE_START: &str = "end timestamp must not be before or equal to start time";
const STEP_NOT_POSITIVE: &str = "zero or negative query resolution step widths are not accepted. Try a positive integer";
const STEP_TOO_SMALL: &str =
    "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter";

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Params(Form);

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let form = Form::of(request).await?;
        note(|row| row.set_text(form.get("query")));
        Self::new(form)
    }
}

impl Params {
    /// The parameters in `form`, all of which must be readable.
    fn new(form: Form) -> Result<Self, ApiError> {
        match form.malformed() {
            None => Ok(Self(form)),
            Some(error) => Err(ApiError::bad_request(error)),
        }
    }

    /// The parameters behind the question mark of a URL.
    #[cfg(test)]
    pub(super) fn of_url(query: &str) -> Result<Self, ApiError> {
        Self::new(Form::of_url(query)?)
    }

    /// The first value of `name`; empty when there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name)
    }

    /// The LogQL text.
    pub(super) fn query(&self) -> &str {
        self.get("query")
    }

    /// The selector of `query` in a list; none when it is missing or `{}`, which is every stream.
    pub(super) fn selectors(&self) -> Vec<String> {
        Some(self.query()).filter(|text| !is_everything(text)).map(str::to_owned).into_iter().collect()
    }

    /// The selectors of `match` and `match[]`, ascending, each once. A single `{}` is as good as none: every stream.
    pub(super) fn matches(&self) -> Result<Vec<String>, ApiError> {
        let mut all: Vec<String> = self.0.all("match").chain(self.0.all("match[]")).map(str::to_owned).collect();
        all.sort();
        all.dedup();
        if let [one] = all.as_slice()
            && is_everything(one)
        {
            return Ok(Vec::new());
        }
        for text in &all {
            let matchers = logql::parse::parse_matchers(text)?;
            if matchers.is_empty() {
                return Err(ApiError::bad_request(format!("0 matchers in group: {text}")));
            }
            logql::parse::require_non_empty(&matchers)?;
        }
        Ok(all)
    }

    /// `time`; `now_ns` when it is missing.
    pub(super) fn time(&self, now_ns: i64) -> Result<i64, ApiError> {
        timestamp(self.get("time"), now_ns).map_err(ApiError::bad_request)
    }

    /// `start` and `end`, in any order.
    pub(super) fn bounds(&self, now_ns: i64) -> Result<TimeNs, ApiError> {
        bounds(now_ns, self.get("start"), self.get("end"), self.get("since"))
    }

    /// `start` and `end`, which must not be before it.
    pub(super) fn range(&self, now_ns: i64) -> Result<TimeNs, ApiError> {
        let time = self.bounds(now_ns)?;
        if time.end_ns < time.start_ns {
            return Err(ApiError::bad_request(END_BEFORE_START));
        }
        Ok(time)
    }

    /// `step`, or what fits the range: positive, and not so small that there are more than 11,000 steps.
    pub(super) fn step_ns(&self, time: TimeNs) -> Result<i64, ApiError> {
        let step_ns = match self.get("step") {
            "" => default_step_s(time) * SECOND_NS,
            text => seconds_or_duration_ns(text)?,
        };
        if step_ns <= 0 {
            return Err(ApiError::bad_request(STEP_NOT_POSITIVE));
        }
        if time.end_ns.saturating_sub(time.start_ns) / step_ns > STEPS_MAX {
            return Err(ApiError::bad_request(STEP_TOO_SMALL));
        }
        Ok(step_ns)
    }

    /// `interval`: the least time between two entries of a stream.
    pub(super) fn interval_ns(&self) -> Result<i64, ApiError> {
        let interval_ns = match self.get("interval") {
            "" => 0,
            text => seconds_or_duration_ns(text)?,
        };
        if interval_ns < 0 {
            return Err(ApiError::bad_request("interval must be >= 0"));
        }
        Ok(interval_ns)
    }

    /// `limit` of a query.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        count("limit", self.get("limit"), DEFAULT_LIMIT)
    }

    /// `limit` of a volume, where 0 is as good as none.
    pub(super) fn volume_limit(&self) -> Result<usize, ApiError> {
        match self.get("limit") {
            text if atoi(text) == Ok(0) => Ok(DEFAULT_LIMIT),
            text => count("limit", text, DEFAULT_LIMIT),
        }
    }

    /// `line_limit`: how many lines fields are looked for in.
    pub(super) fn line_limit(&self) -> Result<usize, ApiError> {
        count("line_limit", self.get("line_limit"), DEFAULT_LIMIT)
    }

    /// `limit`, which was once called `field_limit`: how many fields, or values of one.
    pub(super) fn fields_limit(&self) -> Result<usize, ApiError> {
        let text = Some(self.get("limit")).filter(|text| !text.is_empty()).unwrap_or_else(|| self.get("field_limit"));
        count("limit", text, DEFAULT_FIELDS)
    }

    /// `delay_for`: seconds that a tail is held back.
    pub(super) fn tail_delay_s(&self) -> Result<u64, ApiError> {
        let text = self.get("delay_for");
        let seconds = if text.is_empty() { 0 } else { atoi(text).map_err(ApiError::bad_request)? };
        if u32::try_from(seconds).is_err() {
            return Err(ApiError::bad_request(format!("delay_for value {seconds} must be between 0 and {}", u32::MAX)));
        }
        if seconds > TAIL_DELAY_MAX_S {
            return Err(ApiError::bad_request(format!("delay_for can't be greater than {TAIL_DELAY_MAX_S}")));
        }
        Ok(seconds.unsigned_abs())
    }

    /// `direction`.
    pub(super) fn direction(&self) -> Result<Direction, ApiError> {
        let text = self.get("direction");
        match text.to_uppercase().as_str() {
            "" | "BACKWARD" => Ok(Direction::Backward),
            "FORWARD" => Ok(Direction::Forward),
            _ => Err(ApiError::bad_request(format!("invalid direction '{text}'"))),
        }
    }

    /// `targetLabels`: the labels that volumes are added up by.
    pub(super) fn target_labels(&self) -> Vec<String> {
        match self.get("targetLabels") {
            "" => Vec::new(),
            names => names.split(',').map(str::to_owned).collect(),
        }
    }

    /// `aggregateBy`: whether volumes are added up by values or by names.
    pub(super) fn aggregate_by(&self) -> Result<VolumeBy, ApiError> {
        match self.get("aggregateBy") {
            "" | "series" => Ok(VolumeBy::Series),
            "labels" => Ok(VolumeBy::Labels),
            _ => Err(ApiError::bad_request("invalid aggregation option")),
        }
    }

    /// The query with `regexp`, the line filter of the oldest clients, at its end.
    ///
    /// # Errors
    /// With `regexp`, a query that is no log query.
    pub(super) fn query_with_regexp(&self) -> Result<String, ApiError> {
        let (text, regexp) = (self.query(), self.get("regexp"));
        if regexp.is_empty() {
            return Ok(text.to_owned());
        }
        logql::parse::parse_log_selector(text)?;
        // On a line of its own: the query may end with a comment.
        Ok(format!("{text}\n|~ {}", quote(regexp)))
    }
}

/// Whether a selector is missing or has no matchers.
fn is_everything(text: &str) -> bool {
    matches!(text.replace(' ', "").as_str(), "" | "{}")
}

/// The range that `start`, `end` and `since` say: the last hour when they are empty. `start` is reckoned from `end`, but from now when
/// that is in the future.
pub(super) fn bounds(now_ns: i64, start: &str, end: &str, since: &str) -> Result<TimeNs, ApiError> {
    let refused = |name: &str, reason: String| ApiError::bad_request(format!("could not parse '{name}' parameter: {reason}"));
    let since_ns = match since {
        "" => DEFAULT_SINCE_NS,
        text => parse_prometheus_duration(text).map_err(|e| refused("since", e))?,
    };
    let end_ns = timestamp(end, now_ns).map_err(|e| refused("end", e))?;
    let start_ns = timestamp(start, end_ns.min(now_ns).saturating_sub(since_ns)).map_err(|e| refused("start", e))?;
    Ok(TimeNs { start_ns, end_ns })
}

/// A time: RFC 3339; a number with a point, which is seconds to three digits, or nanoseconds when it is large; a whole number, which is
/// seconds or, when it is large, nanoseconds. An empty text is `default_ns`.
pub(super) fn timestamp(text: &str, default_ns: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(default_ns);
    }
    if let Some((seconds, nanos)) = parse_rfc3339(text) {
        return Ok(of_seconds(seconds).saturating_add(i64::from(nanos)));
    }
    if !text.contains('.') {
        let number = text.parse::<i64>().map_err(|_| {
            let reason = atoi(text).expect_err("the number was refused just before");
            reason.replacen("strconv.Atoi", "strconv.ParseInt", 1)
        })?;
        return Ok(if number <= SECONDS_MAX { of_seconds(number) } else { number });
    }
    let number = parse_float(text)?;
    if !number.is_finite() {
        return Err("floating point timestamp is NaN or Inf".to_owned());
    }
    let whole = number.trunc();
    if whole.abs() > i64::MAX as f64 {
        return Err("floating point timestamp exceeds integer range".to_owned());
    }
    if whole > SECONDS_MAX as f64 {
        return Ok(whole as i64);
    }
    let fraction = (number.fract() * 1000.0).round() / 1000.0;
    Ok(of_seconds(whole as i64).saturating_add((fraction * SECOND_NS as f64) as i64))
}

fn of_seconds(seconds: i64) -> i64 {
    seconds.saturating_mul(SECOND_NS)
}

/// The step of a range when nothing is said: 250 of them, but at least a second each.
pub(super) fn default_step_s(time: TimeNs) -> i64 {
    (time.end_ns.saturating_sub(time.start_ns) / SECOND_NS / 250).max(1)
}

/// A number of seconds, or a duration in Prometheus' form.
pub(super) fn seconds_or_duration_ns(text: &str) -> Result<i64, ApiError> {
    let refused = |more: &str| ApiError::bad_request(format!("cannot parse {} to a valid duration{more}", quote(text)));
    match parse_float(text) {
        Ok(seconds) => {
            let ns = seconds * SECOND_NS as f64;
            if ns.abs() > i64::MAX as f64 { Err(refused(". It overflows int64")) } else { Ok(ns as i64) }
        }
        Err(_) => parse_prometheus_duration(text).map_err(|_| refused("")),
    }
}

/// How many of something: at least one, at most what 32 bits hold.
fn count(name: &str, text: &str, default: usize) -> Result<usize, ApiError> {
    if text.is_empty() {
        return Ok(default);
    }
    let number = atoi(text).map_err(ApiError::bad_request)?;
    if number <= 0 {
        return Err(ApiError::bad_request("limit must be a positive value"));
    }
    let number = u32::try_from(number)
        .map_err(|_| ApiError::bad_request(format!("{name} value {number} exceeds the maximum of {}", u32::MAX)))?;
    Ok(number as usize)
}

#[cfg(test)]
mod tests;
