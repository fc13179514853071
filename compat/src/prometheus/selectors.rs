//! `match[]`: selectors of series.
//! Source: `parseMatchersParam` of Prometheus `web/api/v1/api.go`.

use promql::ast::Matcher;
use promql::parse::{matches_nothing_empty, parse_selector};

use super::form::Form;

/// Most selectors of one request.
const SELECTORS_MAX: usize = 1000;

/// The selectors of `form`. Each has a matcher that refuses series without its label.
///
/// # Errors
/// The text that Prometheus has for it; endpoints differ in what they put before it.
pub(super) fn of(form: &Form) -> Result<Vec<Vec<Matcher>>, String> {
    let texts: Vec<&str> = form.all("match[]").collect();
    if texts.len() > SELECTORS_MAX {
        return Err(format!("request has {} match[] parameters, limit is {SELECTORS_MAX}", texts.len()));
    }
    let parsed: Result<Vec<_>, _> = texts.into_iter().map(|text| parse_selector(text).map_err(|e| e.to_string())).collect();
    let parsed = parsed?;
    if parsed.iter().any(|matchers| !matches_nothing_empty(matchers)) {
        return Err("match[] must contain at least one non-empty matcher".to_owned());
    }
    Ok(parsed)
}
