//! When samples are written, how series begin and end, and what is counted only once.

use super::*;

const SERVER: i32 = 2;
const CALLS: &str = "traces_spanmetrics_calls_total";

fn one_counter() -> GeneratorConfig {
    let mut config = GeneratorConfig::default();
    config.service_graph.enabled = false;
    config
}

fn calls(samples: &Samples) -> Vec<(i64, f64, Option<i64>)> {
    let mut found = samples.iter().filter(|(name, _)| name.starts_with(CALLS));
    let calls = found.next().map(|(_, samples)| samples.clone()).unwrap_or_default();
    assert!(found.next().is_none(), "one series");
    calls
}

fn serve(id: u8) -> Span {
    span("serve", SERVER, (1, id, 0), 5)
}

#[tokio::test]
async fn a_series_begins_with_0_behind_the_write_before() {
    let rig = Rig::new(one_counter());
    rig.advance(4_000);
    rig.of("a", vec![serve(1)]).await;
    rig.advance(11_000);
    assert_eq!(calls(&rig.write().await), [(1, 0.0, Some(1)), (15_000, 1.0, Some(1))]);
    rig.of("a", vec![serve(2), serve(3)]).await;
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(30_000, 3.0, Some(1))]);
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(45_000, 3.0, Some(1))]);
}

#[tokio::test]
async fn an_idle_series_ends_and_begins_anew() {
    let rig = Rig::new(one_counter());
    rig.of("a", vec![serve(1)]).await;
    rig.advance(15_000);
    rig.write().await;
    rig.advance(900_000);
    let samples = rig.write().await;
    assert!(!samples.is_empty());
    for (name, samples) in &samples {
        let [(at, value, _)] = samples.as_slice() else { panic!("one sample of {name}") };
        assert_eq!((*at, value.to_bits()), (915_000, 0x7ff0_0000_0000_0002), "{name}");
    }
    rig.advance(15_000);
    assert!(rig.write().await.is_empty());
    rig.of("a", vec![serve(2)]).await;
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(930_001, 0.0, Some(930_001)), (945_000, 1.0, Some(930_001))]);
}

#[tokio::test]
async fn a_repetition_or_a_refusal_is_not_counted() {
    let rig = Rig::new(one_counter());
    rig.of("a", vec![serve(1)]).await;
    rig.answer(Some(Ok(Appended::Duplicate)));
    assert_eq!(rig.send(&[("service.name", "a")], vec![serve(1)]).await.expect("known"), Appended::Duplicate);
    rig.answer(Some(Err(SinkError::ShuttingDown)));
    rig.send(&[("service.name", "a")], vec![serve(1)]).await.expect_err("refused");
    rig.answer(None);
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await).last(), Some(&(15_000, 1.0, Some(1))));
}

#[tokio::test]
async fn a_write_that_fails_loses_nothing() {
    let rig = Rig::new(one_counter());
    rig.of("a", vec![serve(1)]).await;
    rig.advance(15_000);
    rig.answer(Some(Err(SinkError::ShuttingDown)));
    rig.generator.write(&*rig.shelf, rig.env.now()).await.expect_err("the sink refuses");
    rig.answer(None);
    rig.of("a", vec![serve(2)]).await;
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(1, 0.0, Some(1)), (30_000, 2.0, Some(1))]);
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_its_spans_counted() {
    let rig = Rig::new(one_counter());
    let sending = rig.of("a", vec![serve(1)]);
    // Polled once, and dropped: the rows are on their way.
    assert!(futures::FutureExt::now_or_never(sending).is_none());
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await).last(), Some(&(15_000, 1.0, Some(1))));
}

#[tokio::test]
async fn what_comes_behind_a_write_waits_for_the_next_one() {
    let rig = Rig::new(one_counter());
    rig.advance(15_000);
    rig.write().await;
    rig.of("a", vec![serve(1)]).await;
    assert!(rig.write().await.is_empty(), "its beginning lies a millisecond ahead");
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(15_001, 0.0, Some(15_001)), (30_000, 1.0, Some(15_001))]);
}

#[tokio::test]
async fn series_that_ended_make_room() {
    let rig = Rig::new(GeneratorConfig { series_max: 19, ..one_counter() });
    rig.of("a", vec![serve(1)]).await;
    rig.advance(15_000);
    rig.write().await;
    rig.advance(900_000);
    rig.write().await;
    rig.of("b", vec![serve(2)]).await;
    let calls = rig.values(CALLS).await;
    assert!(calls.keys().all(|name| name.contains(r#"service="b""#)), "{calls:?}");
}

#[tokio::test]
async fn a_clock_that_goes_back_begins_anew() {
    let rig = Rig::new(one_counter());
    rig.of("a", vec![serve(1)]).await;
    rig.advance(15_000);
    rig.write().await;
    rig.clock.set(Timestamp::from_millis(START_MS - 60_000));
    assert!(rig.write().await.is_empty());
    rig.of("a", vec![serve(2)]).await;
    rig.advance(15_000);
    assert_eq!(calls(&rig.write().await), [(-59_999, 0.0, Some(-59_999)), (-45_000, 1.0, Some(-59_999))]);
}

#[tokio::test]
async fn buckets_point_to_a_span_each() {
    let rig = Rig::new(one_counter());
    rig.of("a", vec![serve(1), serve(2), span("serve", SERVER, (7, 9, 0), 900)]).await;
    rig.advance(15_000);
    rig.write().await;
    let exemplars = rig.written(Table::Exemplars);
    let [batch] = exemplars.as_slice() else { panic!("one batch") };
    let values = batch.column_by_name("value").expect("values").as_primitive::<Float64Type>().values().to_vec();
    assert_eq!(values, [0.005, 0.9]);
    let traces = batch.column_by_name("trace_id").expect("ids").as_fixed_size_binary().clone();
    assert_eq!([traces.value(0)[0], traces.value(1)[0]], [1, 7]);
    rig.advance(15_000);
    rig.write().await;
    assert!(rig.written(Table::Exemplars).is_empty());
}

#[tokio::test]
async fn types_and_help_are_written_once_a_day() {
    let rig = Rig::new(GeneratorConfig::default());
    rig.of("a", vec![serve(1)]).await;
    rig.advance(15_000);
    rig.write().await;
    let rows = |rig: &Rig| rig.written(Table::Metadata).iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(rows(&rig), 3 + 4);
    rig.advance(15_000);
    rig.write().await;
    assert_eq!(rows(&rig), 0);
}

#[tokio::test]
async fn many_series_are_written_in_parts() {
    let rig = Rig::new(one_counter());
    let spans = (0..1_000_u16).map(|n| {
        let mut span = serve(1);
        span.name = format!("op {n}");
        span
    });
    rig.of("a", spans.collect()).await;
    rig.advance(15_000);
    let samples = rig.write().await;
    assert_eq!(samples.len(), 19_000);
    assert!(samples.values().all(|samples| samples.len() == 2));
    assert!(rig.shelf.appends.lock().len() > 3);
}

#[tokio::test]
async fn tenants_are_counted_apart() {
    let rig = Rig::new(one_counter());
    let batch = {
        rig.of("a", vec![serve(1)]).await;
        rig.shelf.appends.lock()[0].rows.clone()
    };
    let other = TenantId::parse("other").expect("a tenant");
    rig.sink.append(Append { tenant: other.clone(), fingerprint: None, rows: batch }).await.expect("stored");
    rig.advance(15_000);
    rig.write().await;
    let tenants: Vec<_> = rig.shelf.appends.lock().iter().map(|a| a.tenant.clone()).collect();
    assert_eq!(tenants.len(), 2);
    assert!(tenants.contains(&other));
}
