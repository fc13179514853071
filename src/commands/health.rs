//! `health`: is a running server ready?

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use crate::cli::ServerArgs;
use crate::failure::Failure;
use crate::http_client::HttpClient;

/// Prints `ready` and succeeds, or says why not.
///
/// # Errors
/// The server does not answer, or is not ready.
pub(crate) fn run(args: &ServerArgs) -> Result<(), Failure> {
    super::block_on(async {
        let uri: Uri = format!("{}/-/ready", args.server.trim_end_matches('/'))
            .parse()
            .map_err(|e| Failure::usage(format!("--server: {e}")))?;
        let client = HttpClient::of(&uri).map_err(|e| Failure::usage(format!("--server: {e}")))?;
        let answer = client
            .send(Method::GET, &uri, HeaderMap::new(), Bytes::new())
            .await
            .map_err(|e| Failure::failed(format!("{} does not answer: {e}", args.server)))?;
        let text = String::from_utf8_lossy(&answer.body);
        if !answer.status.is_success() {
            return Err(Failure::failed(format!("{} answered {}: {}", args.server, answer.status, text.trim())));
        }
        println!("{}", text.trim());
        Ok(())
    })
}
