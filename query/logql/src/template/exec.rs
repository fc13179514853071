//! Runs a template over the labels of a line. Source: Go `text/template/exec.go`, with the option `missingkey=zero`.

use std::borrow::Cow;
use std::rc::Rc;

use super::functions::{self, Call};
use super::node::{Command, Node, Operand, OperandKind, Pipe, Position};
use super::print::print_value;
use super::value::Value;
use super::{DEPTH_MAX, Data, OUTPUT_BYTES_MAX, RegexCache, STEPS_MAX, Template};

/// Runs `template`, appending to `out`; gives it back with what went wrong.
pub(super) fn execute<'a>(
    template: &'a Template,
    data: &Data<'a>,
    out: Vec<u8>,
    regexes: &mut RegexCache,
) -> (Vec<u8>, Result<(), String>) {
    let dot = Value::Labels(data.labels);
    let mut run = Run { template, data: *data, out, variables: vec![("$", dot.clone())], steps: 0, depth: 0, regexes };
    let result = run.list(&template.nodes, &dot);
    let result = match result {
        Ok(_) => Ok(()),
        Err(failure) => Err(run.message(&failure)),
    };
    (run.out, result)
}

/// What went wrong at which place; `what` is the piece of the template there.
struct Failure {
    at: Position,
    end: Position,
    why: String,
}

type Outcome<T> = Result<T, Failure>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a, 'r> {
    template: &'a Template,
    data: Data<'a>,
    out: Vec<u8>,
    variables: Vec<(&'a str, Value<'a>)>,
    steps: usize,
    depth: usize,
    regexes: &'r mut RegexCache,
}

fn failed<T>(operand: &Operand, why: impl Into<String>) -> Outcome<T> {
    Err(Failure { at: operand.at, end: operand.end, why: why.into() })
}

impl<'a> Run<'a, '_> {
    fn message(&self, failure: &Failure) -> String {
        let (name, text) = (self.template.name, &self.template.text);
        let before = &text[..failure.at.min(text.len())];
        let (line, column) = (before.matches('\n').count() + 1, before.len() - before.rfind('\n').map_or(0, |n| n + 1));
        let mut what = text.get(failure.at..failure.end).unwrap_or_default().trim_end().to_owned();
        if what.len() > 20 {
            what = format!("{:.20}...", what);
        }
        format!("template: {name}:{line}:{column}: executing \"{name}\" at <{what}>: {}", failure.why)
    }

    fn step(&mut self, at: Position) -> Outcome<()> {
        self.steps += 1;
        let fail = |why: String| Err(Failure { at, end: at, why });
        if self.steps > STEPS_MAX {
            return fail(format!("more than {STEPS_MAX} steps"));
        }
        if self.out.len() > OUTPUT_BYTES_MAX {
            return fail(format!("more than {OUTPUT_BYTES_MAX} bytes of output"));
        }
        if self.depth > DEPTH_MAX {
            return fail(format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        Ok(())
    }

    fn list(&mut self, nodes: &'a [Node], dot: &Value<'a>) -> Outcome<Flow> {
        self.depth += 1;
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node, dot: &Value<'a>) -> Outcome<Flow> {
        match node {
            Node::Text(text) => {
                self.step(0)?;
                self.out.extend_from_slice(text.as_bytes());
            }
            Node::Action(pipe) => {
                self.step(pipe.at)?;
                // most actions are one label
                if let (Some(name), Value::Labels(labels)) = (pipe.single_field(), dot) {
                    self.out.extend_from_slice(labels.get(name).unwrap_or_default().as_bytes());
                    return Ok(Flow::On);
                }
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    print_value(&value, &mut self.out);
                }
            }
            Node::If { with, pipe, then, otherwise } => return self.branch(*with, pipe, (then, otherwise), dot),
            Node::Range { pipe, body, otherwise } => return self.range(pipe, (body, otherwise), dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Call { at, name, pipe } => {
                self.step(*at)?;
                let Some(nodes) = self.template.defined.get(name) else {
                    return Err(Failure { at: *at, end: *at, why: format!("template {name:?} not defined") });
                };
                let dot = pipe.as_ref().map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
                let outside = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
                let flow = self.list(nodes, &dot)?;
                self.variables = outside;
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        with: bool,
        pipe: &'a Pipe,
        (then, otherwise): (&'a [Node], &'a [Node]),
        dot: &Value<'a>,
    ) -> Outcome<Flow> {
        let scope = self.variables.len();
        let value = self.pipe(pipe, dot)?;
        let flow = match (value.is_true(), with) {
            (true, true) => self.list(then, &value)?,
            (true, false) => self.list(then, dot)?,
            (false, _) => self.list(otherwise, dot)?,
        };
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn range(&mut self, pipe: &'a Pipe, (body, otherwise): (&'a [Node], &'a [Node]), dot: &Value<'a>) -> Outcome<Flow> {
        let scope = self.variables.len();
        let value = self.commands(pipe, dot)?;
        let items: Vec<(Value<'a>, Value<'a>)> = match &value {
            Value::Nil => Vec::new(),
            Value::List(list) => list.iter().enumerate().map(|(at, item)| (Value::Int(at as i64), item.clone())).collect(),
            Value::Map(map) => map.iter().map(|(key, item)| (Value::text(key.as_str()), item.clone())).collect(),
            Value::Labels(labels) => Value::pairs_of(labels).into_iter().map(|(key, item)| (Value::text(key), item)).collect(),
            Value::Int(count) | Value::Int64(count) => {
                let count = (*count).clamp(0, STEPS_MAX as i64 + 1);
                (0..count).map(|at| (Value::Int(at), Value::Int(at))).collect()
            }
            other => {
                let why = format!("range can't iterate over {}", shown(other));
                return Err(Failure { at: pipe.at, end: pipe.at, why });
            }
        };
        if items.is_empty() {
            return self.list(otherwise, dot);
        }
        let variables: Vec<&'a str> = pipe.variables.iter().map(|name| &**name).collect();
        for (key, item) in items {
            self.step(pipe.at)?;
            match variables.as_slice() {
                [] => {}
                [one] => self.bind(pipe.assigns, one, item.clone()),
                [first, second, ..] => {
                    self.bind(pipe.assigns, first, key);
                    self.bind(pipe.assigns, second, item.clone());
                }
            }
            let flow = self.list(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn bind(&mut self, assigns: bool, name: &'a str, value: Value<'a>) {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name).filter(|_| assigns) {
            Some((_, variable)) => *variable = value,
            None => self.variables.push((name, value)),
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Value<'a>) -> Outcome<Value<'a>> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.bind(pipe.assigns, name, value.clone());
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &'a Pipe, dot: &Value<'a>) -> Outcome<Value<'a>> {
        self.depth += 1;
        let mut value = None;
        for command in &pipe.commands {
            self.step(pipe.at)?;
            value = Some(self.command(command, dot, value)?);
        }
        self.depth -= 1;
        Ok(value.unwrap_or(Value::Nil))
    }

    /// A command; `last` is the value of the one in front of it, which is its last argument.
    fn command(&mut self, command: &'a Command, dot: &Value<'a>, last: Option<Value<'a>>) -> Outcome<Value<'a>> {
        let first = &command.first;
        if let OperandKind::Function(function) = &first.kind {
            return self.function(function, first, &command.rest, dot, last);
        }
        if let OperandKind::Nil = first.kind {
            return failed(first, "nil is not a command");
        }
        if command.rest.is_empty() && last.is_none() {
            return self.operand(first, dot);
        }
        // methods take arguments, and only times have methods
        if let OperandKind::Chain(of, fields) = &first.kind
            && let Some((method, fields)) = fields.split_last()
            && let Value::Time(time) = self.chain(of, fields, first, dot)?
        {
            let mut arguments = Vec::with_capacity(command.rest.len() + 1);
            for operand in &command.rest {
                arguments.push(self.operand(operand, dot)?);
            }
            arguments.extend(last);
            return time.method(method, &arguments).or_else(|why| failed(first, why));
        }
        match &first.kind {
            OperandKind::Field(fields) | OperandKind::Variable(_, fields) | OperandKind::Chain(_, fields)
                if !fields.is_empty() =>
            {
                let field = fields.last().map_or("", |field| field);
                failed(first, format!("{field} is not a method but has arguments"))
            }
            _ => failed(first, "can't give argument to non-function"),
        }
    }

    fn chain(&mut self, of: &'a Operand, fields: &'a [Box<str>], whole: &Operand, dot: &Value<'a>) -> Outcome<Value<'a>> {
        let value = self.operand(of, dot)?;
        self.fields(value, fields, whole)
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value<'a>) -> Outcome<Value<'a>> {
        self.step(operand.at)?;
        Ok(match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::Nil,
            OperandKind::Bool(b) => Value::Bool(*b),
            OperandKind::Int(int) => Value::Int(*int),
            OperandKind::Float(float) => Value::Float(*float),
            OperandKind::Text(text) => Value::Text(Cow::Borrowed(text)),
            OperandKind::Field(fields) => self.fields(dot.clone(), fields, operand)?,
            OperandKind::Variable(name, fields) => {
                let value = self.variables.iter().rev().find(|(known, _)| **known == **name).map(|(_, value)| value.clone());
                let Some(value) = value else { return failed(operand, format!("undefined variable: {name}")) };
                self.fields(value, fields, operand)?
            }
            OperandKind::Function(function) => self.function(function, operand, &[], dot, None)?,
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot)?,
            OperandKind::Chain(of, fields) => self.chain(of, fields, operand, dot)?,
        })
    }

    fn fields(&self, mut value: Value<'a>, fields: &'a [Box<str>], at: &Operand) -> Outcome<Value<'a>> {
        for field in fields {
            value = match &value {
                // a label that is missing is the empty text
                Value::Labels(labels) => Value::Text(Cow::Borrowed(labels.get(field).unwrap_or_default().as_bytes())),
                Value::Map(map) => map.iter().find(|(key, _)| **key == **field).map_or(Value::Nil, |(_, value)| value.clone()),
                Value::Nil => return failed(at, format!("nil pointer evaluating interface {{}}.{field}")),
                Value::Time(time) => time.method(field, &[]).or_else(|why| failed(at, why))?,
                other => return failed(at, format!("can't evaluate field {field} in type {}", other.type_name())),
            };
        }
        Ok(value)
    }

    fn function(
        &mut self,
        function: &'static functions::Function,
        at: &'a Operand,
        operands: &'a [Operand],
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Outcome<Value<'a>> {
        self.step(at.at)?;
        let count = operands.len() + usize::from(last.is_some());
        function.check_count(count).or_else(|why| failed(at, why))?;
        let mut arguments = Vec::with_capacity(count);
        for operand in operands {
            let value = self.operand(operand, dot)?;
            let is_constant = matches!(operand.kind, OperandKind::Int(_) | OperandKind::Float(_));
            let value = function.accept(arguments.len(), value, is_constant).or_else(|why| failed(operand, why))?;
            // `and` and `or` look no further than they must
            let is_decided = match function.name {
                "and" => !value.is_true(),
                "or" => value.is_true(),
                _ => false,
            };
            if is_decided {
                return Ok(value);
            }
            arguments.push(value);
        }
        if let Some(last) = last {
            let value = function.accept(arguments.len(), last, false).or_else(|why| failed(at, why))?;
            arguments.push(value);
        }
        let mut call = Call { arguments, data: self.data, regexes: self.regexes };
        let result = (function.run)(&mut call).or_else(|why| failed(at, format!("error calling {}: {why}", function.name)))?;
        if matches!(&result, Value::Text(text) if text.len() > OUTPUT_BYTES_MAX) {
            return failed(at, format!("error calling {}: more than {OUTPUT_BYTES_MAX} bytes", function.name));
        }
        Ok(result)
    }
}

/// A value as errors show it.
fn shown(value: &Value<'_>) -> String {
    let mut out = Vec::new();
    print_value(value, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// JSON as values of a template.
pub(super) fn of_json<'a>(json: serde_json::Value) -> Value<'a> {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(list) => Value::List(Rc::new(list.into_iter().map(of_json).collect())),
        serde_json::Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, of_json(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Map(Rc::new(pairs))
        }
    }
}
