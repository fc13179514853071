//! Relations between the spans of a trace.
//!
//! ```text
//! left  { a } ──┐                    rows as sorted lists; a relation is a merge of numbers of [`Tree`]:
//!               ├─ relation ─► rows  child: my parent is one of them      descendant: one of them spans me
//! right { b } ──┘                    parent: one of them has me as parent ancestor: one of them lies within me
//! ```
//! Everything is O((left + right) log left), however deep the trace is.
//!
//! # Invariants
//! - A span that hangs on no root stands in no relation, and so is an answer of a negated one. A filter that asks for nothing, `{ }`, means the
//!   spans that have a place in the tree, when places are what it is there for: Tempo's answers, by its vectors and by recorded ones.
//! - Spans of one id are siblings, children and parents as any others.

use crate::ast::{Form, Relation};
use crate::tree::Tree;

/// The rows of a structural operator. `left` and `right` ascend by row, so does the result.
pub(super) fn apply(relation: Relation, form: Form, tree: &Tree, left: &[usize], right: &[usize]) -> Vec<usize> {
    match form {
        Form::Plain => related(relation, tree, left, right),
        Form::Not => {
            let mut related = related(relation, tree, left, right).into_iter().peekable();
            right.iter().copied().filter(|row| related.next_if_eq(row).is_none()).collect()
        }
        Form::Union => union(&related(relation, tree, left, right), &related(inverse(relation), tree, right, left)),
    }
}

/// What stands on either list, ascending.
pub(super) fn union(left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (left.iter().copied().peekable(), right.iter().copied().peekable());
    loop {
        let next = match (l.peek(), r.peek()) {
            (Some(a), Some(b)) => *a.min(b),
            (Some(a), None) => *a,
            (None, Some(b)) => *b,
            (None, None) => return merged,
        };
        l.next_if_eq(&next);
        r.next_if_eq(&next);
        merged.push(next);
    }
}

fn inverse(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

/// Those of `right` that stand in the relation to one of `left`.
fn related(relation: Relation, tree: &Tree, left: &[usize], right: &[usize]) -> Vec<usize> {
    let connected = || left.iter().copied().filter(|row| tree.is_connected(*row));
    let keep = |holds: &dyn Fn(usize) -> bool| -> Vec<usize> {
        right.iter().copied().filter(|row| tree.is_connected(*row) && holds(*row)).collect()
    };
    match relation {
        Relation::Child => keep(&|row| tree.parent(row).is_some_and(|parent| left.binary_search(&parent).is_ok())),
        Relation::Parent => {
            let mut parents: Vec<usize> = connected().filter_map(|row| tree.parent(row)).collect();
            parents.sort_unstable();
            keep(&|row| parents.binary_search(&row).is_ok())
        }
        Relation::Descendant => {
            // Spans nest or lie apart: of those that begin before a span, the one that reaches furthest tells whether any spans it.
            let mut begins: Vec<(u32, u32)> = connected().map(|row| (tree.left(row), tree.right(row))).collect();
            begins.sort_unstable();
            let mut furthest = 0;
            begins.iter_mut().for_each(|(_, right)| {
                furthest = furthest.max(*right);
                *right = furthest;
            });
            keep(&|row| {
                let before = begins.partition_point(|(begin, _)| *begin < tree.left(row));
                before > 0 && begins[before - 1].1 > tree.right(row)
            })
        }
        Relation::Ancestor => {
            let mut begins: Vec<u32> = connected().map(|row| tree.left(row)).collect();
            begins.sort_unstable();
            keep(&|row| {
                let after = begins.partition_point(|begin| *begin <= tree.left(row));
                begins.get(after).is_some_and(|begin| *begin < tree.right(row))
            })
        }
        Relation::Sibling => {
            // Roots have the parent `None`. Of a parent with two on the left each of them has another.
            let mut parents: Vec<Option<usize>> = connected().map(|row| tree.parent(row)).collect();
            parents.sort_unstable();
            keep(&|row| {
                let parent = tree.parent(row);
                let first = parents.partition_point(|p| *p < parent);
                let others = usize::from(left.binary_search(&row).is_ok());
                parents.get(first + others) == Some(&parent)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, union};
    use crate::ast::Form::{Not, Plain, Union};
    use crate::ast::Relation::{Ancestor, Child, Descendant, Parent, Sibling};
    use crate::tree::Tree;

    /// 0 ─► 1 ─► 2, 0 ─► 3, and 4 waits for its parent.
    fn tree() -> Tree {
        Tree::new(&[None, Some(0), Some(1), Some(0), None], |row| row == 0)
    }

    #[test]
    fn right_hand_spans_are_kept_by_their_relation() {
        let tree = tree();
        assert_eq!(apply(Child, Plain, &tree, &[0], &[0, 1, 2, 3, 4]), [1, 3]);
        assert_eq!(apply(Descendant, Plain, &tree, &[0], &[0, 1, 2, 3, 4]), [1, 2, 3]);
        assert_eq!(apply(Parent, Plain, &tree, &[2, 3], &[0, 1, 2, 3, 4]), [0, 1]);
        assert_eq!(apply(Ancestor, Plain, &tree, &[2], &[0, 1, 2, 3, 4]), [0, 1]);
        assert_eq!(apply(Sibling, Plain, &tree, &[1], &[0, 1, 2, 3, 4]), [3]);
        assert_eq!(apply(Sibling, Plain, &tree, &[1, 3], &[1, 3]), [1, 3]);
    }

    #[test]
    fn others_are_kept_by_negation_and_both_sides_by_union() {
        let tree = tree();
        assert_eq!(apply(Child, Not, &tree, &[0], &[0, 1, 2, 3, 4]), [0, 2, 4]);
        assert_eq!(apply(Child, Not, &tree, &[0, 4], &[0, 1, 2, 3, 4]), [0, 2, 4]);
        assert_eq!(apply(Parent, Not, &tree, &[4], &[0, 4]), [0, 4]);
        assert_eq!(apply(Child, Not, &tree, &[], &[2, 4]), [2, 4]);
        assert_eq!(apply(Descendant, Not, &tree, &[0, 4], &[2, 4]), [4]);
        assert_eq!(apply(Sibling, Not, &tree, &[4], &[4]), [4]);
        assert_eq!(apply(Descendant, Union, &tree, &[0, 3], &[2]), [0, 2]);
        assert_eq!(apply(Sibling, Union, &tree, &[1], &[3]), [1, 3]);
        assert_eq!(union(&[0, 2, 4], &[1, 2, 5]), [0, 1, 2, 4, 5]);
    }
}
