//! How large the result of a capped function will be, row by row, from its arguments alone.
//!
//! An estimate may be too high, never too low. Sums saturate, so that no argument is too absurd to be refused.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, Int64Type, IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;

use super::Cap;

/// Bytes of text that one element of a list stands for.
const ELEMENT_BYTES: u64 = 16;
/// Bytes that a number or a time has as text, at most.
const NUMBER_BYTES: u64 = 32;
/// How much longer a time can be than the two letters of its format.
const FORMAT_FACTOR: u64 = 20;

/// For each row of `arrays`, the arguments of a call: how much the call makes of it, in the measure of `cap`. An array has as many rows, or
/// one value for all.
pub(super) fn sizes(cap: Cap, arrays: &[ArrayRef], rows: usize) -> Vec<u64> {
    // A constant is one value, whatever the rows: as long as it may be, it is not repeated to be measured.
    let spread = |found: Option<Vec<u64>>| match found {
        Some(one) if one.len() == 1 => vec![one[0]; rows],
        Some(all) => all,
        None => vec![0; rows],
    };
    let spread_signed = |found: Vec<i64>| if found.len() == 1 { vec![found[0]; rows] } else { found };
    let text = |i: usize| spread(arrays.get(i).map(bytes));
    let number = |i: usize| spread_signed(arrays.get(i).map_or_else(|| vec![0], integers));
    let natural = |i: usize| -> Vec<u64> { number(i).into_iter().map(|n| u64::try_from(n).unwrap_or(0)).collect() };
    let weight = |i: usize| spread(arrays.get(i).map(weights));
    let count = |i: usize| spread(arrays.get(i).map(elements));
    let each = |size: &dyn Fn(usize) -> u64| -> Vec<u64> { (0..rows).map(size).collect() };
    match cap {
        Cap::Repeat => {
            let (text, n) = (text(0), natural(1));
            each(&|row| text[row].saturating_mul(n[row]))
        }
        // Characters, of up to four bytes.
        Cap::Pad => {
            let (n, fill) = (natural(1), text(2));
            each(&|row| if n[row] == 0 { 0 } else { n[row].saturating_mul(4).max(fill[row]) })
        }
        Cap::Replace => {
            let (text, from, to) = (text(0), text(1), text(2));
            each(&|row| {
                let fits = (text[row] / from[row].max(1)).saturating_add(1);
                text[row].max(fits.saturating_mul(to[row]))
            })
        }
        // Matches do not overlap, so that what one group catches is the text once at most; an empty pattern matches everywhere.
        Cap::ReplaceMatches => {
            let (text, to, groups) = (text(0), text(2), spread(arrays.get(2).map(references)));
            each(&|row| {
                let literal = text[row].saturating_add(1).saturating_mul(to[row]);
                text[row].saturating_add(literal).saturating_add(groups[row].saturating_mul(text[row]))
            })
        }
        Cap::Join => sum((0..arrays.len()).map(text).collect(), rows),
        Cap::JoinWith => {
            let separator = text(0);
            let texts = sum((1..arrays.len()).map(text).collect(), rows);
            each(&|row| texts[row].saturating_add(separator[row].saturating_mul(arrays.len() as u64)))
        }
        Cap::Double => text(0).into_iter().map(|bytes| bytes.saturating_mul(2)).collect(),
        Cap::Format => {
            let format = text(1);
            each(&|row| format[row].saturating_mul(FORMAT_FACTOR))
        }
        Cap::Range => {
            let (first, second) = (number(0), number(1));
            let step = spread_signed(arrays.get(2).map_or_else(|| vec![1], steps));
            each(&|row| {
                let (start, stop) = if arrays.len() == 1 { (0, first[row]) } else { (first[row], second[row]) };
                stop.abs_diff(start) / step[row].unsigned_abs().max(1)
            })
        }
        // The cost is that of the copied element: text, or a list of elements.
        Cap::ListRepeat => {
            let (element, n) = (weight(0), natural(1));
            each(&|row| n[row].saturating_mul(element[row]))
        }
        Cap::ListResize => {
            let (n, fill) = (natural(1), weight(2));
            each(&|row| n[row].saturating_mul(fill[row].max(1)))
        }
        Cap::ListReplace => {
            let (list, count, to) = (weight(0), count(0), weight(2));
            each(&|row| list[row].saturating_add(count[row].saturating_mul(to[row])))
        }
        Cap::ListJoin => sum((0..arrays.len()).map(weight).collect(), rows),
        Cap::ListText => {
            let (list, count, separator, null) = (weight(0), count(0), text(1), text(2));
            each(&|row| {
                let between = count[row].saturating_mul(separator[row].saturating_add(null[row]));
                list[row].saturating_mul(NUMBER_BYTES).saturating_add(between)
            })
        }
        Cap::TextProduct => {
            let (a, b) = (text(0), text(1));
            each(&|row| a[row].saturating_mul(b[row]))
        }
        Cap::ListProduct => {
            let (a, b) = (weight(0), weight(1));
            each(&|row| a[row].saturating_mul(b[row]))
        }
    }
}

fn sum(columns: Vec<Vec<u64>>, rows: usize) -> Vec<u64> {
    (0..rows).map(|row| columns.iter().fold(0u64, |sum, column| sum.saturating_add(column[row]))).collect()
}

/// Whole numbers; times in nanoseconds. What is none is 0.
fn integers(array: &ArrayRef) -> Vec<i64> {
    let numbers = match array.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            cast(array, &DataType::Timestamp(TimeUnit::Nanosecond, None)).and_then(|ns| cast(&ns, &DataType::Int64))
        }
        _ => cast(array, &DataType::Int64),
    };
    match numbers {
        Ok(numbers) => numbers.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect(),
        Err(_) => vec![0; array.len()],
    }
}

/// Steps of a range: numbers, or the shortest that an interval can be, in nanoseconds.
fn steps(array: &ArrayRef) -> Vec<i64> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let step = |row: usize| match ScalarValue::try_from_array(array, row) {
        Ok(ScalarValue::IntervalMonthDayNano(Some(v))) => i64::from(v.months)
            .saturating_mul(28 * DAY_NS)
            .saturating_add(i64::from(v.days).saturating_mul(DAY_NS))
            .saturating_add(v.nanoseconds),
        Ok(ScalarValue::IntervalDayTime(Some(v))) => {
            i64::from(v.days).saturating_mul(DAY_NS).saturating_add(i64::from(v.milliseconds).saturating_mul(1_000_000))
        }
        Ok(ScalarValue::IntervalYearMonth(Some(v))) => i64::from(v).saturating_mul(28 * DAY_NS),
        _ => 1,
    };
    match array.data_type() {
        DataType::Interval(IntervalUnit::MonthDayNano | IntervalUnit::DayTime | IntervalUnit::YearMonth) => {
            (0..array.len()).map(step).collect()
        }
        _ => integers(array),
    }
}

/// Bytes of texts and binaries; other values are no text, or short ones.
fn bytes(array: &ArrayRef) -> Vec<u64> {
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => lengths(array),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => lengths(array),
        DataType::Dictionary(_, values) => match cast(array, values) {
            Ok(plain) => bytes(&plain),
            Err(_) => vec![u64::MAX; array.len()],
        },
        DataType::Null => vec![0; array.len()],
        _ => vec![NUMBER_BYTES; array.len()],
    }
}

/// How many elements lists have; what is no list has one.
fn elements(array: &ArrayRef) -> Vec<u64> {
    match array.data_type() {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => lengths(array),
        _ => vec![1; array.len()],
    }
}

fn lengths(array: &ArrayRef) -> Vec<u64> {
    let found = length(array).and_then(|lengths| cast(&lengths, &DataType::Int64));
    match found {
        Ok(found) => {
            let found = found.as_primitive::<Int64Type>();
            found.iter().map(|n| u64::try_from(n.unwrap_or_default()).unwrap_or(0)).collect()
        }
        Err(_) => vec![u64::MAX; array.len()],
    }
}

/// What copying a value costs, in elements: its own and those within it, texts by their length.
fn weights(array: &ArrayRef) -> Vec<u64> {
    let between = |children: &ArrayRef, bounds: &mut dyn Iterator<Item = (usize, usize)>| -> Vec<u64> {
        let mut before = Vec::with_capacity(children.len() + 1);
        before.push(0u64);
        for weight in weights(children) {
            before.push(before[before.len() - 1].saturating_add(weight));
        }
        bounds.map(|(from, to)| (before[to] - before[from]).saturating_add(1)).collect()
    };
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            between(list.values(), &mut offsets.windows(2).map(|w| (w[0] as usize, w[1] as usize)))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            between(list.values(), &mut offsets.windows(2).map(|w| (w[0] as usize, w[1] as usize)))
        }
        DataType::FixedSizeList(_, size) => {
            let (list, size) = (array.as_fixed_size_list(), usize::try_from(*size).unwrap_or(0));
            between(list.values(), &mut (0..list.len()).map(|row| (row * size, (row + 1) * size)))
        }
        DataType::Struct(_) => {
            let fields: Vec<Vec<u64>> = array.as_struct().columns().iter().map(weights).collect();
            sum(fields, array.len())
        }
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => lengths(array).into_iter().map(|bytes| bytes / ELEMENT_BYTES + 1).collect(),
        _ => vec![1; array.len()],
    }
}

/// How often texts refer to groups of a match.
fn references(array: &ArrayRef) -> Vec<u64> {
    let count = |text: Option<&str>| text.map_or(0, |text| text.bytes().filter(|b| matches!(b, b'\\' | b'$')).count() as u64);
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(count).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(count).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(count).collect(),
        _ => bytes(array),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray, StringViewArray};

    use super::*;

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn numbers(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn results_are_never_larger_than_said() {
        #[track_caller]
        fn check(cap: Cap, arrays: &[ArrayRef], expected: &[u64]) {
            assert_eq!(sizes(cap, arrays, expected.len()), expected, "{cap:?}");
        }
        check(Cap::Repeat, &[texts(&["ab", "ab", ""]), numbers(&[3, -1, i64::MAX])], &[6, 0, 0]);
        check(Cap::Repeat, &[texts(&["ab"]), numbers(&[i64::MAX])], &[u64::MAX - 1]);
        check(Cap::Pad, &[texts(&["a"]), numbers(&[5]), texts(&["x"])], &[20]);
        check(Cap::Replace, &[texts(&["aaaa"]), texts(&["a"]), texts(&["xyz"])], &[15]);
        // `x` replaced everywhere, the gaps too: xx ─► -xx- at most, and a group that is named twice is there twice.
        check(Cap::ReplaceMatches, &[texts(&["xx", "xx"]), texts(&["", ""]), texts(&["-", r"\1\1"])], &[2 + 3, 2 + 12 + 4]);
        check(Cap::Join, &[texts(&["a", ""]), texts(&["bc", "d"])], &[3, 1]);
        check(Cap::JoinWith, &[texts(&["--"]), texts(&["a"]), texts(&["b"])], &[2 + 6]);
        check(Cap::Range, &[numbers(&[1, 0]), numbers(&[10, -10]), numbers(&[3, -1])], &[3, 10]);
        check(Cap::TextProduct, &[texts(&["abc"]), texts(&["de"])], &[6]);
    }

    #[test]
    fn lists_weigh_what_is_in_them() {
        let list = |rows: Vec<Vec<Option<i64>>>| -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows.into_iter().map(Some)))
        };
        assert_eq!(weights(&list(vec![vec![Some(1), None], vec![]])), [3, 1]);
        let views: ArrayRef = Arc::new(StringViewArray::from(vec!["x".repeat(160)]));
        assert_eq!(weights(&views), [11]);
        assert_eq!(sizes(Cap::ListRepeat, &[views, numbers(&[10])], 1), [110]);
        let sliced = list(vec![vec![Some(1); 5], vec![Some(1); 7]]).slice(1, 1);
        assert_eq!((weights(&sliced), elements(&sliced)), (vec![8], vec![7]));
    }
}
