//! Resolving over files and fresh rows.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::Int32Type;
use catalog::env::fixed;
use catalog::manifest::{Catalog, CatalogConfig};
use catalog::{Level, SeriesId, Table, TenantId, Timestamp, schema};
use object_store::memory::InMemory;

use super::*;
use crate::Lake;

const NOON: Timestamp = Timestamp::from_secs(20_000 * 86_400 + 12 * 3_600);

async fn lake() -> Arc<Lake> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (env, _) = fixed::env(NOON, 7);
    let catalog = Catalog::open(Arc::clone(&store), env.clone(), CatalogConfig::default()).await.expect("opens");
    Lake::open(store, catalog, env, LakeConfig::default())
}

/// Rows of the series table: metric and labels each.
fn series_rows(series: &[(&str, &[(&str, &str)])]) -> RecordBatch {
    let mut labels = MapBuilder::new(Some(schema::map_field_names()), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(schema::map_key_field(4))
        .with_values_field(schema::map_value_field(4, arrow::datatypes::DataType::Utf8));
    for (_, pairs) in series {
        for (name, value) in *pairs {
            labels.keys().append_value(name);
            labels.values().append_value(value);
        }
        labels.append(true).expect("lengths agree");
    }
    let ids = series.iter().map(|(metric, pairs)| SeriesId::of(metric, pairs.iter().copied(), 0).0);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(series.iter().map(|(metric, _)| Some(*metric)).collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Int64Array::from_iter_values(ids)),
        Arc::new(TimestampMillisecondArray::from(vec![NOON.as_millis(); series.len()]).with_timezone("UTC")),
        Arc::new(labels.finish()),
        Arc::new(Int64Array::new_null(series.len())),
    ];
    RecordBatch::try_new(schema::rows(Table::Series), columns).expect("fits")
}

#[tokio::test]
async fn matchers_select_series_of_files_and_fresh_rows() {
    let lake = lake().await;
    let stored: &[(&str, &[(&str, &str)])] = &[
        ("up", &[("instance", "a:1"), ("job", "node")]),
        ("up", &[("instance", "b:1"), ("job", "node")]),
        ("up", &[("instance", "c:1")]),
        ("http_requests_total", &[("code", "500"), ("job", "api")]),
        ("http_requests_total", &[("code", "200"), ("job", "api")]),
    ];
    let fresh: &[(&str, &[(&str, &str)])] =
        &[("up", &[("instance", "a:1"), ("job", "node")]), ("http_requests_total", &[("code", "404"), ("job", "api")])];
    let files = lake.write(&TenantId::anonymous(), Table::Series, Level::L0, vec![series_rows(stored)]).await.expect("writes");
    let scope = Scope { table: Table::Series, files: files.into_iter().map(Arc::new).collect(), fresh: vec![series_rows(fresh)] };

    let check = async |matchers: &[(&str, MatchOp, &str)], expected: &[&str]| {
        let matchers: Vec<Matcher> = matchers.iter().map(|(n, op, v)| Matcher::new(*n, *op, *v).expect("valid")).collect();
        let found = lake.series().resolve(&scope, &matchers, 100).await.expect("resolves");
        assert!(found.is_sorted_by_key(Series::id));
        let mut names: Vec<String> = found.iter().map(|s| format!("{}{}", s.metric(), s.label_set())).collect();
        names.sort();
        assert_eq!(names, expected, "{matchers:?}");
    };
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let (a, b) = (r#"up{instance="a:1", job="node"}"#, r#"up{instance="b:1", job="node"}"#);
    let c = r#"up{instance="c:1"}"#;
    let codes = ["200", "404", "500"].map(|code| format!(r#"http_requests_total{{code="{code}", job="api"}}"#));
    check(&[("__name__", Equal, "up")], &[a, b, c]).await;
    check(&[("__name__", Equal, "up"), ("job", Equal, "")], &[c]).await;
    check(&[("__name__", Equal, "up"), ("job", NotEqual, "")], &[a, b]).await;
    check(&[("__name__", Equal, "up"), ("job", NotEqual, "api")], &[a, b, c]).await;
    check(&[("__name__", Equal, "up"), ("instance", Regex, "a:.|c:1")], &[a, c]).await;
    check(&[("__name__", Equal, "up"), ("instance", NotRegex, "[ab]:1")], &[c]).await;
    check(&[("code", Regex, "4..")], &[&codes[1]]).await;
    check(&[("code", Regex, "200|404")], &[&codes[0], &codes[1]]).await;
    check(&[("code", Regex, "5..|")], &[&codes[2], a, b, c]).await;
    check(&[("nope", Equal, "x")], &[]).await;
    check(&[("nope", NotEqual, "x"), ("code", Equal, "500")], &[&codes[2]]).await;

    let over = lake.series().resolve(&scope, &[], 3).await.expect_err("more than three");
    assert_eq!(over.to_string(), "series selected: 6, limit is 3");
    assert_eq!(lake.series().label_names(&scope).await.expect("reads"), ["__name__", "code", "instance", "job"]);
    assert_eq!(lake.series().label_values(&scope, "code").await.expect("reads"), ["200", "404", "500"]);
    let id = SeriesId::of("http_requests_total", [("code", "404"), ("job", "api")], 0).0;
    let known = lake.series().labels_of(&scope, &[id, 1]).await.expect("reads");
    assert_eq!(known.len(), 1);
    assert_eq!(known[&id].label("code"), Some("404"));

    let lookup = lake.dictionaries().lookup(&scope).await.expect("reads");
    let rows = lookup.gather(&Int64Array::from(vec![Some(id), None, Some(1), Some(id)])).expect("gathers");
    assert_eq!(
        rows.column(1).as_primitive::<arrow::datatypes::Int64Type>().iter().collect::<Vec<_>>(),
        [Some(id), None, None, Some(id)]
    );
}
