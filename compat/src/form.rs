//! Parameters of a request: from the URL, and from the form in its body, which wins.
//! Source: Go's `net/http` (`ParseForm`, `FormValue`), which Prometheus and Loki read their parameters with.
//!
//! # Invariants
//! - A form is at most [`FORM_BYTES_MAX`] bytes and [`PAIRS_MAX`] pairs.

use axum::extract::Request;
use gosyntax::quote::quote;
use http::{Method, StatusCode, header};

/// Bytes of a form, as Go has it.
pub(crate) const FORM_BYTES_MAX: usize = 10 << 20;
/// Pairs of a form; beyond it somebody is up to something.
pub(crate) const PAIRS_MAX: usize = 100_000;

/// The parameters.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// Those of the body, then those of the URL.
    pairs: Vec<(String, String)>,
    /// How many of them are the body's.
    of_body: usize,
    /// The first thing that could not be read. What could be is there all the same, as in Go.
    malformed: Option<String>,
}

/// Why there are no parameters at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    /// The body has too many bytes, or ends early.
    #[error("request body is larger than {FORM_BYTES_MAX} bytes")]
    TooLarge,
    /// More pairs than anybody needs.
    #[error("request has more than {PAIRS_MAX} parameters")]
    TooMany,
}

impl FormError {
    /// The status that says so.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany => StatusCode::BAD_REQUEST,
        }
    }
}

impl Form {
    /// The parameters of `request`.
    pub(crate) async fn of(request: Request) -> Result<Self, FormError> {
        let (parts, body) = request.into_parts();
        let mut form = Self::default();
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_form =
            content_type.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if is_form && [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
            let body = axum::body::to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| FormError::TooLarge)?;
            form.read(&body)?;
            form.of_body = form.pairs.len();
        }
        form.read(parts.uri.query().unwrap_or_default().as_bytes())?;
        Ok(form)
    }

    /// The parameters of the text behind the question mark of a URL.
    #[cfg(test)]
    pub(crate) fn of_url(query: &str) -> Result<Self, FormError> {
        let mut form = Self::default();
        form.read(query.as_bytes())?;
        Ok(form)
    }

    fn read(&mut self, encoded: &[u8]) -> Result<(), FormError> {
        for pair in encoded.split(|b| *b == b'&').filter(|p| !p.is_empty()) {
            let cut = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
            let value = pair.get(cut + 1..).unwrap_or_default();
            let read = match (pair.contains(&b';'), unescape(&pair[..cut]), unescape(value)) {
                (true, ..) => Err("invalid semicolon separator in query".to_owned()),
                (false, Ok(name), Ok(value)) => Ok((name, value)),
                (false, Err(error), _) | (false, _, Err(error)) => Err(error),
            };
            match read {
                Ok(pair) if self.pairs.len() < PAIRS_MAX => self.pairs.push(pair),
                Ok(_) => return Err(FormError::TooMany),
                Err(error) => self.malformed = self.malformed.take().or(Some(error)),
            }
        }
        Ok(())
    }

    /// The first value of `name`; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The values of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All of them, those of the body first.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of `name` in the URL, whatever the body says.
    pub(crate) fn in_url(&self, name: &str) -> &str {
        self.pairs[self.of_body..].iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// The first thing that could not be read, in Go's words.
    pub(crate) fn malformed(&self) -> Option<&str> {
        self.malformed.as_deref()
    }
}

/// A whole number as Go's `strconv.Atoi` reads it, with its words.
pub(crate) fn atoi(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|e| {
        let overflows = matches!(e.kind(), std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow);
        format!("strconv.Atoi: parsing {}: {}", quote(text), if overflows { "value out of range" } else { "invalid syntax" })
    })
}

/// A flag as Go's `strconv.ParseBool` reads it, with its words.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text))),
    }
}

/// Undoes percent encoding; `+` is a space. Bytes that are no UTF-8 become replacement characters.
pub(crate) fn unescape(encoded: &[u8]) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let hex = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
                let [high, low, after @ ..] = tail else { return Err(invalid_escape(tail)) };
                let (Some(high_digit), Some(low_digit)) = (hex(*high), hex(*low)) else { return Err(invalid_escape(tail)) };
                decoded.push(high_digit << 4 | low_digit);
                rest = after;
            }
            other => decoded.push(*other),
        }
    }
    Ok(String::from_utf8(decoded).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

fn invalid_escape(tail: &[u8]) -> String {
    format!("invalid URL escape {}", quote(&format!("%{}", String::from_utf8_lossy(&tail[..tail.len().min(2)]))))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(method: Method, url: &str, content_type: &str, body: &str) -> Result<Form, FormError> {
        let request = Request::builder().method(method).uri(url).header("content-type", content_type);
        Form::of(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn the_body_comes_before_the_url() {
        let form = read(
            Method::POST,
            "/x?a=url&b=2&type=alert",
            "application/x-www-form-urlencoded; charset=utf-8",
            "a=body&a=two&c=%2B+%c3%bc&type=",
        )
        .await
        .unwrap();
        assert_eq!(form.get("a"), "body");
        assert_eq!(form.all("a").collect::<Vec<_>>(), ["body", "two", "url"]);
        assert_eq!((form.get("b"), form.get("c"), form.get("none")), ("2", "+ ü", ""));
        assert_eq!((form.in_url("type"), form.in_url("a"), form.in_url("c")), ("alert", "url", ""));
        // A GET has no form, and JSON is none.
        assert_eq!(read(Method::GET, "/x?a=url", FORM, "a=body").await.unwrap().get("a"), "url");
        assert_eq!(read(Method::POST, "/x?a=url", "application/json", "a=body").await.unwrap().get("a"), "url");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_said() {
        let form = read(Method::GET, "/x?a=%zz&b=1;c=2&d=3", FORM, "").await.unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("d")), ("", "", "3"));
        assert_eq!(form.malformed(), Some("invalid URL escape \"%zz\""));
        assert_eq!(read(Method::GET, "/x?a=1&&=2&b", FORM, "").await.unwrap().malformed(), None);
        let large = "a=".to_owned() + &"x".repeat(FORM_BYTES_MAX);
        assert_eq!(read(Method::POST, "/x", FORM, &large).await.unwrap_err(), FormError::TooLarge);
        let many = "a&".repeat(PAIRS_MAX + 1);
        assert_eq!(read(Method::POST, "/x", FORM, &many).await.unwrap_err(), FormError::TooMany);
    }

    #[test]
    fn numbers_are_read_with_gos_words() {
        assert_eq!(atoi("7x").unwrap_err(), "strconv.Atoi: parsing \"7x\": invalid syntax");
        assert_eq!(
            atoi("99999999999999999999").unwrap_err(),
            "strconv.Atoi: parsing \"99999999999999999999\": value out of range"
        );
    }
}
