//! Names of tables that users make.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest name in bytes, as in Postgres. Not longer than what the manifest keeps of a file's keys, so that it is there as a whole.
pub const NAME_BYTES_MAX: usize = 63;

/// A checked name: 1 to 63 bytes of ASCII letters, digits and underscores, not beginning with a digit. SQL can write it without quotes if it is
/// in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserTableName(Arc<str>);

/// Why a text is no name of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name for a table: 1 to {NAME_BYTES_MAX} letters, digits and underscores, and no digit first")]
pub struct InvalidTableName {
    /// The text, or the beginning of it.
    name: String,
}

impl UserTableName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`InvalidTableName`].
    pub fn parse(name: &str) -> Result<Self, InvalidTableName> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if first && name.len() <= NAME_BYTES_MAX && name.bytes().all(known) {
            return Ok(Self(Arc::from(name)));
        }
        Err(InvalidTableName { name: name.chars().take(NAME_BYTES_MAX).collect() })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserTableName {
    type Error = InvalidTableName;
    fn try_from(name: String) -> Result<Self, InvalidTableName> {
        Self::parse(&name)
    }
}

impl From<UserTableName> for String {
    fn from(name: UserTableName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for UserTableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let long = "a".repeat(64);
        for (name, valid) in
            [("a", true), ("_9B", true), (&long[1..], true), (&long, false), ("", false), ("9a", false), ("a.b", false)]
                .into_iter()
                .chain([("ä", false), ("a b", false), ("a\"", false), ("../x", false)])
        {
            assert_eq!(UserTableName::parse(name).is_ok(), valid, "{name:?}");
        }
    }
}
