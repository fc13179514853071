//! `a || b` as a function, so that it has a cap like every other call.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::concat_elements::{
    concat_element_binary, concat_elements_binary_view_array, concat_elements_string_view_array, concat_elements_utf8,
};
use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What the function is called; no statement can say this name without quotes.
pub(super) const NAME: &str = "||";

/// The operator's work: texts or binaries of one type, null where one of them is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::functions) struct JoinTexts {
    signature: Signature,
}

impl JoinTexts {
    pub(in crate::functions) fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn result_type(left: &DataType, right: &DataType) -> Result<DataType> {
    BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_result_type()
}

impl ScalarUDFImpl for JoinTexts {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [left, right] => result_type(left, right),
            _ => plan_err!("|| takes two values"),
        }
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let both = self.return_type(types)?;
        Ok(vec![both.clone(), both])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays =
            args.args.iter().map(|arg| Ok(cast(&arg.to_array(rows)?, args.return_type())?)).collect::<Result<Vec<_>>>()?;
        let [left, right] = arrays.as_slice() else { return exec_err!("|| takes two values") };
        let joined: ArrayRef = match args.return_type() {
            DataType::Utf8 => Arc::new(concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?),
            DataType::LargeUtf8 => Arc::new(concat_elements_utf8(left.as_string::<i64>(), right.as_string::<i64>())?),
            DataType::Utf8View => Arc::new(concat_elements_string_view_array(left.as_string_view(), right.as_string_view())?),
            DataType::Binary => Arc::new(concat_element_binary(left.as_binary::<i32>(), right.as_binary::<i32>())?),
            DataType::LargeBinary => Arc::new(concat_element_binary(left.as_binary::<i64>(), right.as_binary::<i64>())?),
            DataType::BinaryView => Arc::new(concat_elements_binary_view_array(left.as_binary_view(), right.as_binary_view())?),
            other => return exec_err!("|| does not make a {other}"),
        };
        match constant {
            true => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&joined, 0)?)),
            false => Ok(ColumnarValue::Array(joined)),
        }
    }
}

/// Puts capped functions where the planner has put others: the operator, and functions that it knows by itself, not by name.
#[derive(Debug)]
pub(in crate::functions) struct CappedCalls {
    capped: HashMap<String, Arc<ScalarUDF>>,
}

impl CappedCalls {
    /// Of `functions` those that have a cap.
    pub(in crate::functions) fn of(functions: &[Arc<ScalarUDF>]) -> Self {
        let capped = functions.iter().filter(|function| super::is_capped(function));
        Self { capped: capped.map(|function| (function.name().to_owned(), Arc::clone(function))).collect() }
    }
}

impl FunctionRewrite for CappedCalls {
    fn name(&self) -> &str {
        "capped_calls"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                // A placeholder without a value has no type yet; it gets one before the statement runs.
                let joined = match (left.get_type(schema), right.get_type(schema)) {
                    (Ok(left), Ok(right)) => result_type(&left, &right).ok(),
                    _ => None,
                };
                use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
                match (joined, self.capped.get(NAME)) {
                    (Some(Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView), Some(function)) => {
                        let call = ScalarFunction { func: Arc::clone(function), args: vec![*left, *right] };
                        Ok(Transformed::yes(Expr::ScalarFunction(call)))
                    }
                    _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }))),
                }
            }
            Expr::ScalarFunction(ScalarFunction { func, args }) => match self.capped.get(func.name()) {
                // Another function of that name is not ours to replace: whoever brings one bounds it.
                Some(function) if super::is_behind(function, &func) => {
                    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: Arc::clone(function), args })))
                }
                _ => Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))),
            },
            other => Ok(Transformed::no(other)),
        }
    }
}
