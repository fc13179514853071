//! Who a request belongs to: the one place where `X-Scope-OrgID` and tokens are read. A token is a bearer token, or the password of
//! basic authentication, whose user is anybody.
//!
//! ```text
//! request ─► [Gate::admit] ─ TenantId in the request's extensions ─► receivers, SQL, APIs
//!                  └ refused: 401, 403 or 400 with the rule, in HTTP or gRPC as the client speaks
//! ```

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use catalog::TenantId;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use sql::postgres::{Admit, Shown, Verifier, Wanted};

use crate::config::{AuthConfig, TenancyConfig};

/// The header that names the tenant, as Mimir, Loki and Tempo have it.
pub(crate) const TENANT_HEADER: &str = "x-scope-orgid";

/// Decides which tenant a request belongs to.
#[derive(Debug)]
pub(crate) struct Gate {
    header_required: bool,
    tokens: Vec<Token>,
    /// Makes verifiers for users who are unknown.
    secret: [u8; 32],
}

#[derive(Debug)]
struct Token {
    sha256: [u8; 32],
    /// `None`: every tenant.
    tenants: Option<Vec<TenantId>>,
    /// The user of Postgres whose password it is, and what is known of it.
    login: Option<(String, Verifier)>,
}

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Tenancy is on and the request names no tenant.
    #[error("no tenant: send the header X-Scope-OrgID")]
    NoTenant,
    /// The tenant id breaks a rule.
    #[error("X-Scope-OrgID: {0}")]
    InvalidTenant(String),
    /// Tokens are configured and the request has none that is known.
    #[error("no valid bearer token: send the header `Authorization: Bearer TOKEN`, or the token as a password")]
    NoToken,
    /// The token is good, but not for this tenant.
    #[error("the token does not cover tenant {0}")]
    Forbidden(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoTenant | Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::InvalidTenant(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
        }
    }

    fn grpc(&self) -> tonic::Status {
        let message = self.to_string();
        match self {
            Self::NoTenant | Self::NoToken => tonic::Status::unauthenticated(message),
            Self::InvalidTenant(_) => tonic::Status::invalid_argument(message),
            Self::Forbidden(_) => tonic::Status::permission_denied(message),
        }
    }
}

impl Gate {
    /// A gate by configuration, which was validated, with a secret that was drawn for it.
    pub(crate) fn new(tenancy: &TenancyConfig, auth: &AuthConfig, secret: [u8; 32]) -> Self {
        let tokens = auth.tokens.iter().map(|token| Token {
            sha256: token.digest().expect("validated when the configuration was read"),
            tenants: (!token.tenants.iter().any(|t| t == "*"))
                .then(|| token.tenants.iter().filter_map(|t| TenantId::parse(t).ok()).collect()),
            login: token.login().map(|(user, verifier)| (user.to_owned(), verifier)),
        });
        Self { header_required: tenancy.enabled, tokens: tokens.collect(), secret }
    }

    /// The tenant of a request with these headers.
    fn admit(&self, headers: &HeaderMap) -> Result<TenantId, Refusal> {
        let token = self.authorize(headers)?;
        let asked = match headers.get(TENANT_HEADER) {
            None => None,
            Some(value) => {
                let id = value.to_str().map_err(|_| Refusal::InvalidTenant("tenant id is not ASCII".to_owned()))?;
                Some(TenantId::parse(id).map_err(|e| Refusal::InvalidTenant(e.to_string()))?)
            }
        };
        self.tenant(token, asked)
    }

    /// The tenant that `asked` means to the owner of `token`.
    fn tenant(&self, token: Option<&Token>, asked: Option<TenantId>) -> Result<TenantId, Refusal> {
        let covered = token.and_then(|t| t.tenants.as_deref());
        match (asked, covered) {
            (Some(tenant), Some(covered)) if !covered.contains(&tenant) => Err(Refusal::Forbidden(tenant.to_string())),
            (Some(tenant), _) => Ok(tenant),
            (None, Some([only])) => Ok(only.clone()),
            (None, Some(covered)) if self.header_required || !covered.contains(&TenantId::anonymous()) => Err(Refusal::NoTenant),
            (None, None) if self.header_required => Err(Refusal::NoTenant),
            (None, _) => Ok(TenantId::anonymous()),
        }
    }

    /// The token that the request carries; `None` when no tokens are configured.
    fn authorize(&self, headers: &HeaderMap) -> Result<Option<&Token>, Refusal> {
        if self.tokens.is_empty() {
            return Ok(None);
        }
        let presented = headers.get(header::AUTHORIZATION).and_then(presented).ok_or(Refusal::NoToken)?;
        self.known(&presented).map(Some).ok_or(Refusal::NoToken)
    }

    /// The token that is the password of `user`, and what is known of it.
    fn login(&self, user: &str) -> Option<(&Token, &Verifier)> {
        let mut logins = self.tokens.iter().filter_map(|token| Some((token, token.login.as_ref()?)));
        logins.find(|(_, (name, _))| name == user).map(|(token, (_, verifier))| (token, verifier))
    }

    /// The token that `presented` is.
    fn known(&self, presented: &str) -> Option<&Token> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        // Digests are compared, every one of them: the time taken tells nothing about a token.
        let mut found = None;
        for token in &self.tokens {
            if token.sha256.iter().zip(&digest).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0 {
                found = Some(token);
            }
        }
        found
    }
}

/// Sessions of Postgres: the password is the token, which need not travel if the user has a verifier; the database is the tenant.
impl Admit for Gate {
    fn wants(&self, user: &str) -> Wanted {
        match self.login(user) {
            Some((_, verifier)) => Wanted::Proof(verifier.clone()),
            None if self.tokens.is_empty() => Wanted::Nothing,
            None if self.tokens.iter().any(|token| token.login.is_none()) => Wanted::Token,
            // No token travels, then none is asked of a stranger either.
            None => Wanted::Proof(Verifier::of_nobody(&self.secret, user)),
        }
    }

    fn admit(&self, tenant: Option<TenantId>, shown: Shown<'_>) -> Result<TenantId, String> {
        let token = match shown {
            _ if self.tokens.is_empty() => None,
            Shown::Nothing => return Err("password authentication failed: no password".to_owned()),
            Shown::Token(token) => {
                let token = self.known(token);
                Some(token.ok_or("password authentication failed: the password is a token of the configuration")?)
            }
            Shown::Proof(user) => Some(self.login(user).ok_or("password authentication failed: unknown user")?.0),
        };
        self.tenant(token, tenant).map_err(|refusal| match refusal {
            Refusal::NoTenant => "no tenant: connect to the database of that name".to_owned(),
            other => other.to_string(),
        })
    }
}

/// The token in `Authorization: Bearer TOKEN` or `Authorization: Basic base64(user:TOKEN)`. Schemes have no case (RFC 9110, 11.1), and
/// clients of Flight in Go write base64 without its padding.
fn presented(authorization: &http::HeaderValue) -> Option<String> {
    let (scheme, rest) = authorization.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    let pair =
        scheme.eq_ignore_ascii_case("basic").then(|| STANDARD_NO_PAD.decode(rest.trim().trim_end_matches('=')).ok()).flatten()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Puts the request's [`TenantId`] into its extensions, or refuses it.
pub(crate) async fn tenant(State(gate): State<Arc<Gate>>, mut request: Request, next: Next) -> Response {
    match Gate::admit(&gate, request.headers()) {
        Ok(tenant) => {
            request.extensions_mut().insert(tenant);
            next.run(request).await
        }
        Err(refusal) => refuse(&request, &refusal),
    }
}

/// Lets a request pass that carries a valid token, whatever its tenant: for routes about the node.
pub(crate) async fn token(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.authorize(request.headers()) {
        Ok(_) => next.run(request).await,
        Err(refusal) => refuse(&request, &refusal),
    }
}

fn refuse(request: &Request, refusal: &Refusal) -> Response {
    metrics::counter!("telelake_http_refused_total").increment(1);
    let content_type = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    if content_type.is_some_and(|v| v.starts_with(b"application/grpc")) {
        return refusal.grpc().into_http();
    }
    let kind = if refusal.status() == StatusCode::BAD_REQUEST { "invalid" } else { "denied" };
    let body = serde_json::json!({ "error": refusal.to_string(), "kind": kind });
    (refusal.status(), axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenConfig;

    fn gate(header_required: bool, tokens: &[(&str, &[&str])]) -> Gate {
        let tokens = tokens.iter().map(|(token, tenants)| TokenConfig {
            sha256: Sha256::digest(token.as_bytes()).iter().map(|b| format!("{b:02x}")).collect(),
            tenants: tenants.iter().map(|t| (*t).to_owned()).collect(),
            user: None,
            scram: None,
        });
        Gate::new(&TenancyConfig { enabled: header_required }, &AuthConfig { tokens: tokens.collect() }, [7; 32])
    }

    #[track_caller]
    fn check(gate: &Gate, tenant: Option<&str>, token: Option<&str>, expected: Result<&str, u16>) {
        let mut headers = HeaderMap::new();
        if let Some(tenant) = tenant {
            headers.insert(TENANT_HEADER, tenant.parse().expect("header"));
        }
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("header"));
        }
        let got = Gate::admit(gate, &headers);
        let got = got.as_ref().map(TenantId::as_str).map_err(|r| r.status().as_u16());
        assert_eq!(got, expected, "{tenant:?} {token:?}");
    }

    #[test]
    fn header_decides_without_tokens() {
        let off = gate(false, &[]);
        check(&off, None, None, Ok("anonymous"));
        check(&off, Some("team-a"), None, Ok("team-a"));
        check(&off, Some("a/b"), None, Err(400));
        check(&off, Some(""), None, Err(400));
        let on = gate(true, &[]);
        check(&on, None, None, Err(401));
        check(&on, Some("team-a"), None, Ok("team-a"));
    }

    #[test]
    fn databases_are_tenants_and_passwords_tokens() {
        #[track_caller]
        fn check(gate: &Gate, tenant: Option<&str>, password: Option<&str>, expected: Option<&str>) {
            let asked = tenant.map(|id| TenantId::parse(id).expect("tenant"));
            let got = Admit::admit(gate, asked, password.map_or(Shown::Nothing, Shown::Token));
            assert_eq!(got.as_ref().ok().map(TenantId::as_str), expected, "{tenant:?} {password:?} {got:?}");
        }
        let open = gate(false, &[]);
        assert_eq!(open.wants("grafana"), Wanted::Nothing);
        check(&open, None, None, Some("anonymous"));
        check(&open, Some("a"), Some("whatever"), Some("a"));
        check(&gate(true, &[]), None, None, None);
        let guarded = gate(false, &[("s1", &["a"]), ("s2", &["a", "b"])]);
        assert_eq!(guarded.wants("grafana"), Wanted::Token);
        check(&guarded, Some("a"), None, None);
        check(&guarded, Some("a"), Some("wrong"), None);
        check(&guarded, None, Some("s1"), Some("a"));
        check(&guarded, Some("b"), Some("s1"), None);
        check(&guarded, Some("b"), Some("s2"), Some("b"));
    }

    #[test]
    fn users_with_verifiers_prove_what_they_have() {
        let verifier = Verifier::of_password("s1", [1; 16]);
        let mut gate = gate(false, &[("s1", &["a"]), ("s2", &["b"])]);
        gate.tokens[0].login = Some(("grafana".to_owned(), verifier.clone()));
        assert_eq!(gate.wants("grafana"), Wanted::Proof(verifier));
        assert_eq!(gate.wants("other"), Wanted::Token);
        let a = TenantId::parse("a").ok();
        assert_eq!(Admit::admit(&gate, None, Shown::Proof("grafana")).ok(), a);
        assert!(Admit::admit(&gate, TenantId::parse("b").ok(), Shown::Proof("grafana")).is_err());
        assert!(Admit::admit(&gate, None, Shown::Proof("other")).is_err());
        // When no token travels, nobody is asked to send one, and who is unknown cannot be told.
        gate.tokens.pop();
        assert_eq!(gate.wants("other"), Wanted::Proof(Verifier::of_nobody(&[7; 32], "other")));
    }

    #[test]
    fn token_wins_over_the_header() {
        let gate = gate(false, &[("s1", &["a"]), ("s2", &["a", "b"]), ("root", &["*"])]);
        check(&gate, Some("a"), None, Err(401));
        check(&gate, Some("a"), Some("wrong"), Err(401));
        check(&gate, None, Some("s1"), Ok("a")); // a token for one tenant needs no header
        check(&gate, Some("b"), Some("s1"), Err(403));
        check(&gate, Some("b"), Some("s2"), Ok("b"));
        check(&gate, None, Some("s2"), Err(401)); // which of the two?
        check(&gate, Some("c"), Some("root"), Ok("c"));
        check(&gate, None, Some("root"), Ok("anonymous"));
    }
}
