//! Settings of a session, as SET and SHOW know them. One of them does something: `statement_timeout`. The others are kept and shown.

use std::collections::BTreeMap;
use std::time::Duration;

/// Settings that a session may have beside those that the server has.
const SETTINGS_MAX: usize = 128;
/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 1024;

/// The version of Postgres whose catalog and messages these are. Clients ask different questions of different versions.
pub(super) const SERVER_VERSION: &str = "16.6";

/// What the server has: the name as Postgres writes it, the value, and whether the client is told at its start and at every change.
const SERVER: [(&str, &str, bool); 25] = [
    ("application_name", "", true),
    ("bytea_output", "hex", false),
    ("client_encoding", "UTF8", true),
    ("client_min_messages", "notice", false),
    ("DateStyle", "ISO, YMD", true),
    ("default_transaction_isolation", "read committed", false),
    ("default_transaction_read_only", "on", true),
    ("extra_float_digits", "1", false),
    ("idle_in_transaction_session_timeout", "0", false),
    ("in_hot_standby", "off", true),
    ("integer_datetimes", "on", true),
    ("IntervalStyle", "postgres", true),
    ("is_superuser", "off", true),
    ("lock_timeout", "0", false),
    ("max_identifier_length", "63", false),
    ("search_path", "\"$user\", public", false),
    ("server_encoding", "UTF8", true),
    ("server_version", SERVER_VERSION, true),
    ("server_version_num", "160006", false),
    ("session_authorization", "", true),
    ("standard_conforming_strings", "on", true),
    ("statement_timeout", "0", false),
    ("TimeZone", "UTC", true),
    ("transaction_isolation", "read committed", false),
    ("transaction_read_only", "on", false),
];

/// Names that cannot be set.
const FIXED: [&str; 9] = [
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "max_identifier_length",
    "server_encoding",
    "server_version",
    "server_version_num",
    "transaction_read_only",
];

/// What a session has set.
#[derive(Debug, Default, Clone)]
pub(super) struct Settings {
    values: BTreeMap<String, String>,
    /// `statement_timeout`; `None`: only the configuration's.
    pub(super) timeout: Option<Duration>,
}

/// Why a setting is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("parameter \"{0}\" cannot be changed")]
    Fixed(String),
    #[error("invalid value for parameter \"{0}\": \"{1}\"")]
    Invalid(String, String),
    #[error("session has {SETTINGS_MAX} settings, the limit")]
    TooMany,
}

impl Refused {
    /// Its SQLSTATE.
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Fixed(_) => "55P02",
            Self::Invalid(..) => "22023",
            Self::TooMany => "53400",
        }
    }
}

impl Settings {
    /// Sets `name`; `None` is DEFAULT. The name as Postgres writes it and the value, if the client is to be told.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<Option<(&'static str, String)>, Refused> {
        let key = name.to_ascii_lowercase();
        if let Some(value) = value {
            let invalid = || Refused::Invalid(name.to_owned(), value.chars().take(64).collect());
            let unchanged = self.get(&key).is_some_and(|now| now.eq_ignore_ascii_case(value));
            if FIXED.contains(&key.as_str()) && !unchanged {
                return Err(Refused::Fixed(name.to_owned()));
            }
            if value.len() > VALUE_BYTES_MAX || key.len() > 128 {
                return Err(invalid());
            }
            match key.as_str() {
                "statement_timeout" => self.timeout = milliseconds(value).ok_or_else(invalid)?,
                "client_encoding" if !matches!(plain(value).as_str(), "utf8" | "unicode" | "sqlascii") => return Err(invalid()),
                // Bytes and text mean what the server says they mean.
                "standard_conforming_strings" if value != "on" => return Err(invalid()),
                _ => {}
            }
            if self.values.len() >= SETTINGS_MAX && !self.values.contains_key(&key) {
                return Err(Refused::TooMany);
            }
            self.values.insert(key.clone(), value.to_owned());
        } else {
            self.values.remove(&key);
            if key == "statement_timeout" {
                self.timeout = None;
            }
        }
        let told = SERVER.iter().find(|(known, _, told)| *told && known.eq_ignore_ascii_case(&key));
        Ok(told.map(|(known, _, _)| (*known, self.get(&key).unwrap_or_default())))
    }

    /// The value of `name`; `None`: nobody knows it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let key = name.to_ascii_lowercase();
        let server =
            || SERVER.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&key)).map(|(_, value, _)| (*value).to_owned());
        self.values.get(&key).cloned().or_else(server)
    }

    /// Forgets everything that was set.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// What the client is told at its start.
    pub(super) fn told(&self) -> Vec<(String, String)> {
        let told = SERVER.iter().filter(|(_, _, told)| *told);
        told.map(|(name, ..)| ((*name).to_owned(), self.get(name).unwrap_or_default())).collect()
    }

    /// All that there is, by name.
    pub(super) fn all(&self) -> Vec<(String, String)> {
        let mut all: BTreeMap<String, String> =
            SERVER.iter().map(|(name, value, _)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
        all.extend(self.values.clone());
        all.into_iter().collect()
    }
}

/// The name of a setting as Postgres writes it.
pub(super) fn written(name: &str) -> String {
    SERVER.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).map_or(name, |(known, ..)| known).to_owned()
}

fn plain(value: &str) -> String {
    value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// `5000`, `5s`, `1min`: milliseconds unless a unit says otherwise; 0 is none.
fn milliseconds(value: &str) -> Option<Option<Duration>> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(factor)?;
    Some((ms > 0).then(|| Duration::from_millis(ms)))
}

/// The settings in `-c name=value -c name=value`, or `--name=value`, which libpq takes from `PGOPTIONS`; a backslash keeps a space.
pub fn options(text: &str) -> Vec<(String, String)> {
    let (mut words, mut word, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            ' ' if !escaped => words.push(std::mem::take(&mut word)),
            c => {
                word.push(c);
                escaped = false;
            }
        }
    }
    words.push(word);
    let assigned =
        words.iter().filter_map(|word| word.strip_prefix("-c").or(word.strip_prefix("--")).unwrap_or(word).split_once('='));
    assigned.map(|(name, value)| (name.replace('-', "_"), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_units() {
        for (text, expected) in
            [("0", Some(0)), ("5000", Some(5_000)), ("5s", Some(5_000)), ("2 min", Some(120_000)), ("x", None), ("5y", None)]
        {
            let ms = milliseconds(text).map(|timeout| timeout.map_or(0, |t| t.as_millis()));
            assert_eq!(ms, expected, "{text}");
        }
    }

    #[test]
    fn settings_are_kept_shown_and_refused() {
        let mut settings = Settings::default();
        assert_eq!(settings.set("timezone", Some("Europe/Berlin")), Ok(Some(("TimeZone", "Europe/Berlin".to_owned()))));
        assert_eq!(settings.get("TimeZone").as_deref(), Some("Europe/Berlin"));
        assert_eq!(settings.set("statement_timeout", Some("1s")), Ok(None));
        assert_eq!(settings.timeout, Some(Duration::from_secs(1)));
        assert!(settings.set("statement_timeout", Some("soon")).is_err());
        assert_eq!(settings.set("server_version", Some("9")), Err(Refused::Fixed("server_version".to_owned())));
        assert!(settings.set("default_transaction_read_only", Some("ON")).is_ok(), "as it is");
        assert!(settings.set("client_encoding", Some("LATIN1")).is_err());
        assert!(settings.set("client_encoding", Some("'UTF-8'")).is_ok());
        assert!(settings.set("my.own", Some("1")).is_ok());
        settings.reset();
        assert_eq!(settings.get("my.own"), None);
        assert_eq!(settings.timeout, None);
        for n in 0..SETTINGS_MAX {
            assert!(settings.set(&format!("a.{n}"), Some("1")).is_ok());
        }
        assert_eq!(settings.set("b.c", Some("1")), Err(Refused::TooMany));
    }

    #[test]
    fn options_of_the_start() {
        let read = |text: &str| options(text).into_iter().map(|(n, v)| format!("{n}:{v}")).collect::<Vec<_>>().join("|");
        assert_eq!(read("-c statement_timeout=5s --search-path=a -c x=1\\ 2"), "statement_timeout:5s|search_path:a|x:1 2");
        assert_eq!(read("-cgeqo=off"), "geqo:off");
        assert_eq!(read("nonsense"), "");
    }
}
