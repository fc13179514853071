//! Deletes by selector.
//!
//! ```text
//! what is in memory becomes files ──► predicates into the manifest ──► answers leave out what they hide of files up to that snapshot
//! ```
//! Rows that come later, with whatever times, are not meant and are seen. Compaction takes the hidden rows out: see [`lake::deletes`], which
//! reads selectors by [`crate::DeleteSelectors`].

use catalog::manifest::{DeletePredicate, Operation};
use catalog::{Signal, TenantId, Timestamp};
use lake::deletes::Selection;
use promql::ast::{MatchOp, Matcher};
use promql::parse::{parse_selector, quote};

use super::error::{Error, Result};
use super::request::DeleteRequest;
use super::series;
use crate::deletes::PREDICATES_MAX;
use crate::engine::Engine;

/// What the text of `delete` means, or why it cannot be read.
pub(crate) fn read_delete(delete: &DeletePredicate) -> std::result::Result<Selection, String> {
    let matchers = parse_selector(&delete.predicate).map_err(|error| error.to_string())?;
    let matchers = series::matchers(&matchers).map_err(|error| error.to_string())?;
    Ok(Selection { matchers, rows: None })
}

/// Deletes what `request` selects.
pub(super) async fn delete(engine: &Engine, tenant: &TenantId, request: &DeleteRequest) -> Result<()> {
    if request.selectors.is_empty() {
        return Err(Error::invalid("no match[] parameter provided"));
    }
    let catalog = engine.lake().catalog();
    let known = catalog.snapshot().delete_predicates(tenant).count() + request.selectors.len();
    if known > PREDICATES_MAX {
        let (found, limit) = (known as u64, PREDICATES_MAX as u64);
        return Err(Error::Limit { name: "of one tenant", what: "delete predicates", found, limit });
    }
    let settled = engine.fresh().settle(tenant).await;
    // Until the commit: from now on rows bring their series' rows along, so that those before may go with the samples.
    let _settled = settled.map_err(|message| Error::Query(crate::Error::Internal { message }))?;
    let operation = |selector: &Vec<Matcher>| Operation::DeletePredicate {
        id: engine.env().new_uuid(),
        tenant: tenant.clone(),
        signal: Signal::Metrics,
        predicate: text(selector),
        start: Timestamp::from_millis(request.time.start_ms),
        end: Timestamp::from_millis(request.time.end_ms),
    };
    let operations = request.selectors.iter().map(operation).collect();
    catalog.commit(operations).await.map_err(|error| Error::Query(crate::Error::Catalog(error)))?;
    Ok(())
}

/// A selector that parses to the same matchers.
fn text(matchers: &[Matcher]) -> String {
    let matcher = |matcher: &Matcher| {
        let op = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        format!("{}{op}{}", quote(&matcher.name), quote(&matcher.value))
    };
    format!("{{{}}}", matchers.iter().map(matcher).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_kept_as_text() {
        for selector in ["up", r#"{job=~"a|b",x!="\n\"",y!~".+"}"#, r#"{"http.status"="200"}"#] {
            let matchers = parse_selector(selector).expect("valid");
            let mut again = parse_selector(&text(&matchers)).expect("it parses");
            let mut matchers = matchers;
            again.sort_by(|a, b| a.name.cmp(&b.name));
            matchers.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!(again, matchers, "{selector}");
        }
    }
}
