//! Expectations are those of the tests and documents of `prometheus/otlptranslator`.

use super::*;

const ESCAPED: TranslationStrategy = TranslationStrategy::UnderscoreEscapingWithSuffixes;
const BARE: TranslationStrategy = TranslationStrategy::UnderscoreEscapingWithoutSuffixes;
const UTF8: TranslationStrategy = TranslationStrategy::NoUTF8EscapingWithSuffixes;
const AS_SENT: TranslationStrategy = TranslationStrategy::NoTranslation;

#[track_caller]
fn check(strategy: TranslationStrategy, family: Family, name: &str, unit: &str, expected: &str) {
    assert_eq!(metric_name(strategy, name, unit, family).unwrap_or_default(), expected, "{name} in {unit:?}");
}

#[test]
fn without_suffixes() {
    let check = |name, expected| check(BARE, Family::Gauge, name, "s", expected);
    check("simple_metric", "simple_metric");
    check("metric@with#special$chars", "metric_with_special_chars");
    check("123metric", "_123metric");
    check("metric@@##$$name", "metric_name");
    check("kept__runs", "kept__runs");
    check("", "");
    check("@#$%", "");
}

#[test]
fn types() {
    check(ESCAPED, Family::Counter, "requests", "", "requests_total");
    check(ESCAPED, Family::Counter, "requests_total", "", "requests_total");
    check(ESCAPED, Family::Counter, "total_requests", "", "requests_total");
    check(ESCAPED, Family::Counter, "items", "1", "items_total");
    check(ESCAPED, Family::Counter, "http.requests", "1", "http_requests_total");
    check(ESCAPED, Family::Counter, "requests", "1/s", "requests_per_second_total");
    check(ESCAPED, Family::Gauge, "cpu_usage", "1", "cpu_usage_ratio");
    check(ESCAPED, Family::Gauge, "cpu_usage_ratio", "1", "cpu_usage_ratio");
    check(ESCAPED, Family::UpDownCounter, "active_connections", "", "active_connections");
    check(ESCAPED, Family::Histogram, "http.request.duration", "ms", "http_request_duration_milliseconds");
    check(ESCAPED, Family::Histogram, "request_size", "By", "request_size_bytes");
    check(ESCAPED, Family::Summary, "response_time", "ms", "response_time_milliseconds");
}

#[test]
fn units() {
    let check = |unit, suffix: &str| check(ESCAPED, Family::Gauge, "metric", unit, &format!("metric{suffix}"));
    for (unit, suffix) in [
        ("d", "_days"),
        ("h", "_hours"),
        ("min", "_minutes"),
        ("s", "_seconds"),
        ("ms", "_milliseconds"),
        ("us", "_microseconds"),
        ("ns", "_nanoseconds"),
        ("By", "_bytes"),
        ("KiBy", "_kibibytes"),
        ("MiBy", "_mebibytes"),
        ("GiBy", "_gibibytes"),
        ("TiBy", "_tibibytes"),
        ("KBy", "_kilobytes"),
        ("MBy", "_megabytes"),
        ("GBy", "_gigabytes"),
        ("TBy", "_terabytes"),
        ("m", "_meters"),
        ("V", "_volts"),
        ("A", "_amperes"),
        ("J", "_joules"),
        ("W", "_watts"),
        ("g", "_grams"),
        ("Cel", "_celsius"),
        ("Hz", "_hertz"),
        ("%", "_percent"),
        ("1", "_ratio"),
        ("1/s", "_per_second"),
        ("1/m", "_per_minute"),
        ("1/h", "_per_hour"),
        ("1/d", "_per_day"),
        ("1/w", "_per_week"),
        ("1/mo", "_per_month"),
        ("1/y", "_per_year"),
        ("1/custom_unit", "_per_custom_unit"),
        ("By/s", "_bytes_per_second"),
        ("custom_unit", "_custom_unit"),
        ("{custom}", ""),
        ("By/{custom}", "_bytes"),
        ("{packet}/s", "_per_second"),
        ("By/", "_bytes"),
        (" By / s ", "_bytes_per_second"),
        ("/", ""),
        ("unit@with#special/chars", "_unit_with_special_per_chars"),
        ("unit__multiple__underscores", "_unit_multiple_underscores"),
    ] {
        check(unit, suffix);
    }
}

#[test]
fn a_unit_is_not_repeated_and_digits_do_not_lead() {
    check(ESCAPED, Family::Gauge, "response_time_seconds", "s", "response_time_seconds");
    check(ESCAPED, Family::Gauge, "metric__with__multiple__underscores", "", "metric_with_multiple_underscores");
    check(ESCAPED, Family::Counter, "123_requests", "", "_123_requests_total");
    check(ESCAPED, Family::Gauge, "@#$%", "", "");
    check(ESCAPED, Family::Counter, "", "", "total"); // as the original: only the empty result is refused
}

#[test]
fn utf8_names() {
    check(UTF8, Family::Counter, "requests_total", "", "requests_total");
    check(UTF8, Family::Gauge, "cpu_usage_ratio", "1", "cpu_usage_ratio");
    check(UTF8, Family::Gauge, "response_time_seconds", "s", "response_time_seconds");
    check(UTF8, Family::Counter, "cpu_seconds_total", "s", "cpu_seconds_total");
    check(UTF8, Family::Counter, "requêsts", "1/s", "requêsts_per_second_total");
    check(UTF8, Family::Gauge, "respønse_time", "ms", "respønse_time_milliseconds");
    check(UTF8, Family::Gauge, "cpu_usagé", "1", "cpu_usagé_ratio");
    check(UTF8, Family::Counter, "@#$%", "", "@#$%_total");
    check(UTF8, Family::Counter, "étotal", "", "étotal_total"); // one character would be left, and not a whole byte less
    check(AS_SENT, Family::Histogram, "http.request.duration", "ms", "http.request.duration");
    check(AS_SENT, Family::Counter, "http.requests", "1", "http.requests");
}

#[test]
fn unit_names() {
    for (unit, expected) in [
        ("ms", "milliseconds"),
        ("1", ""),
        ("1/s", "per_second"),
        ("By/s", "bytes_per_second"),
        ("{custom}", ""),
        ("By/{custom}", "bytes"),
        ("unit__multiple__underscores", "unit_multiple_underscores"),
        ("unit@with#special/chars", "unit_with_special_per_chars"),
    ] {
        assert_eq!(unit_name(ESCAPED, unit), expected, "{unit}");
    }
}

#[test]
fn label_names() {
    let defaults = OtlpMetricsConfig::default();
    let collapsing = OtlpMetricsConfig { label_name_preserve_multiple_underscores: false, ..OtlpMetricsConfig::default() };
    let plain = OtlpMetricsConfig { label_name_underscore_sanitization: false, ..OtlpMetricsConfig::default() };
    let utf8 = OtlpMetricsConfig { translation_strategy: AS_SENT, ..OtlpMetricsConfig::default() };
    let name = |config, key| label_name(config, key).unwrap_or_default();
    for (key, expected) in [
        ("label:with:colons", "label_with_colons"),
        ("LabelWithCapitalLetters", "LabelWithCapitalLetters"),
        ("label!with&special$chars)", "label_with_special_chars_"),
        ("label.with.dots", "label_with_dots"),
        ("label_with_foreign_characters_字符", "label_with_foreign_characters___"),
        ("123label", "key_123label"),
        ("_label", "key_label"),
        ("__label", "__label"),
        ("ようこそ", ""),
        ("", ""),
        ("__", ""),
    ] {
        assert_eq!(name(&defaults, key), expected, "{key}");
        assert_eq!(name(&utf8, key), if key == "__" { "" } else { key });
    }
    assert_eq!(name(&plain, "_label"), "_label");
    for (key, expected) in [("a__b..c", "a_b_c"), ("__reserved..name__", "__reserved_name__"), ("字符label", "key_label")] {
        assert_eq!(name(&collapsing, key), expected, "{key}");
    }
}
