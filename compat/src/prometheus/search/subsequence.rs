//! How well a pattern fits a text in which its characters appear in order: long runs are good, gaps are bad.
//!
//! ```text
//! pattern  h r t          h t t p _ r e q u e s t s _ t o t a l
//!                         1         1           1                runs: 1 + 1 + 1, gaps: (4 + 5) / 19, tail: 7 / (2 * 19)
//! ```
//! Source: Prometheus `util/strutil/subsequence.go`.

/// 0 (does not fit) to 1 (is the text).
///
/// The sum of the squares of the runs, minus gaps by the text's length, minus half as much for the tail; by the square of the pattern's
/// length. From each place where the pattern's first character stands the next ones are taken as they come; the best start counts.
pub(super) fn score(pattern: &str, text: &str) -> f64 {
    if pattern == text || pattern.is_empty() {
        return 1.0;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let Some(last_start) = text.len().checked_sub(pattern.len()) else { return 0.0 };
    let starts = (0..=last_start).filter(|at| text[*at] == pattern[0]);
    // Where one start fails, all later ones do: they see less of the text.
    let best = starts.map_while(|start| from(&pattern, &text, start)).fold(-1.0, f64::max);
    if best < 0.0 { 0.0 } else { best / (pattern.len() * pattern.len()) as f64 }
}

fn from(pattern: &[char], text: &[char], start: usize) -> Option<f64> {
    let share = 1.0 / text.len() as f64;
    let (mut score, mut matched, mut free) = (0.0, 0, 0);
    let mut at = start;
    while matched < pattern.len() {
        at += text[at..].iter().position(|c| *c == pattern[matched])?;
        let run = text[at..].iter().zip(&pattern[matched..]).take_while(|(t, p)| t == p).count();
        score += (run * run) as f64 - (at - free) as f64 * share;
        (at, matched, free) = (at + run, matched + run, at + run);
    }
    Some(score - (text.len() - free) as f64 * share * 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        #[track_caller]
        fn check(pattern: &str, text: &str, expected: f64) {
            let got = score(pattern, text);
            assert!((got - expected).abs() < 1e-12, "{pattern} {text}: {got}");
        }
        check("", "a", 1.0);
        check("abc", "abc", 1.0);
        check("abc", "ab", 0.0);
        check("abc", "acb", 0.0);
        check("a", "", 0.0);
        check("ab", "xab", (4.0 - 1.0 / 3.0) / 4.0);
        check("hrt", "http_requests_total", (3.0 - 9.0 / 19.0 - 7.0 / 38.0) / 9.0);
        check("ab", "a_b_ab", (4.0 - 4.0 / 6.0) / 4.0); // the second start is better
        check("üb", "xüb", (4.0 - 1.0 / 3.0) / 4.0);
        check("az", "a________________z", 1.0 / 4.0 * (2.0 - 16.0 / 18.0));
    }
}
