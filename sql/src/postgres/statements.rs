//! From a text in Postgres' dialect to statements that our gate understands.
//!
//! ```text
//! text ─ measured ─► statements ─┬─ about the catalog ─► known questions replaced, rewritten ─┬─► command, or text for the engine
//!                                └─ others ─────────────► words of the dialect ───────────────┘
//! ```
//! datafusion-pg-catalog knows what psql and others ask that DataFusion has no words for, and puts words that it has in its place.
//! What it does to a statement is right for questions about the catalog alone; others only meet [`dialect`]. The result goes through [`statement::check`] like any other text: this is a translation, no gate.

use datafusion::sql::sqlparser::ast::Statement as Ast;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use super::command::Command;
use super::cursor::CursorStatement;
use super::{catalog_dialect, dialect};
use crate::error::{Error, Result};
use crate::statement;

/// Statements in one text.
const STATEMENTS_MAX: usize = 100;

/// Reads texts. One per process: it holds the known questions.
#[derive(Debug)]
pub(super) struct Rewriter {
    parser: PostgresCompatibilityParser,
}

/// What is to be done about a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Todo {
    /// The session answers itself.
    Command(Command),
    /// The session does, with a query of the engine.
    Cursor(CursorStatement),
    /// The engine does, or refuses.
    Query(String),
}

impl Rewriter {
    pub(super) fn new() -> Self {
        Self { parser: PostgresCompatibilityParser::new() }
    }

    /// The statements of `text`; none if it is empty.
    ///
    /// # Errors
    /// `TextTooLong`, `TooComplex`, `Syntax`; `OneStatement` when there are more than a hundred.
    pub(super) fn read(&self, text: &str) -> Result<Vec<Todo>> {
        statement::measure(text)?; // before anything that recurses sees it
        let statements = match self.parse(text) {
            Ok(statements) => statements,
            // What only the other dialect knows, DESCRIBE for one, is taken as it is; otherwise that one says better what is wrong.
            Err(_) => {
                return match statement::check(text) {
                    Ok(_) => Ok(vec![Todo::Query(text.to_owned())]),
                    Err(Error::Query(query::Error::Invalid { message })) => Err(Error::Syntax { message }),
                    Err(error) => Err(error),
                };
            }
        };
        if statements.len() > STATEMENTS_MAX {
            return Err(Error::OneStatement { found: statements.len() });
        }
        let todo = |statement: &Ast| match (Command::of(statement), CursorStatement::of(statement)) {
            (Some(command), _) => Todo::Command(command),
            (None, Some(cursor)) => Todo::Cursor(cursor),
            (None, None) => Todo::Query(statement.to_string()),
        };
        Ok(statements.iter().map(todo).collect())
    }

    fn parse(&self, text: &str) -> std::result::Result<Vec<Ast>, ParserError> {
        let plain = Parser::parse_sql(&PostgreSqlDialect {}, text);
        let about_catalog = plain.as_ref().map_or(true, |statements| statements.iter().any(dialect::is_about_catalog));
        let mut statements = if about_catalog { self.parser.parse(text)? } else { plain? };
        for statement in &mut statements {
            dialect::words(statement);
            if about_catalog {
                catalog_dialect::words(statement);
            }
        }
        Ok(if about_catalog { statements } else { statements.into_iter().map(dialect::harmless).collect() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let read = Rewriter::new().read(text).map_err(|e| e.to_string());
        let told = read.map(|todo| {
            todo.into_iter().map(|todo| match todo {
                Todo::Command(command) => format!("{command:?}"),
                Todo::Cursor(cursor) => format!("{cursor:?}"),
                Todo::Query(text) => text,
            })
        });
        assert_eq!(told.map(Iterator::collect::<Vec<_>>), Ok(expected.iter().map(|s| (*s).to_owned()).collect()), "{text}");
    }

    #[test]
    fn statements_are_told_apart() {
        check("", &[]);
        check(" ; ", &[]);
        check("SELECT 1; select 2", &["SELECT 1", "SELECT 2"]);
        check("BEGIN", &["Begin(\"BEGIN\")"]);
        check("START TRANSACTION READ ONLY", &["Begin(\"START TRANSACTION\")"]);
        check("COMMIT; ROLLBACK; ABORT", &["Commit", "Rollback", "Rollback"]);
        check("SET statement_timeout = '5s'", &["Set { name: \"statement_timeout\", value: Some(\"5s\") }"]);
        check("SET search_path TO a, b", &["Set { name: \"search_path\", value: Some(\"a, b\") }"]);
        check("SET TIME ZONE 'UTC'", &["Set { name: \"TimeZone\", value: Some(\"UTC\") }"]);
        check("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", &["Nothing(\"SET\")"]);
        check("SHOW TRANSACTION ISOLATION LEVEL", &["Show(\"transaction_isolation\")"]);
        check("show timezone", &["Show(\"timezone\")"]);
        check("SHOW ALL", &["ShowAll"]);
        check("RESET ALL", &["ResetAll"]);
        check("DISCARD ALL", &["DiscardAll"]);
        check("DEALLOCATE ALL", &["Deallocate(None)"]);
        check("DEALLOCATE a", &["Deallocate(Some(\"a\"))"]);
        check("CLOSE ALL; UNLISTEN *", &["Close(None)", "Nothing(\"UNLISTEN\")"]);
        check("DESCRIBE metrics", &["DESCRIBE metrics"]);
    }

    #[test]
    fn depth_is_measured_before_it_hurts() {
        let long = format!("SELECT 1{}", " + 1".repeat(100_000));
        assert!(matches!(Rewriter::new().read(&long), Err(Error::TooComplex { .. } | Error::TextTooLong { .. })));
        let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Rewriter::new().read(&nested).is_err());
        assert!(matches!(Rewriter::new().read(&"SELECT 1;".repeat(101)), Err(Error::OneStatement { found: 101 })));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,200}") {
            let _ = Rewriter::new().read(&text);
        }

        #[test]
        fn any_words_are_read(words in prop::collection::vec(prop_oneof![
            Just("SELECT"), Just("'a'::regclass"), Just("("), Just(")"), Just(","), Just("pg_class"), Just("="), Just("ANY"), Just("FROM"),
            Just("$1"), Just("OPERATOR(pg_catalog.~)"), Just("COLLATE pg_catalog.default"), Just("ARRAY["), Just("]"), Just("WHERE"), Just(";"),
            Just("SET"), Just("SHOW"), Just("a.b"), Just("'{1,2}'"), Just("AS"), Just("*"), Just("1"), Just("WITH"), Just("UNION"),
        ], 0..24)) {
            let _ = Rewriter::new().read(&words.join(" "));
        }
    }
}
