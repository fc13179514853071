//! What a scan read and what it was spared, for EXPLAIN.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Live counters of a scan; many files may share them.
        #[derive(Debug, Default)]
        pub struct ScanMetrics {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        /// The counters of a [`ScanMetrics`] at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct ScanTotals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl ScanMetrics {
            /// The counters now.
            pub fn totals(&self) -> ScanTotals {
                ScanTotals { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl ScanTotals {
            /// Name and value of every counter.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Files opened.
    files,
    /// Files that footer statistics alone ruled out.
    files_pruned,
    /// Row groups in the files.
    row_groups,
    /// Row groups that statistics ruled out.
    row_groups_pruned,
    /// Rows that the page index ruled out in row groups that remained.
    rows_pruned_by_page,
    /// Index blocks looked at.
    blocks,
    /// Index blocks that the index section ruled out.
    blocks_pruned,
    /// Bytes of column data asked for, cached or not.
    bytes_read,
    /// Rows delivered.
    rows,
}

impl ScanMetrics {
    pub(crate) fn add(counter: &AtomicU64, n: usize) {
        counter.fetch_add(n as u64, Ordering::Relaxed);
    }
}

impl fmt::Display for ScanTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.named().enumerate() {
            write!(f, "{}{name}={value}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
