//! Comparisons between values.

use std::cmp::Ordering;

use regex::Regex;

use crate::value::Value;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    /// The same with the sides exchanged.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }

    fn admits(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering == Ordering::Equal,
            Self::NotEqual => ordering != Ordering::Equal,
            Self::Less => ordering == Ordering::Less,
            Self::LessEqual => ordering != Ordering::Greater,
            Self::Greater => ordering == Ordering::Greater,
            Self::GreaterEqual => ordering != Ordering::Less,
        }
    }

    /// Whether it is `=` or `!=`.
    pub(super) fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether `left op right`. Values of different kinds compare in no way, not even as different. Of a list any element has to, for `!=`
    /// all of them; two lists do not compare.
    pub(crate) fn holds(self, left: &Value<'_>, right: &Value<'_>) -> bool {
        match (left, right) {
            (Value::List(_), Value::List(_)) => false,
            (Value::List(elements), one) if self == Self::NotEqual => elements.iter().all(|e| self.holds_of(e, one)),
            (Value::List(elements), one) => elements.iter().any(|e| self.holds_of(e, one)),
            (one, Value::List(elements)) if self == Self::NotEqual => elements.iter().all(|e| self.holds_of(one, e)),
            (one, Value::List(elements)) => elements.iter().any(|e| self.holds_of(one, e)),
            (l, r) => self.holds_of(l, r),
        }
    }

    fn holds_of(self, left: &Value<'_>, right: &Value<'_>) -> bool {
        match (left, right) {
            (Value::Str(l), Value::Str(r)) => self.admits(l.as_bytes().cmp(r.as_bytes())),
            (Value::Bool(l), Value::Bool(r)) => self.is_equality() && self.admits(l.cmp(r)),
            (Value::Status(l), Value::Status(r)) => self.is_equality() && self.admits(l.cmp(r)),
            (Value::Kind(l), Value::Kind(r)) => self.is_equality() && self.admits(l.cmp(r)),
            (l, r) => match numbers(l, r) {
                Numbers::Ordered(ordering) => self.admits(ordering),
                Numbers::Unordered => self == Self::NotEqual,
                Numbers::None => false,
            },
        }
    }
}

/// How two numbers lie.
enum Numbers {
    Ordered(Ordering),
    /// One is NaN.
    Unordered,
    /// One is no number.
    None,
}

fn numbers(left: &Value<'_>, right: &Value<'_>) -> Numbers {
    let ordering = match (left, right) {
        (Value::Int(l) | Value::Duration(l), Value::Int(r) | Value::Duration(r)) => Some(l.cmp(r)),
        (Value::Int(l) | Value::Duration(l), Value::Float(r)) => whole_to_float(*l, *r),
        (Value::Float(l), Value::Int(r) | Value::Duration(r)) => whole_to_float(*r, *l).map(Ordering::reverse),
        (Value::Float(l), Value::Float(r)) => l.partial_cmp(r),
        _ => return Numbers::None,
    };
    ordering.map_or(Numbers::Unordered, Numbers::Ordered)
}

/// By numeric order; `None` when one is no number.
pub(super) fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match numbers(left, right) {
        Numbers::Ordered(ordering) => Some(ordering),
        _ => None,
    }
}

/// A whole number beside a float without the loss of a conversion: 2^53 + 1 is more than 2^53 as a float.
fn whole_to_float(whole: i64, float: f64) -> Option<Ordering> {
    const ABOVE: f64 = 9_223_372_036_854_775_808.0; // 2^63, the first float that is no i64
    if float.is_nan() {
        None
    } else if float >= ABOVE {
        Some(Ordering::Less)
    } else if float < -ABOVE {
        Some(Ordering::Greater)
    } else {
        let floor = float.floor();
        Some(whole.cmp(&(floor as i64)).then(if float > floor { Ordering::Less } else { Ordering::Equal }))
    }
}

/// Whether text matches, or with `negated` does not; of a list any element, or with `negated` all. What is no text does neither.
pub(super) fn matches(regex: &Regex, value: &Value<'_>, negated: bool) -> bool {
    let of = |value: &Value<'_>| matches!(value, Value::Str(text) if regex.is_match(text) != negated);
    match value {
        Value::List(elements) if negated => elements.iter().all(of),
        Value::List(elements) => elements.iter().any(of),
        value => of(value),
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::Comparison::{Equal, Greater, GreaterEqual, Less, NotEqual};
    use super::{matches, whole_to_float};
    use crate::value::Value::{self, Bool, Duration, Float, Int, List, Nil};

    #[test]
    fn numbers_compare_by_value() {
        assert!(Equal.holds(&Int(1), &Float(1.0)));
        assert!(Equal.holds(&Duration(1_000_000_000), &Int(1_000_000_000)));
        assert!(!Equal.holds(&Int(9_007_199_254_740_993), &Float(9_007_199_254_740_992.0)));
        assert!(Greater.holds(&Int(9_007_199_254_740_993), &Float(9_007_199_254_740_992.0)));
        assert_eq!(whole_to_float(-3, -2.5), Some(Ordering::Less));
        assert_eq!(whole_to_float(-2, -2.5), Some(Ordering::Greater));
        assert_eq!(whole_to_float(i64::MAX, f64::INFINITY), Some(Ordering::Less));
        assert_eq!(whole_to_float(i64::MIN, -9.3e18), Some(Ordering::Greater));
        assert_eq!(whole_to_float(0, f64::NAN), None);
        assert!(NotEqual.holds(&Float(f64::NAN), &Int(1)) && !GreaterEqual.holds(&Float(f64::NAN), &Int(1)));
    }

    #[test]
    fn other_kinds_do_not_compare() {
        for (left, right) in [(Value::text("1"), Int(1)), (Bool(true), Int(1)), (Nil, Nil), (Nil, Value::text(""))] {
            assert!(!Equal.holds(&left, &right) && !NotEqual.holds(&left, &right));
        }
        assert!(!Less.holds(&Bool(false), &Bool(true)));
    }

    #[test]
    fn a_list_holds_by_any_element_or_by_all() {
        let list = List(vec![Int(1), Int(5)]);
        assert!(Equal.holds(&list, &Float(5.0)) && Equal.holds(&Float(5.0), &list));
        assert!(!NotEqual.holds(&list, &Int(5)) && NotEqual.holds(&list, &Int(2)));
        assert!(Less.holds(&Int(4), &list) && !Greater.holds(&Int(1), &list));
        assert!(!Equal.holds(&list, &list) && !NotEqual.holds(&list, &Value::text("x")));
        let regex = regex::Regex::new("^(?:ab.)$").expect("a pattern");
        let texts = List(vec![Value::text("1"), Value::text("abc")]);
        assert!(matches(&regex, &texts, false) && !matches(&regex, &texts, true));
        assert!(!matches(&regex, &Int(1), false) && !matches(&regex, &Int(1), true));
    }
}
