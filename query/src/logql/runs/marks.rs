//! The metadata of the lines of a row group, where it is nothing but a level.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;

use super::super::metadata::{LEVEL, is_blank};
use super::times::{Run, kept};

/// Most levels of a row group.
const KINDS_MAX: usize = 256;

/// One mark for each line, as [`super::times::Times`] places them.
#[derive(Debug)]
pub(super) enum Marks {
    /// There is more metadata than a level.
    Many,
    /// A line's mark is the place of its level among `levels`. Without any mark, no line has metadata.
    Level { levels: Vec<Box<str>>, marks: Box<[u8]> },
}

impl Marks {
    /// Lines without metadata.
    pub(super) fn none() -> Self {
        Self::Level { levels: vec!["".into()], marks: Box::default() }
    }

    /// Of the rows of `batches`, which have columns of metadata only, without the rows of `repeated`.
    pub(super) fn of_rows(batches: &[RecordBatch], repeated: &[u32]) -> Self {
        let (mut levels, mut marks): (Vec<Box<str>>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut first = 0;
        for batch in batches {
            for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
                if field.name() != LEVEL && !is_blank(column) {
                    return Self::Many;
                }
            }
            if let Some(column) = batch.column_by_name(LEVEL) {
                let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return Self::Many };
                let Some(values) = dictionary.values().as_string_opt::<i32>() else { return Self::Many };
                let Some(codes) =
                    values.iter().map(|text| mark_of(text.unwrap_or_default(), &mut levels)).collect::<Option<Vec<u8>>>()
                else {
                    return Self::Many;
                };
                let Some(absent) = mark_of("", &mut levels) else { return Self::Many };
                let keys = dictionary.keys();
                for rows in kept(first, batch.num_rows(), repeated) {
                    match keys.null_count() {
                        0 => marks.extend(keys.values()[rows].iter().map(|key| codes[*key as usize])),
                        _ => marks
                            .extend(rows.map(|row| if keys.is_valid(row) { codes[keys.value(row) as usize] } else { absent })),
                    }
                }
            }
            first += batch.num_rows();
        }
        if levels.is_empty() { Self::none() } else { Self::Level { levels, marks: marks.into() } }
    }

    /// Whether there is nothing but a level.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Level { .. })
    }

    /// How many different marks there may be.
    pub(super) fn kinds(&self) -> usize {
        match self {
            Self::Many => 0,
            Self::Level { levels, .. } => levels.len(),
        }
    }

    /// The mark that all lines of `run` have, if there is one.
    pub(super) fn only(&self, run: &Run) -> Option<u8> {
        match self.of(run) {
            [] => Some(0),
            [first, rest @ ..] => rest.iter().all(|mark| mark == first).then_some(*first),
        }
    }

    /// The marks of the lines of `run`; none if no line has metadata.
    pub(super) fn of(&self, run: &Run) -> &[u8] {
        match self {
            Self::Level { marks, .. } if !marks.is_empty() => &marks[run.rows.clone()],
            _ => &[],
        }
    }

    /// The text of the level that a mark means; `None` if it means that there is none.
    pub(super) fn labels(&self, mark: u8) -> Option<&str> {
        match self {
            Self::Many => None,
            Self::Level { levels, .. } => Some(&*levels[usize::from(mark)]).filter(|level| !level.is_empty()),
        }
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        let held = match self {
            Self::Many => 0,
            Self::Level { levels, marks } => marks.len() + levels.iter().map(|level| level.len() + 16).sum::<usize>(),
        };
        size_of::<Self>() + held
    }
}

/// The place of `level`, which is new or known; `None` if there are too many.
fn mark_of(level: &str, levels: &mut Vec<Box<str>>) -> Option<u8> {
    let at = match levels.iter().position(|known| **known == *level) {
        Some(at) => at,
        None if levels.len() == KINDS_MAX => return None,
        None => {
            levels.push(level.into());
            levels.len() - 1
        }
    };
    u8::try_from(at).ok()
}
