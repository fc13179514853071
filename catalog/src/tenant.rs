//! Tenant ids: parsed once where a request enters, part of every key after that.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest tenant id in bytes, as Mimir, Loki and Tempo have it.
pub const TENANT_ID_BYTES_MAX: usize = 150;

/// A checked tenant id: 1 to 150 bytes of `A-Z a-z 0-9 ! - _ . * ' ( )`, but not `.`, `..` or a reserved name.
///
/// The rule is Tempo's and Mimir's (`X-Scope-OrgID`). There is no `Default` on purpose: a tenant is always said.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(Arc<str>);

/// Why a string is no tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenant {
    /// The id is empty.
    #[error("tenant id is empty")]
    Empty,
    /// The id is too long.
    #[error("tenant id has {bytes} bytes, limit is {TENANT_ID_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The id has a character outside the allowed set.
    #[error("tenant id has the character {character:?}; allowed are letters, digits and !-_.*'()")]
    Character {
        /// The first such character.
        character: char,
    },
    /// The id is `.` or `..`.
    #[error("tenant id {id:?} is reserved")]
    Reserved {
        /// The id.
        id: String,
    },
}

impl TenantId {
    /// The tenant of requests that name none while tenancy is off.
    pub fn anonymous() -> Self {
        Self(Arc::from("anonymous"))
    }

    /// Checks `id`.
    ///
    /// # Errors
    /// [`InvalidTenant`] says which rule it breaks.
    pub fn parse(id: &str) -> Result<Self, InvalidTenant> {
        if id.is_empty() {
            return Err(InvalidTenant::Empty);
        }
        if id.len() > TENANT_ID_BYTES_MAX {
            return Err(InvalidTenant::TooLong { bytes: id.len() });
        }
        if let Some(character) = id.chars().find(|c| !(c.is_ascii_alphanumeric() || "!-_.*'()".contains(*c))) {
            return Err(InvalidTenant::Character { character });
        }
        if id == "." || id == ".." {
            return Err(InvalidTenant::Reserved { id: id.to_owned() });
        }
        Ok(Self(Arc::from(id)))
    }

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path segment under which the tenant's objects lie: an encoding of the id, never the raw id.
    ///
    /// Lower-case letters, digits, `-` and `_` stand for themselves; every other byte becomes `~xx` (hex). So two ids that
    /// differ only in case stay apart on a case-insensitive file system, and no segment starts with a dot.
    pub fn path_segment(&self) -> String {
        let mut segment = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => segment.push(char::from(byte)),
                other => segment.push_str(&format!("~{other:02x}")),
            }
        }
        segment
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidTenant;
    fn try_from(id: String) -> Result<Self, InvalidTenant> {
        Self::parse(&id)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_checked() {
        let long = "a".repeat(151);
        for (id, valid) in [("a", true), ("team-1!_.*'()", true), ("", false), (".", false), ("..", false), ("a/b", false)]
            .into_iter()
            .chain([("%2e%2e", false), ("a|b", false), ("ü", false), (long.as_str(), false), ("...", true)])
        {
            assert_eq!(TenantId::parse(id).is_ok(), valid, "{id:?}");
        }
    }

    #[test]
    fn segments_are_safe_and_distinct() {
        let segment = |id: &str| TenantId::parse(id).expect("valid").path_segment();
        assert_eq!(segment("team-1"), "team-1");
        assert_eq!(segment("Team"), "~54eam");
        assert_eq!(segment("..."), "~2e~2e~2e");
    }
}
