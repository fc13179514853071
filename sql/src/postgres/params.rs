//! Values for placeholders: their types when a statement is described, and their bytes when it is bound.
//!
//! The client's word on a type counts before the planner's guess: it is how the bytes were written.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use arrow_pg::datatypes::into_pg_type;
use datafusion::common::{ParamValues, ScalarValue};
use pgwire::api::Type;
use pgwire::api::portal::{Format, Portal};
use pgwire::error::PgWireResult;

use super::errors::told;

/// Placeholders of one statement.
const PLACEHOLDERS_MAX: usize = 4_096;

/// The types of the placeholders `$1`, `$2` ...: one that the statement passes over is text, like one that says nothing of itself.
///
/// # Errors
/// A placeholder has a name instead of a number, or the number is too large.
pub(super) fn numbered(placeholders: &Schema) -> PgWireResult<Vec<DataType>> {
    let mut types = Vec::new();
    for field in placeholders.fields() {
        let number = field.name().parse::<usize>().ok().filter(|number| (1..=PLACEHOLDERS_MAX).contains(number));
        let number = number.ok_or_else(|| told("42P02", format!("there is no parameter ${}", field.name())))?;
        if types.len() < number {
            types.resize(number, DataType::Utf8);
        }
        types[number - 1] = field.data_type().clone();
    }
    Ok(types)
}

/// The type of Postgres in which a value of `data_type` is wanted.
pub(super) fn wire_type(data_type: &DataType) -> Type {
    into_pg_type(data_type).unwrap_or(Type::TEXT)
}

/// Nulls of the types that the client announced, and of the planner's guess where it announced none; `None` if it announced nothing.
pub(super) fn announced(hints: &[Option<Type>], guessed: &[DataType]) -> Option<ParamValues> {
    let hint = |at: usize| hints.get(at).and_then(Option::as_ref).and_then(arrow_type);
    let any = (0..guessed.len()).any(|at| hint(at).is_some_and(|hint| hint != guessed[at]));
    let null = |at: usize| ScalarValue::try_from(&hint(at).unwrap_or_else(|| guessed[at].clone())).ok();
    any.then(|| (0..guessed.len()).map(null).collect::<Option<Vec<_>>>()).flatten().map(ParamValues::from)
}

/// The type of the value that the decoder makes of a type of Postgres, if that is one type.
fn arrow_type(data_type: &Type) -> Option<DataType> {
    Some(match *data_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::TEXT | Type::VARCHAR => DataType::Utf8,
        Type::BYTEA => DataType::Binary,
        Type::DATE => DataType::Date32,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return None,
    })
}

/// The values in a portal of a statement whose placeholders have `types`; `None` if it has no placeholders.
///
/// # Errors
/// Other values than the statement has placeholders, or bytes that are no value of their type.
pub(super) fn values<S: Clone>(portal: &Portal<S>, types: &[DataType]) -> PgWireResult<Option<ParamValues>> {
    let (found, wanted) = (portal.parameters.len(), types.len());
    if found != wanted {
        return Err(told("08P01", format!("bind message supplies {found} parameters, but prepared statement requires {wanted}")));
    }
    if let Format::Individual(formats) = &portal.parameter_format
        && formats.len() != found
    {
        return Err(told("08P01", format!("bind message has {} parameter formats but {found} parameters", formats.len())));
    }
    if wanted == 0 {
        return Ok(None);
    }
    let hints = &portal.statement.parameter_types;
    let wire: Vec<Type> = types.iter().map(wire_type).collect();
    let wire: Vec<Option<&Type>> = wire.iter().map(Some).collect();
    let fits = |at: usize| fits(hints.get(at).and_then(Option::as_ref), &types[at]);
    let targets: Vec<Option<&DataType>> = (0..wanted).map(|at| fits(at).then_some(&types[at])).collect();
    deserialize_parameters_with_server_types(portal, &targets, &wire).map(Some)
}

/// Whether the decoder may turn a value of the announced type into `target`; otherwise the planner does, which knows more ways.
fn fits(hint: Option<&Type>, target: &DataType) -> bool {
    match hint {
        None => true,
        Some(&(Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8)) => {
            target.is_floating() || target.is_signed_integer()
        }
        Some(&(Type::TIMESTAMP | Type::TIMESTAMPTZ)) => matches!(target, DataType::Timestamp(..)),
        Some(&Type::NUMERIC) => {
            target.is_floating() || matches!(target, DataType::Int64 | DataType::Int32 | DataType::Decimal128(..))
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;
    use bytes::Bytes;
    use pgwire::api::stmt::StoredStatement;
    use pgwire::messages::extendedquery::Bind;
    use proptest::prelude::*;

    use super::*;

    fn portal(hints: Vec<Option<Type>>, formats: Vec<i16>, values: Vec<Option<Vec<u8>>>) -> Portal<()> {
        let statement = StoredStatement::new("s".to_owned(), (), hints);
        let values = values.into_iter().map(|value| value.map(Bytes::from)).collect();
        let bind = Bind::new(None, None, formats, values, vec![]);
        Portal::try_new(&bind, Arc::new(statement)).expect("a portal")
    }

    #[test]
    fn placeholders_are_numbered() {
        let schema =
            |names: &[&str]| Schema::new(names.iter().map(|n| Field::new(*n, DataType::Int64, true)).collect::<Vec<_>>());
        assert_eq!(numbered(&schema(&["1", "3"])).expect("numbers"), [DataType::Int64, DataType::Utf8, DataType::Int64]);
        assert!(numbered(&schema(&["name"])).is_err());
        assert!(numbered(&schema(&["99999"])).is_err());
    }

    #[test]
    fn values_are_read_as_they_were_announced() {
        #[track_caller]
        fn check(hint: Option<Type>, format: i16, bytes: &[u8], target: DataType, expected: Option<ScalarValue>) {
            let read = values(&portal(vec![hint], vec![format], vec![Some(bytes.to_vec())]), &[target]);
            let read = read.ok().flatten().and_then(|values| match values {
                ParamValues::List(mut values) => values.pop().map(|value| value.value),
                ParamValues::Map(_) => None,
            });
            assert_eq!(read, expected);
        }
        check(None, 0, b"7", DataType::Int64, Some(ScalarValue::Int64(Some(7))));
        check(Some(Type::INT2), 1, &[0, 7], DataType::Int64, Some(ScalarValue::Int64(Some(7))));
        check(Some(Type::INT2), 1, &[0, 7], DataType::Utf8, Some(ScalarValue::Int16(Some(7))));
        check(
            Some(Type::INT8),
            1,
            &[0x7f; 8],
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            Some(ScalarValue::Int64(Some(0x7f7f_7f7f_7f7f_7f7f))),
        );
        check(None, 0, b"x", DataType::Int64, None);
        check(Some(Type::INT8), 1, &[1], DataType::Int64, None);
        check(Some(Type::TEXT), 0, &[0xff], DataType::Utf8, None);
    }

    #[test]
    fn counts_must_agree() {
        assert!(values(&portal(vec![], vec![], vec![]), &[DataType::Utf8]).is_err());
        assert!(values(&portal(vec![], vec![0, 0, 0], vec![None, None]), &[DataType::Utf8, DataType::Utf8]).is_err());
        assert!(values(&portal(vec![], vec![], vec![]), &[]).expect("none").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_an_error(
            hint in prop::option::of(prop::sample::select(vec![
                Type::BOOL, Type::INT2, Type::INT4, Type::INT8, Type::FLOAT4, Type::FLOAT8, Type::TEXT, Type::BYTEA, Type::DATE, Type::TIME,
                Type::TIMESTAMP, Type::TIMESTAMPTZ, Type::NUMERIC, Type::OID, Type::UUID, Type::JSON, Type::INT8_ARRAY, Type::TEXT_ARRAY,
            ])),
            format in 0i16..2,
            bytes in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            target in prop::sample::select(vec![
                DataType::Int64, DataType::Utf8, DataType::Float64, DataType::UInt64, DataType::Boolean,
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            ]),
        ) {
            let _ = values(&portal(vec![hint], vec![format], vec![bytes]), &[target]);
        }
    }
}
