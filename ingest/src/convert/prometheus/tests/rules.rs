//! One rule each.

use catalog::env::fixed::ManualClock;
use std::time::Duration;

use super::requests::{Table2, label, request, series};
use super::*;

const UP: [(&str, &str); 2] = [("__name__", "up"), ("job", "a")];

/// Of one series of `labels` in 1.0 and 2.0: how many of its samples are written, and what the sender is told.
#[track_caller]
fn check(config: &RemoteWriteConfig, labels: &[(&str, &str)], times: &[i64], written: u64, said_1: &str, said_2: &str) {
    let series = series(labels, times);
    let converter = converter(config.clone());
    let taken = converter.v1(&request(vec![series.clone()]));
    assert_eq!((taken.written.samples, taken.converted.reason.as_deref().unwrap_or("")), (written, said_1));
    let mut table = Table2::default();
    table.add(&series);
    let taken = converter.v2(&table.request);
    assert_eq!((taken.written.samples, taken.converted.reason.as_deref().unwrap_or("")), (written, said_2));
}

#[test]
fn labels_are_checked_and_1_0_is_silent_about_what_prometheus_is() {
    let config = RemoteWriteConfig { labels_max: 3, name_bytes_max: 16, label_value_bytes_max: 8, ..Default::default() };
    let same = |labels: &[(&str, &str)], written, said| check(&config, labels, &[NOW, NOW + 1], written, said, said);
    same(&UP, 2, "");
    same(&[("job", "a"), ("__name__", "up")], 2, ""); // in any order
    same(&[("__name__", "ü.ä b"), ("nöt ascii", "\n")], 2, "");
    same(&[("__name__", "up"), ("job", "")], 2, "");
    same(
        &[("__name__", "up"), ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")],
        0,
        r#"2 refused: series has more than 3 labels, such as {__name__="up", a="1", b="1", c="1", d="1"}"#,
    );
    same(
        &[("__name__", "up"), ("seventeen_letters", "1")],
        0,
        r#"2 refused: a name is longer than 16 bytes, such as {__name__="up", seventeen_letters="1"}"#,
    );
    same(
        &[("__name__", "up"), ("job", "nineteen!")],
        0,
        r#"2 refused: a label value is longer than 8 bytes, such as {__name__="up", job="nineteen!"}"#,
    );
    let quirk = |labels: &[(&str, &str)], said| check(&config, labels, &[NOW, NOW + 1], 0, "", said);
    quirk(&[], "2 refused: series has no metric name, such as {}");
    quirk(&[("job", "a")], r#"2 refused: series has no metric name, such as {job="a"}"#);
    quirk(&[("__name__", "")], r#"2 refused: series has no metric name, such as {__name__=""}"#);
    quirk(&[("__name__", "up"), ("", "1")], r#"2 refused: series has a label without a name, such as {__name__="up", ="1"}"#);
    quirk(
        &[("__name__", "up"), ("a", "1"), ("a", "2")],
        r#"2 refused: series has a label twice, such as {__name__="up", a="1", a="2"}"#,
    );
}

#[test]
fn times_are_checked_sample_by_sample() {
    let config = RemoteWriteConfig { past_max: Some(Duration::from_secs(60)), ..Default::default() };
    let far = r#"1 refused: out of bounds: timestamp is more than 600s in the future, such as up{job="a"}"#;
    check(&config, &UP, &[NOW + 600_000, NOW + 600_001], 1, far, far);
    let old = r#"1 refused: out of bounds: timestamp is more than 60s in the past, such as up{job="a"}"#;
    check(&config, &UP, &[NOW - 60_001, NOW - 60_000, NOW], 2, old, old);
    let never = r#"2 refused: out of bounds: timestamp is outside the years 1677 to 2262, such as up{job="a"}"#;
    check(&config, &UP, &[i64::MAX, i64::MIN, NOW], 1, never, never);
    // Any past, in any order, several times over.
    check(&RemoteWriteConfig::default(), &UP, &[NOW, 0, 1, 0, NOW - 1, -1], 6, "", "");
}

#[test]
fn what_2_0_asks_of_a_series() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut v2::TimeSeries), expected: &str) {
        let mut table = Table2::default();
        table.add(&series(&[("__name__", "good")], &[NOW]));
        change(table.add(&series(&UP, &[NOW])));
        let taken = converter(RemoteWriteConfig::default()).v2(&table.request);
        assert_eq!(taken.converted.reason.as_deref(), Some(expected));
        assert_eq!(taken.written, Written { samples: 1, ..Written::default() }, "the neighbour is written");
    }
    check(
        |series| series.samples.clear(),
        r#"1 refused: TimeSeries must contain at least one sample or histogram, such as {__name__="up", job="a"}"#,
    );
    check(
        |series| series.histograms.push(Default::default()),
        r#"2 refused: TimeSeries must contain either samples or histograms, not both, such as {__name__="up", job="a"}"#,
    );
    check(
        |series| series.labels_refs.push(1),
        "1 refused: labels_refs is odd or outside of the symbols table, such as labels_refs [1, 3, 4, 5, 1]",
    );
    check(
        |series| series.labels_refs.extend([1, 99]),
        "1 refused: labels_refs is odd or outside of the symbols table, such as labels_refs [1, 3, 4, 5, 1, 99]",
    );
    check(|series| series.labels_refs = vec![1; 5_000], "1 refused: series has more than 64 labels, such as {}");
}

#[test]
fn a_bad_exemplar_of_2_0_leaves_its_sample() {
    let mut table = Table2::default();
    let added = table.add(&series(&UP, &[NOW]));
    added.exemplars = vec![
        v2::Exemplar { labels_refs: vec![1], value: 1.0, timestamp: NOW },
        v2::Exemplar { labels_refs: vec![], value: 1.0, timestamp: NOW },
    ];
    let taken = converter(RemoteWriteConfig::default()).v2(&table.request);
    assert_eq!(taken.written, Written { samples: 1, histograms: 0, exemplars: 1 });
    let said = "1 refused: labels_refs of an exemplar is odd or outside of the symbols table, such as up{job=\"a\"}";
    assert_eq!(taken.converted.reason.as_deref(), Some(said));
}

#[test]
fn symbols_are_bounded() {
    let bytes = [0x22, 0x00].repeat(v2::Request::default().symbols.len() + super::super::v2::SYMBOLS_MAX + 1);
    let refused = converter(RemoteWriteConfig::default()).convert(&TenantId::anonymous(), Message::V2, &bytes);
    assert_eq!(refused.unwrap_err().to_string(), "request has more than 1048576 symbols");
}

#[test]
fn exemplars_come_without_samples_in_1_0() {
    let exemplar = v1::Exemplar { labels: vec![label("trace_id", "abc")], value: 2.0, timestamp: NOW - 5 };
    let timeless = v1::Exemplar { timestamp: 0, ..exemplar.clone() };
    let too_long = v1::Exemplar { labels: vec![label("a", &"x".repeat(128))], ..exemplar.clone() };
    let alone = v1::TimeSeries { exemplars: vec![exemplar.clone(), timeless, too_long], ..series(&UP, &[]) };
    let taken = converter(RemoteWriteConfig::default()).v1(&request(vec![alone]));
    assert_eq!(taken.converted.reason, None);
    assert_eq!(taken.written, Written { exemplars: 1, ..Written::default() });
    let lines = lines(&taken, &mut BTreeMap::new());
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("exemplar up{{job=\"a\"}} {} 4000000000000000", NOW - 5)), "{lines:?}");
}

#[test]
fn dictionary_rows_come_until_they_are_stored() {
    let converter = converter(RemoteWriteConfig::default());
    let metadata = v1::MetricMetadata { r#type: 1, metric_family_name: "up".into(), help: "h".into(), unit: String::new() };
    let request = v1::WriteRequest { timeseries: vec![series(&UP, &[NOW])], metadata: vec![metadata.clone(), metadata] };
    let mut names = BTreeMap::new();
    for _ in 0..2 {
        assert_eq!(lines(&converter.v1(&request), &mut names).len(), 3, "sample, series, metadata");
    }
    converter.v1(&request).converted.confirm();
    assert_eq!(lines(&converter.v1(&request), &mut names).len(), 1, "the sample");
    // 2.0 finds the same series, and remembers it by its own key.
    let mut table = Table2::default();
    table.add(&series(&UP, &[NOW]));
    for _ in 0..2 {
        assert_eq!(lines(&converter.v2(&table.request), &mut names).len(), 1, "the sample");
    }
}

#[test]
fn metadata_of_2_0_is_that_of_the_family() {
    #[track_caller]
    fn check(metric: &str, kind: i32, expected: &str) {
        let mut table = Table2::default();
        let metadata = v2::Metadata { r#type: kind, help_ref: table.symbol("help"), unit_ref: table.symbol("bytes") };
        table.add(&series(&[("__name__", metric)], &[NOW])).metadata = Some(metadata);
        let lines = lines(&converter(RemoteWriteConfig::default()).v2(&table.request), &mut BTreeMap::new());
        assert_eq!(lines[0], format!("metadata {expected} \"bytes\" \"help\""));
    }
    check("a_bucket", 3, "a histogram");
    check("a_sum", 5, "a summary");
    check("a_gcount", 4, "a gaugehistogram");
    check("a_count", 1, "a_count counter");
    check("_count", 5, "_count summary");
    check("a", 7, "a stateset");
    check("a", 99, "a unknown");
}

#[test]
fn scattered_labels_are_the_same_series() {
    let whole = series(&[("__name__", "up"), ("job", "a")], &[NOW]);
    let (mut front, mut back) = (whole.clone(), whole.clone());
    front.labels.pop();
    back.labels.remove(0);
    front.samples.clear();
    // __name__, then the sample, then job.
    let mut body = front.encode_to_vec();
    back.labels.clear();
    body.extend(back.encode_to_vec());
    back.samples.clear();
    back.labels.push(label("job", "a"));
    body.extend(back.encode_to_vec());
    let mut bytes = vec![0x0a, body.len() as u8];
    bytes.extend(body);
    let converter = converter(RemoteWriteConfig::default());
    let expected = lines(&converter.v1(&request(vec![whole])), &mut BTreeMap::new());
    for _ in 0..2 {
        let taken = converter.convert(&TenantId::anonymous(), Message::V1, &bytes).unwrap();
        assert_eq!(lines(&taken, &mut BTreeMap::new()), expected);
    }
}

#[test]
fn the_series_limit_is_told() {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let registry = SeriesRegistry::new(RegistryConfig { series_max: 1, ..RegistryConfig::default() });
    let converter = RemoteWriteConverter::new(RemoteWriteConfig::default(), registry, env);
    let taken = converter.v1(&request(vec![series(&UP, &[NOW]), series(&[("__name__", "b")], &[NOW])]));
    assert_eq!(taken.written.samples, 1);
    let said = r#"1 refused: tenant has reached its limit of 1 active series, such as {__name__="b"}"#;
    assert_eq!(taken.converted.reason.as_deref(), Some(said));
}

/// What is acknowledged after a delete must not need rows of series that the delete may take away.
#[tokio::test]
async fn series_come_with_their_rows_again_after_a_delete() {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let registry = SeriesRegistry::new(RegistryConfig::default());
    let converter = RemoteWriteConverter::new(RemoteWriteConfig::default(), Arc::clone(&registry), env);
    let send = || converter.v1(&request(vec![series(&UP, &[NOW])]));
    let introduces = |taken: &Taken| taken.converted.rows.iter().any(|(table, _)| *table == Table::Series);
    let mut first = send();
    assert!(introduces(&first));
    first.converted.confirm();
    let mut known = send();
    assert!(!introduces(&known), "it is known");

    let tenant = TenantId::anonymous();
    let mut suspending = Box::pin(registry.suspend(&tenant));
    assert!(futures::poll!(suspending.as_mut()).is_pending(), "a request relies on it and is not acknowledged yet");
    let mut meanwhile = send();
    assert!(introduces(&meanwhile));
    known.converted.confirm();
    let suspended = suspending.await;
    let late = send();
    meanwhile.converted.confirm();
    assert!(introduces(&send()), "nothing is remembered meanwhile");
    drop(suspended);
    drop(late); // it failed
    let mut after = send();
    assert!(introduces(&after), "what was remembered before is forgotten");
    after.converted.confirm();
    assert!(!introduces(&send()));
}

#[tokio::test]
async fn a_delete_of_another_node_is_noticed() {
    let (env, _) = fixed::env(Timestamp::from_secs(NOW_S), 7);
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(lake::store::LocalStore::open(folder.path()).unwrap());
    let open = || catalog::Catalog::open(Arc::clone(&store) as _, env.clone(), Default::default());
    let (ours, theirs) = (open().await.unwrap(), open().await.unwrap());
    let registry = SeriesRegistry::new(RegistryConfig::default());
    let converter = RemoteWriteConverter::new(RemoteWriteConfig::default(), Arc::clone(&registry), env.clone());
    let send = || converter.v1(&request(vec![series(&UP, &[NOW])]));
    let introduces = |taken: &Taken| taken.converted.rows.iter().any(|(table, _)| *table == Table::Series);
    send().converted.confirm();
    assert!(!introduces(&send()));
    let streams = crate::convert::SeenIds::new(1 << 20);
    let mut following = Box::pin(crate::follow_deletes(Arc::clone(&ours), Arc::clone(&registry), streams));
    assert!(futures::poll!(following.as_mut()).is_pending());
    let delete = catalog::Operation::DeletePredicate {
        id: env.new_uuid(),
        tenant: TenantId::anonymous(),
        signal: catalog::Signal::Metrics,
        predicate: "up".to_owned(),
        start: Timestamp::MIN,
        end: Timestamp::MAX,
    };
    theirs.commit(vec![delete]).await.unwrap();
    ours.refresh().await.unwrap();
    assert!(futures::poll!(following.as_mut()).is_pending());
    assert!(introduces(&send()), "its row may be gone");
}

struct Pair {
    converter: Arc<RemoteWriteConverter>,
    clock: Arc<ManualClock>,
}

impl Pair {
    fn new(enabled: bool) -> Self {
        let (env, clock) = fixed::env(Timestamp::from_secs(NOW_S), 7);
        let ha = HaConfig { enabled, ..HaConfig::default() };
        let config = RemoteWriteConfig { ha, ..RemoteWriteConfig::default() };
        Self { converter: RemoteWriteConverter::new(config, SeriesRegistry::new(RegistryConfig::default()), env), clock }
    }

    /// Sends a sample as `replica` in both versions; the series that it became.
    fn send(&self, labels: &[(&str, &str)]) -> [Option<String>; 2] {
        let series = series(labels, &[NOW]);
        let mut table = Table2::default();
        table.add(&series);
        [self.converter.v1(&request(vec![series])), self.converter.v2(&table.request)].map(|taken| {
            assert_eq!(taken.written.samples, 1, "said to be written, whatever became of it");
            assert_eq!(taken.deduplicated, taken.converted.rows.is_empty());
            lines(&taken, &mut BTreeMap::new()).into_iter().find(|line| line.starts_with("series"))
        })
    }
}

#[test]
fn the_elected_replica_is_stored_without_its_label() {
    let pair = Pair::new(true);
    let of = |replica| [("__name__", "up"), ("__replica__", replica), ("cluster", "a")];
    let stored = [(); 2].map(|()| Some(format!("series up{{cluster=\"a\"}} {}", NOW / 86_400_000)));
    assert_eq!(pair.send(&of("1")), stored);
    assert_eq!(pair.send(&of("2")), [None, None]);
    pair.clock.advance(Duration::from_secs(31));
    assert_eq!(pair.send(&of("2")), stored);
    assert_eq!(pair.send(&of("1")), [None, None]);
    // Without one of the labels there is no twin to be told from.
    let whole = [(); 2].map(|()| Some(format!("series up{{__replica__=\"1\"}} {}", NOW / 86_400_000)));
    assert_eq!(pair.send(&[("__name__", "up"), ("__replica__", "1")]), whole);
}

#[test]
fn replicas_are_labels_like_others_unless_enabled() {
    let pair = Pair::new(false);
    for replica in ["1", "2"] {
        let sent = pair.send(&[("__name__", "up"), ("__replica__", replica), ("cluster", "a")]);
        let expected = format!("series up{{__replica__={replica:?},cluster=\"a\"}} {}", NOW / 86_400_000);
        assert_eq!(sent, [Some(expected.clone()), Some(expected)]);
    }
}
