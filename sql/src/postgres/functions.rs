//! Functions of Postgres that clients call before they ask for anything: who and where they are, what a setting is, what an oid means.
//!
//! Most are datafusion-pg-catalog's. Ours are those that depend on the session, and those whose answer is always that there is nothing.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::prelude::create_udf;
use datafusion_pg_catalog::pg_catalog::{
    array_bounds_udf, create_current_database_udf, create_current_schema_udf, create_current_schemas_udf,
    create_pg_backend_pid_udf, create_pg_encoding_to_char_udf, create_pg_get_constraintdef,
    create_pg_get_partition_ancestors_udf, create_pg_get_partkeydef_udf, create_pg_get_statisticsobjdef_columns_udf,
    create_pg_get_userbyid_udf, create_pg_relation_is_publishable_udf, create_pg_relation_size_udf, create_pg_stat_get_numscans,
    create_pg_table_is_visible, create_pg_total_relation_size_udf, format_type, has_privilege_udf, pg_get_expr_udf,
    quote_ident_udf,
};

use super::format::Format;
use super::settings::{SERVER_VERSION, Settings};
use super::to_char::ToChar;

/// Functions about privileges: everybody who is let in may read.
const PRIVILEGES: [&str; 4] =
    ["has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_any_column_privilege"];

/// Functions about things that there are none of, such as comments, views, indexes: null, whatever they are asked.
const NOTHING: [&str; 21] = [
    "_pg_expandarray",
    "col_description",
    "inet_client_addr",
    "inet_server_addr",
    "obj_description",
    "pg_advisory_unlock_all",
    "pg_database_size",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_indexdef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_table_size",
    "pg_tablespace_location",
    "pg_tablespace_size",
    "shobj_description",
];

/// Functions about what the search path hides: nothing.
const VISIBLE: [&str; 13] = [
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_type_is_visible",
    "pg_index_is_visible",
];

/// Functions that are the same for every session.
pub(super) fn all() -> Vec<ScalarUDF> {
    let mut all = vec![
        create_current_schema_udf(),
        create_current_schemas_udf(),
        create_pg_backend_pid_udf(),
        create_pg_encoding_to_char_udf(),
        create_pg_get_constraintdef(),
        create_pg_get_partition_ancestors_udf(),
        create_pg_get_partkeydef_udf(),
        create_pg_get_statisticsobjdef_columns_udf(),
        create_pg_get_userbyid_udf(),
        create_pg_relation_is_publishable_udf(),
        create_pg_relation_size_udf(),
        create_pg_stat_get_numscans(),
        create_pg_table_is_visible(),
        create_pg_total_relation_size_udf(),
        format_type::create_format_type_udf(),
        pg_get_expr_udf::create_pg_get_expr_udf(),
        quote_ident_udf::create_quote_ident_udf(),
        quote_ident_udf::create_parse_ident_udf(),
        array_bounds_udf::create_array_upper_udf(),
        array_bounds_udf::create_array_lower_udf(),
        constant("getdatabaseencoding", text("UTF8")),
        constant("pg_is_in_recovery", ScalarValue::Boolean(Some(false))),
        constant("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
        constant("version", text(&format!("PostgreSQL {SERVER_VERSION} (Telelake {})", env!("CARGO_PKG_VERSION")))),
    ];
    all.extend(PRIVILEGES.map(has_privilege_udf::create_has_privilege_udf));
    all.extend(NOTHING.map(|name| ScalarUDF::from(Always::new(name, nothing(name)))));
    all.push(ScalarUDF::from(ToChar::new()));
    all.push(ScalarUDF::from(Format::new()));
    // The number of UTF8, the only encoding.
    all.push(ScalarUDF::from(Always::new("pg_char_to_encoding", ScalarValue::Int32(Some(6)))));
    all.push(size_pretty());
    all.extend(VISIBLE.map(|name| ScalarUDF::from(Always::new(name, ScalarValue::Boolean(Some(true))))));
    all
}

/// The null that a function answers with.
fn nothing(name: &str) -> ScalarValue {
    match name {
        // An element of an array and its place; clients ask for both by name.
        "_pg_expandarray" => {
            let fields = [("x", DataType::Int32), ("n", DataType::Int32)].map(|(name, of)| Field::new(name, of, true));
            ScalarValue::try_from(DataType::Struct(Fields::from_iter(fields))).unwrap_or(ScalarValue::Null)
        }
        // Sizes, which clients hand to pg_size_pretty.
        "pg_database_size" | "pg_table_size" | "pg_tablespace_size" => ScalarValue::Int64(None),
        _ => ScalarValue::Utf8(None),
    }
}

/// `pg_size_pretty(bytes)`.
fn size_pretty() -> ScalarUDF {
    let pretty = |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let sizes = arrays[0].as_primitive::<Int64Type>().iter();
        Ok(ColumnarValue::Array(Arc::new(sizes.map(|bytes| bytes.map(pretty_bytes)).collect::<StringArray>())))
    };
    create_udf("pg_size_pretty", vec![DataType::Int64], DataType::Utf8, Volatility::Immutable, Arc::new(pretty))
}

/// Bytes in the largest unit that leaves five digits at most, rounded half away from zero.
fn pretty_bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes.unsigned_abs() < 10 * 1024 {
        return format!("{bytes} bytes");
    }
    let mut halves = bytes / 512;
    let mut unit = "bytes";
    for next in UNITS {
        unit = next;
        if halves.unsigned_abs() < 20 * 1024 - 1 || unit == "PB" {
            break;
        }
        halves /= 1024;
    }
    format!("{} {unit}", (halves + halves.signum()) / 2)
}

/// Functions that tell of the session.
pub(super) fn of_session(database: &str, user: &str, settings: &Settings) -> Vec<ScalarUDF> {
    vec![
        create_current_database_udf(database),
        constant("session_user", text(user)),
        ScalarUDF::from(Setting::new("current_setting", settings)),
        ScalarUDF::from(Setting::new("set_config", settings)),
    ]
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

/// A function without arguments.
fn constant(name: &str, value: ScalarValue) -> ScalarUDF {
    let data_type = value.data_type();
    create_udf(name, vec![], data_type, Volatility::Stable, Arc::new(move |_| Ok(ColumnarValue::Scalar(value.clone()))))
}

/// One value, whatever is asked.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Always {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl Always {
    fn new(name: &'static str, value: ScalarValue) -> Self {
        let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
        Self { name, value, signature: Signature::new(any, Volatility::Stable) }
    }
}

impl ScalarUDFImpl for Always {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// `current_setting(name [, missing_ok])`, and `set_config(name, value, is_local)`, which sets nothing here: SET does.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Setting {
    name: &'static str,
    signature: Signature,
    values: Vec<(String, String)>,
}

impl Setting {
    fn new(name: &'static str, settings: &Settings) -> Self {
        let exact = |types: &[DataType]| TypeSignature::Exact(types.to_vec());
        let types = match name {
            "set_config" => vec![exact(&[DataType::Utf8, DataType::Utf8, DataType::Boolean])],
            _ => vec![exact(&[DataType::Utf8]), exact(&[DataType::Utf8, DataType::Boolean])],
        };
        Self { name, signature: Signature::new(TypeSignature::OneOf(types), Volatility::Stable), values: settings.all() }
    }

    fn value(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl ScalarUDFImpl for Setting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.name == "set_config" {
            return Ok(args.args.get(1).cloned().unwrap_or(ColumnarValue::Scalar(ScalarValue::Utf8(None))));
        }
        let missing_ok = matches!(args.args.get(1), Some(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true)))));
        let value = |name: Option<&str>| match name.map(|name| (name, self.value(name))) {
            Some((name, None)) if !missing_ok => exec_err!("unrecognized configuration parameter \"{name}\""),
            found => Ok(found.and_then(|(_, value)| value)),
        };
        match &args.args[0] {
            ColumnarValue::Scalar(name) => {
                let value = value(name.try_as_str().flatten())?;
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(value.map(str::to_owned))))
            }
            ColumnarValue::Array(names) => {
                let values =
                    cast(names, &DataType::Utf8)?.as_string::<i32>().iter().map(value).collect::<Result<StringArray>>()?;
                Ok(ColumnarValue::Array(Arc::new(values)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_pretty() {
        let told = [0, 10_239, 10_240, 1_000_000, 20_970_000, 5_000_000_000, -10_240, i64::MAX].map(pretty_bytes);
        assert_eq!(told, ["0 bytes", "10239 bytes", "10 kB", "977 kB", "20 MB", "4768 MB", "-10 kB", "8192 PB"]);
    }
}
