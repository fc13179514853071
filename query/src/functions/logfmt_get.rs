//! `logfmt_get(text, key)`: the first value of a key in a line of logfmt, null when it is not there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use logql::pipeline::logfmt_value;

/// `logfmt_get(text, key)`. Reads as LogQL's `logfmt` does: what is no pair is passed over; a key without a value has the empty text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LogfmtGet {
    signature: Signature,
}

impl LogfmtGet {
    pub(super) fn new() -> Self {
        Self { signature: Signature::string(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LogfmtGet {
    fn name(&self) -> &str {
        "logfmt_get"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let text = |at: usize| cast(&args.args[at].to_array(args.number_rows)?, &DataType::Utf8).map_err(Into::into);
        let (lines, keys): (Result<ArrayRef>, Result<ArrayRef>) = (text(0), text(1));
        let (lines, keys) = (lines?, keys?);
        let (lines, keys) = (lines.as_string::<i32>(), keys.as_string::<i32>());
        // A value is a part of its line, so that all of them fit wherever the lines did.
        let (mut out, mut buffer) = (StringBuilder::with_capacity(args.number_rows, 0), Vec::new());
        for row in 0..args.number_rows {
            let is_there = lines.is_valid(row) && keys.is_valid(row);
            out.append_option(if is_there { logfmt_value(lines.value(row), keys.value(row), &mut buffer) } else { None });
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
