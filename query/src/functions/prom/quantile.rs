//! Quantiles of classic histograms.

use datafusion::common::Result;
use promql::functions::classic::{Bucket, bucket_quantile};

/// The quantile that comes with every row, of buckets with these upper bounds and cumulative counts.
///
/// # Errors
/// The quantile differs between rows.
pub(super) fn of_buckets(name: &str, quantiles: &[f64], bounds: &[f64], counts: &[f64]) -> Result<Option<f64>> {
    let Some(first) = quantiles.first() else { return Ok(None) };
    if quantiles.iter().any(|other| other.to_bits() != first.to_bits()) {
        return Err(crate::Error::Invalid { message: format!("{name}: q must be the same for all rows of a group") }.into());
    }
    let mut buckets: Vec<Bucket> =
        bounds.iter().zip(counts).map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect();
    Ok(Some(bucket_quantile(*first, &mut buckets).value))
}
