//! The types of columns, for ODBC and JDBC.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// The types, or the one with the number `asked`.
///
/// # Errors
/// They cannot be written.
pub(super) fn batch(asked: Option<i32>) -> Result<RecordBatch, FlightError> {
    static TYPES: LazyLock<Result<XdbcTypeInfoData, FlightError>> = LazyLock::new(types);
    match &*TYPES {
        Ok(types) => types.record_batch(asked),
        Err(error) => Err(FlightError::DecodeError(error.to_string())),
    }
}

fn types() -> Result<XdbcTypeInfoData, FlightError> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    let number = |name: &str, data_type, digits| XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        sql_data_type: data_type,
        column_size: Some(digits),
        unsigned_attribute: Some(false),
        num_prec_radix: Some(10),
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Basic,
        auto_increment: Some(false),
        local_type_name: Some(name.to_owned()),
        ..XdbcTypeInfo::default()
    };
    let text = |name: &str, data_type, prefix: &str, case_sensitive, searchable| XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        sql_data_type: data_type,
        column_size: Some(i32::MAX),
        literal_prefix: Some(prefix.to_owned()),
        literal_suffix: Some("'".to_owned()),
        nullable: Nullable::NullabilityNullable,
        case_sensitive,
        searchable,
        local_type_name: Some(name.to_owned()),
        ..XdbcTypeInfo::default()
    };
    let time = |name: &str, data_type, subcode, digits| XdbcTypeInfo {
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        column_size: Some(digits),
        ..text(name, data_type, "'", false, Searchable::Basic)
    };
    let bit = XdbcDataType::XdbcBit;
    builder.append(XdbcTypeInfo { num_prec_radix: None, unsigned_attribute: None, ..number("BOOLEAN", bit, 1) });
    builder.append(number("TINYINT", XdbcDataType::XdbcTinyint, 3));
    builder.append(number("SMALLINT", XdbcDataType::XdbcSmallint, 5));
    builder.append(number("INTEGER", XdbcDataType::XdbcInteger, 10));
    builder.append(number("BIGINT", XdbcDataType::XdbcBigint, 19));
    builder.append(number("FLOAT", XdbcDataType::XdbcReal, 7));
    builder.append(number("DOUBLE", XdbcDataType::XdbcDouble, 15));
    let create_params = Some(vec!["precision".to_owned(), "scale".to_owned()]);
    let decimal = number("DECIMAL", XdbcDataType::XdbcDecimal, 38);
    builder.append(XdbcTypeInfo { maximum_scale: Some(38), create_params, ..decimal });
    builder.append(text("VARCHAR", XdbcDataType::XdbcVarchar, "'", true, Searchable::Full));
    builder.append(text("BYTEA", XdbcDataType::XdbcVarbinary, "X'", false, Searchable::None));
    // 1, by the protocol's name a year, is ODBC's SQL_CODE_DATE.
    builder.append(time("DATE", XdbcDataType::XdbcDate, XdbcDatetimeSubcode::XdbcSubcodeYear, 10));
    builder.append(time("TIME", XdbcDataType::XdbcTime, XdbcDatetimeSubcode::XdbcSubcodeTime, 18));
    builder.append(time("TIMESTAMP", XdbcDataType::XdbcTimestamp, XdbcDatetimeSubcode::XdbcSubcodeTimestamp, 29));
    builder.build()
}
