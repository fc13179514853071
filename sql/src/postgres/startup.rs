//! The first messages of a session: which database, as whom, with which settings; and the password, if one is asked for.
//!
//! ```text
//! Startup ─ encrypted, if there is a certificate ─► Admit::wants ─┬ nothing ─────────────────────────────────────┐
//!                                                                 ├ a token ─ AuthenticationCleartextPassword ──┤
//!                                                                 └ a proof ─ SASL, SASLContinue, SASLFinal ────┴► Admit::admit ─► let in
//! ```
//! The password is a token. Of most, the SHA-256 is all that is known, and SCRAM needs what that cannot give; so such a token travels as it
//! is, as it does over HTTP: over TLS, or to the loopback address. One with a verifier does not travel at all.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::TenantId;
use futures::{Sink, SinkExt};
use parking_lot::Mutex;
use pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_DATABASE, METADATA_USER, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::catalog::{Database, Names};
use super::cursor::Cursors;
use super::errors::{failed, fatal};
use super::scram::{Exchange, MECHANISM, ScramError, Verifier, initial_response};
use super::session::{Kept, Session};
use super::settings::{Settings, options};
use super::{Postgres, Shown, Wanted};

/// Databases that name no tenant in particular: tools connect to them when they are told nothing else.
const UNNAMED: [&str; 3] = ["", "postgres", "telelake"];
/// What the start-up message has that is no setting.
const NO_SETTINGS: [&str; 4] = ["user", "database", "options", "replication"];

/// Lets clients in.
#[derive(Debug)]
pub(super) struct Startup {
    postgres: Arc<Postgres>,
    /// Tells the socket that the client was let in.
    known: Arc<AtomicBool>,
    proof: Mutex<Proof>,
}

/// How far a client is with what it has to show.
#[derive(Debug)]
enum Proof {
    /// Nothing was asked for, or it is over.
    None,
    Token,
    First(Verifier),
    Last(Exchange),
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                if client.metadata().get("replication").is_some_and(|mode| !matches!(mode.as_str(), "false" | "off" | "no" | "0"))
                {
                    return Err(fatal("0A000", "replication is not supported: this server can only be read with SQL"));
                }
                if self.postgres.tls.is_some() && !client.is_secure() {
                    return Err(fatal(
                        "28000",
                        "connection is not encrypted, and this server wants TLS: connect with sslmode=require",
                    ));
                }
                let (proof, asked) = match self.postgres.admit.wants(&user(client)) {
                    Wanted::Nothing => return self.let_in(client, Shown::Nothing).await,
                    Wanted::Token => (Proof::Token, Authentication::CleartextPassword),
                    Wanted::Proof(verifier) => (Proof::First(verifier), Authentication::SASL(vec![MECHANISM.to_owned()])),
                };
                *self.proof.lock() = proof;
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(asked)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message)
                if matches!(client.state(), PgWireConnectionState::AuthenticationInProgress) =>
            {
                self.prove(client, message).await
            }
            _ => Err(fatal("08P01", "this is no start-up message")),
        }
    }
}

impl Startup {
    /// Lets in one client, which `known` tells of then.
    pub(super) fn new(postgres: Arc<Postgres>, known: Arc<AtomicBool>) -> Self {
        Self { postgres, known, proof: Mutex::new(Proof::None) }
    }

    /// Takes the next message of somebody who has something to prove.
    async fn prove<C>(&self, client: &mut C, message: PasswordMessageFamily) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let proof = std::mem::replace(&mut *self.proof.lock(), Proof::None);
        match proof {
            Proof::None => Err(fatal("08P01", "there is nothing to prove")),
            Proof::Token => {
                let token = message.into_password()?;
                self.let_in(client, Shown::Token(&token.password)).await
            }
            Proof::First(verifier) => {
                let PasswordMessageFamily::Raw(body) = message else { return Err(fatal("08P01", "this is no proof")) };
                let (mechanism, first) = initial_response(&body).map_err(|e| refused(client, e))?;
                if mechanism != MECHANISM {
                    return Err(fatal("08P01", "client selected a SASL mechanism that was not offered"));
                }
                let (exchange, answer) = Exchange::begin(verifier, first, &self.nonce()).map_err(|e| refused(client, e))?;
                *self.proof.lock() = Proof::Last(exchange);
                client.send(PgWireBackendMessage::Authentication(Authentication::SASLContinue(answer.into()))).await?;
                Ok(())
            }
            Proof::Last(exchange) => {
                let last = message.into_sasl_response()?;
                let answer = exchange.finish(&last.data).map_err(|e| refused(client, e))?;
                client.send(PgWireBackendMessage::Authentication(Authentication::SASLFinal(answer.into()))).await?;
                let user = user(client);
                self.let_in(client, Shown::Proof(&user)).await
            }
        }
    }

    /// A nonce that nobody has seen.
    fn nonce(&self) -> String {
        let entropy = &self.postgres.engine.engine().env().entropy;
        STANDARD.encode([entropy.next_u64(), entropy.next_u64(), entropy.next_u64()].map(u64::to_le_bytes).concat())
    }

    async fn let_in<C>(&self, client: &mut C, shown: Shown<'_>) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let named = client.metadata().get(METADATA_DATABASE).cloned().unwrap_or_default();
        let user = user(client);
        let tenant = match UNNAMED.contains(&named.as_str()) {
            true => None,
            false => {
                Some(TenantId::parse(&named).map_err(|e| fatal("3D000", format!("database \"{named}\" is no tenant: {e}")))?)
            }
        };
        let tenant = self.postgres.admit.admit(tenant, shown).map_err(|reason| {
            metrics::counter!("telelake_postgres_refused_total").increment(1);
            fatal("28P01", reason)
        })?;
        let database = if named.is_empty() { query::namespace::CATALOG.to_owned() } else { named };
        let settings = settings(client.metadata(), &user)?;
        let names = self.postgres.names().await?;
        let described = Database::new(&database, Arc::clone(&names)).described(&user).await;
        let described = described.map_err(|e| failed(&crate::Error::from(query::Error::from(e))))?;
        let flight = self.postgres.engine.engine().env().new_uuid();
        let key = self.postgres.cancel.new_key(client.protocol_version(), tenant.clone(), flight);
        client.set_pid_and_secret_key(key.pid, key.secret.clone());
        let told = Told(settings.told().into_iter().collect());
        let (settings, kept) = (Mutex::new(settings), Mutex::new(Kept::default()));
        client.session_extensions().insert(Session {
            tenant,
            database,
            user,
            flight,
            names,
            described,
            settings,
            kept,
            cursors: Cursors::default(),
            _key: key,
        });
        self.known.store(true, Ordering::Relaxed);
        metrics::counter!("telelake_postgres_sessions_total").increment(1);
        finish_authentication(client, &told).await
    }
}

/// The user as the client calls itself.
fn user<C: ClientInfo>(client: &C) -> String {
    client.metadata().get(METADATA_USER).cloned().unwrap_or_else(|| "anonymous".to_owned())
}

/// What is said of a proof that is none.
fn refused<C: ClientInfo>(client: &C, error: ScramError) -> PgWireError {
    match error {
        ScramError::WrongProof => {
            metrics::counter!("telelake_postgres_refused_total").increment(1);
            fatal("28P01", format!("password authentication failed for user \"{}\"", user(client)))
        }
        ScramError::NotOffered(_) => fatal("0A000", error.to_string()),
        ScramError::Malformed(_) => fatal("08P01", error.to_string()),
    }
}

impl Postgres {
    async fn names(&self) -> PgWireResult<Arc<Names>> {
        let read = || async { Names::read(self.engine.engine()).await.map(Arc::new) };
        self.names.get_or_try_init(read).await.map(Arc::clone).map_err(|e| failed(&e))
    }
}

/// What the client sets with its first message.
fn settings(parameters: &HashMap<String, String>, user: &str) -> PgWireResult<Settings> {
    let mut settings = Settings::default();
    let own = parameters.iter().filter(|(name, _)| !NO_SETTINGS.contains(&name.as_str()) && !name.starts_with("_pq_."));
    let own = own.map(|(name, value)| (name.clone(), value.clone()));
    let options = parameters.get("options").map(|text| options(text)).unwrap_or_default();
    let user = ("session_authorization".to_owned(), user.to_owned());
    for (name, value) in own.chain(options).chain([user]) {
        settings.set(&name, Some(&value)).map_err(|refused| fatal(refused.state(), refused.to_string()))?;
    }
    Ok(settings)
}

/// What the client is told of the server.
#[derive(Debug)]
struct Told(HashMap<String, String>);

impl ServerParameterProvider for Told {
    fn server_parameters<C: ClientInfo>(&self, _: &C) -> Option<HashMap<String, String>> {
        Some(self.0.clone())
    }
}
