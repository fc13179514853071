//! OTLP names and units as Prometheus names: the rules of `prometheus/otlptranslator`.
//!
//! ```text
//! name ─ split at what Prometheus does not allow ─ + unit ─ + per_unit ─ + total | ratio ─ join with "_" ─ "_" before a digit
//! ```

use super::config::{OtlpMetricsConfig, TranslationStrategy};
use super::reject::Reject;

/// What a metric is, as far as its name is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Gauge.
    Gauge,
    /// Monotonic sum.
    Counter,
    /// Sum that may fall.
    UpDownCounter,
    /// Histogram of either kind.
    Histogram,
    /// Summary.
    Summary,
}

impl Family {
    /// Prometheus' word for it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Gauge | Self::UpDownCounter => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }
}

/// The metric's name.
///
/// # Errors
/// [`Reject::MetricName`] when nothing, or nothing but `_`, is left of it.
pub(crate) fn metric_name(strategy: TranslationStrategy, name: &str, unit: &str, family: Family) -> Result<String, Reject> {
    let built = match (strategy.escapes(), strategy.adds_suffixes()) {
        (true, true) => escaped_with_suffixes(name, unit, family),
        (true, false) => before_digit(join(name.split(|c| c != '_' && !allowed(c)))),
        (false, true) => with_suffixes(name, unit, family),
        (false, false) => name.to_owned(),
    };
    let only_underscores = built != name && built.bytes().all(|b| b == b'_');
    if built.is_empty() || only_underscores { Err(Reject::MetricName) } else { Ok(built) }
}

/// The unit as metadata gives it: `By/s` is `bytes_per_second`.
pub(crate) fn unit_name(strategy: TranslationStrategy, unit: &str) -> String {
    let (mut main, mut per) = unit_suffixes(unit);
    if strategy.escapes() {
        (main, per) = (clean_unit(&main), clean_unit(&per));
    }
    let joined = join([main.as_str(), per.as_str()].into_iter());
    let trimmed = joined.strip_prefix('_').unwrap_or(&joined);
    trimmed.strip_suffix('_').unwrap_or(trimmed).to_owned()
}

/// The name of the label of attribute `key`.
///
/// # Errors
/// [`Reject::LabelName`] when nothing, or nothing but `_`, is left of it.
pub(crate) fn label_name(config: &OtlpMetricsConfig, key: &str) -> Result<String, Reject> {
    if key.is_empty() {
        return Err(Reject::LabelName);
    }
    let mut name = if config.translation_strategy.escapes() {
        let mut escaped = escape_label(key, config.label_name_preserve_multiple_underscores);
        if escaped.starts_with(|c: char| c.is_ascii_digit()) {
            escaped.insert_str(0, "key_");
        } else if config.label_name_underscore_sanitization && escaped.starts_with('_') && !escaped.starts_with("__") {
            escaped.insert_str(0, "key");
        }
        escaped
    } else {
        key.to_owned()
    };
    if name.bytes().all(|b| b == b'_') {
        return Err(Reject::LabelName);
    }
    name.shrink_to_fit();
    Ok(name)
}

/// Characters of a classic metric name, but for the `_` that words are joined with.
fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// The words with one `_` between them; empty ones are left out.
fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
    words.join("_")
}

fn before_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn escaped_with_suffixes(name: &str, unit: &str, family: Family) -> String {
    let mut words: Vec<String> = name.split(|c| !allowed(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_suffixes(unit);
    add_unit(&mut words, clean_unit(&main), clean_unit(&per));
    if family == Family::Counter {
        move_to_end(&mut words, "total");
    }
    // Only gauges: counters of objects often say "1" and are no ratios.
    if unit == "1" && family == Family::Gauge {
        move_to_end(&mut words, "ratio");
    }
    before_digit(words.join("_"))
}

fn move_to_end(words: &mut Vec<String>, word: &str) {
    words.retain(|w| w != word);
    words.push(word.to_owned());
}

fn add_unit(words: &mut Vec<String>, mut main: String, mut per: String) {
    if words.contains(&main) {
        main.clear();
    }
    if per == "per_" {
        per.clear();
    } else {
        if per.ends_with('_') {
            per.pop();
        }
        if words.contains(&per) {
            per.clear();
        }
    }
    if !per.is_empty() && main.ends_with('_') {
        main.pop();
    }
    words.extend([main, per].into_iter().filter(|suffix| !suffix.is_empty()));
}

/// Suffixes on a name that is kept as it is: each is first taken off the end, so that it is there once, and in order.
fn with_suffixes(name: &str, unit: &str, family: Family) -> String {
    let mut name = name;
    let ratio = unit == "1" && family == Family::Gauge;
    if ratio {
        name = without_suffix(name, "ratio");
    }
    let total = family == Family::Counter;
    if total {
        name = without_suffix(name, "total");
    }
    let (main, per) = unit_suffixes(unit);
    if !per.is_empty() {
        name = without_suffix(name, &per);
    }
    let mut built = name.to_owned();
    let main = if name.ends_with(&*main) { "" } else { &*main };
    for suffix in [main, &*per, if total { "total" } else { "" }, if ratio { "ratio" } else { "" }] {
        if !suffix.is_empty() {
            built.push('_');
            built.push_str(suffix);
        }
    }
    built
}

/// `name` without `suffix` and the one character before it, whatever that is.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    match name.strip_suffix(suffix).and_then(|head| head.char_indices().next_back()) {
        Some((delimiter, _)) if delimiter > 0 => &name[..delimiter],
        _ => name,
    }
}

/// The words for `main/per`; annotations in braces count for nothing.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let known = |part: &str| -> Option<String> {
        let part = part.trim();
        (!part.is_empty() && !part.contains(['{', '}'])).then(|| part.to_owned())
    };
    let main = known(main).map_or_else(String::new, |main| main_unit(&main).map_or(main.clone(), str::to_owned));
    let per = known(per).map_or_else(String::new, |per| format!("per_{}", per_unit(&per).unwrap_or(&per)));
    (main, per)
}

fn clean_unit(unit: &str) -> String {
    let mut clean = String::with_capacity(unit.len());
    for c in unit.chars() {
        if allowed(c) {
            clean.push(c);
        } else if !clean.ends_with('_') {
            clean.push('_');
        }
    }
    clean.strip_prefix('_').map(str::to_owned).unwrap_or(clean)
}

fn main_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        _ => return None,
    })
}

fn per_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

fn escape_label(key: &str, keep_runs: bool) -> String {
    let escape = |text: &str, keep_runs: bool| {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                escaped.push(c);
            } else if keep_runs || !escaped.ends_with('_') {
                escaped.push('_');
            }
        }
        escaped
    };
    // A reserved name, `__name__` say, keeps the underscores around it.
    match key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")) {
        Some(inner) if !keep_runs => format!("__{}__", escape(inner, false)),
        _ => escape(key, keep_runs),
    }
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
