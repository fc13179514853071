//! The tree of a template.

use super::functions::Function;

/// Where a node stands, in bytes from the start of the template.
pub(super) type Position = usize;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(Box<str>),
    /// `{{pipe}}`
    Action(Pipe),
    /// `{{if}}`, `{{with}}`
    If {
        with: bool,
        pipe: Pipe,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
    /// `{{template "name" pipe}}`
    Call {
        at: Position,
        name: Box<str>,
        pipe: Option<Pipe>,
    },
}

/// `$a, $b := command | command`
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    pub(super) at: Position,
    pub(super) variables: Vec<Box<str>>,
    /// `=`: the variables are there already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) rest: Vec<Operand>,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    pub(super) at: Position,
    pub(super) end: Position,
    pub(super) kind: OperandKind,
}

#[derive(Debug, Clone)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    /// A whole number without point and exponent.
    Int(i64),
    /// Any other number; it may be whole, as `1e3` is.
    Float(f64),
    Text(Box<[u8]>),
    /// `.a.b`
    Field(Vec<Box<str>>),
    /// `$a.b`
    Variable(Box<str>, Vec<Box<str>>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    /// `(pipe).a.b`
    Chain(Box<Operand>, Vec<Box<str>>),
}

impl Node {
    /// Appends the names behind dots: each may be a label.
    pub(super) fn fields(&self, names: &mut Vec<String>) {
        match self {
            Node::Text(_) | Node::Break | Node::Continue => {}
            Node::Action(pipe) => pipe.fields(names),
            Node::Call { pipe, .. } => pipe.iter().for_each(|pipe| pipe.fields(names)),
            Node::If { pipe, then, otherwise, .. } | Node::Range { pipe, body: then, otherwise } => {
                pipe.fields(names);
                then.iter().chain(otherwise).for_each(|node| node.fields(names));
            }
        }
    }
}

impl Pipe {
    /// The one name behind the one dot that is all of the pipe.
    pub(super) fn single_field(&self) -> Option<&str> {
        let ([], [Command { first, rest }]) = (self.variables.as_slice(), self.commands.as_slice()) else { return None };
        match (&first.kind, rest.as_slice()) {
            (OperandKind::Field(fields), []) if fields.len() == 1 => fields.first().map(|field| &**field),
            _ => None,
        }
    }

    fn fields(&self, names: &mut Vec<String>) {
        for command in &self.commands {
            for operand in std::iter::once(&command.first).chain(&command.rest) {
                operand.fields(names);
            }
        }
    }
}

impl Operand {
    fn fields(&self, names: &mut Vec<String>) {
        match &self.kind {
            OperandKind::Field(fields) | OperandKind::Variable(_, fields) => names.extend(fields.iter().map(|f| f.to_string())),
            OperandKind::Pipe(pipe) => pipe.fields(names),
            OperandKind::Chain(of, fields) => {
                of.fields(names);
                names.extend(fields.iter().map(|f| f.to_string()));
            }
            // `index . "label"` looks at a label by a text
            OperandKind::Text(text) => names.extend(std::str::from_utf8(text).ok().filter(|t| is_name(t)).map(str::to_owned)),
            _ => {}
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}
