//! Roots without the structure of their trace: `nestedSetParent < 0` asks for nothing but spans that name no parent.
//!
//! The number is -1 of a root and otherwise 0 or more, whatever the trace. A comparison that tells these two apart is one of the parent's
//! id, which is known of each span by itself. Traces Drilldown begins almost every query with it.

use super::compare::Comparison;
use crate::ast::{FieldName, Intrinsic, Spelling};
use crate::value::Value;

/// Whether `field op literal` holds for roots and no other span (`true`), or for all spans but roots (`false`).
pub(super) fn asks_for_roots(field: &FieldName, op: Comparison, literal: &Value<'_>) -> Option<bool> {
    if !matches!(field, FieldName::Intrinsic(Intrinsic::NestedSetParent, _)) {
        return None;
    }
    let of_root = op.holds(&Value::Int(-1), literal);
    // All numbers from 0 on lie on one side of what is below 0; above it they may lie on both.
    let below = Comparison::Less.holds(literal, &Value::Int(0)) || !op.is_equality();
    let of_others = op.holds(&Value::Int(0), literal);
    let of_last = op.holds(&Value::Int(i64::MAX), literal);
    (below && of_others == of_last && of_root != of_others).then_some(of_root)
}

/// The field that is compared instead, with empty text.
pub(super) fn parent_id() -> FieldName {
    FieldName::Intrinsic(Intrinsic::ParentId, Spelling::Scoped)
}

#[cfg(test)]
mod tests {
    use super::asks_for_roots;
    use crate::ast::{FieldName, Intrinsic, Spelling};
    use crate::eval::compare::Comparison::{self, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    use crate::value::Value::{self, Float, Int};

    #[test]
    fn some_comparisons_tell_roots_from_others() {
        #[track_caller]
        fn check(op: Comparison, literal: Value<'static>, expected: Option<bool>) {
            let field = FieldName::Intrinsic(Intrinsic::NestedSetParent, Spelling::Legacy);
            assert_eq!(asks_for_roots(&field, op, &literal), expected, "{op:?} {literal:?}");
        }
        check(Less, Int(0), Some(true));
        check(Equal, Int(-1), Some(true));
        check(LessEqual, Float(-0.5), Some(true));
        check(GreaterEqual, Int(0), Some(false));
        check(NotEqual, Int(-1), Some(false));
        check(Greater, Int(-1), Some(false));
        check(Equal, Int(0), None);
        check(NotEqual, Int(0), None);
        check(Less, Int(1), None);
        check(Greater, Int(0), None);
        check(Greater, Int(-2), None);
        check(Less, Int(-1), None);
        check(Equal, Value::text("-1"), None);
    }
}
