//! The labels of one line while it goes through a pipeline, and afterwards.
//!
//! ```text
//!            ids 0..k: names that stages use      k..b: names of the stream      b..: names met in lines
//! stream     {app="a"} ─────────────────────────► values of the stream, kept for all its lines
//! metadata   trace_id  ─┐
//! parsed     status    ─┴► entries of this line: (name, category, value) ── a name points to its live entry, if it has one
//! ```
//! Source: Loki `pkg/logql/log/labels.go`.
//!
//! # Invariants
//! - A name has at most one live value: parsed wins over metadata, metadata over the stream.
//! - A line costs no allocation once the buffers have grown: names are interned, values are copied into one text that is reused.
//! - Names met in lines are forgotten when there are more than [`NAMES_MAX`], so that keys which are data cost no memory without bound.

use hashbrown::HashMap;

/// The label that says which kind of error a line had.
pub const ERROR_LABEL: &str = "__error__";
/// The label that says what the error was.
pub const ERROR_DETAILS_LABEL: &str = "__error_details__";
/// Behind the name of a parsed label whose own name is taken by a label of the stream or of the metadata.
pub const DUPLICATE_SUFFIX: &str = "_extracted";
/// Most names that are remembered from line to line.
pub const NAMES_MAX: usize = 8192;

/// Where a label comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// The stream.
    Stream,
    /// Structured metadata of the line.
    Metadata,
    /// The line's text, or a stage.
    Parsed,
}

/// What a stage can fail with: the value of [`ERROR_LABEL`]. The line goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PipelineError {
    /// A line is no JSON.
    Json,
    /// A line is no logfmt.
    Logfmt,
    /// A value that `unwrap` wants is no quantity.
    SampleExtraction,
    /// A value that a label filter compares is no quantity.
    LabelFilter,
    /// A template failed.
    TemplateFormat,
}

impl PipelineError {
    /// Loki's name of it (`pkg/logqlmodel`).
    pub fn name(self) -> &'static str {
        match self {
            PipelineError::Json => "JSONParserErr",
            PipelineError::Logfmt => "LogfmtParserErr",
            PipelineError::SampleExtraction => "SampleExtractionErr",
            PipelineError::LabelFilter => "LabelFilterErr",
            PipelineError::TemplateFormat => "TemplateFormatErr",
        }
    }
}

/// A label's name within one stream's pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(u32);

impl NameId {
    /// Of [`ERROR_LABEL`].
    pub(crate) const ERROR: NameId = NameId(0);
    /// Of [`ERROR_DETAILS_LABEL`].
    pub(crate) const ERROR_DETAILS: NameId = NameId(1);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names and their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    list: Vec<Box<str>>,
    ids: HashMap<Box<str>, NameId>,
}

impl Names {
    /// The two names of errors, at their fixed numbers.
    pub(crate) fn new() -> Self {
        let mut names = Names { list: Vec::new(), ids: HashMap::new() };
        names.intern(ERROR_LABEL);
        names.intern(ERROR_DETAILS_LABEL);
        names
    }

    pub(crate) fn intern(&mut self, name: &str) -> NameId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        // beyond NAMES_MAX of a line's own there are no more than a line has bytes
        let id = NameId(self.list.len() as u32);
        self.list.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        self.ids.get(name).copied()
    }

    pub(crate) fn text(&self, id: NameId) -> &str {
        &self.list[id.index()]
    }

    fn truncate(&mut self, len: usize) {
        for name in self.list.drain(len..) {
            self.ids.remove(&name);
        }
    }
}

/// A piece of the text that holds the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: NameId,
    category: Category,
    value: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Deleted,
    Entry(u32),
}

/// What this line did to a name; a slot of an earlier line says nothing.
#[derive(Debug, Clone, Copy)]
struct Slot {
    line: u32,
    state: State,
}

/// The labels of a line. Reused for all lines of a stream.
#[derive(Debug, Clone)]
pub struct Labels {
    names: Names,
    fixed: usize,
    base: Vec<Option<Span>>,
    base_ids: Vec<NameId>,
    base_text: String,
    line: u32,
    slots: Vec<Slot>,
    entries: Vec<Entry>,
    text: String,
    error: String,
    error_details: String,
    keys: Keys,
    suffixed: Vec<Option<NameId>>,
    required: Option<Vec<NameId>>,
}

/// A key that parsers met in lines.
#[derive(Debug, Clone)]
struct Key {
    text: Box<str>,
    /// The label of this key; none if nothing is left of its name.
    name: Option<NameId>,
    /// Whether somebody may ask for that label, under one of the names that it can get.
    is_wanted: bool,
    /// Place of the key that came behind this one last.
    next: usize,
}

/// Keys by their texts. Lines of one service have their keys in one order, so the key that came next last time is tried before any hash.
#[derive(Debug, Clone, Default)]
struct Keys {
    list: Vec<Key>,
    places: HashMap<Box<str>, usize>,
    /// Place of the key that a line began with last.
    first: usize,
    /// Place of the key before in this line.
    before: Option<usize>,
}

impl Keys {
    /// The place of `text` behind the key before, if it was there last time.
    fn guess(&self, text: &str) -> Option<usize> {
        let place = self.before.map_or(self.first, |before| self.list[before].next);
        self.list.get(place).filter(|key| *key.text == *text).map(|_| place)
    }

    /// The key at `place` is the next one of the line.
    fn follow(&mut self, place: usize) {
        match self.before.replace(place) {
            Some(before) => self.list[before].next = place,
            None => self.first = place,
        }
    }

    fn add(&mut self, text: &str, name: Option<NameId>, is_wanted: bool) -> usize {
        let place = self.list.len();
        self.list.push(Key { text: text.into(), name, is_wanted, next: 0 });
        self.places.insert(text.into(), place);
        place
    }

    fn clear(&mut self) {
        *self = Keys::default();
    }
}

impl Labels {
    /// Labels of a stream. `names` are those that stages know by number, `required` those somebody asks for (`None`: all of them).
    pub(crate) fn new<'a>(
        names: Names,
        required: Option<Vec<NameId>>,
        stream: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut labels = Labels {
            names,
            fixed: 0,
            base: Vec::new(),
            base_ids: Vec::new(),
            base_text: String::new(),
            line: 0,
            slots: Vec::new(),
            entries: Vec::new(),
            text: String::new(),
            error: String::new(),
            error_details: String::new(),
            keys: Keys::default(),
            suffixed: Vec::new(),
            required,
        };
        for (name, value) in stream {
            let id = labels.names.intern(name);
            let span = push(&mut labels.base_text, value);
            grow(&mut labels.base, id, None);
            if labels.base[id.index()].replace(span).is_none() {
                labels.base_ids.push(id);
            }
        }
        labels.fixed = labels.names.list.len();
        labels.begin();
        labels
    }

    /// A set of labels that belongs to no pipeline, of a stream alone.
    pub fn of_stream<'a>(stream: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Labels::new(Names::new(), None, stream)
    }

    /// Forgets the line: only the stream's labels are left.
    pub(crate) fn begin(&mut self) {
        if self.names.list.len() > self.fixed + NAMES_MAX || self.keys.list.len() > NAMES_MAX {
            self.names.truncate(self.fixed);
            self.slots.truncate(self.fixed);
            self.keys.clear();
            self.suffixed.clear();
        }
        self.line = self.line.wrapping_add(1);
        if self.line == 0 {
            self.slots.clear();
            self.line = 1;
        }
        self.keys.before = None;
        self.entries.clear();
        self.text.clear();
        self.error.clear();
        self.error_details.clear();
    }

    /// Adds metadata: one that is called as a label of the stream gets [`DUPLICATE_SUFFIX`]; the names of errors set the error.
    pub(crate) fn add_metadata(&mut self, name: &str, value: &str) {
        match self.names.intern(name) {
            NameId::ERROR => value.clone_into(&mut self.error),
            NameId::ERROR_DETAILS => value.clone_into(&mut self.error_details),
            id => {
                let id = if self.base_has(id) { self.suffixed(id) } else { id };
                self.set(Category::Metadata, id, value);
            }
        }
    }

    pub(crate) fn intern(&mut self, name: &str) -> NameId {
        self.names.intern(name)
    }

    /// The text of a name.
    pub fn name(&self, id: NameId) -> &str {
        self.names.text(id)
    }

    /// The number of a name, if any label of this stream so far had it. Numbers are only valid for these labels, and for this line.
    pub fn find(&self, name: &str) -> Option<NameId> {
        self.names.find(name)
    }

    /// The value of a label: an absent label has none, one with an empty value has that. The names of errors give what is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(self.names.find(name)?)
    }

    /// As [`Labels::get`], by number.
    pub fn value(&self, id: NameId) -> Option<&str> {
        match id {
            NameId::ERROR => return self.error(),
            NameId::ERROR_DETAILS => return self.error_details(),
            _ => {}
        }
        match self.state(id) {
            Some(State::Entry(entry)) => Some(self.slice(self.entries[entry as usize].value)),
            Some(State::Deleted) => None,
            None => self.base_value(id),
        }
    }

    /// Where a label comes from; `None` if there is no such label.
    pub fn category(&self, id: NameId) -> Option<Category> {
        match self.state(id) {
            Some(State::Entry(entry)) => Some(self.entries[entry as usize].category),
            Some(State::Deleted) => None,
            None => self.base_value(id).map(|_| Category::Stream),
        }
    }

    /// All labels, those of the stream first, in no order that matters; an error and its details are two parsed labels at the end.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Category)> {
        let base =
            self.base_ids.iter().filter(|id| self.state(**id).is_none()).map(|id| {
                (self.names.text(*id), self.base_value(*id).expect("an id of the stream has a value"), Category::Stream)
            });
        let entries = self.entries.iter().enumerate().filter(|(at, e)| self.is_live(*at, e.name));
        let entries = entries.map(|(_, e)| (self.names.text(e.name), self.slice(e.value), e.category));
        let error = self.error().map(|text| (ERROR_LABEL, text, Category::Parsed));
        let details = self.error_details().map(|text| (ERROR_DETAILS_LABEL, text, Category::Parsed));
        base.chain(entries).chain(error).chain(details)
    }

    /// Value of [`ERROR_LABEL`].
    pub fn error(&self) -> Option<&str> {
        Some(self.error.as_str()).filter(|text| !text.is_empty())
    }

    /// Value of [`ERROR_DETAILS_LABEL`].
    pub fn error_details(&self) -> Option<&str> {
        Some(self.error_details.as_str()).filter(|text| !text.is_empty())
    }

    /// Sets the error; the newest one counts. Empty details leave those of before.
    pub fn set_error(&mut self, error: PipelineError, details: &str) {
        error.name().clone_into(&mut self.error);
        if !details.is_empty() {
            details.clone_into(&mut self.error_details);
        }
    }

    pub(crate) fn reset_error(&mut self) {
        self.error.clear();
    }

    pub(crate) fn reset_error_details(&mut self) {
        self.error_details.clear();
    }

    /// Removes a label, wherever it comes from.
    pub fn remove(&mut self, name: &str) {
        if let Some(id) = self.names.find(name) {
            self.delete(id);
        }
    }

    /// Sets a label. One of a lower category gives way; one of a higher category stays, and nothing happens.
    pub(crate) fn set(&mut self, category: Category, id: NameId, value: &str) {
        let span = push(&mut self.text, value);
        if let Some(State::Entry(at)) = self.state(id) {
            let entry = &mut self.entries[at as usize];
            if entry.category > category {
                return;
            }
            if entry.category == category {
                entry.value = span;
                return;
            }
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { name: id, category, value: span });
        self.put(id, State::Entry(at));
    }

    /// As [`Labels::set`], with the value of another label.
    pub(crate) fn copy(&mut self, category: Category, to: NameId, from: NameId) {
        let value = self.value(from).map(str::to_owned);
        if let Some(value) = value {
            self.set(category, to, &value);
        }
    }

    pub(crate) fn delete(&mut self, id: NameId) {
        self.put(id, State::Deleted);
    }

    /// Whether the stream has a label of this name, even if the line lost it.
    pub(crate) fn base_has(&self, id: NameId) -> bool {
        self.base_value(id).is_some()
    }

    /// The label that a parsed key sets: none if nothing is left of its name, with [`DUPLICATE_SUFFIX`] if the name is taken.
    pub(crate) fn parsed_name(&mut self, key: &str) -> Option<NameId> {
        let place = self.place_of(key);
        let id = self.keys.list[place].name?;
        Some(self.free_name(id))
    }

    /// As [`Labels::parsed_name`], if somebody asks for that label and the line has not set it yet.
    pub(crate) fn wanted_name(&mut self, key: &str) -> Option<NameId> {
        let place = self.place_of(key);
        let Key { name, is_wanted, .. } = self.keys.list[place];
        let name = self.free_name(name.filter(|_| is_wanted)?);
        (self.is_required(name) && !self.is_parsed(name)).then_some(name)
    }

    /// The place of a key among [`Keys`].
    fn place_of(&mut self, key: &str) -> usize {
        let known = self.keys.guess(key).or_else(|| self.keys.places.get(key).copied());
        let place = known.unwrap_or_else(|| {
            let name = sanitize_label(key);
            let id = (!name.is_empty()).then(|| self.names.intern(&name));
            let is_asked = |asked: &str| asked == name || asked.strip_suffix(DUPLICATE_SUFFIX) == Some(&name);
            let is_wanted =
                self.required.as_ref().is_none_or(|required| required.iter().any(|id| is_asked(self.names.text(*id))));
            self.keys.add(key, id, is_wanted)
        });
        self.keys.follow(place);
        place
    }

    /// `id`, or its name with [`DUPLICATE_SUFFIX`] if that of `id` belongs to the stream or to the metadata.
    pub(crate) fn free_name(&mut self, id: NameId) -> NameId {
        let metadata =
            matches!(self.state(id), Some(State::Entry(at)) if self.entries[at as usize].category == Category::Metadata);
        if metadata || self.base_has(id) { self.suffixed(id) } else { id }
    }

    /// Whether there is a parsed label of this name.
    pub(crate) fn is_parsed(&self, id: NameId) -> bool {
        matches!(self.state(id), Some(State::Entry(at)) if self.entries[at as usize].category == Category::Parsed)
    }

    /// Whether somebody asks for this label.
    pub(crate) fn is_required(&self, id: NameId) -> bool {
        self.required.as_ref().is_none_or(|required| required.contains(&id))
    }

    /// Whether somebody asks for a label whose name begins so.
    pub(crate) fn may_require(&self, prefix: &str) -> bool {
        self.required.as_ref().is_none_or(|required| required.iter().any(|id| self.names.text(*id).starts_with(prefix)))
    }

    /// Whether nobody asks for any label.
    pub(crate) fn nothing_required(&self) -> bool {
        self.required.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether this line has all labels that somebody asks for, so that parsing may end. Labels of the stream do not count, as in Loki:
    /// a parser that looks for more may find that the line is broken.
    pub(crate) fn all_required_found(&self) -> bool {
        let found = |id: &NameId| matches!(self.state(*id), Some(State::Entry(_)));
        self.required.as_ref().is_some_and(|required| required.iter().all(found))
    }

    /// Puts the ids of all labels into `out`.
    pub(crate) fn ids(&self, out: &mut Vec<NameId>) {
        out.clear();
        out.extend(self.base_ids.iter().filter(|id| self.state(**id).is_none()));
        out.extend(self.entries.iter().enumerate().filter(|(at, e)| self.is_live(*at, e.name)).map(|(_, e)| e.name));
    }

    fn suffixed(&mut self, id: NameId) -> NameId {
        grow(&mut self.suffixed, id, None);
        if let Some(known) = self.suffixed[id.index()] {
            return known;
        }
        let name = format!("{}{DUPLICATE_SUFFIX}", self.names.text(id));
        let suffixed = self.names.intern(&name);
        self.suffixed[id.index()] = Some(suffixed);
        suffixed
    }

    fn is_live(&self, at: usize, name: NameId) -> bool {
        self.state(name) == Some(State::Entry(at as u32))
    }

    fn state(&self, id: NameId) -> Option<State> {
        self.slots.get(id.index()).filter(|slot| slot.line == self.line).map(|slot| slot.state)
    }

    fn put(&mut self, id: NameId, state: State) {
        grow(&mut self.slots, id, Slot { line: 0, state: State::Deleted });
        self.slots[id.index()] = Slot { line: self.line, state };
    }

    fn base_value(&self, id: NameId) -> Option<&str> {
        let span = self.base.get(id.index()).copied().flatten()?;
        Some(&self.base_text[span.start as usize..][..span.len as usize])
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.start as usize..][..span.len as usize]
    }
}

fn push(text: &mut String, value: &str) -> Span {
    let start = text.len() as u32;
    text.push_str(value);
    Span { start, len: value.len() as u32 }
}

fn grow<T: Copy>(list: &mut Vec<T>, id: NameId, empty: T) {
    if list.len() <= id.index() {
        list.resize(id.index() + 1, empty);
    }
}

/// `{app="a", level="info"}`: labels as Loki prints them, in the order in which they come.
pub fn labels_text<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels: Vec<String> =
        labels.into_iter().map(|(name, value)| format!("{name}={}", gosyntax::quote::quote(value))).collect();
    format!("{{{}}}", labels.join(", "))
}

/// A key as a label name: without space around it, `_` before a leading digit and for whatever is neither ASCII letter, digit nor `_`.
/// Empty if nothing is left. Source: Loki `pkg/logql/log/util.go`.
pub fn sanitize_label(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 1);
    push_sanitized(&mut out, key);
    out
}

/// Appends `key` as [`sanitize_label`] makes it; a digit only leads at the very start of `out`.
pub(crate) fn push_sanitized(out: &mut String, key: &str) {
    let key = key.trim();
    if out.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(labels: &Labels) -> Vec<(String, String, Category)> {
        let mut all: Vec<_> = labels.iter().map(|(n, v, c)| (n.to_owned(), v.to_owned(), c)).collect();
        all.sort();
        all
    }

    #[test]
    fn parsed_wins_over_metadata_and_metadata_over_the_stream() {
        let mut labels = Labels::of_stream([("app", "a"), ("pod", "p")]);
        labels.add_metadata("app", "b");
        labels.add_metadata("user", "u");
        assert_eq!(labels.get("app_extracted"), Some("b"));
        let user = labels.find("user").unwrap();
        labels.set(Category::Parsed, user, "v");
        labels.set(Category::Metadata, user, "w");
        labels.set(Category::Stream, user, "x");
        assert_eq!((labels.get("user"), labels.category(user)), (Some("v"), Some(Category::Parsed)));
        labels.remove("pod");
        let expected =
            [("app", "a", Category::Stream), ("app_extracted", "b", Category::Metadata), ("user", "v", Category::Parsed)];
        assert_eq!(all(&labels), expected.map(|(n, v, c)| (n.to_owned(), v.to_owned(), c)));
        labels.begin();
        assert_eq!(all(&labels).len(), 2);
    }

    #[test]
    fn keys_that_are_data_are_forgotten() {
        let mut labels = Labels::of_stream([("app", "a")]);
        for line in 0..40 {
            labels.begin();
            for key in 0..1000 {
                let id = labels.parsed_name(&format!("k{line}x{key}")).unwrap();
                labels.set(Category::Parsed, id, "v");
            }
            assert_eq!(all(&labels).len(), 1001);
            assert!(labels.names.list.len() < NAMES_MAX + 2000);
        }
    }

    #[test]
    fn keys_in_any_order_have_their_labels() {
        let mut names = Names::new();
        let required = ["b", "d_extracted"].map(|name| names.intern(name)).to_vec();
        let mut labels = Labels::new(names, Some(required), [("d", "stream")]);
        for keys in ["abcd", "abcd", "dcba", "a", "", "bb", "dabc"] {
            labels.begin();
            let mut found = Vec::new();
            for key in keys.chars() {
                let key = key.to_string();
                if let Some(name) = labels.wanted_name(&key) {
                    labels.set(Category::Parsed, name, &key);
                    found.push(labels.name(name).to_owned());
                }
            }
            // Each once, where it comes first.
            let mut expected: Vec<&str> = Vec::new();
            for name in keys.chars().filter_map(|key| [('b', "b"), ('d', "d_extracted")].into_iter().find(|(of, _)| *of == key)) {
                if !expected.contains(&name.1) {
                    expected.push(name.1);
                }
            }
            assert_eq!(found, expected, "{keys}");
        }
    }

    #[test]
    fn names_of_keys() {
        #[track_caller]
        fn check(key: &str, expected: &str) {
            assert_eq!(sanitize_label(key), expected);
        }
        check("", "");
        check(" \t", "");
        check("a.b-c", "a_b_c");
        check("7a", "_7a");
        check("é", "_");
    }
}
