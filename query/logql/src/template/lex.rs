//! Text to tokens. Source: Go `text/template/parse/lex.go`.

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    Space,
    /// `.name`, without the dot
    Field(String),
    Dot,
    /// `$name`, with the dollar
    Variable(String),
    Word(String),
    Number(String),
    /// A literal with its quotes
    Text2(String),
    Char(char),
    Assign,
    Declare,
    Pipe,
    Comma,
    Left,
    Right,
    End,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// The tokens of a template with their places.
///
/// # Errors
/// Place and Go's words.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, (usize, String)> {
    let mut out = Vec::new();
    let mut at = 0;
    let mut trim = false;
    loop {
        let open = text[at..].find("{{").map(|n| at + n);
        let mut piece = &text[at..open.unwrap_or(text.len())];
        if trim {
            piece = piece.trim_start_matches(SPACES);
        }
        let Some(open) = open else {
            push_text(&mut out, at, piece);
            out.push((text.len(), Token::End));
            return Ok(out);
        };
        let mut inside = open + 2;
        if let Some(behind) = text[inside..].strip_prefix('-').filter(|rest| rest.starts_with(SPACES)) {
            piece = piece.trim_end_matches(SPACES);
            inside = text.len() - behind.len() + 1;
        }
        push_text(&mut out, at, piece);
        if text[inside..].starts_with("/*") {
            let end = text[inside..].find("*/").map(|n| inside + n + 2).ok_or((open, "unclosed comment".to_owned()))?;
            (at, trim) = close(text, end).ok_or((open, "comment ends before closing delimiter".to_owned()))?;
            continue;
        }
        out.push((open, Token::Open));
        (at, trim) = action(text, inside, &mut out)?;
    }
}

fn push_text(out: &mut Vec<(usize, Token)>, at: usize, piece: &str) {
    if !piece.is_empty() {
        out.push((at, Token::Text(piece.to_owned())));
    }
}

/// Where the text behind `}}` or ` -}}` at `at` begins, and whether it is trimmed.
fn close(text: &str, at: usize) -> Option<(usize, bool)> {
    let rest = &text[at..];
    if let Some(behind) = rest.strip_prefix("}}") {
        return Some((text.len() - behind.len(), false));
    }
    let behind = rest.strip_prefix(SPACES)?.strip_prefix("-}}")?;
    Some((text.len() - behind.len(), true))
}

/// The tokens up to the end of an action: where it ends, and whether what follows is trimmed.
fn action(text: &str, mut at: usize, out: &mut Vec<(usize, Token)>) -> Result<(usize, bool), (usize, String)> {
    let mut parens = 0_usize;
    loop {
        if let Some((end, trim)) = close(text, at) {
            if parens > 0 {
                return Err((at, "unclosed left paren".to_owned()));
            }
            out.push((at, Token::Close));
            return Ok((end, trim));
        }
        let rest = &text[at..];
        let Some(c) = rest.chars().next() else { return Err((at, "unclosed action".to_owned())) };
        let (length, token) = match c {
            ' ' | '\t' | '\r' | '\n' => {
                let mut length = rest.len() - rest.trim_start_matches(SPACES).len();
                if rest[length..].starts_with("-}}") {
                    length -= 1; // the space before a trim marker belongs to it
                }
                if length == 0 {
                    continue;
                }
                (length, Token::Space)
            }
            '"' => (quoted(rest).ok_or((at, "unterminated quoted string".to_owned()))?, Token::Space),
            '`' => (rest[1..].find('`').map(|n| n + 2).ok_or((at, "unterminated raw quoted string".to_owned()))?, Token::Space),
            '\'' => {
                let length = quoted(rest).ok_or((at, "unterminated character constant".to_owned()))?;
                let value = gosyntax::quote::unquote(&rest[..length]);
                let c = value.chars().next().ok_or((at, format!("malformed character constant: {}", &rest[..length])))?;
                (length, Token::Char(c))
            }
            ':' if rest.starts_with(":=") => (2, Token::Declare),
            ':' => return Err((at, "expected :=".to_owned())),
            '=' => (1, Token::Assign),
            '|' => (1, Token::Pipe),
            ',' => (1, Token::Comma),
            '(' => {
                parens += 1;
                (1, Token::Left)
            }
            ')' => {
                parens = parens.checked_sub(1).ok_or((at, "unexpected right paren".to_owned()))?;
                (1, Token::Right)
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => match word(&rest[1..]) {
                0 => (1, Token::Dot),
                length => (length + 1, Token::Field(rest[1..=length].to_owned())),
            },
            '$' => {
                let length = word(&rest[1..]) + 1;
                (length, Token::Variable(rest[..length].to_owned()))
            }
            '+' | '-' | '.' | '0'..='9' => {
                let length = number(rest);
                (length, Token::Number(rest[..length].to_owned()))
            }
            _ if c == '_' || c.is_alphabetic() => {
                let length = word(rest);
                (length, Token::Word(rest[..length].to_owned()))
            }
            _ => return Err((at, format!("unexpected bad character {} in command", gosyntax::quote::quote_char(Some(c))))),
        };
        let token = if c == '"' || c == '`' { Token::Text2(rest[..length].to_owned()) } else { token };
        let is_operand =
            matches!(token, Token::Field(_) | Token::Variable(_) | Token::Word(_) | Token::Number(_) | Token::Char(_));
        out.push((at, token));
        at += length;
        let follows = text[at..].chars().next();
        let ends = |c: char| SPACES.contains(&c) || matches!(c, '.' | ',' | '|' | ':' | '(' | ')' | '=' | '}');
        if let Some(c) = follows.filter(|c| is_operand && !ends(*c)) {
            return Err((at, format!("bad character {}", gosyntax::quote::quote_char(Some(c)))));
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len())
}

fn number(text: &str) -> usize {
    let mut previous = ' ';
    let belongs = |c: char| {
        let sign = matches!(c, '+' | '-') && matches!(previous, ' ' | 'e' | 'E' | 'p' | 'P');
        previous = c;
        sign || c == '_' || c == '.' || c.is_ascii_alphanumeric()
    };
    text.char_indices().scan(belongs, |belongs, (at, c)| belongs(c).then_some(at + 1)).last().unwrap_or(0)
}

/// Length of a literal with its quotes, on one line.
fn quoted(text: &str) -> Option<usize> {
    let quote = text.chars().next()?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}
