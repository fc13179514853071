//! `attr(map, key)`: the value of an attribute, null when it is not there.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::map_value::{Absent, map_value};

/// `attr(map, key)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Attr {
    signature: Signature,
}

impl Attr {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Attr {
    fn name(&self) -> &str {
        "attr"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        map_value("attr", &args.args, args.number_rows, Absent::Null)
    }
}
