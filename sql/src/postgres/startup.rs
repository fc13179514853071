//! The first messages of a session: which database, as whom, with which settings; and the password, if one is asked for.
//!
//! ```text
//! Startup ─► database → tenant ─► no tokens: let in    tokens: AuthenticationCleartextPassword ─► token ─► Admit ─► let in
//! ```
//! The password is a token, known here by its SHA-256 only, and SCRAM needs what that cannot give; so the token travels as it is, as it does
//! over HTTP. That is for the loopback address, or behind something that speaks TLS.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use catalog::TenantId;
use futures::{Sink, SinkExt};
use parking_lot::Mutex;
use pgwire::api::auth::{
    ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation, save_startup_parameters_to_metadata,
};
use pgwire::api::{ClientInfo, METADATA_DATABASE, METADATA_USER, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::startup::Authentication;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::Postgres;
use super::catalog::{Database, Names};
use super::errors::{failed, fatal};
use super::session::{Kept, Session};
use super::settings::{Settings, options};

/// Databases that name no tenant in particular: tools connect to them when they are told nothing else.
const UNNAMED: [&str; 3] = ["", "postgres", "telelake"];
/// What the start-up message has that is no setting.
const NO_SETTINGS: [&str; 4] = ["user", "database", "options", "replication"];

/// Lets clients in.
#[derive(Debug)]
pub(super) struct Startup {
    pub(super) postgres: Arc<Postgres>,
    /// Tells the socket that the client was let in.
    pub(super) known: Arc<AtomicBool>,
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
                if !self.postgres.admit.wants_password() {
                    return self.let_in(client, None).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                client.send(PgWireBackendMessage::Authentication(Authentication::CleartextPassword)).await?;
                Ok(())
            }
            PgWireFrontendMessage::PasswordMessageFamily(message)
                if matches!(client.state(), PgWireConnectionState::AuthenticationInProgress) =>
            {
                let password = message.into_password()?;
                self.let_in(client, Some(password.password.as_str())).await
            }
            _ => Err(fatal("08P01", "this is no start-up message")),
        }
    }
}

impl Startup {
    async fn let_in<C>(&self, client: &mut C, password: Option<&str>) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let named = client.metadata().get(METADATA_DATABASE).cloned().unwrap_or_default();
        let user = client.metadata().get(METADATA_USER).cloned().unwrap_or_else(|| "anonymous".to_owned());
        let tenant = match UNNAMED.contains(&named.as_str()) {
            true => None,
            false => {
                Some(TenantId::parse(&named).map_err(|e| fatal("3D000", format!("database \"{named}\" is no tenant: {e}")))?)
            }
        };
        let tenant = self.postgres.admit.admit(tenant, password).map_err(|reason| {
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
            _key: key,
        });
        self.known.store(true, Ordering::Relaxed);
        metrics::counter!("telelake_postgres_sessions_total").increment(1);
        finish_authentication(client, &told).await
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
