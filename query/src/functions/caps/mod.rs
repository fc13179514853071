//! Caps on functions whose result can be far larger than their input, or that can keep a thread for minutes.
//!
//! ```text
//! arguments ─sizes─► rows that are refused | rows cut into slices ─► DataFusion's own function ─► what it made, counted
//!                                              └ between two slices: does anybody still wait?
//! ```
//! The result of one call lives outside the memory pool, so that a pool cannot refuse it. Each capped function is DataFusion's own
//! behind a check of its arguments; what the calls of one statement share is its [`Budget`].
//!
//! # Invariants
//! - What a call makes of one batch is bounded, and what calls with constant arguments make of one statement.
//! - A function that is slow on purpose ends soon after its query: within the work of one slice.

mod join;
mod sizes;

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use crate::budget::Budget;
use crate::error::Error;
pub(super) use join::{CappedCalls, JoinTexts};

/// Bytes that one value may have.
const VALUE_BYTES_MAX: u64 = 1 << 20;
/// Bytes that the values of one batch may have together.
const BATCH_BYTES_MAX: u64 = 64 << 20;
/// The same of functions that hand on what they are given: rows may be long by themselves.
const JOINED_BYTES_MAX: u64 = 256 << 20;
/// Elements that one list may have.
const LIST_ELEMENTS_MAX: u64 = 1_000_000;
/// Elements that the lists of one batch may have together.
const BATCH_ELEMENTS_MAX: u64 = 8_000_000;
/// Comparisons within one row; a tenth of a second or so.
const COMPARISONS_MAX: u64 = 64 << 20;
/// Bytes that one element of a constant counts.
const ELEMENT_BYTES: u64 = 16;

/// How a function's result is estimated from its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Cap {
    /// `repeat(text, n)`: length times n.
    Repeat,
    /// `lpad(text, n, fill)`: n characters.
    Pad,
    /// `replace(text, from, to)`: as often as `from` fits.
    Replace,
    /// `regexp_replace(text, pattern, to)`: everywhere, with all of the text in every group.
    ReplaceMatches,
    /// `a || b`, `concat(a, b, ...)`: all of them.
    Join,
    /// `concat_ws(separator, a, b, ...)`.
    JoinWith,
    /// `encode(text, 'hex')`: twice as long at most.
    Double,
    /// `to_char(time, format)`.
    Format,
    /// `range(start, stop, step)`, `generate_series`.
    Range,
    /// `array_repeat(element, n)`.
    ListRepeat,
    /// `array_resize(list, n, fill)`.
    ListResize,
    /// `array_replace_all(list, from, to)`.
    ListReplace,
    /// `array_concat(a, b, ...)`, `array_append(list, element)`.
    ListJoin,
    /// `array_to_string(list, separator, null)`.
    ListText,
    /// `levenshtein(a, b)`: every character of one with every character of the other.
    TextProduct,
    /// `array_has_all(a, b)`: the same of elements.
    ListProduct,
}

/// What a cap bounds.
struct Bounds {
    what: &'static str,
    /// Of one row.
    one: u64,
    /// Of one batch, as it was estimated; `None`: rows are cut into slices, and what comes out is counted.
    estimated: Option<u64>,
    /// Of one batch, as it came out.
    made: u64,
    /// Of one slice.
    slice: u64,
    /// Bytes that one of them counts as a constant.
    bytes: u64,
}

impl Cap {
    fn bounds(self) -> Bounds {
        let texts =
            |one, estimated, made| Bounds { what: "bytes of text", one, estimated, made, slice: BATCH_BYTES_MAX, bytes: 1 };
        let lists = |one, all| Bounds {
            what: "elements",
            one,
            estimated: Some(all),
            made: u64::MAX,
            slice: u64::MAX,
            bytes: ELEMENT_BYTES,
        };
        let work = || Bounds {
            what: "comparisons",
            one: COMPARISONS_MAX,
            estimated: None,
            made: u64::MAX,
            slice: COMPARISONS_MAX,
            bytes: 0,
        };
        match self {
            Self::Repeat | Self::Pad | Self::Format | Self::ListText => texts(VALUE_BYTES_MAX, Some(BATCH_BYTES_MAX), u64::MAX),
            Self::Replace | Self::ReplaceMatches => texts(BATCH_BYTES_MAX, None, JOINED_BYTES_MAX),
            Self::Join | Self::JoinWith | Self::Double => texts(BATCH_BYTES_MAX, Some(JOINED_BYTES_MAX), u64::MAX),
            Self::Range | Self::ListRepeat | Self::ListResize => lists(LIST_ELEMENTS_MAX, BATCH_ELEMENTS_MAX),
            Self::ListReplace | Self::ListJoin => lists(4 * LIST_ELEMENTS_MAX, 4 * BATCH_ELEMENTS_MAX),
            Self::TextProduct | Self::ListProduct => work(),
        }
    }
}

/// The functions that have a cap.
const CAPS: [(&str, Cap); 27] = [
    ("repeat", Cap::Repeat),
    ("lpad", Cap::Pad),
    ("rpad", Cap::Pad),
    ("replace", Cap::Replace),
    ("regexp_replace", Cap::ReplaceMatches),
    ("concat", Cap::Join),
    ("overlay", Cap::Join),
    (join::NAME, Cap::Join),
    ("concat_ws", Cap::JoinWith),
    ("encode", Cap::Double),
    ("to_char", Cap::Format),
    ("range", Cap::Range),
    ("generate_series", Cap::Range),
    ("array_repeat", Cap::ListRepeat),
    ("array_resize", Cap::ListResize),
    ("array_replace", Cap::ListReplace),
    ("array_replace_n", Cap::ListReplace),
    ("array_replace_all", Cap::ListReplace),
    ("array_concat", Cap::ListJoin),
    ("array_append", Cap::ListJoin),
    ("array_prepend", Cap::ListJoin),
    ("arrays_zip", Cap::ListJoin),
    ("array_union", Cap::ListJoin),
    ("array_to_string", Cap::ListText),
    ("levenshtein", Cap::TextProduct),
    ("array_has_all", Cap::ListProduct),
    ("array_has_any", Cap::ListProduct),
];

/// `function`, behind its cap if it needs one.
pub(super) fn capped(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match CAPS.iter().find(|(name, _)| *name == function.name()) {
        Some(&(name, cap)) => Arc::new(ScalarUDF::from(Capped { name, cap, inner: function })),
        None => function,
    }
}

/// Whether `function` is the one that `capped` puts a cap on.
fn is_behind(capped: &ScalarUDF, function: &ScalarUDF) -> bool {
    let inner: &dyn Any = capped.inner().as_ref();
    inner.downcast_ref::<Capped>().is_some_and(|capped| *capped.inner == *function)
}

/// Whether calls of `function` count when the functions of a statement share a batch.
pub(crate) fn is_capped(function: &ScalarUDF) -> bool {
    CAPS.iter().any(|(name, _)| *name == function.name())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Capped {
    name: &'static str,
    cap: Cap,
    inner: Arc<ScalarUDF>,
}

impl Capped {
    /// The first rows of each slice, after everything that can be refused beforehand was refused.
    fn slices(&self, args: &ScalarFunctionArgs, budget: &Budget) -> Result<Vec<usize>> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let array = |arg: &ColumnarValue| arg.to_array(if matches!(arg, ColumnarValue::Scalar(_)) { 1 } else { rows });
        let arrays = args.args.iter().map(array).collect::<Result<Vec<_>>>()?;
        let bounds = self.cap.bounds();
        let refuse = |found, limit| Err(Error::FunctionCap { function: self.name, what: bounds.what, found, limit }.into());
        let (mut all, mut slice) = (0u64, 0u64);
        let mut starts = vec![0];
        for (row, one) in sizes::sizes(self.cap, &arrays, rows).into_iter().enumerate() {
            if one > bounds.one {
                return refuse(one, bounds.one);
            }
            all = all.saturating_add(one);
            slice = slice.saturating_add(one);
            if slice > bounds.slice && row > 0 {
                starts.push(row);
                slice = one;
            }
        }
        if constant {
            budget.constant(self.name, all.saturating_mul(bounds.bytes))?;
        }
        match bounds.estimated.map(|limit| budget.share(limit)) {
            Some(limit) if all > limit => refuse(all, limit),
            _ => Ok(starts),
        }
    }

    /// Slice by slice, counting what comes out.
    fn invoke_slices(&self, args: &ScalarFunctionArgs, starts: &[usize], budget: &Budget) -> Result<ColumnarValue> {
        let bounds = self.cap.bounds();
        let (mut made, mut found) = (Vec::with_capacity(starts.len()), 0u64);
        let ends = starts.iter().skip(1).copied().chain([args.number_rows]);
        for (from, to) in starts.iter().copied().zip(ends) {
            budget.check()?;
            let cut = |arg: &ColumnarValue| match arg {
                ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(from, to - from)),
                scalar => scalar.clone(),
            };
            let part = ScalarFunctionArgs { args: args.args.iter().map(cut).collect(), number_rows: to - from, ..args.clone() };
            let part: ArrayRef = self.inner.invoke_with_args(part)?.into_array(to - from)?;
            found = found.saturating_add(part.get_array_memory_size() as u64);
            let limit = budget.share(bounds.made);
            if found > limit {
                return Err(Error::FunctionCap { function: self.name, what: bounds.what, found, limit }.into());
            }
            made.push(part);
        }
        let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&made)?))
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
        Ok(match self.inner.simplify(args, info)? {
            // What is simpler is called by the same function, and has the same cap.
            ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) if call.func.name() == self.name => {
                let func = Arc::new(ScalarUDF::from(Self { name: self.name, cap: self.cap, inner: Arc::clone(&self.inner) }));
                ExprSimplifyResult::Simplified(Expr::ScalarFunction(ScalarFunction { func, args: call.args }))
            }
            other => other,
        })
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let budget = Budget::of(&args.config_options);
        match self.slices(&args, &budget)?.as_slice() {
            [_] => self.inner.invoke_with_args(args),
            starts => self.invoke_slices(&args, starts, &budget),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
