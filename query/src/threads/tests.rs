use std::sync::LazyLock;
use std::time::Instant;

use datafusion::common::runtime::SpawnedTask;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::*;

fn runtime(name: &str) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build().expect("a runtime")
}

fn on() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// Also the time in which a thread sleeps.
fn passed() -> Duration {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGUN.elapsed()
}

/// Keeps the thread for as long as a request may be prompt.
async fn work() {
    std::thread::sleep(Duration::from_nanos(PROMPT_NS));
    tokio::task::yield_now().await;
}

/// What a request says that is spawned on threads of both kinds.
fn ask<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> T {
    let (prompt, long) = (runtime("prompt"), runtime("long"));
    let threads = Threads::new(prompt.handle().clone(), long.handle().clone(), passed);
    prompt.block_on(async move { threads.spawn(request).await }).expect("it runs")
}

#[test]
fn what_is_long_moves_and_what_is_small_stays() {
    let seen = ask(async {
        let first = on();
        tokio::task::yield_now().await;
        let second = on();
        work().await;
        [first, second, on()]
    });
    assert_eq!(seen, ["prompt", "prompt", "long"]);
}

#[test]
fn all_tasks_of_a_request_move_and_what_they_spawn_stays_with_them() {
    let seen = ask(async {
        let (go, wait) = oneshot::channel::<()>();
        // Spawned while the request was prompt; it has done nothing itself.
        let early = SpawnedTask::spawn(async move {
            let first = on();
            wait.await.expect("somebody sends");
            [first, on()]
        });
        tokio::task::yield_now().await;
        work().await;
        go.send(()).expect("somebody waits");
        let early = early.join().await.expect("it runs");
        let late = SpawnedTask::spawn(async { on() }).join().await.expect("it runs");
        let part =
            spawn_part(async { SpawnedTask::spawn(async { on() }).join().await.expect("it runs") }).await.expect("it runs");
        (early, late, part)
    });
    assert_eq!(seen, (["prompt".to_owned(), "long".to_owned()], "long".to_owned(), "long".to_owned()));
}

#[test]
fn what_will_be_long_moves_before_it_begins() {
    let seen = ask(async {
        settle().await;
        let first = on();
        will_be_long();
        settle().await;
        [first, on()]
    });
    assert_eq!(seen, ["prompt", "long"]);
}

#[test]
fn with_one_kind_of_threads_nothing_moves() {
    let prompt = runtime("prompt");
    let request = Threads::from(prompt.handle().clone()).spawn(async {
        work().await;
        will_be_long();
        settle().await;
        spawn_part(async { on() }).await.expect("it runs")
    });
    assert_eq!(prompt.block_on(request).expect("it runs"), "prompt");
}

#[test]
fn a_panic_arrives_from_where_it_moved_to() {
    let died = ask(async {
        let task = SpawnedTask::<()>::spawn(async {
            work().await;
            panic!("on {}", on());
        });
        task.join().await.expect_err("it panics").into_panic()
    });
    assert_eq!(died.downcast_ref::<String>().map(String::as_str), Some("on long"));
}

#[test]
fn a_request_that_is_dropped_ends_where_it_moved_to() {
    let (prompt, long) = (runtime("prompt"), runtime("long"));
    let threads = Threads::new(prompt.handle().clone(), long.handle().clone(), passed);
    let ended = prompt.block_on(async move {
        let (moved, waits) = oneshot::channel();
        let (held, ended) = oneshot::channel::<()>();
        let request = threads.spawn(async move {
            let _held = held;
            work().await;
            moved.send(on()).expect("somebody waits");
            std::future::pending::<()>().await;
        });
        assert_eq!(waits.await.expect("it runs"), "long");
        drop(request);
        ended.await
    });
    assert!(ended.is_err(), "what it held was dropped");
}

#[test]
fn a_statement_that_was_long_begins_there_until_it_is_small() {
    let (prompt, long) = (runtime("prompt"), runtime("long"));
    let threads = Threads::new(prompt.handle().clone(), long.handle().clone(), passed);
    let asked = |statement: u64, works: bool| {
        let request = threads.spawn_statement(Some(Statement(statement)), async move {
            let begun = on();
            if works {
                work().await;
            }
            begun
        });
        prompt.block_on(request).expect("it runs")
    };
    assert_eq!(asked(1, true), "prompt");
    assert_eq!(asked(1, true), "long");
    assert_eq!(asked(2, false), "prompt", "another one is not known");
    assert_eq!(asked(1, false), "long");
    assert_eq!(asked(1, false), "prompt");
}
