//! Session options: which schema names without one belong to. They are a signed cookie, so that any process can answer.
//!
//! ```text
//! SetSessionOptions{schema: "system"} ─► Set-Cookie: telelake-session=... ─► Cookie: telelake-session=... ─► SELECT * FROM files
//! ```
//! A client that keeps no cookies stays in the default schema. The messages are those of Flight.proto of Arrow 18.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use query::namespace::{CATALOG, SCHEMA, SYSTEM, USAGE, USER};
use tonic::metadata::{MetadataMap, MetadataValue};

use super::Flight;
use super::catalogs::INFORMATION_SCHEMA;
use super::seal::Purpose;
use crate::error::{Error, Result};

const COOKIE: &str = "telelake-session";

/// What a session is set to.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Options {
    /// Empty: the default.
    #[prost(string, tag = "1")]
    schema: String,
}

impl Options {
    /// The schema, if it was set.
    pub(super) fn schema(&self) -> Option<String> {
        (!self.schema.is_empty()).then(|| self.schema.clone())
    }
}

/// A value of an option.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct OptionValue {
    /// One of the kinds. None: the option is taken back.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
    pub(super) kind: Option<Kind>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, ::prost::Oneof)]
pub(super) enum Kind {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

/// A list of texts.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`: what was refused.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, OptionError>,
}

/// Why an option was refused.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(super) struct OptionError {
    #[prost(enumeration = "Refused", tag = "1")]
    pub(super) value: i32,
}

/// The reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ::prost::Enumeration)]
#[repr(i32)]
pub(super) enum Refused {
    /// Not said.
    Unspecified = 0,
    /// There is no such option.
    Name = 1,
    /// The option cannot be that.
    Value = 2,
}

/// `GetSessionOptionsResult`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(super) struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, OptionValue>,
}

/// `CloseSessionResult`.
#[derive(Clone, Copy, PartialEq, Eq, ::prost::Message)]
pub(super) struct CloseResult {
    #[prost(enumeration = "Closed", tag = "1")]
    pub(super) status: i32,
}

/// Whether a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ::prost::Enumeration)]
#[repr(i32)]
pub(super) enum Closed {
    /// Not said.
    Unspecified = 0,
    /// It is.
    Closed = 1,
}

/// Applies what is asked to `options`; says what was refused. Options that were refused leave the others alone.
pub(super) fn set(options: &mut Options, asked: SetRequest) -> SetResult {
    let mut errors = HashMap::new();
    for (name, OptionValue { kind }) in asked.options {
        let text = match &kind {
            None => Some(""),
            Some(Kind::Text(text)) => Some(text.as_str()),
            Some(_) => None,
        };
        let refused = match (name.as_str(), text) {
            ("catalog", Some("" | CATALOG)) => continue,
            ("schema", Some("" | SCHEMA)) => {
                options.schema.clear();
                continue;
            }
            ("schema", Some(schema @ (SYSTEM | USAGE | USER | INFORMATION_SCHEMA))) => {
                options.schema = schema.to_owned();
                continue;
            }
            ("catalog" | "schema", _) => Refused::Value,
            _ => Refused::Name,
        };
        errors.insert(name, OptionError { value: refused.into() });
    }
    SetResult { errors }
}

/// All options and what they are set to.
pub(super) fn get(options: &Options) -> GetResult {
    let text = |text: &str| OptionValue { kind: Some(Kind::Text(text.to_owned())) };
    let schema = options.schema().unwrap_or_else(|| SCHEMA.to_owned());
    GetResult { options: HashMap::from([("catalog".to_owned(), text(CATALOG)), ("schema".to_owned(), text(&schema))]) }
}

impl Flight {
    /// The options in the cookies of a request.
    ///
    /// # Errors
    /// `Parameter`: a cookie that was not made here.
    pub(super) fn session(&self, headers: &MetadataMap) -> Result<Options> {
        let cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
        let mut ours = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
        let Some(value) = ours.next().map(|value| value.trim_matches('"')).filter(|value| !value.is_empty()) else {
            return Ok(Options::default());
        };
        let options = URL_SAFE_NO_PAD.decode(value).ok().and_then(|sealed| self.seal.open(Purpose::Session, &sealed));
        options.ok_or_else(|| Error::Parameter {
            name: COOKIE,
            reason: "was not made by this server, or not since it started; connect again".to_owned(),
        })
    }

    /// The header that makes a client remember `options`; `None`: that makes it forget them.
    pub(super) fn cookie(&self, options: Option<&Options>) -> MetadataValue<tonic::metadata::Ascii> {
        let cookie = match options {
            Some(options) => format!("{COOKIE}={}", URL_SAFE_NO_PAD.encode(self.seal.seal(Purpose::Session, options))),
            None => format!("{COOKIE}=; Max-Age=0"),
        };
        cookie.parse().expect("base64 is ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_one_by_one() {
        let text = |text: &str| OptionValue { kind: Some(Kind::Text(text.to_owned())) };
        let mut options = Options::default();
        let asked = HashMap::from([
            ("catalog".to_owned(), text(CATALOG)),
            ("schema".to_owned(), text(SYSTEM)),
            ("colour".to_owned(), text("red")),
        ]);
        let result = set(&mut options, SetRequest { options: asked });
        assert_eq!(result.errors, HashMap::from([("colour".to_owned(), OptionError { value: 1 })]));
        assert_eq!(options.schema().as_deref(), Some(SYSTEM));
        assert_eq!(get(&options).options["schema"], text(SYSTEM));
        for (name, value) in
            [("catalog", text("other")), ("schema", text("pg_catalog")), ("schema", OptionValue { kind: Some(Kind::Bool(true)) })]
        {
            let result = set(&mut options, SetRequest { options: HashMap::from([(name.to_owned(), value)]) });
            assert_eq!(result.errors[name].value, i32::from(Refused::Value), "{name}");
        }
        set(&mut options, SetRequest { options: HashMap::from([("schema".to_owned(), OptionValue { kind: None })]) });
        assert_eq!(options.schema(), None);
    }
}
