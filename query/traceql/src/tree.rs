//! Who is whose child in a trace, as numbers that are compared instead of links that are followed.
//!
//! ```text
//! root (1..8)                a span's descendants are those whose left number is between its own two;
//! ├── a (2..5)               siblings have the same parent, and roots are siblings of one another;
//! │   └── b (3..4)           what hangs on no root has the numbers 0, 0, and stands in no relation
//! └── c (6..7)
//! ```
//! Children are numbered in the order of their rows. Everything is linear in the number of spans and uses no recursion.
//!
//! # Invariants
//! - Links that form a cycle hang on no root, so no walk ends up in one.

/// What the structure of a trace says of each of its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    left: Vec<u32>,
    right: Vec<u32>,
    parent: Vec<u32>,
}

/// No row.
const NONE: u32 = u32::MAX;

impl Tree {
    /// Numbers the spans of a trace. `parents` has the row of each span's parent, `is_root` says whether a span has no parent at all (one
    /// whose parent was not received is none). O(spans).
    pub fn new(parents: &[Option<usize>], is_root: impl Fn(usize) -> bool) -> Self {
        let len = parents.len();
        let parent: Vec<u32> = parents.iter().map(|p| p.map_or(NONE, |row| u32::try_from(row).unwrap_or(NONE))).collect();
        // Children as lists linked from last to first, so that the lists come out ascending.
        let (mut first_child, mut next) = (vec![NONE; len], vec![NONE; len]);
        for row in (0..len).rev() {
            if let Some(above) = parents[row].filter(|above| *above < len) {
                next[row] = std::mem::replace(&mut first_child[above], row as u32);
            }
        }
        let (mut left, mut right) = (vec![0; len], vec![0; len]);
        let mut number = 0;
        for root in (0..len).filter(|row| parents[*row].is_none() && is_root(*row)) {
            let mut row = root;
            loop {
                number += 1;
                left[row] = number;
                if first_child[row] != NONE {
                    row = first_child[row] as usize;
                    continue;
                }
                // Up until there is somebody to the right.
                loop {
                    number += 1;
                    right[row] = number;
                    if row == root || next[row] != NONE {
                        break;
                    }
                    row = parent[row] as usize;
                }
                if row == root {
                    break;
                }
                row = next[row] as usize;
            }
        }
        Self { left, right, parent }
    }

    /// Whether a span hangs on a root, or is one.
    pub fn is_connected(&self, row: usize) -> bool {
        self.left[row] != 0
    }

    /// `nestedSetLeft`: 0 for a span that hangs on no root.
    pub fn left(&self, row: usize) -> u32 {
        self.left[row]
    }

    /// `nestedSetRight`: 0 for a span that hangs on no root.
    pub fn right(&self, row: usize) -> u32 {
        self.right[row]
    }

    /// `nestedSetParent`: the parent's left number, -1 of a root, 0 for a span that hangs on no root.
    pub fn parent_left(&self, row: usize) -> i64 {
        match (self.left[row], self.parent[row]) {
            (0, _) => 0,
            (_, NONE) => -1,
            (_, parent) => i64::from(self.left[parent as usize]),
        }
    }

    /// The row of the parent.
    pub fn parent(&self, row: usize) -> Option<usize> {
        (self.parent[row] != NONE).then_some(self.parent[row] as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    fn numbers(tree: &Tree, len: usize) -> Vec<(u32, u32, i64)> {
        (0..len).map(|row| (tree.left(row), tree.right(row), tree.parent_left(row))).collect()
    }

    #[test]
    fn spans_are_numbered_from_the_roots() {
        let tree = Tree::new(&[None, Some(0), Some(1), Some(0), None], |_| true);
        assert_eq!(numbers(&tree, 5), [(1, 8, -1), (2, 5, 1), (3, 4, 2), (6, 7, 1), (9, 10, -1)]);
    }

    #[test]
    fn what_hangs_on_no_root_has_no_numbers() {
        // 1 waits for its parent, 2 is its child, 3 and 4 are each other's parent, 5 is its own.
        let parents = [None, None, Some(1), Some(4), Some(3), Some(5)];
        let tree = Tree::new(&parents, |row| row == 0);
        assert_eq!(numbers(&tree, 6)[0], (1, 2, -1));
        assert!(numbers(&tree, 6)[1..].iter().all(|n| *n == (0, 0, 0)));
        assert_eq!(Tree::new(&[], |_| true).left.len(), 0);
    }

    #[test]
    fn a_long_chain_is_no_deep_recursion() {
        let parents: Vec<_> = (0..200_000_usize).map(|row| row.checked_sub(1)).collect();
        let tree = Tree::new(&parents, |_| true);
        assert_eq!((tree.left(199_999), tree.right(199_999), tree.right(0)), (200_000, 200_001, 400_000));
    }
}
