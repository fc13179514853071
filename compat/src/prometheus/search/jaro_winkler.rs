//! How near two texts are by Jaro and Winkler: characters in common that are not far apart, in the same order, with a bonus for a
//! common beginning. Source: Prometheus `util/strutil/jarowinkler.go`.

/// Longest common beginning that counts, and what each of its characters gives.
const PREFIX_MAX: usize = 4;
const PREFIX_BONUS: f64 = 0.1;
/// Longer texts are not near to anything that somebody types; bounds the work, which is quadratic.
const CHARACTERS_MAX: usize = 4096;

/// 0 (nothing in common) to 1 (equal).
pub(super) fn score(a: &str, b: &str) -> f64 {
    if a == b {
        return 1.0;
    }
    let (mut short, mut long): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if short.len() > long.len() {
        std::mem::swap(&mut short, &mut long);
    }
    if short.is_empty() || long.len() > CHARACTERS_MAX {
        return 0.0;
    }
    // Characters that are further apart do not belong together.
    let distance = (long.len() / 2).saturating_sub(1);
    let mut taken = vec![false; long.len()];
    let mut of_short = Vec::new();
    for (at, character) in short.iter().enumerate() {
        let near = at.saturating_sub(distance)..(at + distance + 1).min(long.len());
        if let Some(found) = near.into_iter().find(|j| !taken[*j] && long[*j] == *character) {
            taken[found] = true;
            of_short.push(*character);
        }
    }
    if of_short.is_empty() {
        return 0.0;
    }
    let of_long = long.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(c, _)| c);
    let moved = of_short.iter().zip(of_long).filter(|(s, l)| s != l).count() as f64 / 2.0;
    let matches = of_short.len() as f64;
    let jaro = (matches / short.len() as f64 + matches / long.len() as f64 + (matches - moved) / matches) / 3.0;
    let prefix = short.iter().zip(&long).take(PREFIX_MAX).take_while(|(s, l)| s == l).count() as f64;
    jaro + prefix * PREFIX_BONUS * (1.0 - jaro)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores() {
        #[track_caller]
        fn check(a: &str, b: &str, expected: f64) {
            assert!((score(a, b) - expected).abs() < 1e-3, "{a} {b}: {}", score(a, b));
            assert!((score(b, a) - expected).abs() < 1e-3, "{b} {a}: {}", score(b, a));
        }
        // The usual examples of the literature.
        check("MARTHA", "MARHTA", 0.961);
        check("DWAYNE", "DUANE", 0.840);
        check("DIXON", "DICKSONX", 0.813);
        check("a", "a", 1.0);
        check("a", "b", 0.0);
        check("", "b", 0.0);
        check("üa", "üb", 0.7);
    }
}
