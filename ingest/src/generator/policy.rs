//! Which spans are counted: policies that include and exclude them by kind, status, name and attributes, as Tempo's `filter_policies`.
//!
//! ```text
//! span ─► an `exclude` matches? ─ yes ─► no
//!                └ no ─► an `include_any` matches? ─ yes ─► counted
//!                               └ no ─► every `include` matches (there is one, or no `include_any` either)? ─► counted
//! ```
//! A policy matches a span that meets all of its conditions. What resources must have is asked once per resource ([`super::resources`]).
//! Patterns match anywhere in a text, as Tempo's do; an attribute of another type than the value meets no condition.

use std::borrow::Cow;
use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::attributes::{Attributes, Typed};
use super::batch::SpanBatch;
use super::config::InvalidGeneratorConfig;
use super::resources::{Known, Wanted};
use super::spans::{KINDS, STATUSES, kind_name, status_name};

/// Conditions of one policy, and policies of one list.
const POLICIES_MAX: usize = 64;

/// What spans must have, may have instead, or must not have. One of the three at least.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterPolicy {
    /// Every span that is counted matches this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<PolicyMatch>,
    /// A span that matches this is counted whatever else is to be included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_any: Option<PolicyMatch>,
    /// A span that matches this is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<PolicyMatch>,
}

/// Conditions that must all be met.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyMatch {
    /// How values are compared.
    pub match_type: MatchType,
    /// The conditions, at least one.
    pub attributes: Vec<AttributeMatch>,
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// They are equal.
    Strict,
    /// The value is a pattern that matches somewhere in the text.
    Regex,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeMatch {
    /// `kind`, `status` or `name`, or an attribute as `span.NAME` or `resource.NAME`.
    pub key: String,
    /// What it is, e.g. `"SPAN_KIND_SERVER"`, or a pattern.
    pub value: MatchValue,
}

/// What an attribute is compared with: the types must be the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MatchValue {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Text, or a pattern.
    Text(String),
}

impl fmt::Display for MatchValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// The policies of one list, compiled.
#[derive(Debug, Default)]
pub(super) struct Filter {
    include: Vec<Policy>,
    include_any: Vec<Policy>,
    exclude: Vec<Policy>,
}

/// Conditions that must all be met.
#[derive(Debug)]
struct Policy(Vec<Condition>);

#[derive(Debug)]
enum Condition {
    Name(Test),
    Kind(Test),
    Status(Test),
    Attribute(String, Test),
    /// Its place in [`Wanted::conditions`].
    Resource(usize),
}

/// A condition that resources are asked for.
#[derive(Debug)]
pub(super) struct ResourceCondition {
    attribute: String,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Is(MatchValue),
    Matches(Regex),
}

/// Where a condition looks.
enum Subject<'k> {
    Name,
    Kind,
    Status,
    Span(&'k str),
    Resource(&'k str),
}

/// Why a condition is none: what its value must be.
type Wrong = Cow<'static, str>;

/// Checks a list of policies; `key` is that of the list.
///
/// # Errors
/// The first policy without conditions, condition that looks where nothing is, value that nothing can have, or bad pattern.
pub(super) fn validate(key: &'static str, policies: &[FilterPolicy]) -> Result<(), InvalidGeneratorConfig> {
    let wrong = |key: String, value: String, bound: Wrong| Err(InvalidGeneratorConfig { key: key.into(), value, bound });
    if policies.len() > POLICIES_MAX {
        return wrong(key.to_owned(), policies.len().to_string(), "at most 64 policies".into());
    }
    for (at, policy) in policies.iter().enumerate() {
        if policy.parts().next().is_none() {
            return wrong(format!("{key}[{at}]"), "empty".to_owned(), "an include, include_any or exclude".into());
        }
        for (part, found) in policy.parts() {
            let attributes = format!("{key}[{at}].{part}.attributes");
            if found.attributes.is_empty() || found.attributes.len() > POLICIES_MAX {
                return wrong(attributes, found.attributes.len().to_string(), "1 to 64 conditions".into());
            }
            for AttributeMatch { key, value } in &found.attributes {
                let subject = match subject(key) {
                    Ok(subject) => subject,
                    Err(bound) => return wrong(attributes, format!("{key:?}"), bound),
                };
                if let Err(bound) = Test::new(&subject, found.match_type, value) {
                    return wrong(format!("{attributes}.{key}"), value.to_string(), bound);
                }
            }
        }
    }
    Ok(())
}

/// Where the condition of that key looks.
fn subject(key: &str) -> Result<Subject<'_>, Wrong> {
    let named = |name: &str| !name.is_empty();
    match key {
        "name" | "span:name" => Ok(Subject::Name),
        "kind" | "span:kind" => Ok(Subject::Kind),
        "status" | "span:status" => Ok(Subject::Status),
        _ => match (key.strip_prefix("span."), key.strip_prefix("resource.")) {
            (Some(name), _) if named(name) => Ok(Subject::Span(name)),
            (_, Some(name)) if named(name) => Ok(Subject::Resource(name)),
            _ => {
                let known = ["name", "kind", "status"].into_iter().find(|known| key.eq_ignore_ascii_case(known));
                Err(match known {
                    Some(known) => format!("{known:?}").into(),
                    None => format!("name, kind, status, or an attribute with its scope; \"span.{key}\" or \"resource.{key}\"?")
                        .into(),
                })
            }
        },
    }
}

impl FilterPolicy {
    fn parts(&self) -> impl Iterator<Item = (&'static str, &PolicyMatch)> {
        let parts = [("include", &self.include), ("include_any", &self.include_any), ("exclude", &self.exclude)];
        parts.into_iter().filter_map(|(name, part)| Some((name, part.as_ref()?)))
    }
}

impl Test {
    fn new(subject: &Subject<'_>, match_type: MatchType, value: &MatchValue) -> Result<Self, Wrong> {
        let text = match value {
            MatchValue::Text(text) => Some(text),
            _ => None,
        };
        let names: Option<&[&str]> = match subject {
            Subject::Kind => Some(&KINDS),
            Subject::Status => Some(&STATUSES),
            _ => None,
        };
        match (match_type, text) {
            (MatchType::Regex, None) => Err("a pattern in quotes".into()),
            (MatchType::Regex, Some(text)) => {
                // The first line says where, the last one says what.
                let said = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Regex::new(text).map(Self::Matches).map_err(|error| format!("a regular expression ({})", said(error)).into())
            }
            (MatchType::Strict, None) if matches!(subject, Subject::Name | Subject::Kind | Subject::Status) => Err("text".into()),
            (MatchType::Strict, Some(text)) if names.is_some_and(|names| !names.contains(&text.as_str())) => {
                Err(format!("one of {}", names.unwrap_or_default().join(", ")).into())
            }
            (MatchType::Strict, _) => Ok(Self::Is(value.clone())),
        }
    }

    fn text(&self, found: &str) -> bool {
        match self {
            Self::Is(MatchValue::Text(value)) => value == found,
            Self::Matches(pattern) => pattern.is_match(found),
            Self::Is(_) => false,
        }
    }

    fn typed(&self, found: Option<Typed<'_>>) -> bool {
        match (self, found) {
            (_, Some(Typed::Text(found))) => self.text(found),
            (Self::Is(MatchValue::Bool(value)), Some(Typed::Bool(found))) => *value == found,
            (Self::Is(MatchValue::Int(value)), Some(Typed::Int(found))) => *value == found,
            (Self::Is(MatchValue::Double(value)), Some(Typed::Double(found))) => *value == found,
            _ => false,
        }
    }
}

impl ResourceCondition {
    /// Whether the resource in a row of `resources` meets it.
    pub(super) fn is_met(&self, attributes: &Attributes<'_>, row: usize) -> bool {
        self.test.typed(attributes.typed(row, &self.attribute))
    }
}

impl Filter {
    /// Policies that are valid ([`validate`]); resources are told what they will be asked.
    pub(super) fn new(policies: &[FilterPolicy], wanted: &mut Wanted) -> Self {
        let mut compile = |found: &PolicyMatch| {
            let condition = |attribute: &AttributeMatch| {
                let subject = subject(&attribute.key).ok()?;
                let test = Test::new(&subject, found.match_type, &attribute.value).ok()?;
                Some(match subject {
                    Subject::Name => Condition::Name(test),
                    Subject::Kind => Condition::Kind(test),
                    Subject::Status => Condition::Status(test),
                    Subject::Span(name) => Condition::Attribute(name.to_owned(), test),
                    Subject::Resource(name) => {
                        wanted.conditions.push(ResourceCondition { attribute: name.to_owned(), test });
                        Condition::Resource(wanted.conditions.len() - 1)
                    }
                })
            };
            Policy(found.attributes.iter().map(condition).map(|c| c.expect("the configuration was validated")).collect())
        };
        let mut filter = Self::default();
        for policy in policies {
            filter.include.extend(policy.include.as_ref().map(&mut compile));
            filter.include_any.extend(policy.include_any.as_ref().map(&mut compile));
            filter.exclude.extend(policy.exclude.as_ref().map(&mut compile));
        }
        filter
    }

    /// Whether every span passes.
    pub(super) fn is_empty(&self) -> bool {
        self.policies().next().is_none()
    }

    /// Whether resources are asked.
    pub(super) fn wants_resource(&self) -> bool {
        self.policies().any(|policy| policy.0.iter().any(|c| matches!(c, Condition::Resource(_))))
    }

    fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.include.iter().chain(&self.include_any).chain(&self.exclude)
    }

    /// Whether the span in `row` is counted.
    pub(super) fn admits(&self, batch: &SpanBatch<'_>, row: usize, resource: Option<&Known>) -> bool {
        let matches = |policy: &Policy| policy.0.iter().all(|condition| condition.is_met(batch, row, resource));
        if self.exclude.iter().any(matches) {
            return false;
        }
        if self.include_any.iter().any(matches) {
            return true;
        }
        (!self.include.is_empty() || self.include_any.is_empty()) && self.include.iter().all(matches)
    }
}

impl Condition {
    fn is_met(&self, batch: &SpanBatch<'_>, row: usize, resource: Option<&Known>) -> bool {
        match self {
            Self::Name(test) => test.text(batch.names.get(row)),
            Self::Kind(test) => test.text(&kind_name(batch.kinds.value(row))),
            Self::Status(test) => test.text(&status_name(batch.statuses.value(row))),
            Self::Attribute(name, test) => test.typed(batch.attributes.typed(row, name)),
            Self::Resource(place) => resource.is_some_and(|known| known.met.get(*place).copied().unwrap_or(false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Policies as they are written in a file.
    pub(super) fn read(text: &str) -> Vec<FilterPolicy> {
        serde_yaml_ng::from_str(text).expect("policies")
    }

    #[test]
    fn what_is_wrong_is_named() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let error = validate("filter_policies", &read(text)).err().map(|e| e.to_string());
            assert_eq!(error.as_deref(), expected);
        }
        let include = |kind: &str, key: &str, value: &str| {
            format!("[{{include: {{match_type: {kind}, attributes: [{{key: {key}, value: {value}}}]}}}}]")
        };
        check(&include("strict", "kind", "SPAN_KIND_SERVER"), None);
        check(&include("strict", "span.n", "5"), None);
        check(&include("regex", "resource.x", "eu-.*"), None);
        check("[{}]", Some("generator.filter_policies[0] is empty, must be an include, include_any or exclude"));
        check(
            "[{exclude: {match_type: strict, attributes: []}}]",
            Some("generator.filter_policies[0].exclude.attributes is 0, must be 1 to 64 conditions"),
        );
        check(
            &include("strict", "location", "earth"),
            Some(
                "generator.filter_policies[0].include.attributes is \"location\", must be name, kind, status, or an attribute with its \
                 scope; \"span.location\" or \"resource.location\"?",
            ),
        );
        check(
            &include("strict", "status", "ERROR"),
            Some(
                "generator.filter_policies[0].include.attributes.status is \"ERROR\", must be one of STATUS_CODE_UNSET, \
                 STATUS_CODE_OK, STATUS_CODE_ERROR",
            ),
        );
        check(&include("strict", "name", "5"), Some("generator.filter_policies[0].include.attributes.name is 5, must be text"));
        check(
            &include("regex", "span.n", "5"),
            Some("generator.filter_policies[0].include.attributes.span.n is 5, must be a pattern in quotes"),
        );
        check(
            &include("regex", "name", "'a('"),
            Some(
                "generator.filter_policies[0].include.attributes.name is \"a(\", must be a regular expression (error: unclosed group)",
            ),
        );
    }

    #[test]
    fn values_have_types() {
        let is = |value| Test::Is(value);
        assert!(is(MatchValue::Int(1)).typed(Some(Typed::Int(1))));
        assert!(!is(MatchValue::Int(1)).typed(Some(Typed::Double(1.0))));
        assert!(is(MatchValue::Double(0.5)).typed(Some(Typed::Double(0.5))));
        assert!(is(MatchValue::Bool(true)).typed(Some(Typed::Bool(true))));
        assert!(!is(MatchValue::Text("1".to_owned())).typed(Some(Typed::Int(1))));
        assert!(!is(MatchValue::Text(String::new())).typed(None));
        let pattern = Test::Matches(Regex::new("eu-.*").expect("a pattern"));
        assert!(pattern.typed(Some(Typed::Text("my-eu-1"))) && !pattern.typed(Some(Typed::Text("us-1"))));
    }
}
