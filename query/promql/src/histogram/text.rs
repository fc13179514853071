//! A histogram as Prometheus prints it: `{count:4, sum:5, (0.5,1]:1, (1,2]:3}`.

use std::fmt;

use super::{Histogram, Side};
use crate::print::float;

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", float(self.count), float(self.sum))?;
        let Side(negative) = self.negative();
        let negative = negative.into_iter().rev().map(|(index, count)| self.negative_bucket(index, count));
        let zero = (!self.is_custom()).then(|| self.zero_bucket());
        let Side(positive) = self.positive();
        let positive = positive.into_iter().map(|(index, count)| self.positive_bucket(index, count));
        // Not as in `buckets`: these end where they end, even in the zero bucket.
        for bucket in negative.chain(zero).chain(positive).filter(|b| b.count != 0.0) {
            let (open, close) = (if bucket.lower_inclusive { '[' } else { '(' }, if bucket.upper_inclusive { ']' } else { ')' });
            write!(f, ", {open}{},{}{close}:{}", float(bucket.lower), float(bucket.upper), float(bucket.count))?;
        }
        f.write_str("}")
    }
}
