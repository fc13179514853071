use serde_json::Value;

use super::*;
use crate::loki::vectors::cases;

/// 2026-01-01 00:00 UTC.
const NEW_YEAR_NS: i64 = 1_767_225_600 * SECOND_NS;

fn params(query: &str) -> Params {
    Params::of_url(query).unwrap()
}

/// One of Loki's cases: what it expects, and what came.
fn compared(case: &Value) -> (Value, Value) {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let failed = |error: ApiError| Value::from(error.message);
    match case["kind"].as_str() {
        Some("timestamp") => {
            let got = timestamp(text("input"), 0).map_or_else(|_| Value::Null, Value::from);
            (case["expect_ns"].clone(), got)
        }
        Some("default_step") => {
            let end_ns = case["range_seconds"].as_i64().unwrap() * SECOND_NS;
            (case["expect_seconds"].clone(), default_step_s(TimeNs { start_ns: 0, end_ns }).into())
        }
        Some("bounds") => {
            let got = bounds(case["now_ns"].as_i64().unwrap(), text("start"), text("end"), text("since"));
            let got = got.map(|t| serde_json::json!({"start_ns": t.start_ns, "end_ns": t.end_ns}));
            (case.get("expect").unwrap_or(&case["error_contains"]).clone(), got.unwrap_or_else(failed))
        }
        _ => {
            let query = text("request").split_once('?').unwrap().1;
            let params = params(query);
            let got = match case["field"].as_str() {
                Some("step_ns") => params.range(NEW_YEAR_NS).and_then(|time| params.step_ns(time)).map(Value::from),
                Some("interval_ns") => params.interval_ns().map(Value::from),
                Some(other) => panic!("nobody reads {other}"),
                None if query.starts_with("line_limit") => params.line_limit().map(Value::from),
                None if query.starts_with("delay_for") => params.tail_delay_s().map(Value::from),
                None if text("request").contains("detected_fields") => params.fields_limit().map(Value::from),
                None => params.limit().map(Value::from),
            };
            (case.get("expect").unwrap_or(&case["error_contains"]).clone(), got.unwrap_or_else(failed))
        }
    }
}

#[test]
fn lokis_own_cases() {
    let cases = cases("http_params.yaml");
    for case in &cases {
        let (expected, got) = compared(case);
        let holds = match (&expected, &got) {
            (Value::String(part), Value::String(text)) => text.contains(part.as_str()),
            _ => expected == got,
        };
        assert!(holds, "{}: expected {expected}, got {got}", case["id"]);
    }
    println!("http_params.yaml: {} passed", cases.len());
}

#[test]
fn timestamps() {
    #[track_caller]
    fn check(text: &str, expected: Result<i64, &str>) {
        assert_eq!(timestamp(text, 7), expected.map_err(str::to_owned), "{text}");
    }
    check("", Ok(7));
    check("0", Ok(0));
    check("1767225600", Ok(NEW_YEAR_NS));
    check("10000000000", Ok(i64::MAX)); // the largest number of seconds is beyond what nanoseconds hold
    check("10000000001", Ok(10_000_000_001));
    check("1767225600000000000", Ok(NEW_YEAR_NS));
    check("-5", Ok(-5 * SECOND_NS));
    check("1767225600.5", Ok(NEW_YEAR_NS + SECOND_NS / 2));
    check("1767225600.1239", Ok(NEW_YEAR_NS + 124_000_000));
    check("1767225600000000000.0", Ok(NEW_YEAR_NS));
    check("1.5e9", Ok(1_500_000_000 * SECOND_NS));
    check("2026-01-01T00:00:00.001Z", Ok(NEW_YEAR_NS + 1_000_000));
    check("2026-01-01T01:00:00.000000001+01:00", Ok(NEW_YEAR_NS + 1));
    check("9999-01-01T00:00:00Z", Ok(i64::MAX));
    check("0001-01-01T00:00:00Z", Ok(i64::MIN));
    check("xyz", Err("strconv.ParseInt: parsing \"xyz\": invalid syntax"));
    check("1e9", Err("strconv.ParseInt: parsing \"1e9\": invalid syntax"));
    check("99999999999999999999", Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range"));
    check("a.b", Err("strconv.ParseFloat: parsing \"a.b\": invalid syntax"));
    check("1.0e300", Err("floating point timestamp exceeds integer range"));
}

#[test]
fn ranges() {
    #[track_caller]
    fn check(query: &str, expected: Result<(i64, i64), &str>) {
        let got = params(query).range(NEW_YEAR_NS).map(|time| (time.start_ns, time.end_ns)).map_err(|e| e.message);
        assert_eq!(got, expected.map_err(str::to_owned), "{query}");
    }
    let hour = 3600 * SECOND_NS;
    check("", Ok((NEW_YEAR_NS - hour, NEW_YEAR_NS)));
    check("since=1d", Ok((NEW_YEAR_NS - 24 * hour, NEW_YEAR_NS)));
    check("end=1767222000", Ok((NEW_YEAR_NS - 2 * hour, NEW_YEAR_NS - hour)));
    check("end=1767229200", Ok((NEW_YEAR_NS - hour, NEW_YEAR_NS + hour))); // reckoned from now, not from the future
    check("start=1767225600&end=1767225600", Ok((NEW_YEAR_NS, NEW_YEAR_NS)));
    check("start=1767225601&end=1767225600", Err(END_BEFORE_START));
    check("since=x", Err("could not parse 'since' parameter: not a valid duration string: \"x\""));
    check("start=x", Err("could not parse 'start' parameter: strconv.ParseInt: parsing \"x\": invalid syntax"));
}

#[test]
fn steps() {
    #[track_caller]
    fn check(query: &str, expected: Result<i64, &str>) {
        let params = params(&format!("start=0&end=3600&{query}"));
        let got = params.range(NEW_YEAR_NS).and_then(|time| params.step_ns(time)).map_err(|e| e.message);
        assert_eq!(got, expected.map_err(str::to_owned), "{query}");
    }
    check("", Ok(14 * SECOND_NS));
    check("step=15", Ok(15 * SECOND_NS));
    check("step=500ms", Ok(SECOND_NS / 2));
    check("step=0.4", Ok(400_000_000));
    check("step=0.1", Err(STEP_TOO_SMALL));
    check("step=0", Err(STEP_NOT_POSITIVE));
    check("step=-1", Err(STEP_NOT_POSITIVE));
    check("step=NaN", Err(STEP_NOT_POSITIVE));
    check("step=1e300", Err("cannot parse \"1e300\" to a valid duration. It overflows int64"));
    check("step=1h30x", Err("cannot parse \"1h30x\" to a valid duration"));
    let all = TimeNs { start_ns: i64::MIN, end_ns: i64::MAX };
    assert_eq!(default_step_s(all), i64::MAX / SECOND_NS / 250);
}

#[test]
fn counts() {
    #[track_caller]
    fn check(got: Result<usize, ApiError>, expected: Result<usize, &str>) {
        assert_eq!(got.map_err(|e| e.message), expected.map_err(str::to_owned));
    }
    let positive = "limit must be a positive value";
    check(params("").limit(), Ok(100));
    check(params("limit=5000").limit(), Ok(5000));
    check(params("limit=0").limit(), Err(positive));
    check(params("limit=-1").limit(), Err(positive));
    check(params("limit=ten").limit(), Err("strconv.Atoi: parsing \"ten\": invalid syntax"));
    check(params("limit=0").volume_limit(), Ok(100));
    check(params("limit=-1").volume_limit(), Err(positive));
    check(params("").fields_limit(), Ok(1000));
    check(params("field_limit=7").fields_limit(), Ok(7));
    check(params("limit=8&field_limit=7").fields_limit(), Ok(8));
}

#[test]
fn words() {
    assert_eq!(params("").direction(), Ok(Direction::Backward));
    assert_eq!(params("direction=Forward").direction(), Ok(Direction::Forward));
    assert_eq!(params("direction=sideways").direction().unwrap_err().message, "invalid direction 'sideways'");
    assert_eq!(params("").aggregate_by(), Ok(VolumeBy::Series));
    assert_eq!(params("aggregateBy=labels").aggregate_by(), Ok(VolumeBy::Labels));
    assert_eq!(params("aggregateBy=x").aggregate_by().unwrap_err().message, "invalid aggregation option");
    assert_eq!(params("").target_labels(), Vec::<String>::new());
    assert_eq!(params("targetLabels=a,b").target_labels(), ["a", "b"]);
    assert_eq!(params("delay_for=5").tail_delay_s(), Ok(5));
    assert_eq!(params("delay_for=6").tail_delay_s().unwrap_err().message, "delay_for can't be greater than 5");
    assert_eq!(params("interval=-1s").interval_ns().unwrap_err().message, "cannot parse \"-1s\" to a valid duration");
    assert_eq!(params("interval=-1").interval_ns().unwrap_err().message, "interval must be >= 0");
    assert_eq!(Params::of_url("a=%zz").unwrap_err().message, "invalid URL escape \"%zz\"");
}

#[test]
fn selectors() {
    assert_eq!(params("").selectors(), Vec::<String>::new());
    assert_eq!(params("query={ }").selectors(), Vec::<String>::new());
    assert_eq!(params("query={a=\"b\"}").selectors(), ["{a=\"b\"}"]);

    #[track_caller]
    fn check(query: &str, expected: Result<&[&str], &str>) {
        let got = params(query).matches().map_err(|e| e.message);
        assert_eq!(got, expected.map(|all| all.iter().map(|s| (*s).to_owned()).collect()).map_err(str::to_owned), "{query}");
    }
    check("", Ok(&[]));
    check("match={ }", Ok(&[]));
    check("match={b=\"1\"}&match[]={a=\"1\"}&match[]={b=\"1\"}", Ok(&["{a=\"1\"}", "{b=\"1\"}"]));
    check("match={}&match={a=\"1\"}", Err("0 matchers in group: {}"));
    let everything = logql::parse::parse("{a!=\"1\"}").unwrap_err().to_string();
    check("match={a!=\"1\"}", Err(&everything));
    let broken = logql::parse::parse("{").unwrap_err().to_string();
    check("match={", Err(&broken));
}

#[test]
fn the_oldest_clients_filter_beside_the_query() {
    #[track_caller]
    fn check(query: &str, expected: &str) {
        let text = params(query).query_with_regexp().unwrap();
        let printed = logql::print::pretty(&logql::parse::parse(&text).unwrap(), 100);
        assert_eq!(printed, expected);
    }
    check("query={a=\"b\"}&regexp=", "{a=\"b\"}");
    check("query={a=\"b\"}&regexp=x\"y", "{a=\"b\"} |~ \"x\\\"y\"");
    check("query={a=\"b\"} |= \"c\" %23 comment&regexp=x", "{a=\"b\"} |= \"c\" |~ \"x\"");
    assert!(params("query=vector(1)&regexp=x").query_with_regexp().is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "\\PC*", start in "[-0-9.eT:Z+]{0,30}", step in "[-0-9.ensmhdwyNa]{0,12}") {
        let _ = timestamp(&text, 0);
        let _ = seconds_or_duration_ns(&text);
        let encoded: String = [("start", &start), ("step", &step), ("limit", &text), ("match", &text)]
            .iter()
            .map(|(name, value)| format!("{name}={}&", value.bytes().map(|b| format!("%{b:02x}")).collect::<String>()))
            .collect();
        let params = params(&encoded);
        let time = params.bounds(0);
        if let Ok(time) = time {
            let _ = params.step_ns(time);
        }
        let _ = (params.limit(), params.matches(), params.time(0));
    }
}
