//! One connection: from the request for encryption to the last message.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use pgwire::api::{ClientInfo, DefaultClient, NoopHandler, PgWireConnectionState};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::PgWireFrontendMessage;
use pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::Postgres;
use super::cancel::Canceller;
use super::encryption::negotiate;
use super::errors::{failed, fatal};
use super::extended::{Extended, Prepared};
use super::session::Session;
use super::simple::Simple;
use super::startup::Startup;
use super::statements::Todo;
use super::wire::{self, Wire};
use crate::error::Error;

/// A client must have been let in by then.
const STARTUP_MAX: Duration = Duration::from_secs(20);
type Socket = Framed<Wire, PgWireMessageServerCodec<Arc<Prepared>>>;

struct Handlers {
    startup: Arc<Startup>,
    simple: Arc<Simple>,
    extended: Arc<Extended>,
    cancel: Arc<Canceller>,
}

/// What to do after a message.
enum Next {
    Message,
    Close,
}

impl Postgres {
    /// Serves one connection until its client leaves, or until `stop`: then at once, or after the message that it is at.
    ///
    /// # Errors
    /// The socket's.
    pub async fn serve(self: Arc<Self>, stream: TcpStream, stop: CancellationToken) -> io::Result<()> {
        let served = AssertUnwindSafe(self.talk(stream, stop)).catch_unwind();
        served.await.unwrap_or_else(|_| {
            tracing::error!("a handler of the Postgres protocol panicked; this is a bug");
            Ok(())
        })
    }

    async fn talk(self: Arc<Self>, stream: TcpStream, stop: CancellationToken) -> io::Result<()> {
        // Answers are written whole; waiting for more to send with them only adds latency.
        stream.set_nodelay(true)?;
        let address = stream.peer_addr()?;
        let deadline = tokio::time::Instant::now() + STARTUP_MAX;
        let stream = Arc::new(stream);
        let tls = self.tls.clone().map(TlsAcceptor::from);
        let negotiated = tokio::select! {
            negotiated = tokio::time::timeout_at(deadline, negotiate(Arc::clone(&stream), tls.as_ref())) => negotiated,
            () = stop.cancelled() => return Ok(()),
        };
        let Ok(negotiated) = negotiated else { return Ok(()) };
        let Some(channel) = negotiated? else { return Ok(()) };
        let client = DefaultClient::new(address, channel.is_secure());
        let (wire, known) = Wire::new(channel);
        let mut socket = Framed::new(wire, PgWireMessageServerCodec::new(client));
        socket.set_state(PgWireConnectionState::AwaitingStartup);
        let handlers = Handlers {
            startup: Arc::new(Startup::new(Arc::clone(&self), known)),
            simple: Arc::new(Simple(Arc::clone(&self))),
            extended: Arc::new(Extended::new(Arc::clone(&self))),
            cancel: Arc::new(Canceller { engine: Arc::clone(&self.engine), keys: Arc::clone(&self.cancel) }),
        };
        loop {
            let stranger = is_stranger(&socket);
            let message = tokio::select! {
                // pgwire's decoder panics at some messages that are shorter than what they say is in them.
                message = AssertUnwindSafe(socket.next()).catch_unwind() => {
                    message.unwrap_or_else(|_| Some(Err(fatal("08P01", "message is shorter than what it says is in it"))))
                }
                () = tokio::time::sleep_until(deadline), if stranger => None,
                () = stop.cancelled() => {
                    let ended = fatal("57P01", "terminating connection due to administrator command");
                    return process_error(&mut socket, ended, false).await;
                }
            };
            let next = match message {
                None => return Ok(()),
                Some(Ok(message)) => tokio::select! {
                    next = handlers.answer(&mut socket, message) => next?,
                    () = wire::gone(&stream) => return Ok(()),
                },
                Some(Err(error)) => tell(&mut socket, unreadable(error), false).await?,
            };
            if matches!(next, Next::Close) {
                return socket.close().await;
            }
        }
    }

    /// The statements of `text`. It is read where queries run: long texts take their time.
    pub(super) async fn read(self: &Arc<Self>, session: &Session, text: String) -> Result<Vec<Todo>, PgWireError> {
        let (postgres, text) = (Arc::clone(self), Arc::<str>::from(text));
        let reading = Arc::clone(&text);
        let reading = self.engine.threads.spawn(async move { postgres.rewriter.read(&reading) });
        let read = reading.await.unwrap_or_else(|_| {
            let id = self.engine.engine().env().new_uuid();
            tracing::error!(query = %id, "the task that reads a statement died; this is a bug");
            Err(Error::Internal { id, message: "the task that reads a statement died".to_owned() })
        });
        read.map_err(|e| {
            self.engine.log_refusal(&session.tenant, &session.origin(), &text, &e);
            failed(&e)
        })
    }
}

impl Handlers {
    async fn answer(&self, socket: &mut Socket, message: PgWireFrontendMessage) -> io::Result<Next> {
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Ok(Next::Close);
        }
        let once = matches!(message, PgWireFrontendMessage::CancelRequest(_));
        let extended = message.is_extended_query();
        let answered = process_message(
            message,
            socket,
            Arc::clone(&self.startup),
            Arc::clone(&self.simple),
            Arc::clone(&self.extended),
            Arc::new(NoopHandler),
            Arc::clone(&self.cancel),
        );
        match answered.await {
            Ok(()) if once => Ok(Next::Close),
            Ok(()) => Ok(Next::Message),
            Err(error) => tell(socket, error, extended).await,
        }
    }
}

/// Tells the client of an error; a fatal one ends the session, and so does every one before it has begun.
async fn tell(socket: &mut Socket, error: PgWireError, extended: bool) -> io::Result<Next> {
    let mut told = ErrorInfo::from(error);
    if is_stranger(socket) {
        told.severity = "FATAL".to_owned();
    }
    tracing::debug!(code = told.code, message = told.message, "Postgres session is told of an error");
    let next = if told.is_fatal() { Next::Close } else { Next::Message };
    process_error(socket, PgWireError::UserError(Box::new(told)), extended).await?;
    Ok(next)
}

/// What is said of bytes that are no message.
fn unreadable(error: PgWireError) -> PgWireError {
    match error {
        PgWireError::IoError(error) if error.kind() == io::ErrorKind::InvalidData => fatal("08P01", error.to_string()),
        error => {
            let told = ErrorInfo::from(error);
            fatal("08P01", told.message)
        }
    }
}

fn is_stranger(socket: &Socket) -> bool {
    matches!(socket.state(), PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress)
}
