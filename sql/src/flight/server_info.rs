//! What this SQL can do, in the words of Flight SQL's `SqlInfo`.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

use crate::config::{SqlConfig, TEXT_BYTES_MAX};

/// Words beyond SQL-92 that a name must quote.
const KEYWORDS: &[&str] =
    &["ANTI", "EXCEPT", "EXPLAIN", "ILIKE", "LATERAL", "LIMIT", "OFFSET", "QUALIFY", "SEMI", "UNNEST", "WINDOW"];

const NUMERIC_FUNCTIONS: &[&str] = &[
    "ABS", "ACOS", "ASIN", "ATAN", "ATAN2", "CEILING", "COS", "COT", "DEGREES", "EXP", "FLOOR", "LOG", "LOG10", "PI", "POWER",
    "RADIANS", "ROUND", "SIGN", "SIN", "SQRT", "TAN", "TRUNCATE",
];

const STRING_FUNCTIONS: &[&str] = &[
    "ASCII",
    "CHAR_LENGTH",
    "CONCAT",
    "LEFT",
    "LENGTH",
    "LOWER",
    "LTRIM",
    "REPEAT",
    "REPLACE",
    "RIGHT",
    "RTRIM",
    "SUBSTRING",
    "UPPER",
];

const TIME_FUNCTIONS: &[&str] = &["CURRENT_DATE", "CURRENT_TIME", "EXTRACT", "NOW"];

/// No info has this number or a larger one.
const NONE: u32 = 1_000;

/// One bit of a mask.
fn bit(position: i32) -> i32 {
    1 << position
}

/// The wanted infos, all of them when `wanted` is empty. An info that is not known is left out, as the protocol has it.
///
/// # Errors
/// They cannot be written.
pub(super) fn batch(wanted: &[u32], config: &SqlConfig) -> Result<RecordBatch, FlightError> {
    let mut infos = SqlInfoDataBuilder::new();
    server(&mut infos, config);
    language(&mut infos);
    limits(&mut infos);
    // Each once, and as many as there can be: a client may ask for millions, and each is looked for in all rows.
    let asked: BTreeSet<u32> = wanted.iter().map(|info| *info.min(&NONE)).collect();
    infos.build()?.record_batch(asked)
}

fn server(infos: &mut SqlInfoDataBuilder, config: &SqlConfig) {
    infos.append(SqlInfo::FlightSqlServerName, "Telelake");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    // Tables of users are ingested and dropped.
    infos.append(SqlInfo::FlightSqlServerReadOnly, false);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    infos.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    infos.append(SqlInfo::FlightSqlServerCancel, true);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    infos.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, i32::try_from(config.timeout.as_millis()).unwrap_or(i32::MAX));
    infos.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
}

fn language(infos: &mut SqlInfoDataBuilder) {
    for absent in [SqlInfo::SqlDdlCatalog, SqlInfo::SqlDdlSchema, SqlInfo::SqlDdlTable] {
        infos.append(absent, false);
    }
    infos.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    infos.append(SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32);
    infos.append(SqlInfo::SqlAllTablesAreSelectable, true);
    infos.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    infos.append(SqlInfo::SqlKeywords, KEYWORDS);
    infos.append(SqlInfo::SqlNumericFunctions, NUMERIC_FUNCTIONS);
    infos.append(SqlInfo::SqlStringFunctions, STRING_FUNCTIONS);
    infos.append(SqlInfo::SqlSystemFunctions, Vec::<String>::new());
    infos.append(SqlInfo::SqlDatetimeFunctions, TIME_FUNCTIONS);
    infos.append(SqlInfo::SqlSearchStringEscape, "\\");
    infos.append(SqlInfo::SqlExtraNameCharacters, "");
    infos.append(SqlInfo::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
    for present in [
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCatalogAtStart,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
        SqlInfo::SqlNamedParametersSupported,
    ] {
        infos.append(present, true);
    }
    for absent in [
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlStoredProceduresSupported,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
        SqlInfo::SqlMaxRowSizeIncludesBlobs,
    ] {
        infos.append(absent, false);
    }
    let group_by = bit(SqlSupportedGroupBy::SqlGroupByUnrelated as i32) | bit(SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32);
    infos.append(SqlInfo::SqlSupportedGroupBy, group_by);
    let grammar = bit(SupportedSqlGrammar::SqlMinimumGrammar as i32) | bit(SupportedSqlGrammar::SqlCoreGrammar as i32);
    infos.append(SqlInfo::SqlSupportedGrammar, grammar);
    infos.append(SqlInfo::SqlAnsi92SupportedLevel, bit(0));
    infos.append(SqlInfo::SqlOuterJoinsSupportLevel, bit(SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32));
    infos.append(SqlInfo::SqlSchemaTerm, "schema");
    infos.append(SqlInfo::SqlProcedureTerm, "procedure");
    infos.append(SqlInfo::SqlCatalogTerm, "catalog");
    // Where names with a schema or catalog may stand: in no statement that changes something.
    infos.append(SqlInfo::SqlSchemasSupportedActions, 0);
    infos.append(SqlInfo::SqlCatalogsSupportedActions, 0);
    infos.append(SqlInfo::SqlSupportedPositionedCommands, 0);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons,
        SqlSupportedSubqueries::SqlSubqueriesInExists,
        SqlSupportedSubqueries::SqlSubqueriesInIns,
    ];
    infos.append(SqlInfo::SqlSupportedSubqueries, subqueries.into_iter().map(|s| bit(s as i32)).sum::<i32>());
    let unions = bit(SqlSupportedUnions::SqlUnion as i32) | bit(SqlSupportedUnions::SqlUnionAll as i32);
    infos.append(SqlInfo::SqlSupportedUnions, unions);
    infos.append(SqlInfo::SqlDefaultTransactionIsolation, SqlTransactionIsolationLevel::SqlTransactionNone as i32);
    infos.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, 0);
    infos.append(SqlInfo::SqlSupportedResultSetTypes, bit(1)); // forward only
    infos.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, bit(1)); // read only
    for absent in [
        SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified,
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive,
        SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive,
    ] {
        infos.append(absent, 0);
    }
}

/// Limits of sizes; 0: none that is known.
fn limits(infos: &mut SqlInfoDataBuilder) {
    infos.append(SqlInfo::SqlMaxStatementLength, TEXT_BYTES_MAX as i64);
    for unknown in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        infos.append(unknown, 0i64);
    }
}
