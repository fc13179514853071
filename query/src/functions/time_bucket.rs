//! `time_bucket(interval, time [, origin])`: the start of the bucket that a time falls into.
//!
//! As `date_bin`, but for the default origin, which is TimescaleDB's: Monday, 2000-01-03, so that weeks begin on Mondays, and 2000-01-01
//! for buckets of months and years. `date_bin` counts from 1970-01-01, a Thursday.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

/// 2000-01-03T00:00:00Z in nanoseconds.
const MONDAY_NS: i64 = 946_857_600_000_000_000;
/// 2000-01-01T00:00:00Z in nanoseconds.
const CENTURY_NS: i64 = 946_684_800_000_000_000;

/// `time_bucket(interval, time [, origin])`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeBucket {
    date_bin: Arc<ScalarUDF>,
}

impl TimeBucket {
    /// On top of DataFusion's `date_bin`.
    pub(super) fn new(date_bin: Arc<ScalarUDF>) -> Self {
        Self { date_bin }
    }
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        self.date_bin.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.date_bin.inner().return_type(arg_types)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [interval, time] = args.args.as_slice()
            && matches!(time.data_type(), DataType::Timestamp(..))
        {
            let months = match interval {
                ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(interval))) => interval.months,
                _ => 0,
            };
            let origin_ns = if months == 0 { MONDAY_NS } else { CENTURY_NS };
            let origin = ScalarValue::TimestampNanosecond(Some(origin_ns), Some("+00:00".into()));
            args.arg_fields.push(Arc::new(Field::new("origin", origin.data_type(), false)));
            args.args.push(ColumnarValue::Scalar(origin));
        }
        self.date_bin.invoke_with_args(args)
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.date_bin.inner().output_ordering(input)
    }
}
