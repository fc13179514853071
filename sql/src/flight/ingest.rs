//! `CommandStatementIngest`: the rows of a stream become a table of the user, or part of one.
//!
//! | options of the command | |
//! |---|---|
//! | if there is none: create; if there is one: fail | `create` of `adbc_ingest` |
//! | fail; append | `append` |
//! | create; replace | `replace` |
//! | create; append | `create_append` |
//!
//! The schema is `user`, or not said. Temporary tables, transactions, other schemas and options that are not known are refused by name.

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::{Stream, StreamExt};
use query::namespace::{CATALOG, USER};
use tonic::Status;

use super::caller::Caller;
use super::{Flight, scalars};
use crate::error::{Error, Result};
use crate::user_tables::{Ingest, Ingesting, stored_rows};

impl Flight {
    /// Takes the rows that follow `command` and tells how many they were, once all of them are stored and seen.
    ///
    /// # Errors
    /// What is refused; rows that are none; limits; the store's. Nothing is stored then.
    pub(super) async fn ingest(
        &self,
        caller: &Caller,
        command: &CommandStatementIngest,
        mut messages: impl Stream<Item = Result<FlightData, Status>> + Unpin,
    ) -> Result<i64> {
        let mode = mode(command)?;
        let config = self.engine.config();
        let mut at_work: Option<(SchemaRef, Ingesting)> = None;
        // Who sends nothing must not keep a turn.
        let late = |_| Error::Timeout { seconds: config.timeout.as_secs_f64() };
        while let Some(message) = tokio::time::timeout(config.timeout, messages.next()).await.map_err(late)? {
            let message = message.map_err(|status| wrong(status.message().to_owned()))?;
            if message.data_header.is_empty() {
                continue; // metadata alone
            }
            match &mut at_work {
                None => {
                    let schema = scalars::schema(&message).map_err(rows)?;
                    let ingesting = self.engine.ingest(&caller.tenant, &command.table, mode, &schema).await?;
                    at_work = Some((schema, ingesting));
                }
                Some((schema, ingesting)) => {
                    // More than all that may come is refused before it is decoded.
                    let room = config.ingest_rows_max.saturating_sub(ingesting.rows());
                    let room = usize::try_from(room).unwrap_or(usize::MAX);
                    let (sent, stored) = (SchemaRef::clone(schema), SchemaRef::clone(ingesting.schema()));
                    // Texts of up to 64 MiB are looked at: not on a thread that serves others.
                    let decode = move || stored_rows(&scalars::rows(&message, &sent, room).map_err(rows)?, &stored);
                    let decoded = tokio::task::spawn_blocking(decode).await;
                    ingesting.push(decoded.map_err(|e| wrong(format!("a task died: {e}")))??).await?;
                }
            }
        }
        let (_, ingesting) = at_work.ok_or_else(|| wrong("the stream has no schema".to_owned()))?;
        let rows = ingesting.commit().await?;
        Ok(i64::try_from(rows).unwrap_or(i64::MAX))
    }
}

/// What the options of `command` mean.
fn mode(command: &CommandStatementIngest) -> Result<Ingest> {
    if command.temporary {
        return Err(Error::Unsupported { what: "temporary tables are not supported: make one in the schema user, and drop it" });
    }
    if command.transaction_id.as_ref().is_some_and(|id| !id.is_empty()) {
        return Err(Error::Unsupported {
            what: "transactions are not supported: an ingestion is one of its own, all or nothing",
        });
    }
    if let Some(option) = command.options.keys().min() {
        return Err(wrong(format!("option {:?} is not known", option.chars().take(64).collect::<String>())));
    }
    for (what, said, only) in [("catalog", &command.catalog, CATALOG), ("schema", &command.schema, USER)] {
        if let Some(other) = said.as_deref().filter(|said| !["", only].contains(said)) {
            return Err(wrong(format!(
                "{what} is {:?}; tables can be made in {only} only",
                other.chars().take(64).collect::<String>()
            )));
        }
    }
    let options = command.table_definition_options.unwrap_or_default();
    let if_none = TableNotExistOption::try_from(options.if_not_exist).unwrap_or_default();
    let if_there = TableExistsOption::try_from(options.if_exists).unwrap_or_default();
    match (if_none, if_there) {
        (TableNotExistOption::Create, TableExistsOption::Fail) => Ok(Ingest::Create),
        (TableNotExistOption::Fail, TableExistsOption::Append) => Ok(Ingest::Append),
        (TableNotExistOption::Create, TableExistsOption::Replace) => Ok(Ingest::Replace),
        (TableNotExistOption::Create, TableExistsOption::Append) => Ok(Ingest::CreateAppend),
        _ => Err(wrong(format!(
            "if there is no table: {}, if there is one: {}; known are create and fail, fail and append, create and replace, create and append",
            if_none.as_str_name(),
            if_there.as_str_name()
        ))),
    }
}

fn wrong(reason: String) -> Error {
    Error::Parameter { name: "ingestion", reason }
}

fn rows(reason: String) -> Error {
    wrong(format!("the rows {reason}"))
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::TableDefinitionOptions;

    use super::*;

    fn command(if_none: TableNotExistOption, if_there: TableExistsOption) -> CommandStatementIngest {
        let options = TableDefinitionOptions { if_not_exist: if_none.into(), if_exists: if_there.into() };
        CommandStatementIngest { table_definition_options: Some(options), table: "t".to_owned(), ..Default::default() }
    }

    #[test]
    fn options_say_what_to_do() {
        use TableExistsOption::{Append, Fail as FailThere, Replace};
        use TableNotExistOption::{Create, Fail};
        #[track_caller]
        fn check(command: &CommandStatementIngest, expected: Option<Ingest>) {
            assert_eq!(mode(command).ok(), expected, "{command:?}");
        }
        check(&command(Create, FailThere), Some(Ingest::Create));
        check(&command(Fail, Append), Some(Ingest::Append));
        check(&command(Create, Replace), Some(Ingest::Replace));
        check(&command(Create, Append), Some(Ingest::CreateAppend));
        check(&command(Fail, FailThere), None);
        check(&CommandStatementIngest::default(), None);
        let good = command(Create, FailThere);
        check(&CommandStatementIngest { schema: Some("user".to_owned()), ..good.clone() }, Some(Ingest::Create));
        check(&CommandStatementIngest { schema: Some("public".to_owned()), ..good.clone() }, None);
        check(&CommandStatementIngest { catalog: Some("other".to_owned()), ..good.clone() }, None);
        check(&CommandStatementIngest { temporary: true, ..good.clone() }, None);
        check(&CommandStatementIngest { transaction_id: Some(vec![1].into()), ..good.clone() }, None);
        check(&CommandStatementIngest { options: [("x".to_owned(), "y".to_owned())].into(), ..good }, None);
    }
}
