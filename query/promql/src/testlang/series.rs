//! Series as lines: `name{label="value"} 1 2+3x4 _ {{schema:0 count:2}}`.

use std::sync::Arc;

use super::lexer::{Cursor, unit_ms};
use crate::histogram::{BucketSpan, CUSTOM_BUCKETS, Histogram, ResetHint};
use crate::labels::{Labels, NAME};
use crate::value::STALE_BITS;

/// Items of one line, expanded, at most: `1x10000000000` is refused.
const ITEMS_MAX: usize = 1_000_000;

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesLine {
    /// Its labels.
    pub labels: Labels,
    /// Its items, expanded.
    pub items: Vec<Item>,
}

/// One item: what a series has at one of its times.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `_`
    Missing,
    /// A number; `stale` among them.
    Float(f64),
    /// `{{...}}`
    Histogram {
        /// The histogram.
        histogram: Arc<Histogram>,
        /// Whether the literal says what its counter reset hint is.
        hint_written: bool,
    },
}

/// `name{label="value"}` in any of its forms.
pub(super) fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let name = cursor.take_while(|c| c != '{' && !c.is_whitespace() && c != '@');
    if !name.is_empty() {
        pairs.push((NAME.to_owned(), name.to_owned()));
    }
    if cursor.eat("{") {
        loop {
            cursor.skip_space();
            if cursor.eat("}") {
                break;
            }
            pairs.push(label(cursor)?);
            cursor.skip_space();
            if !cursor.eat(",") {
                cursor.expect("}")?;
                break;
            }
        }
    } else if name.is_empty() {
        return Err("expected a series".into());
    }
    Ok(Labels::new(pairs))
}

/// `label="value"`, or a quoted metric name alone.
fn label(cursor: &mut Cursor<'_>) -> Result<(String, String), String> {
    let quoted = matches!(cursor.peek(), Some('"' | '\'' | '`'));
    let name = if quoted { cursor.quoted()? } else { cursor.take_while(|c| c != '=' && !c.is_whitespace()).to_owned() };
    cursor.skip_space();
    if quoted && !cursor.rest().starts_with('=') {
        return Ok((NAME.to_owned(), name));
    }
    cursor.expect("=")?;
    cursor.skip_space();
    Ok((name, cursor.quoted()?))
}

/// The items up to the end of the line.
pub(super) fn items(cursor: &mut Cursor<'_>) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.is_done() {
            return Ok(items);
        }
        if cursor.eat("_") {
            let count = if cursor.eat("x") { cursor.count()? } else { 1 };
            repeat(&mut items, count, Item::Missing)?;
        } else if cursor.eat("stale") {
            items.push(Item::Float(f64::from_bits(STALE_BITS)));
        } else if cursor.rest().starts_with("{{") {
            histograms(cursor, &mut items)?;
        } else {
            floats(cursor, &mut items)?;
        }
        if cursor.peek().is_some_and(|c| !c.is_whitespace()) {
            return Err(format!("unexpected {:?} behind an item", cursor.take_while(|c| !c.is_whitespace())));
        }
    }
}

fn repeat(items: &mut Vec<Item>, count: usize, item: Item) -> Result<(), String> {
    if items.len().saturating_add(count) > ITEMS_MAX {
        return Err(format!("a series has at most {ITEMS_MAX} items"));
    }
    items.extend(std::iter::repeat_n(item, count));
    Ok(())
}

/// `a`, `axN`, `a+bxN`, `a-bxN`.
fn floats(cursor: &mut Cursor<'_>, items: &mut Vec<Item>) -> Result<(), String> {
    let at = cursor.rest();
    let mut value = cursor.number().ok_or_else(|| format!("not an item: {:?}", at.split_whitespace().next().unwrap_or("")))?;
    if cursor.eat("x") {
        let more = cursor.count()?;
        return repeat(items, more.saturating_add(1), Item::Float(value));
    }
    if !matches!(cursor.peek(), Some('+' | '-')) {
        return repeat(items, 1, Item::Float(value));
    }
    let change = cursor.number().ok_or("expected a number behind the sign")?;
    cursor.expect("x")?;
    let more = cursor.count()?;
    repeat(items, 1, Item::Float(value))?;
    for _ in 0..more {
        value += change;
        repeat(items, 1, Item::Float(value))?;
    }
    Ok(())
}

/// `{{...}}`, `{{...}}xN`, `{{...}}+{{...}}xN`, `{{...}}-{{...}}xN`.
fn histograms(cursor: &mut Cursor<'_>, items: &mut Vec<Item>) -> Result<(), String> {
    let (first, hint_written) = histogram(cursor)?;
    let item = |histogram: &Histogram| Item::Histogram { histogram: Arc::new(histogram.clone()), hint_written };
    if cursor.eat("x") {
        let more = cursor.count()?;
        return repeat(items, more.saturating_add(1), item(&first));
    }
    let add = cursor.eat("+");
    if !add && !cursor.eat("-") {
        return repeat(items, 1, item(&first));
    }
    let (change, _) = histogram(cursor)?;
    cursor.expect("x")?;
    let more = cursor.count()?;
    if first.schema > change.schema {
        return Err(format!("error combining histograms: cannot merge from schema {} to {}", change.schema, first.schema));
    }
    repeat(items, 1, item(&first))?;
    let mut value = first;
    for _ in 0..more {
        let changed = if add { value.add(&change) } else { value.sub(&change) };
        value = changed.map_err(|_| "error combining histograms: one has exponential, the other custom buckets")?.0;
        repeat(items, 1, item(&value))?;
    }
    Ok(())
}

/// `{{key:value ...}}`, and whether it names its hint.
fn histogram(cursor: &mut Cursor<'_>) -> Result<(Histogram, bool), String> {
    cursor.expect("{{")?;
    let mut histogram = Histogram::default();
    let mut seen: Vec<&str> = Vec::new();
    let (mut offset, mut n_offset) = (0, 0);
    loop {
        cursor.skip_space();
        if cursor.eat("}}") {
            break;
        }
        let key = cursor.take_while(|c| c.is_ascii_lowercase() || c == '_');
        cursor.expect(":")?;
        if seen.contains(&key) {
            return Err(format!("{key} is there twice"));
        }
        seen.push(key);
        match key {
            "schema" => histogram.schema = whole(cursor, key)?,
            "count" => histogram.count = number(cursor, key)?,
            "sum" => histogram.sum = number(cursor, key)?,
            "z_bucket" => histogram.zero_count = number(cursor, key)?,
            "z_bucket_w" => histogram.zero_threshold = number(cursor, key)?,
            "buckets" => histogram.positive_counts = numbers(cursor, key)?,
            "n_buckets" => histogram.negative_counts = numbers(cursor, key)?,
            "offset" => offset = whole(cursor, key)?,
            "n_offset" => n_offset = whole(cursor, key)?,
            "custom_values" => histogram.custom_bounds = numbers(cursor, key)?,
            "counter_reset_hint" => histogram.reset_hint = hint(cursor)?,
            _ => return Err(format!("a histogram has no {key:?}")),
        }
    }
    if !matches!(histogram.schema, CUSTOM_BUCKETS | -4..=8) {
        return Err(format!("no such schema: {}", histogram.schema));
    }
    histogram.positive_spans = span(offset, &histogram.positive_counts);
    histogram.negative_spans = span(n_offset, &histogram.negative_counts);
    Ok((histogram, seen.contains(&"counter_reset_hint")))
}

fn span(offset: i32, counts: &[f64]) -> Vec<BucketSpan> {
    if counts.is_empty() { Vec::new() } else { vec![BucketSpan { offset, length: counts.len() as u32 }] }
}

fn number(cursor: &mut Cursor<'_>, key: &str) -> Result<f64, String> {
    cursor.number().ok_or_else(|| format!("{key} is a number"))
}

fn whole(cursor: &mut Cursor<'_>, key: &str) -> Result<i32, String> {
    let value = number(cursor, key)?;
    let fits = value.fract() == 0.0 && value.abs() <= 1e9;
    if fits { Ok(value as i32) } else { Err(format!("{key} is a whole number")) }
}

/// `[1 2 3]`
fn numbers(cursor: &mut Cursor<'_>, key: &str) -> Result<Vec<f64>, String> {
    cursor.expect("[")?;
    let mut numbers = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.eat("]") {
            return Ok(numbers);
        }
        numbers.push(number(cursor, key)?);
    }
}

fn hint(cursor: &mut Cursor<'_>) -> Result<ResetHint, String> {
    Ok(match cursor.take_while(|c| c.is_ascii_lowercase() || c == '_') {
        "unknown" => ResetHint::Unknown,
        "reset" => ResetHint::Reset,
        "not_reset" => ResetHint::NotReset,
        "gauge" => ResetHint::Gauge,
        other => return Err(format!("no such counter reset hint: {other:?}")),
    })
}

/// Items of an `@st` line: start timestamps, milliseconds from each sample's own time, `None` for none.
pub(super) fn starts(cursor: &mut Cursor<'_>) -> Result<Vec<Option<i64>>, String> {
    let mut starts = Vec::new();
    let room = |starts: &Vec<_>, count: usize| if starts.len() + count > ITEMS_MAX { Err("too many items") } else { Ok(()) };
    loop {
        cursor.skip_space();
        if cursor.is_done() {
            return Ok(starts);
        }
        if cursor.eat("_") {
            let count = if cursor.eat("x") { cursor.count()? } else { 1 };
            room(&starts, count)?;
            starts.extend(std::iter::repeat_n(None, count));
            continue;
        }
        let mut value = signed_duration_ms(cursor)?;
        let change = if matches!(cursor.peek(), Some('+' | '-')) { signed_duration_ms(cursor)? } else { 0 };
        let more = if cursor.eat("x") { cursor.count()? } else { 0 };
        room(&starts, more + 1)?;
        starts.push(Some(value));
        for _ in 0..more {
            value += change;
            starts.push(Some(value));
        }
    }
}

/// `-30s`, `+1m`, `0`. Milliseconds.
fn signed_duration_ms(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let negative = !cursor.eat("+") && cursor.eat("-");
    let amount = i64::try_from(cursor.count()?).map_err(|e| e.to_string())?;
    let unit = cursor.take_while(|c| c.is_ascii_alphabetic() && c != 'x');
    let ms = match unit {
        "" if amount == 0 => 0,
        unit => unit_ms(unit).and_then(|ms| amount.checked_mul(ms)).ok_or_else(|| format!("not a unit of time: {unit:?}"))?,
    };
    Ok(if negative { -ms } else { ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<(Labels, Vec<Item>), String> {
        let mut cursor = Cursor::new(text);
        Ok((labels(&mut cursor)?, items(&mut cursor)?))
    }

    #[test]
    fn labels_in_all_their_forms() {
        #[track_caller]
        fn check(text: &str, shown: &str) {
            assert_eq!(labels(&mut Cursor::new(text)).unwrap().to_string(), shown);
        }
        check("up", r#"{__name__="up"}"#);
        check(r#"up{b="2", a='1',}"#, r#"{__name__="up", a="1", b="2"}"#);
        check(r#"{"dotted.name", "quoted label"="v"}"#, r#"{__name__="dotted.name", quoted label="v"}"#);
        check("{}", "{}");
        check(r#"up{a=""}"#, r#"{__name__="up"}"#);
        assert!(labels(&mut Cursor::new(r#"up{a="1""#)).is_err());
    }

    #[test]
    fn floats_expand() {
        #[track_caller]
        fn check(text: &str, expected: &[f64]) {
            let items = line(&format!("a {text}")).unwrap().1;
            assert_eq!(items, expected.iter().map(|v| Item::Float(*v)).collect::<Vec<_>>());
        }
        check("5", &[5.0]);
        check("0x2", &[0.0, 0.0, 0.0]);
        check("-2+4x3", &[-2.0, 2.0, 6.0, 10.0]);
        check("1-1x2 7", &[1.0, 0.0, -1.0, 7.0]);
        check("1e+100x1", &[1e100, 1e100]);
        assert_eq!(line("a _ _x2").unwrap().1, [Item::Missing, Item::Missing, Item::Missing]);
        for wrong in
            ["a 1y", "a 1+x2", "a 1x", "a x", "a 1x99999999", "a {{", "a {{buckets:[1}}", "a {{sum:1 sum:2}}", "a {{schema:9}}"]
        {
            assert!(line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn histograms_as_written() {
        let items =
            line("a {{schema:1 sum:-0.3 count:3 z_bucket:1 z_bucket_w:0.5 buckets:[1 2] offset:-1 counter_reset_hint:gauge}}x1")
                .unwrap()
                .1;
        assert_eq!(items.len(), 2);
        let Item::Histogram { histogram, hint_written } = &items[1] else { panic!("a histogram") };
        assert!(hint_written);
        assert_eq!((histogram.schema, histogram.sum, histogram.count), (1, -0.3, 3.0));
        assert_eq!(histogram.positive_spans, [BucketSpan { offset: -1, length: 2 }]);
        assert_eq!(histogram.reset_hint, ResetHint::Gauge);
    }

    #[test]
    fn starts_count_from_the_sample() {
        let read = |text: &str| starts(&mut Cursor::new(text));
        assert_eq!(read("_ -30s-1mx2 0"), Ok(vec![None, Some(-30_000), Some(-90_000), Some(-150_000), Some(0)]));
        assert_eq!(read("-1msx2 _x2 +1m"), Ok(vec![Some(-1), Some(-1), Some(-1), None, None, Some(60_000)]));
        assert!(read("5").is_err());
    }
}
