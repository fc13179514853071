use std::convert::Infallible;

use futures::channel::mpsc;
use serde_json::{Value, json};

use super::*;
use crate::loki::encoding::tests::{entry, labels};
use crate::loki::vectors::cases;

fn tailed(lines: usize, bytes: usize) -> Tailed {
    let entries = (0..lines).map(|n| entry(n as i64, &"x".repeat(bytes), &[], &[])).collect();
    Tailed { streams: vec![Stream { labels: labels(&[("app", "a")]), entries }], dropped: Vec::new() }
}

#[test]
fn frames_are_small() {
    #[track_caller]
    fn check(lines: usize, bytes: usize, expected: &[usize]) {
        let frames = Frames::of(tailed(lines, bytes));
        let sizes: Vec<_> = frames.map(|f| f.streams.iter().map(|s| s.entries.len()).sum::<usize>()).collect();
        assert_eq!(sizes, expected);
    }
    check(0, 1, &[]);
    check(1, 1, &[1]);
    check(100, 1, &[100]);
    check(250, 1, &[100, 100, 50]);
    check(5, FRAME_BYTES / 2, &[2, 2, 1]);
    check(2, 4 * FRAME_BYTES, &[1, 1]);
}

#[test]
fn frames_keep_all_in_order() {
    let stream = |name: &str, from: i64, to: i64| Stream {
        labels: labels(&[("app", name)]),
        entries: (from..to).map(|n| entry(n, "x", &[], &[])).collect(),
    };
    let dropped = vec![(labels(&[("app", "z")]), 9)];
    let all = Tailed { streams: vec![stream("a", 0, 150), stream("b", 150, 180), stream("c", 180, 181)], dropped };
    let frames: Vec<_> = Frames::of(all).collect();
    assert_eq!(frames.len(), 2);
    assert_eq!((frames[0].dropped.len(), frames[1].dropped.len()), (1, 0));
    let times: Vec<_> = frames.iter().flat_map(|f| &f.streams).flat_map(|s| &s.entries).map(|e| e.ts_ns).collect();
    assert_eq!(times, (0..181).collect::<Vec<_>>());
    // What was left out is told even when nothing comes with it.
    let only_dropped = Tailed { streams: Vec::new(), dropped: vec![(labels(&[]), 1)] };
    assert_eq!(Frames::of(only_dropped.clone()).collect::<Vec<_>>(), [only_dropped]);
}

#[test]
fn frames_are_written_as_loki_does() {
    let frame = || Tailed {
        streams: vec![Stream { labels: labels(&[("app", "foo")]), entries: vec![entry(1, "foobar", &[], &[])] }],
        dropped: vec![(labels(&[("app", "dropped")]), 2)],
    };
    let v1: Value = serde_json::from_str(&text(frame(), Shape::V1(Encoding::Plain))).unwrap();
    for case in cases("http_response.yaml").iter().filter(|case| case["kind"] == "tail") {
        let expected: Value = serde_json::from_str(case["expect_text"].as_str().unwrap()).unwrap();
        assert_eq!(v1, expected, "{}", case["id"]);
    }
    assert_eq!(v1["dropped_entries"], json!([{"timestamp": "2", "labels": {"app": "dropped"}}]));
    let flagged: Value = serde_json::from_str(&text(frame(), Shape::V1(Encoding::Categorized))).unwrap();
    assert_eq!(flagged["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(flagged["streams"][0]["values"], json!([["1", "foobar", {}]]));
    let legacy: Value = serde_json::from_str(&text(frame(), Shape::Legacy)).unwrap();
    assert_eq!(
        legacy,
        json!({
            "streams": [{"labels": "{app=\"foo\"}", "entries": [{"ts": "1970-01-01T00:00:00.000000001Z", "line": "foobar"}]}],
            "dropped_entries": [{"timestamp": "1970-01-01T00:00:00.000000002Z", "labels": "{app=\"dropped\"}"}],
        })
    );
}

#[test]
fn parameters_of_a_tail() {
    let hour_ns = 3_600_000_000_000;
    let query = tail_query(&Params::of_url("query={a=\"b\"}&delay_for=2&limit=7").unwrap(), 2 * hour_ns).unwrap();
    assert_eq!((query.limit, query.delay.as_secs(), query.start_ns), (7, 2, hour_ns));
    let refused = |text: &str| tail_query(&Params::of_url(text).unwrap(), 0).unwrap_err();
    assert_eq!(refused("query={a=\"b\"}&delay_for=9").message, "delay_for can't be greater than 5");
    assert_eq!((refused("query={").status.as_u16(), refused("query={").message.starts_with("parse error")), (400, true));
}

/// A client: what it says, and what it is told.
struct Client {
    says: mpsc::UnboundedSender<Result<Message, Infallible>>,
    hears: mpsc::Receiver<Message>,
    running: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

/// The two ways of a connection as one, as a websocket has them.
struct Both(mpsc::UnboundedReceiver<Result<Message, Infallible>>, mpsc::Sender<Message>);

impl Following for Both {
    type Item = Result<Message, Infallible>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Both {
    type Error = mpsc::SendError;

    fn poll_ready(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.1.poll_ready_unpin(cx)
    }

    fn start_send(mut self: std::pin::Pin<&mut Self>, item: Message) -> Result<(), Self::Error> {
        self.1.start_send_unpin(item)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.1.poll_flush_unpin(cx)
    }

    fn poll_close(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.1.poll_close_unpin(cx)
    }
}

impl Client {
    fn connect(entries: impl Following<Item = Result<Tailed, Error>> + Send + 'static) -> Self {
        let ((says, said), (told, hears)) = (mpsc::unbounded(), mpsc::channel(0));
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(Both(said, told), entries, Shape::V1(Encoding::Plain), stop.clone()));
        Self { says, hears, running, stop }
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.hears.next().await? {
                Message::Ping(_) => {}
                other => return Some(other),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tail_sends_and_says_why_it_ends() {
    let mut client = Client::connect(stream::iter([Ok(tailed(150, 1)), Ok(Tailed::default()), Ok(tailed(1, 1))]));
    for expected in [100, 50, 1] {
        let Some(Message::Text(frame)) = client.next().await else { panic!("a frame") };
        let frame: Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(frame["streams"][0]["values"].as_array().unwrap().len(), expected);
    }
    let Some(Message::Close(Some(close))) = client.next().await else { panic!("the end") };
    assert_eq!((close.code, close.reason.as_str()), (close_code::AWAY, "the node stops"));
    client.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tail_ends_when_the_node_stops() {
    let mut client = Client::connect(stream::pending());
    client.stop.cancel();
    let Some(Message::Close(Some(close))) = client.next().await else { panic!("the end") };
    assert_eq!((close.code, close.reason.as_str()), (close_code::AWAY, STOPS));
    client.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_fails_says_so() {
    let error = Error::Invalid { message: format!("{}\u{fc}{}", "x".repeat(REASON_BYTES_MAX - 1), "y".repeat(50)) };
    let mut client = Client::connect(stream::iter([Err(error)]));
    let Some(Message::Close(Some(close))) = client.next().await else { panic!("the end") };
    assert_eq!((close.code, close.reason.as_str()), (close_code::ERROR, "x".repeat(REASON_BYTES_MAX - 1).as_str()));
    client.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_quiet_is_asked_once_a_second() {
    let mut client = Client::connect(stream::pending());
    let begun = tokio::time::Instant::now();
    for _ in 0..4 {
        assert!(matches!(client.hears.next().await, Some(Message::Ping(_))));
    }
    assert_eq!(begun.elapsed().as_secs(), 3);
    // It may close whenever it likes.
    client.says.unbounded_send(Ok(Message::Close(None))).unwrap();
    client.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_ends_the_tail() {
    let client = Client::connect(stream::pending());
    drop((client.says, client.hears));
    client.running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_let_go_of() {
    let endless = stream::repeat_with(|| Ok(tailed(100, 10)));
    let client = Client::connect(endless);
    let begun = tokio::time::Instant::now();
    client.running.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), SEND_MAX.as_secs());
}
