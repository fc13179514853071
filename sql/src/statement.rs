//! The statements that are let in.
//!
//! ```text
//! text ─tokens─► counted ─parse─► exactly one ─┬► SELECT | EXPLAIN [ANALYZE] SELECT | SHOW TABLES | SHOW COLUMNS | DESCRIBE
//!                                              └► DROP TABLE [IF EXISTS] user.name: done by hand, and SELECT 'name' planned in its place
//! ```
//! This is the first of two gates; the second, DataFusion's `SQLOptions`, looks at the plan.

use catalog::UserTableName;
use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{Ident, ObjectType, Query, Statement as Ast};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use query::namespace::{CATALOG, USER};

use crate::config::TEXT_BYTES_MAX;
use crate::error::{Error, Result};
use crate::nested;
use crate::user_tables::DropTable;

/// How deep a statement may nest.
const RECURSION_MAX: usize = 50;

/// Longest chain of operators and keywords. The parser takes `a + b + c` and `FROM a, b, c` without recursion, but the tree it makes
/// is as deep as the chain is long, and planning, running and dropping it recurse.
const CHAIN_MAX: usize = 600;

/// A statement that passed the gate.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The parsed statement.
    pub statement: Statement,
    /// Whether it is a query, so that EXPLAIN can be put before it.
    pub is_query: bool,
    /// The table that is to be dropped first. The statement then tells its name.
    pub drops: Option<DropTable>,
}

/// Parses `text` and lets only reading statements through.
///
/// # Errors
/// `TextTooLong`, `TooComplex`, `Syntax`, `OneStatement`, `Statement`.
pub fn check(text: &str) -> Result<Checked> {
    let dialect = GenericDialect {};
    let tokens = measure(text)?;
    let numbered = number_placeholders(&dialect, &tokens, text)?;
    let text = numbered.as_deref().unwrap_or(text);
    let parsed = DFParserBuilder::new(text)
        .with_dialect(&dialect)
        .with_recursion_limit(RECURSION_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = match parsed {
        Ok(statements) => statements,
        // A statement that the parser does not know in full is still named if it is not a reading one.
        Err(_) if first_words(&tokens).is_some_and(|words| !reads(&words)) => return Err(refused(&tokens)),
        Err(error) => return Err(query::Error::from(error).into()),
    };
    if statements.len() != 1 {
        return Err(Error::OneStatement { found: statements.len() });
    }
    let Some(statement) = statements.pop_front() else { return Err(Error::OneStatement { found: 0 }) };
    let is_query = matches!(&statement, Statement::Statement(ast) if matches!(**ast, Ast::Query(_)));
    if allowed(&statement) {
        return match query_of(&statement).and_then(nested::forbidden) {
            Some(found) => Err(Error::Statement { statement: found.to_owned() }),
            None => Ok(Checked { statement, is_query, drops: None }),
        };
    }
    let Some(dropping) = drops(&statement) else { return Err(refused(&tokens)) };
    // The name is one that was checked: letters, digits, underscores.
    let mut told = check(&format!("SELECT '{}' AS dropped", dropping.name))?;
    told.drops = Some(dropping);
    Ok(told)
}

/// The tokens of `text`, which is neither too long nor too deep for whoever parses it.
///
/// # Errors
/// `TextTooLong`, `TooComplex`, `Syntax`.
pub(crate) fn measure(text: &str) -> Result<Vec<Token>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::TextTooLong { bytes: text.len(), limit: TEXT_BYTES_MAX });
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().map_err(|e| Error::Syntax { message: e.to_string() })?;
    match longest_chain(&tokens) {
        found if found > CHAIN_MAX => Err(Error::TooComplex { found, limit: CHAIN_MAX }),
        _ => Ok(tokens),
    }
}

fn allowed(statement: &Statement) -> bool {
    match statement {
        Statement::Statement(ast) => match &**ast {
            Ast::Query(_) | Ast::ShowTables { .. } | Ast::ShowColumns { .. } | Ast::ExplainTable { .. } => true,
            Ast::Explain { statement, .. } => matches!(**statement, Ast::Query(_)),
            _ => false,
        },
        Statement::Explain(ExplainStatement { statement, .. }) => {
            matches!(&**statement, Statement::Statement(ast) if matches!(**ast, Ast::Query(_)))
        }
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => false,
    }
}

/// The query that `statement` is or explains.
fn query_of(statement: &Statement) -> Option<&Query> {
    match statement {
        Statement::Statement(ast) => match &**ast {
            Ast::Query(query) => Some(query),
            Ast::Explain { statement, .. } => match &**statement {
                Ast::Query(query) => Some(query),
                _ => None,
            },
            _ => None,
        },
        Statement::Explain(explain) => query_of(&explain.statement),
        _ => None,
    }
}

/// The table of a user that `statement` drops: exactly `DROP TABLE [IF EXISTS] user.name`, the catalog before it or not.
fn drops(statement: &Statement) -> Option<DropTable> {
    let Statement::Statement(ast) = statement else { return None };
    let Ast::Drop { object_type: ObjectType::Table, if_exists, names, cascade: false, purge: false, temporary: false, .. } =
        &**ast
    else {
        return None;
    };
    let [name] = names.as_slice() else { return None };
    let parts: Option<Vec<String>> = name.0.iter().map(|part| part.as_ident().map(written)).collect();
    let name = match parts?.as_slice() {
        [schema, name] if schema == USER => name.clone(),
        [catalog, schema, name] if catalog == CATALOG && schema == USER => name.clone(),
        _ => return None,
    };
    UserTableName::parse(&name).ok()?;
    Some(DropTable { name, if_exists: *if_exists })
}

/// The name that an identifier means: without quotes its case does not count.
fn written(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// How deep the tree can be at most: operators and keywords in a row, those of the enclosing parentheses included. A comma starts
/// over, except between tables, which become nested joins.
fn longest_chain(tokens: &[Token]) -> usize {
    let mut levels = vec![(0usize, false)]; // of each open parenthesis: chain so far, between FROM and the next clause
    let (mut depth, mut longest) = (0usize, 0usize);
    for token in tokens {
        let Some((chain, in_from)) = levels.last_mut() else { break };
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                levels.push((0, false));
                continue;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                depth -= *chain;
                levels.pop();
                if levels.is_empty() {
                    levels.push((0, false)); // unbalanced; the parser will say so
                }
                // `a[1][2]` and `f(x)(y)` nest without an operator.
                if !matches!(token, Token::RBracket) {
                    continue;
                }
            }
            Token::Comma if !*in_from => {
                depth -= *chain;
                *chain = 0;
                continue;
            }
            Token::Word(word) => match word.keyword {
                Keyword::NoKeyword | Keyword::AS | Keyword::NULL | Keyword::TRUE | Keyword::FALSE => continue,
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE => {
                    depth -= *chain;
                    *chain = 0;
                }
                Keyword::FROM => *in_from = true,
                Keyword::WHERE | Keyword::GROUP | Keyword::ORDER | Keyword::HAVING | Keyword::LIMIT | Keyword::SELECT => {
                    *in_from = false;
                }
                _ => {}
            },
            Token::Whitespace(_) | Token::Period | Token::SemiColon | Token::EOF | Token::Number(..) => continue,
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::Placeholder(_) => continue,
            _ => {}
        }
        if let Some((chain, _)) = levels.last_mut() {
            *chain += 1;
            depth += 1;
        }
        longest = longest.max(depth);
    }
    longest
}

/// The text with `$1`, `$2`, ... in place of its `?`s, which JDBC and many drivers write; `None` if it has none.
fn number_placeholders(dialect: &GenericDialect, tokens: &[Token], text: &str) -> Result<Option<String>> {
    let is_mark = |token: &Token| matches!(token, Token::Placeholder(mark) if mark == "?");
    if !tokens.iter().any(is_mark) {
        return Ok(None);
    }
    if tokens.iter().any(|token| matches!(token, Token::Placeholder(mark) if mark != "?")) {
        return Err(Error::Syntax { message: "placeholders are either all ? or all $1, $2, ...".to_owned() });
    }
    let located = Tokenizer::new(dialect, text).tokenize_with_location().map_err(|e| Error::Syntax { message: e.to_string() })?;
    let mut marks = located.iter().filter(|t| is_mark(&t.token)).map(|t| (t.span.start.line, t.span.start.column)).peekable();
    let (mut numbered, mut number) = (String::with_capacity(text.len() + 64), 0);
    let (mut line, mut column) = (1, 1);
    for c in text.chars() {
        if marks.next_if_eq(&(line, column)).is_some() {
            number += 1;
            numbered.push('$');
            numbered.push_str(&number.to_string());
        } else {
            numbered.push(c);
        }
        (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(Some(numbered))
}

fn first_words(tokens: &[Token]) -> Option<Vec<String>> {
    let words = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).map_while(|token| match token {
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => Some(word.value.to_uppercase()),
        _ => None,
    });
    let words: Vec<String> = words.take(3).collect();
    (!words.is_empty()).then_some(words)
}

fn reads(words: &[String]) -> bool {
    matches!(words[0].as_str(), "SELECT" | "WITH" | "EXPLAIN" | "SHOW" | "DESCRIBE" | "DESC" | "VALUES" | "TABLE" | "FROM")
}

/// Words before the statement that is explained.
const EXPLAINS: [&str; 3] = ["EXPLAIN", "ANALYZE", "VERBOSE"];

/// The refusal, with as many words as it takes to know the statement.
fn refused(tokens: &[Token]) -> Error {
    let mut words = first_words(tokens).unwrap_or_else(|| vec!["this statement".to_owned()]);
    let kept = match words[0].as_str() {
        "EXPLAIN" => words.iter().position(|w| !EXPLAINS.contains(&w.as_str())).map_or(3, |at| at + 1),
        "CREATE" | "DROP" | "ALTER" => words.iter().position(|w| w == "TABLE" || w == "VIEW").map_or(2, |at| at + 1),
        "SHOW" => 2,
        _ => 1,
    };
    words.truncate(kept);
    Error::Statement { statement: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_statements_pass() {
        for text in [
            "SELECT 1",
            "select * from metrics;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "SHOW TABLES",
            "SHOW COLUMNS FROM metrics",
            "DESCRIBE metrics",
            "VALUES (1), (2)",
        ] {
            assert!(check(text).is_ok(), "{text}: {:?}", check(text).err());
        }
    }

    #[test]
    fn writing_statements_are_refused_by_name() {
        #[track_caller]
        fn check_refused(text: &str, name: &str) {
            let error = check(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("{name} is not allowed")), "{text}: {error}");
        }
        check_refused("COPY (SELECT 1) TO '/tmp/x.csv'", "COPY");
        check_refused("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE");
        check_refused("CREATE TABLE t AS SELECT 1", "CREATE TABLE");
        check_refused("CREATE VIEW v AS SELECT 1", "CREATE VIEW");
        check_refused("SET datafusion.execution.batch_size = 1", "SET");
        check_refused("RESET datafusion.execution.batch_size", "RESET");
        check_refused("INSERT INTO metrics VALUES (1)", "INSERT");
        check_refused("UPDATE metrics SET value = 1", "UPDATE");
        check_refused("DELETE FROM metrics", "DELETE");
        check_refused("DROP TABLE metrics", "DROP TABLE");
        check_refused("DROP TABLE public.metrics", "DROP TABLE");
        check_refused("DROP TABLE other.user.t", "DROP TABLE");
        check_refused("DROP TABLE user.a, user.b", "DROP TABLE");
        check_refused("DROP TABLE user.a CASCADE", "DROP TABLE");
        check_refused("DROP TABLE user.\"a b\"", "DROP TABLE");
        check_refused("DROP VIEW user.a", "DROP VIEW");
        check_refused("DROP SCHEMA user", "DROP SCHEMA");
        check_refused("EXPLAIN DROP TABLE user.a", "EXPLAIN DROP");
        check_refused("BEGIN", "BEGIN");
        check_refused("PREPARE p AS SELECT 1", "PREPARE");
        check_refused("EXPLAIN INSERT INTO metrics VALUES (1)", "EXPLAIN INSERT");
        check_refused("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'", "EXPLAIN ANALYZE COPY");
        check_refused("EXPLAIN VERBOSE DROP TABLE metrics", "EXPLAIN VERBOSE DROP");
        check_refused("WITH x AS (INSERT INTO logs VALUES (1) RETURNING *) SELECT * FROM x", "INSERT");
        check_refused("WITH x AS (SELECT 1) DELETE FROM logs", "DELETE");
        check_refused("SELECT * FROM (SELECT 1) a, (UPDATE logs SET body = '') b", "UPDATE");
        check_refused("EXPLAIN WITH x AS (DELETE FROM logs) SELECT 1", "DELETE");
        check_refused("SELECT * INTO t FROM logs", "SELECT INTO");
        check_refused("SELECT 1 UNION SELECT * FROM (SELECT * INTO t FROM logs)", "SELECT INTO");
        check_refused("SELECT * FROM logs FOR UPDATE", "SELECT FOR UPDATE");
        check_refused("SELECT * FROM logs TABLESAMPLE SYSTEM (10)", "TABLESAMPLE");
    }

    #[test]
    fn tables_of_users_can_be_dropped() {
        #[track_caller]
        fn check_drop(text: &str, name: &str, if_exists: bool) {
            let drops = check(text).expect(text).drops;
            assert_eq!(drops, Some(DropTable { name: name.to_owned(), if_exists }), "{text}");
        }
        check_drop("DROP TABLE user.t", "t", false);
        check_drop("drop table if exists USER.Trips;", "trips", true);
        check_drop("drop table \"user\".\"Trips\"", "Trips", false);
        check_drop("DROP TABLE telelake.user.t", "t", false);
        assert_eq!(check("SELECT 1").expect("reads").drops, None);
    }

    #[test]
    fn size_and_shape_are_bounded() {
        assert!(matches!(check("SELECT 1; SELECT 2"), Err(Error::OneStatement { found: 2 })));
        assert!(matches!(check(""), Err(Error::OneStatement { found: 0 })));
        let long = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
        assert!(matches!(check(&long), Err(Error::TextTooLong { .. })));
        for (head, tail) in
            [("1", " + 1"), ("x", "[1]"), ("1", "::int"), ("1", " IS NULL"), ("1 FROM t", ", t"), ("1", " UNION SELECT 1")]
        {
            let chain = format!("SELECT {head}{}", tail.repeat(10_000));
            assert!(matches!(check(&chain), Err(Error::TooComplex { .. })), "{head}{tail}");
            let chain = format!("SELECT {head}{}", tail.repeat(100));
            assert!(check(&chain).is_ok(), "{head}{tail}: {:?}", check(&chain).err());
        }
        let nested = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(check(&nested).is_err());
        let wide = format!("SELECT 1 IN ({})", vec!["1"; 10_000].join(", "));
        assert!(check(&wide).is_ok(), "a long list is flat");
        let cases = format!("SELECT CASE {} END", "WHEN a = 1 THEN 2 ".repeat(500));
        assert!(check(&cases).is_ok(), "so are cases");
    }

    #[test]
    fn question_marks_are_numbered() {
        #[track_caller]
        fn check_text(text: &str, expected: Option<&str>) {
            let dialect = GenericDialect {};
            let tokens = Tokenizer::new(&dialect, text).tokenize().expect(text);
            assert_eq!(number_placeholders(&dialect, &tokens, text).expect(text).as_deref(), expected);
        }
        check_text("SELECT 1", None);
        check_text("SELECT '?', \"?\" -- ?\n", None);
        check_text("SELECT $1", None);
        check_text("SELECT ?", Some("SELECT $1"));
        check_text("SELECT 'ß?', ?\n  , ? + ?\r\n, '?' || ?", Some("SELECT 'ß?', $1\n  , $2 + $3\r\n, '?' || $4"));
        check_text("SELECT '\n?\n' /* ?\n */, ?", Some("SELECT '\n?\n' /* ?\n */, $1"));
        assert!(matches!(check("SELECT ?, $1"), Err(Error::Syntax { .. })));
        assert!(check("SELECT ?").is_ok());
    }
}
