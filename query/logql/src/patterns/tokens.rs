//! A line as tokens: words, and punctuation one by one. `_ - . : /` are parts of words, so that numbers, times, paths and addresses are one.

use super::PLACEHOLDER;

/// A piece of a line.
#[derive(Debug, Clone)]
pub(super) struct Token {
    text: Box<str>,
    placeholder: bool,
    follows_space: bool,
}

impl PartialEq for Token {
    /// Placeholders are equal to nothing: they say nothing about a line.
    fn eq(&self, other: &Self) -> bool {
        !self.placeholder && !other.placeholder && self.text == other.text
    }
}

impl Token {
    pub(super) fn text(&self) -> &str {
        if self.placeholder { PLACEHOLDER } else { &self.text }
    }

    pub(super) fn is_placeholder(&self) -> bool {
        self.placeholder
    }

    pub(super) fn follows_space(&self) -> bool {
        self.follows_space
    }

    pub(super) fn has_digit(&self) -> bool {
        self.text.bytes().any(|c| c.is_ascii_digit())
    }

    /// What differs in two lines is variable.
    pub(super) fn join(&mut self, other: &Token) {
        if self.text != other.text {
            self.placeholder = true;
        }
    }
}

/// The tokens of a line. Space is none: a token knows whether it follows some.
pub(super) fn tokens(line: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut start, mut follows_space) = (0, false);
    let push = |text: &str, follows_space: &mut bool, tokens: &mut Vec<Token>| {
        if !text.is_empty() {
            let follows_space = std::mem::take(follows_space) && !tokens.is_empty();
            tokens.push(Token { text: text.into(), placeholder: false, follows_space });
        }
    };
    for (at, c) in line.char_indices() {
        let is_space = c.is_whitespace();
        if is_space || (c.is_ascii_punctuation() && !matches!(c, '_' | '-' | '.' | ':' | '/')) {
            push(&line[start..at], &mut follows_space, &mut tokens);
            start = at + c.len_utf8();
            if is_space {
                follows_space = true;
            } else {
                push(&line[at..start], &mut follows_space, &mut tokens);
            }
        }
    }
    push(&line[start..], &mut follows_space, &mut tokens);
    tokens
}
