//! PromQL's functions of ranges and classic histograms as SQL aggregates.
//!
//! ```text
//! prom_rate(ts, value, window_start, window_end)      prom_increase, prom_delta: extrapolated to the window (start, end]
//! prom_irate(ts, value)                               prom_idelta, prom_resets, prom_changes, prom_deriv
//! prom_histogram_quantile(q, le, value)
//! ```
//! The arithmetic is the crate `promql`'s. Rows may come in any order; a row with a null is left out.

mod collect;
mod quantile;
mod range;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use promql::ast::Function;

use collect::Collector;

/// The aggregates.
pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let all = [
        ("prom_rate", Kind::Window(Function::Rate)),
        ("prom_increase", Kind::Window(Function::Increase)),
        ("prom_delta", Kind::Window(Function::Delta)),
        ("prom_irate", Kind::Samples(Function::Irate)),
        ("prom_idelta", Kind::Samples(Function::Idelta)),
        ("prom_resets", Kind::Samples(Function::Resets)),
        ("prom_changes", Kind::Samples(Function::Changes)),
        ("prom_deriv", Kind::Samples(Function::Deriv)),
        ("prom_histogram_quantile", Kind::Quantile),
    ];
    let aggregate = |(name, kind)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(AggregateUDF::from(PromAggregate { name, kind, signature }))
    };
    all.into_iter().map(aggregate).collect()
}

/// What is made of the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// Of time, value, and the two ends of the window.
    Window(Function),
    /// Of time and value.
    Samples(Function),
    /// Of quantile, bound, and cumulative count.
    Quantile,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    Time,
    Number,
    /// A number, or one as text: `+Inf`.
    Bound,
}

impl Kind {
    fn arguments(self) -> &'static [Argument] {
        use Argument::{Bound, Number, Time};
        match self {
            Self::Window(_) => &[Time, Number, Time, Time],
            Self::Samples(_) => &[Time, Number],
            Self::Quantile => &[Number, Bound, Number],
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Window(_) => "(ts, value, window_start, window_end)",
            Self::Samples(_) => "(ts, value)",
            Self::Quantile => "(q, le, value)",
        }
    }
}

impl Argument {
    /// The type that an argument of type `given` is taken as.
    fn taken_as(self, given: &DataType) -> Option<DataType> {
        match (self, given) {
            (Self::Time, DataType::Timestamp(_, zone)) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())),
            (Self::Time, DataType::Date32 | DataType::Date64) => Some(DataType::Timestamp(TimeUnit::Millisecond, None)),
            (Self::Time, kind) if is_text(kind) => Some(DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()))),
            (Self::Bound, kind) if is_text(kind) => Some(DataType::Utf8),
            (Self::Number | Self::Bound, kind) if kind.is_numeric() => Some(DataType::Float64),
            _ => None,
        }
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PromAggregate {
    name: &'static str,
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for PromAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let wanted = self.kind.arguments();
        let taken = wanted.iter().zip(arg_types).map(|(argument, given)| argument.taken_as(given)).collect::<Option<Vec<_>>>();
        taken.filter(|_| wanted.len() == arg_types.len()).ok_or_else(|| {
            let given = arg_types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            DataFusionError::Plan(format!("{}{} does not take ({given})", self.name, self.kind.usage()))
        })
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |at| {
            let element = Arc::new(Field::new_list_field(DataType::Float64, false));
            Arc::new(Field::new(format!("{}[{at}]", args.name), DataType::List(element), false))
        };
        Ok((0..self.kind.arguments().len()).map(field).collect())
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Collector::new(self.name, self.kind)))
    }
}
