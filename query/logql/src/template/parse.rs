//! Tokens to a tree. Source: Go `text/template/parse/parse.go`.

use hashbrown::HashMap;

use super::DEPTH_MAX;
use super::functions;
use super::lex::{Token, tokens};
use super::node::{Command, Node, Operand, OperandKind, Pipe};

type Defined = HashMap<Box<str>, Vec<Node>>;

/// The tree of a template, and of those that it defines.
pub(super) fn parse(name: &str, text: &str) -> Result<(Vec<Node>, Defined), String> {
    let place = |at: usize, why: String| {
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        format!("template: {name}:{line}: {why}")
    };
    let tokens = tokens(text).map_err(|(at, why)| place(at, why))?;
    let mut parser = Parser { text, tokens, at: 0, variables: vec!["$".into()], loops: 0, depth: 0, defined: HashMap::new() };
    let nodes = parser.list(&[]).map_err(|why| place(parser.position(), why))?;
    Ok((nodes.0, parser.defined))
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(usize, Token)>,
    at: usize,
    /// Those in scope; a block takes its own away when it ends.
    variables: Vec<Box<str>>,
    loops: usize,
    depth: usize,
    defined: Defined,
}

/// What ends a list of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Text,
    End,
    Else,
}

impl Parser<'_> {
    fn position(&self) -> usize {
        self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while *self.peek() == Token::Space {
            self.at += 1;
        }
    }

    fn deeper<T>(&mut self, what: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let result = what(self);
        self.depth -= 1;
        result
    }

    /// Nodes up to one of `endings`, whose action has been read up to its word; the end of the text if there are none.
    fn list(&mut self, endings: &[Ending]) -> Result<(Vec<Node>, Ending), String> {
        let mut nodes = Vec::new();
        loop {
            match self.next() {
                Token::Text(text) => nodes.push(Node::Text(text.into())),
                Token::End if endings.is_empty() => return Ok((nodes, Ending::Text)),
                Token::End => return Err("unexpected EOF".to_owned()),
                _ => {
                    self.skip_space();
                    let ending = match self.peek() {
                        Token::Word(word) if word == "end" => Some(Ending::End),
                        Token::Word(word) if word == "else" => Some(Ending::Else),
                        _ => None,
                    };
                    match ending {
                        Some(ending) if endings.contains(&ending) => {
                            self.at += 1;
                            self.skip_space();
                            return Ok((nodes, ending));
                        }
                        Some(Ending::End) => return Err("unexpected {{end}}".to_owned()),
                        Some(_) => return Err("unexpected {{else}}".to_owned()),
                        None => nodes.extend(self.deeper(Self::action)?),
                    }
                }
            }
        }
    }

    fn action(&mut self) -> Result<Option<Node>, String> {
        let word = match self.peek() {
            Token::Word(word) => word.clone(),
            _ => String::new(),
        };
        let is_keyword =
            matches!(word.as_str(), "if" | "with" | "range" | "break" | "continue" | "define" | "template" | "block");
        if !is_keyword {
            return Ok(Some(Node::Action(self.pipeline("command", &Token::Close)?)));
        }
        self.at += 1;
        self.skip_space();
        match word.as_str() {
            "if" | "with" => self.branch(word == "with").map(Some),
            "range" => self.range().map(Some),
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                self.expect_close(&word)?;
                Ok(Some(if word == "break" { Node::Break } else { Node::Continue }))
            }
            "define" => self.define().map(|()| None),
            "block" => self.block().map(Some),
            _ => self.call().map(Some),
        }
    }

    fn expect_close(&mut self, context: &str) -> Result<(), String> {
        self.skip_space();
        match self.next() {
            Token::Close => Ok(()),
            token => Err(self.unexpected(&token, context)),
        }
    }

    fn unexpected(&mut self, token: &Token, context: &str) -> String {
        self.at = self.at.saturating_sub(1);
        let shown = match token {
            Token::End => "EOF".to_owned(),
            Token::Close => "\"}}\"".to_owned(),
            Token::Word(word) => format!("<{word}>"),
            Token::Dot => "<.>".to_owned(),
            Token::Field(name) => format!("<.{name}>"),
            Token::Variable(text) | Token::Number(text) => format!("{text:?}"),
            Token::Text2(text) => gosyntax::quote::quote(text),
            Token::Declare => "\":=\"".to_owned(),
            Token::Assign => "\"=\"".to_owned(),
            Token::Pipe => "\"|\"".to_owned(),
            Token::Comma => "\",\"".to_owned(),
            Token::Left => "\"(\"".to_owned(),
            Token::Right => "\")\"".to_owned(),
            Token::Char(c) => format!("'{c}'"),
            Token::Text(_) | Token::Open | Token::Space => "text".to_owned(),
        };
        format!("unexpected {shown} in {context}")
    }

    fn branch(&mut self, with: bool) -> Result<Node, String> {
        let scope = self.variables.len();
        let pipe = self.pipeline(if with { "with" } else { "if" }, &Token::Close)?;
        let (then, ending) = self.list(&[Ending::Else, Ending::End])?;
        let otherwise = if ending == Ending::Else { self.otherwise(if with { "with" } else { "if" })? } else { self.finish()? };
        self.variables.truncate(scope);
        Ok(Node::If { with, pipe, then, otherwise })
    }

    /// What stands behind `{{else`: a list, or `if` and all of another branch, which shares our `{{end}}`.
    fn otherwise(&mut self, chain: &str) -> Result<Vec<Node>, String> {
        if matches!(self.peek(), Token::Word(word) if word == chain) {
            self.at += 1;
            self.skip_space();
            let with = chain == "with";
            return self.deeper(|parser| parser.branch(with)).map(|node| vec![node]);
        }
        self.expect_close("else")?;
        let (nodes, _) = self.list(&[Ending::End])?;
        self.expect_close("end")?;
        Ok(nodes)
    }

    fn finish(&mut self) -> Result<Vec<Node>, String> {
        self.expect_close("end").map(|()| Vec::new())
    }

    fn range(&mut self) -> Result<Node, String> {
        let scope = self.variables.len();
        let pipe = self.pipeline("range", &Token::Close)?;
        self.loops += 1;
        let (body, ending) = self.list(&[Ending::Else, Ending::End])?;
        self.loops -= 1;
        let otherwise = if ending == Ending::Else { self.otherwise("")? } else { self.finish()? };
        self.variables.truncate(scope);
        Ok(Node::Range { pipe, body, otherwise })
    }

    fn name(&mut self, context: &str) -> Result<Box<str>, String> {
        self.skip_space();
        match self.next() {
            Token::Text2(literal) => Ok(gosyntax::quote::unquote(&literal).into()),
            token => Err(self.unexpected(&token, context)),
        }
    }

    /// A body with no variables but `$`.
    fn body(&mut self) -> Result<Vec<Node>, String> {
        let outside = (std::mem::replace(&mut self.variables, vec!["$".into()]), std::mem::take(&mut self.loops));
        let body = self.list(&[Ending::End]);
        (self.variables, self.loops) = outside;
        let (nodes, _) = body?;
        self.expect_close("end")?;
        Ok(nodes)
    }

    fn define(&mut self) -> Result<(), String> {
        if self.depth > 1 {
            return Err("unexpected {{define}}".to_owned());
        }
        let name = self.name("define clause")?;
        self.expect_close("define clause")?;
        let nodes = self.body()?;
        self.defined.insert(name, nodes);
        Ok(())
    }

    fn block(&mut self) -> Result<Node, String> {
        let at = self.position();
        let name = self.name("block clause")?;
        let pipe = self.pipeline("block clause", &Token::Close)?;
        let nodes = self.body()?;
        self.defined.insert(name.clone(), nodes);
        Ok(Node::Call { at, name, pipe: Some(pipe) })
    }

    fn call(&mut self) -> Result<Node, String> {
        let at = self.position();
        let name = self.name("template clause")?;
        self.skip_space();
        if *self.peek() == Token::Close {
            self.at += 1;
            return Ok(Node::Call { at, name, pipe: None });
        }
        let pipe = self.pipeline("template clause", &Token::Close)?;
        Ok(Node::Call { at, name, pipe: Some(pipe) })
    }

    fn pipeline(&mut self, context: &str, end: &Token) -> Result<Pipe, String> {
        self.skip_space();
        let at = self.position();
        let (variables, assigns) = self.declaration(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            self.skip_space();
            if self.peek() == end {
                self.at += 1;
                if commands.is_empty() {
                    return Err(format!("missing value for {context}"));
                }
                break;
            }
            match self.peek() {
                Token::Close | Token::End | Token::Right | Token::Declare | Token::Assign | Token::Comma | Token::Pipe => {
                    let token = self.next();
                    return Err(self.unexpected(&token, context));
                }
                _ => {}
            }
            let command = self.command(context, end)?;
            if !commands.is_empty()
                && matches!(
                    command.first.kind,
                    OperandKind::Dot
                        | OperandKind::Nil
                        | OperandKind::Bool(_)
                        | OperandKind::Int(_)
                        | OperandKind::Float(_)
                        | OperandKind::Text(_)
                )
            {
                return Err(format!("non executable command in pipeline stage {}", commands.len() + 1));
            }
            commands.push(command);
        }
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { at, variables, assigns, commands })
    }

    /// `$a :=`, `$a =`, and in a range `$a, $b :=`. In a range the variables are known to the body, else behind the pipe.
    fn declaration(&mut self, context: &str) -> Result<(Vec<Box<str>>, bool), String> {
        let start = self.at;
        let mut variables: Vec<Box<str>> = Vec::new();
        while let Token::Variable(name) = self.peek().clone() {
            self.at += 1;
            self.skip_space();
            variables.push(name.into());
            match self.next() {
                Token::Declare => return Ok((variables, false)),
                Token::Assign => {
                    for name in &variables {
                        self.known(name)?;
                    }
                    return Ok((variables, true));
                }
                Token::Comma if context == "range" && variables.len() < 2 => self.skip_space(),
                Token::Comma if context == "range" => return Err("too many declarations in range".to_owned()),
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn known(&self, name: &str) -> Result<(), String> {
        let is_known = self.variables.iter().any(|known| **known == *name);
        if is_known { Ok(()) } else { Err(format!("undefined variable {name:?}")) }
    }

    /// Operands up to a `|`, which is taken, or to `end`, which is left.
    fn command(&mut self, context: &str, end: &Token) -> Result<Command, String> {
        let first = self.operand(context)?;
        let mut rest = Vec::new();
        loop {
            match self.peek() {
                Token::Space => self.skip_space(),
                Token::Pipe => {
                    self.at += 1;
                    self.skip_space();
                    if self.peek() == end {
                        return Err(format!("missing value for {context}"));
                    }
                    return Ok(Command { first, rest });
                }
                token if token == end => return Ok(Command { first, rest }),
                _ => rest.push(self.operand(context)?),
            }
        }
    }

    fn operand(&mut self, context: &str) -> Result<Operand, String> {
        let at = self.position();
        let kind = match self.next() {
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => OperandKind::Field(self.fields(vec![name.into()])),
            Token::Variable(name) => {
                self.known(&name)?;
                OperandKind::Variable(name.into(), self.fields(Vec::new()))
            }
            Token::Word(word) => match word.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                _ => OperandKind::Function(functions::find(&word).ok_or_else(|| format!("function {word:?} not defined"))?),
            },
            Token::Number(text) => number(&text)?,
            Token::Char(c) => OperandKind::Int(i64::from(u32::from(c))),
            Token::Text2(literal) => OperandKind::Text(bytes_of(&gosyntax::quote::unquote(&literal))),
            Token::Left => {
                OperandKind::Pipe(Box::new(self.deeper(|parser| parser.pipeline("parenthesized pipeline", &Token::Right))?))
            }
            token => return Err(self.unexpected(&token, context)),
        };
        let mut operand = Operand { at, end: self.position().min(self.text.len()), kind };
        if matches!(self.peek(), Token::Field(_)) {
            if !matches!(operand.kind, OperandKind::Pipe(_) | OperandKind::Dot) {
                return Err(format!("unexpected . after term {:?}", &self.text[at..operand.end]));
            }
            let fields = self.fields(Vec::new());
            let end = self.position().min(self.text.len());
            operand = Operand { at, end, kind: OperandKind::Chain(Box::new(operand), fields) };
        }
        Ok(operand)
    }

    fn fields(&mut self, mut fields: Vec<Box<str>>) -> Vec<Box<str>> {
        while let Token::Field(name) = self.peek() {
            fields.push(name.as_str().into());
            self.at += 1;
        }
        fields
    }
}

/// The bytes of a text; those that are none are kept by `unquote` as private characters.
fn bytes_of(text: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            code @ 0x10_ff80.. => out.push((code & 0xff) as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.into()
}

/// A number as Go writes them: whole ones in bases 2, 8, 10 and 16, or a float.
fn number(text: &str) -> Result<OperandKind, String> {
    let bad = || format!("bad number syntax: {text:?}");
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let parse = |digits: &str, radix| i64::from_str_radix(&format!("{}{digits}", if negative { "-" } else { "" }), radix).ok();
    let int = if let Some(hex) = lower.strip_prefix("0x") {
        parse(hex, 16)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        parse(binary, 2)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        parse(octal, 8)
    } else if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|c| c.is_ascii_digit()) {
        parse(&lower, 8)
    } else {
        parse(&lower, 10)
    };
    if let Some(int) = int {
        return Ok(OperandKind::Int(int));
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(bad());
    }
    crate::units::parse_float(&plain).map(OperandKind::Float).map_err(|_| bad())
}
