//! Texts that whatever matches a pattern must contain.
//!
//! ```text
//! time(out|d out) .*50[03]      ("timeout " or "timed out ") and ("500" or "503")
//! ```
//! A part of a pattern either stands for a few texts and no others, or has parts that it cannot do without. Neighbours of the first kind are
//! put together as long as they stay few.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use super::in_our_language;

/// Most texts of one alternative.
const TEXTS_MAX: usize = 16;
/// Longest text that is put together, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// A text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// The text; in lower case if the case does not matter.
    pub text: String,
    /// Whether ASCII letters may be of the other case.
    pub case_insensitive: bool,
}

impl Literal {
    /// A text as it is.
    pub fn exact(text: impl Into<String>) -> Self {
        Self { text: text.into(), case_insensitive: false }
    }

    fn then(&self, next: &Self) -> Self {
        let case_insensitive = self.case_insensitive || next.case_insensitive;
        let mut text = format!("{}{}", self.text, next.text);
        if case_insensitive {
            text.make_ascii_lowercase();
        }
        Self { text, case_insensitive }
    }
}

/// What every text has in which `pattern`, as [`super::compile_search`] takes it, is found: of each list one of the literals, none of which is
/// empty. No list at all if nothing is known, or if the pattern is none.
pub fn required_literals(pattern: &str) -> Vec<Vec<Literal>> {
    let Ok(translated) = in_our_language(pattern, pattern) else { return Vec::new() };
    let Ok(hir) = ParserBuilder::new().utf8(false).build().parse(&translated) else { return Vec::new() };
    let Part { whole, mut required } = Part::of(&hir);
    required.extend(whole);
    required.retain(|literals| is_useful(literals));
    required
}

/// The one of several lists of required literals that tells most: the one whose shortest text is longest.
pub fn best(required: Vec<Vec<Literal>>) -> Option<Vec<Literal>> {
    let shortest = |literals: &Vec<Literal>| literals.iter().map(|literal| literal.text.len()).min();
    required.into_iter().filter(|literals| is_useful(literals)).max_by_key(shortest)
}

fn is_useful(literals: &[Literal]) -> bool {
    !literals.is_empty() && literals.iter().all(|literal| !literal.text.is_empty())
}

/// What is known of a part of a pattern.
#[derive(Debug, Default)]
struct Part {
    /// All texts that it matches, if they are few.
    whole: Option<Vec<Literal>>,
    /// Of each list, one is in whatever it matches.
    required: Vec<Vec<Literal>>,
}

impl Part {
    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            // Places have no text.
            HirKind::Empty | HirKind::Look(_) => Self::whole(vec![Literal::exact("")]),
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) => Self::whole(vec![Literal::exact(text)]),
                Err(_) => Self::default(),
            },
            HirKind::Class(class) => Self { whole: of_class(class), required: Vec::new() },
            HirKind::Repetition(repetition) => Self::of_repetition(repetition),
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Concat(parts) => Self::of_all(parts),
            HirKind::Alternation(parts) => Self::of_any(parts),
        }
    }

    fn whole(texts: Vec<Literal>) -> Self {
        Self { whole: Some(texts), required: Vec::new() }
    }

    fn of_repetition(repetition: &Repetition) -> Self {
        let Self { whole, mut required } = Self::of(&repetition.sub);
        match (repetition.min, repetition.max, whole) {
            (0, Some(1), Some(mut texts)) if texts.len() < TEXTS_MAX => {
                texts.push(Literal::exact(""));
                Self::whole(texts)
            }
            (0, ..) => Self::default(),
            (1, Some(1), whole) => Self { whole, required },
            (_, _, whole) => {
                required.extend(whole);
                Self { whole: None, required }
            }
        }
    }

    fn of_all(parts: &[Hir]) -> Self {
        let mut required = Vec::new();
        let mut run = vec![Literal::exact("")];
        let mut is_whole = true;
        for part in parts.iter().map(Self::of) {
            let joined = part.whole.as_ref().and_then(|texts| joined(&run, texts));
            match joined {
                Some(joined) => run = joined,
                None => {
                    is_whole = false;
                    required.push(std::mem::replace(&mut run, part.whole.unwrap_or_else(|| vec![Literal::exact("")])));
                    required.extend(part.required);
                }
            }
        }
        if is_whole {
            return Self { whole: Some(run), required };
        }
        required.push(run);
        Self { whole: None, required }
    }

    fn of_any(parts: &[Hir]) -> Self {
        let parts: Vec<Self> = parts.iter().map(Self::of).collect();
        let whole: Option<Vec<_>> = parts.iter().map(|part| part.whole.clone()).collect();
        if let Some(texts) = whole.map(|texts| texts.concat()).filter(|texts| texts.len() <= TEXTS_MAX) {
            return Self::whole(texts);
        }
        let bests = parts.into_iter().map(|Self { whole, mut required }| {
            required.extend(whole);
            best(required)
        });
        let any = bests.collect::<Option<Vec<_>>>().map(|bests| bests.concat()).filter(|texts| texts.len() <= TEXTS_MAX);
        Self { whole: None, required: any.into_iter().collect() }
    }
}

/// Every text of `run` followed by every one of `texts`; `None` if they are many or long.
fn joined(run: &[Literal], texts: &[Literal]) -> Option<Vec<Literal>> {
    if run.len() * texts.len() > TEXTS_MAX {
        return None;
    }
    let all: Vec<Literal> = run.iter().flat_map(|start| texts.iter().map(|end| start.then(end))).collect();
    all.iter().all(|literal| literal.text.len() <= TEXT_BYTES_MAX).then_some(all)
}

/// The characters of a class, if they are few. A letter in both cases is one, whose case does not matter.
fn of_class(class: &Class) -> Option<Vec<Literal>> {
    let chars: Vec<char> = match class {
        Class::Unicode(class) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            if count > TEXTS_MAX {
                return None;
            }
            class.iter().flat_map(|range| range.start()..=range.end()).collect()
        }
        Class::Bytes(class) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            if count > TEXTS_MAX || !class.is_ascii() {
                return None;
            }
            class.iter().flat_map(|range| range.start()..=range.end()).map(char::from).collect()
        }
    };
    let has_both =
        |c: &char| c.is_ascii_alphabetic() && chars.contains(&c.to_ascii_lowercase()) && chars.contains(&c.to_ascii_uppercase());
    let one = |c: &char| match has_both(c) {
        true => c.is_ascii_lowercase().then(|| Literal { text: c.to_string(), case_insensitive: true }),
        false => Some(Literal::exact(c.to_string())),
    };
    Some(chars.iter().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::re2::compile_search;

    #[track_caller]
    fn check(pattern: &str, expected: &[&[&str]]) {
        let shown = |literal: &Literal| format!("{}{}", if literal.case_insensitive { "i:" } else { "" }, literal.text);
        let found: Vec<Vec<String>> =
            required_literals(pattern).iter().map(|literals| literals.iter().map(shown).collect()).collect();
        assert_eq!(found, expected, "{pattern}");
    }

    #[test]
    fn parts_that_are_always_there() {
        check("time(out|d out) .*50[03]", &[&["timeout ", "timed out "], &["500", "503"]]);
        check("foo|bar", &[&["foo", "bar"]]);
        check("foo.*bar", &[&["foo"], &["bar"]]);
        check("ab?c+d", &[&["ab", "a"], &["c"], &["d"]]);
        check("^a\\.b$", &[&["a.b"]]);
        check("(?i)ab", &[&["i:ab"]]);
        check("(?i)k9", &[&["i:k9", "\u{212a}9"]]);
        check("x*|y", &[]);
        check("(a.b|[^x]cc)d", &[&["b", "cc"], &["d"]]);
        check("[a-z]+ms", &[&["ms"]]);
        check("[0-9]{3}", &[&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]]);
        check("(", &[]);
        check("", &[]);
    }

    proptest! {
        #[test]
        fn what_matches_has_one_of_each(text in "[abkAKB.\u{212a}\n]{0,10}", pattern in "(\\(\\?i\\))?([abk.?*+|^$]|\\(a|\\(b\\||\\)|\\[ak\\]|\\[\\^b\\]|\\{2\\}){0,8}") {
            let Ok(regex) = compile_search(&pattern) else { return Ok(()) };
            if regex.is_match(text.as_bytes()) {
                for literals in required_literals(&pattern) {
                    let is_in = |literal: &Literal| match literal.case_insensitive {
                        true => text.to_ascii_lowercase().contains(&literal.text),
                        false => text.contains(&literal.text),
                    };
                    prop_assert!(literals.iter().any(is_in), "{:?}", literals);
                }
            }
        }
    }
}
