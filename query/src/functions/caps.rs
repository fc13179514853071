//! Caps on functions whose result can be far larger than their input.
//!
//! The result of one call lives outside the memory pool, so that a pool cannot refuse it. Each capped function is DataFusion's own
//! behind a check of its arguments.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::error::Error;

/// Bytes that one value may have.
const VALUE_BYTES_MAX: u64 = 1 << 20;
/// Bytes that the values of one batch may have together.
const BATCH_BYTES_MAX: u64 = 64 << 20;
/// Elements that one list may have.
const LIST_ELEMENTS_MAX: u64 = 1_000_000;
/// Elements that the lists of one batch may have together.
const BATCH_ELEMENTS_MAX: u64 = 8_000_000;

/// How a function's result is estimated from its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cap {
    /// `repeat(text, n)`: length times n.
    Repeat,
    /// `lpad(text, n, fill)`: n characters.
    Pad,
    /// `replace(text, from, to)`: as often as `from` fits.
    Replace,
    /// `range(start, stop, step)`, `generate_series`.
    Range,
    /// `array_repeat(element, n)`.
    ListRepeat,
    /// `array_resize(list, n, fill)`.
    ListResize,
}

/// `function`, behind its cap if it needs one.
pub(super) fn capped(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let (name, cap) = match function.name() {
        "repeat" => ("repeat", Cap::Repeat),
        "lpad" => ("lpad", Cap::Pad),
        "rpad" => ("rpad", Cap::Pad),
        "replace" => ("replace", Cap::Replace),
        "range" => ("range", Cap::Range),
        "generate_series" => ("generate_series", Cap::Range),
        "array_repeat" => ("array_repeat", Cap::ListRepeat),
        "array_resize" => ("array_resize", Cap::ListResize),
        _ => return function,
    };
    Arc::new(ScalarUDF::from(Capped { name, cap, inner: function }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Capped {
    name: &'static str,
    cap: Cap,
    inner: Arc<ScalarUDF>,
}

impl Capped {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let rows = if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let (what, one_max, all_max) = match self.cap {
            Cap::Repeat | Cap::Pad | Cap::Replace => ("bytes of text", VALUE_BYTES_MAX, BATCH_BYTES_MAX),
            Cap::Range | Cap::ListResize | Cap::ListRepeat => ("elements", LIST_ELEMENTS_MAX, BATCH_ELEMENTS_MAX),
        };
        let refuse = |found, limit| Err(Error::FunctionCap { function: self.name, what, found, limit }.into());
        let mut all = 0u64;
        for row in 0..rows {
            let one = self.size(&arrays, row);
            all = all.saturating_add(one);
            if one > one_max {
                return refuse(one, one_max);
            }
            if all > all_max {
                return refuse(all, all_max);
            }
        }
        Ok(())
    }

    /// How large the result of one row will be at most.
    fn size(&self, arrays: &[ArrayRef], row: usize) -> u64 {
        let number = |i: usize| arrays.get(i).and_then(|a| integer(a, row));
        let natural = |i: usize| u64::try_from(number(i).unwrap_or(0)).unwrap_or(0);
        let length = |i: usize| arrays.get(i).map_or(0, |a| text_bytes(a, row));
        match self.cap {
            Cap::Repeat => length(0).saturating_mul(natural(1)),
            Cap::Pad => natural(1).saturating_mul(4).max(if natural(1) == 0 { 0 } else { length(2) }),
            Cap::Replace => {
                let fits = (length(0) / length(1).max(1)).saturating_add(1);
                length(0).max(fits.saturating_mul(length(2)))
            }
            Cap::Range => {
                let (start, stop) = if arrays.len() == 1 {
                    (0, number(0).unwrap_or(0))
                } else {
                    (number(0).unwrap_or(0), number(1).unwrap_or(0))
                };
                let step = arrays.get(2).map_or(1, |a| step(a, row)).unsigned_abs().max(1);
                stop.abs_diff(start) / step
            }
            // The cost is that of the copied element: text, or a list of elements.
            Cap::ListRepeat => natural(1).saturating_mul((length(0) / 16).max(list_elements(&arrays[0], row)).max(1)),
            Cap::ListResize => natural(1),
        }
    }
}

fn integer(array: &ArrayRef, row: usize) -> Option<i64> {
    let value = array.slice(row, 1);
    let value = match value.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let ns = cast(&value, &DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None)).ok()?;
            cast(&ns, &DataType::Int64).ok()?
        }
        _ => cast(&value, &DataType::Int64).ok()?,
    };
    let value = value.as_primitive::<Int64Type>();
    value.is_valid(0).then(|| value.value(0))
}

/// The step of a range: a number, or the shortest that an interval can be, in nanoseconds.
fn step(array: &ArrayRef, row: usize) -> i64 {
    const DAY_NS: i64 = 86_400_000_000_000;
    match ScalarValue::try_from_array(array, row) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(v))) => i64::from(v.months)
            .saturating_mul(28 * DAY_NS)
            .saturating_add(i64::from(v.days).saturating_mul(DAY_NS))
            .saturating_add(v.nanoseconds),
        Ok(ScalarValue::IntervalDayTime(Some(v))) => {
            i64::from(v.days).saturating_mul(DAY_NS).saturating_add(i64::from(v.milliseconds).saturating_mul(1_000_000))
        }
        Ok(ScalarValue::IntervalYearMonth(Some(v))) => i64::from(v).saturating_mul(28 * DAY_NS),
        _ => integer(array, row).unwrap_or(1),
    }
}

fn text_bytes(array: &ArrayRef, row: usize) -> u64 {
    let text = match ScalarValue::try_from_array(array, row) {
        Ok(text) => text,
        Err(_) => return 0,
    };
    text.try_as_str().flatten().map_or(0, |text| text.len() as u64)
}

fn list_elements(array: &ArrayRef, row: usize) -> u64 {
    match array.as_list_opt::<i32>() {
        Some(list) if list.is_valid(row) => {
            let inner = list.value(row);
            // A list of lists counts its leaves.
            match inner.as_list_opt::<i32>() {
                Some(nested) => nested.values().len() as u64,
                None => inner.len() as u64,
            }
        }
        _ => 1,
    }
}

impl ScalarUDFImpl for Capped {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.invoke_with_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
