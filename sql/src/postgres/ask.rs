//! From a statement of a session to the request that the engine knows.

use std::sync::Arc;

use datafusion::common::ParamValues;
use query::usage::{Caller, Origin};

use super::catalog::Extras;
use super::session::Session;
use crate::engine::{Access, SqlRequest};

/// Schemas that names without one may belong to.
const SCHEMAS: [&str; 6] = ["public", "system", "usage", "user", "pg_catalog", "information_schema"];

impl Session {
    /// The request for `text` with the session's settings as they are now.
    pub(super) fn request(&self, text: String, params: Option<ParamValues>) -> SqlRequest {
        let settings = self.settings.lock().clone();
        let schema = settings.get("search_path").and_then(|path| first_schema(&path));
        let timeout = settings.timeout;
        let extras = Extras {
            database: self.database.clone(),
            user: self.user.clone(),
            names: Arc::clone(&self.names),
            described: self.described.clone(),
            settings,
        };
        SqlRequest {
            text,
            params,
            timeout,
            schema,
            flight: Some(self.flight),
            extras: Some(Arc::new(extras)),
            origin: self.origin(),
            access: Access::DropTables,
            ..SqlRequest::default()
        }
    }

    /// How its queries come, for the query log.
    pub(super) fn origin(&self) -> Origin {
        let program = self.settings.lock().get("application_name");
        let program = program.as_deref().filter(|name| !name.is_empty());
        Origin { api: "postgres", endpoint: "query", caller: Caller::of_session(&self.user, program) }
    }
}

/// The first schema of `search_path` that there is; names have one schema, not a path.
fn first_schema(path: &str) -> Option<String> {
    let names = path.split(',').map(|name| name.trim().trim_matches(['"', '\'']));
    names.into_iter().find(|name| SCHEMAS.contains(name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_schema_counts() {
        assert_eq!(first_schema("\"$user\", public").as_deref(), Some("public"));
        assert_eq!(first_schema("system,public").as_deref(), Some("system"));
        assert_eq!(first_schema("mine"), None);
        assert_eq!(first_schema(""), None);
    }
}
