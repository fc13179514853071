//! Patterns, values, mistakes.

use proptest::prelude::*;

use super::compile_regex;

#[test]
fn groups_keep_their_names() {
    let names =
        |pattern| super::compile_search(pattern).unwrap().capture_names().flatten().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names("(a)(?P<x>b)(?<_y1>c)(?:d)(?P<1>e)"), ["x", "_y1"]);
    assert_eq!(names("(?P<x>a)(?P<x>b)"), ["x"]);
    assert_eq!(super::group_names("(?P<x>a)(?P<x>b)[(P<y>]").unwrap(), ["x", "x"]);
}

#[test]
fn patterns_match_whole_values() {
    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = compile_regex(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
        for value in matching {
            assert!(regex.is_match(value), "{pattern} should match {value:?}");
        }
        for value in others {
            assert!(!regex.is_match(value), "{pattern} should not match {value:?}");
        }
    }
    check("", &[""], &["a"]);
    check("a|bc", &["a", "bc"], &["ab", "abc", "xa"]);
    check("a.b", &["a\nb", "aüb"], &["ab\n", "ab"]);
    check("(?-s)a.b|x", &["a b", "x"], &["a\nb"]);
    check("a(?i)b", &["ab", "aB"], &["AB"]);
    check("(?i:a)b(?P<n>c)(?<m>d)(?:e)(?)", &["Abcde"], &["ABcde"]);
    check("\\d\\w\\s\\b\\S\\W\\D\\Bc", &["1_ a-bc", "1_ aébc"], &["٣_ a-bc", "1é a-bc", "1_\u{a0}a-bc", "1_ a-éc"]);
    check("[\\d\\-x]+[^\\s\\D]", &["1-x2"], &["1-xa", "٣2"]);
    check("[adsw]{2}[xD][.S][eW][3pL][(P<]", &["adxSep(", "swD.W3<"], &["1 x.e3("]); // letters of escapes without a backslash
    check("a{2}b{1,}c{0,1}", &["aab", "aabbc"], &["ab"]);
    check("a{,2}{x}{01}}", &["a{,2}{x}{01}}"], &["aa"]);
    check("[[]&&[]]|[a&&b]", &["[&&]", "&", "a"], &["[]", "c"]);
    check("[]^-]|[+--]|[a~~b]|[ -#]", &["]", "^", "-", ",", "~", "\""], &["a^", "$", "c"]);
    check("[[:alpha:][:^digit:]]", &["a", "-"], &["1"]);
    check("[[:x]", &["[", ":", "x"], &["a"]);
    check("\\Q.*\\E.\\Q[\\E", &[".*x["], &["aax["]);
    check("\\101\\x42\\x{43}\\x{1F600}\\0", &["ABC😀\0"], &["ABC"]);
    check("\\_\\-\\/\\ \\#\\~\\&\\<", &["_-/ #~&<"], &[]);
    check("\\pL\\p{Greek}\\P{^Lu}[\\p{Nd}\\PL]", &["éαA1", "éαA-"], &["éaA1", "éαa1", "éαAb"]);
    check("\\Aa\\z", &["a"], &["a\n"]);
    check("x*?y+?z??", &["xyz", "y"], &["xz"]);
    check("^*$", &[""], &["^"]);
    check("a# b", &["a# b"], &["a"]);
}

#[test]
fn mistakes_are_named() {
    #[track_caller]
    fn check(pattern: &str, expected: &str) {
        assert_eq!(compile_regex(pattern).unwrap_err(), format!("error parsing regexp: {expected}"), "{pattern}");
    }
    check("(a", "missing closing ): `^(?s:(a)$`");
    check("\\Qa", "missing closing ): `^(?s:\\Qa)$`");
    check("a)", "unexpected ): `^(?s:a))$`");
    check("[a", "missing closing ]: `[a)$`");
    check("[z-a]", "invalid character class range: `z-a`");
    check("[[:alfa:]]", "invalid character class range: `[:alfa:]`");
    check("\\p{Klingon}", "invalid character class range: `\\p{Klingon}`");
    check("*", "missing argument to repetition operator: `*`");
    check("a|+?", "missing argument to repetition operator: `+?`");
    check("({3}", "missing argument to repetition operator: `{3}`");
    check("a**", "invalid nested repetition operator: `**`");
    check("a{2}?{3}", "invalid nested repetition operator: `{2}?{3}`");
    check("a{1001}", "invalid repeat count: `{1001}`");
    check("a{3,2}", "invalid repeat count: `{3,2}`");
    check("a{99999999999}", "invalid repeat count: `{99999999999}`");
    check("\\y", "invalid escape sequence: `\\y`");
    check("\\8", "invalid escape sequence: `\\8`");
    check("\\1", "invalid escape sequence: `\\1`");
    check("\\xg0", "invalid escape sequence: `\\xg`");
    check("\\x{110000}", "invalid escape sequence: `\\x{110000}`");
    check("[\\b]", "invalid escape sequence: `\\b`");
    check("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
    check("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
    check("(?P<a b>c)", "invalid named capture: `(?P<a b>`");
    check("(?P<a", "invalid named capture: `(?P<a)$`");
    check("(\\w{900}){900}", "expression needs more than 10485760 bytes");
    check("a\u{10ffc5}", "invalid UTF-8: `^(?s:a\u{10ffc5})$`");
    assert!(compile_regex(&"(".repeat(10_000)).is_err());
    assert!(compile_regex(&("(".repeat(1000) + &")".repeat(1000))).unwrap_err().contains("nested"));
}

proptest! {
    /// A pattern is refused in Go's words, or the crate understands what is made of it.
    #[test]
    fn any_pattern_is_answered(pattern in "(\\PC|[\\\\\\[\\](){}|*+?^$.,:&~<>=!-]|\\\\[a-zA-Z0-9]|\\[\\[?:?[a-z]){0,12}", value in ".{0,4}") {
        match compile_regex(&pattern) {
            Ok(regex) => { regex.is_match(&value); }
            Err(e) => prop_assert!(e.starts_with("error parsing regexp: "), "{}", e),
        }
    }

    /// Quoted text matches itself and nothing else. The last private characters stand for bytes that are no text.
    #[test]
    fn quoted_text_matches_itself(text in "[^\\\\\u{10FF80}-\u{10FFFF}]{0,8}", other in ".{0,8}") {
        let regex = compile_regex(&format!("\\Q{text}\\E")).unwrap();
        prop_assert!(regex.is_match(&text));
        prop_assert_eq!(regex.is_match(&other), other == text);
    }
}
