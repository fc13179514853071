//! The lines of a bulk request: an action, and but for `delete` a document behind it.

use memchr::memchr;

use super::document::Document;
use super::{BulkError, ITEMS_MAX};
use crate::convert::loki::Pushed;
use crate::convert::loki::push::Push;
use crate::convert::loki::refused::Refusal;
use crate::wire::json::{JsonError, JsonReader};

/// What is to be done with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Store it.
    Index,
    /// Store it, too.
    Create,
    /// Not supported.
    Update,
    /// Not supported.
    Delete,
}

impl Action {
    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Index, Self::Create, Self::Update, Self::Delete].into_iter().find(|action| action.name() == name)
    }
}

/// What became of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the rows.
    Created,
    /// It is not.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// Elasticsearch's name for the kind of error.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// One action of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What was to be done.
    pub action: Action,
    /// The index it names.
    pub index: String,
    /// The id that was sent; one is made up for the answer where there is none.
    pub id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a request became.
#[derive(Debug, Default)]
pub struct Bulk {
    /// The rows.
    pub pushed: Pushed,
    /// Its actions, in order.
    pub items: Vec<Item>,
}

impl Outcome {
    pub(super) fn invalid(kind: &'static str, reason: impl Into<String>) -> Self {
        Self::Refused { status: 400, kind, reason: reason.into() }
    }

    pub(super) fn of(refusal: Refusal) -> Self {
        match refusal.rule.passes() {
            true => Self::Refused { status: 429, kind: "es_rejected_execution_exception", reason: refusal.text },
            false => Self::invalid("document_parsing_exception", refusal.text),
        }
    }
}

/// Reads `body` line by line.
pub(super) fn convert(mut push: Push<'_>, index: Option<&str>, body: &[u8]) -> Result<Bulk, BulkError> {
    let mut items = Vec::new();
    let mut lines = Lines { rest: body, number: 0 };
    let mut document = Document::default();
    while let Some(line) = lines.next() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if items.len() >= ITEMS_MAX {
            return Err(BulkError::TooMany);
        }
        let number = lines.number;
        let text = push.text(line);
        let (action, head) = head(&text, number)?;
        let source = match action {
            Action::Delete => None,
            _ => Some(lines.next().ok_or(BulkError::NoSource { line: number + 1 })?),
        };
        let index = head.index.as_deref().or(index).unwrap_or_default();
        let outcome = match (action, source) {
            (Action::Index | Action::Create, Some(source)) => document.take(&mut push, index, source),
            _ => Outcome::invalid(
                "illegal_argument_exception",
                format!("{} is not supported: log lines do not change", action.name()),
            ),
        };
        items.push(Item { action, index: index.to_owned(), id: head.id, outcome });
    }
    finish(push, items)
}

/// Reads one document.
pub(super) fn convert_one(
    mut push: Push<'_>,
    action: Action,
    (index, id): (&str, Option<&str>),
    body: &[u8],
) -> Result<Bulk, BulkError> {
    let outcome = Document::default().take(&mut push, index, body);
    let item = Item { action, index: index.to_owned(), id: id.map(str::to_owned), outcome };
    finish(push, vec![item])
}

fn finish(push: Push<'_>, mut items: Vec<Item>) -> Result<Bulk, BulkError> {
    let pushed = push.finish()?;
    // The tenant is too fast: what was taken line by line is not, as a whole.
    if let (true, 0, Some(reason)) = (pushed.throttled, pushed.converted.accepted, &pushed.converted.reason) {
        for item in items.iter_mut().filter(|item| item.outcome == Outcome::Created) {
            let kind = "es_rejected_execution_exception";
            item.outcome = Outcome::Refused { status: 429, kind, reason: reason.clone() };
        }
    }
    Ok(Bulk { pushed, items })
}

struct Head {
    index: Option<String>,
    id: Option<String>,
}

/// Reads an action's line.
fn head(text: &str, number: usize) -> Result<(Action, Head), BulkError> {
    let mut found = None;
    let mut head = Head { index: None, id: None };
    let mut reader = JsonReader::new(text);
    let read = reader.object(|reader, name| {
        let action = Action::parse(&name).ok_or_else(|| reader.error::<JsonError>("expected index, create, update or delete"))?;
        if found.replace(action).is_some() {
            return Err(reader.error("more than one action"));
        }
        reader.object(|reader, name| {
            match name.as_ref() {
                "_index" => head.index = Some(reader.text()?.into_owned()),
                "_id" => head.id = Some(reader.text()?.into_owned()),
                _ => reader.skip()?,
            }
            Ok(())
        })
    });
    read.map_err(|error| BulkError::action(number, &error))?;
    let action = found.ok_or_else(|| BulkError::Action { line: number, reason: "there is no action".to_owned() })?;
    Ok((action, head))
}

struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let (line, rest) = match memchr(b'\n', self.rest) {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line)
    }
}
