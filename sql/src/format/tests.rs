//! One batch in every format.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, MapBuilder, StringArray, StringBuilder, TimestampMillisecondArray};

use super::*;

fn batch() -> RecordBatch {
    let mut labels = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    labels.keys().append_value("job");
    labels.values().append_value("a\"b");
    labels.append(true).expect("one entry");
    labels.append(true).expect("no entry");
    let times = TimestampMillisecondArray::from(vec![Some(1_500), None]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ts", Arc::new(times)),
        ("n", Arc::new(Int64Array::from(vec![1, -2]))),
        ("value", Arc::new(Float64Array::from(vec![0.5, f64::INFINITY]))),
        ("text", Arc::new(StringArray::from(vec![Some("a,b\n|"), Some("")]))),
        ("labels", Arc::new(labels.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("equal lengths")
}

fn encode(format: Format) -> Vec<u8> {
    let batch = batch();
    let mut encoder = Encoder::new(format, &batch.schema()).expect("format takes the columns");
    let mut out = encoder.encode(&batch).expect("encodes");
    out.extend(encoder.finish(None).expect("finishes"));
    out
}

fn text(format: Format) -> String {
    String::from_utf8(encode(format)).expect("text")
}

#[test]
fn json_has_columns_and_rows() {
    let json: serde_json::Value = serde_json::from_slice(&encode(Format::Json)).expect("valid JSON");
    assert_eq!(json["columns"][0]["type"], "timestamp(3) with time zone");
    assert_eq!(json["columns"][4]["type"], "map(text, text)");
    assert_eq!(json["rows"][0], serde_json::json!(["1970-01-01T00:00:01.500Z", 1, 0.5, "a,b\n|", {"job": "a\"b"}]));
    assert_eq!(json["rows"][1], serde_json::json!([null, -2, "+Inf", "", {}]));
}

#[test]
fn lines_and_fields() {
    let lines = text(Format::JsonLines);
    assert_eq!(lines.lines().count(), 2);
    assert!(lines.starts_with(r#"{"ts":"1970-01-01T00:00:01.500Z","n":1,"#), "{lines}");
    assert_eq!(
        text(Format::Csv),
        "ts,n,value,text,labels\n1970-01-01T00:00:01.500Z,1,0.5,\"a,b\n|\",\"{\"\"job\"\":\"\"a\\\"\"b\"\"}\"\n,-2,+Inf,\"\",{}\n"
    );
    assert_eq!(text(Format::Markdown).lines().last(), Some("|  | -2 | +Inf |  | {} |"));
    assert!(text(Format::Pretty).starts_with("+---"));
}

#[test]
fn arrow_and_parquet_read_back() {
    let bytes = encode(Format::Arrow);
    let read = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("a stream");
    assert_eq!(read.map(|batch| batch.expect("a batch")).collect::<Vec<_>>(), [batch()]);
    let bytes = bytes::Bytes::from(encode(Format::Parquet));
    let read = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 100).expect("a file");
    assert_eq!(read.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 2);
}

#[test]
fn empty_answers_have_a_header() {
    let schema = batch().schema();
    for (format, expected) in [(Format::Csv, "ts,n,value,text,labels\n"), (Format::JsonLines, "")] {
        let encoder = Encoder::new(format, &schema).expect("format takes the columns");
        assert_eq!(encoder.finish(None).expect("finishes"), expected.as_bytes());
    }
    let encoder = Encoder::new(Format::Json, &schema).expect("format takes the columns");
    let json: serde_json::Value = serde_json::from_slice(&encoder.finish(None).expect("finishes")).expect("valid JSON");
    assert_eq!(json["rows"], serde_json::json!([]));
}

#[test]
fn names_and_media_types() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
        assert_eq!(Format::from_accept(format.content_type()), Some(format));
    }
    assert_eq!(Format::from_name("JSONEachRow"), Some(Format::JsonLines));
    assert_eq!(Format::from_accept("text/html, text/csv;q=0.9"), Some(Format::Csv));
    assert_eq!(Format::from_accept("*/*"), None);
}
