//! The behaviour that the rest of the house relies on, asked of every store.

use std::sync::Arc;

use catalog::env::fixed::SeededEntropy;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use super::{CountingStore, FaultStore, Faults, LocalStore, RetryPolicy, RetryStore};

async fn read(store: &dyn ObjectStore, path: &str) -> Vec<u8> {
    store.get(&Path::from(path)).await.expect("get").bytes().await.expect("bytes").to_vec()
}

async fn names(store: &dyn ObjectStore, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(Path::from);
    let mut names: Vec<String> =
        store.list(prefix.as_ref()).map_ok(|m| m.location.to_string()).try_collect().await.expect("list");
    names.sort();
    names
}

/// Asks everything of an empty store. Retries may turn an answer of `Ok` into `AlreadyExists`, so only healthy stores come here.
async fn check(store: &dyn ObjectStore) {
    let at = |name: &str| Path::from(name);
    let put = |name: &'static str, body: &'static [u8], mode: PutMode| async move {
        store.put_opts(&Path::from(name), PutPayload::from_static(body), mode.into()).await
    };
    let put_result = put("a/1", b"one", PutMode::Create).await.expect("create");
    assert!(matches!(put("a/1", b"two", PutMode::Create).await, Err(Error::AlreadyExists { .. })));
    assert_eq!(read(store, "a/1").await, b"one");
    assert_eq!(store.head(&at("a/1")).await.expect("head").e_tag, put_result.e_tag);
    put("a/1", b"0123456789", PutMode::Overwrite).await.expect("overwrite");
    put("a/b/2", b"2", PutMode::Create).await.expect("create below");
    put("c", b"", PutMode::Create).await.expect("an empty object");
    assert_eq!(read(store, "c").await, b"");

    assert_eq!(store.get_range(&at("a/1"), 2..5).await.expect("range"), "234");
    assert_eq!(store.get_ranges(&at("a/1"), &[0..1, 9..10]).await.expect("ranges"), ["0", "9"]);
    store.get_range(&at("a/1"), 20..30).await.expect_err("beyond the end");
    let suffix = GetOptions { range: Some(object_store::GetRange::Suffix(3)), ..GetOptions::default() };
    assert_eq!(store.get_opts(&at("a/1"), suffix).await.expect("suffix").bytes().await.expect("bytes"), "789");
    for missing in ["none", "a", "a/b", "a/1x"] {
        assert!(matches!(store.get(&at(missing)).await, Err(Error::NotFound { .. })), "{missing}");
        assert!(matches!(store.head(&at(missing)).await, Err(Error::NotFound { .. })), "{missing}");
    }

    assert_eq!(names(store, None).await, ["a/1", "a/b/2", "c"]);
    assert_eq!(names(store, Some("a")).await, ["a/1", "a/b/2"]);
    assert_eq!(names(store, Some("nowhere")).await, [""; 0]);
    let after: Vec<_> = store.list_with_offset(None, &at("a/1")).map_ok(|m| m.location).try_collect().await.expect("list");
    assert!(!after.contains(&at("a/1")) && after.contains(&at("c")));
    let listed = store.list_with_delimiter(None).await.expect("list");
    assert_eq!((listed.common_prefixes, listed.objects.len()), (vec![at("a")], 1));

    let mut upload = store.put_multipart(&at("big")).await.expect("begin");
    upload.put_part(vec![1u8; 5 << 20].into()).await.expect("part");
    assert_eq!(names(store, Some("big")).await, [""; 0]);
    assert!(matches!(store.head(&at("big")).await, Err(Error::NotFound { .. })), "half an upload is not there");
    upload.put_part(vec![2u8; 10].into()).await.expect("part");
    upload.complete().await.expect("complete");
    assert_eq!(store.head(&at("big")).await.expect("head").size, (5 << 20) + 10);
    assert_eq!(store.get_range(&at("big"), (5 << 20) - 1..(5 << 20) + 1).await.expect("range").as_ref(), [1, 2]);
    let mut upload = store.put_multipart(&at("aborted")).await.expect("begin");
    upload.put_part(vec![1u8; 5 << 20].into()).await.expect("part");
    upload.abort().await.expect("abort");
    store.head(&at("aborted")).await.expect_err("nothing is left");

    store.copy_if_not_exists(&at("a/1"), &at("d/copy")).await.expect("copy");
    assert!(matches!(store.copy_if_not_exists(&at("c"), &at("d/copy")).await, Err(Error::AlreadyExists { .. })));
    store.copy(&at("a/b/2"), &at("d/copy")).await.expect("copy over");
    assert_eq!(read(store, "d/copy").await, b"2");
    store.rename(&at("d/copy"), &at("e/moved")).await.expect("rename");
    assert!(matches!(store.copy(&at("d/copy"), &at("f")).await, Err(Error::NotFound { .. })));

    for path in names(store, None).await {
        store.delete(&at(&path)).await.expect("delete");
        // Some stores say that it was gone, some do not; none fails otherwise.
        assert!(matches!(store.delete(&at(&path)).await, Ok(()) | Err(Error::NotFound { .. })));
    }
    assert_eq!(names(store, None).await, [""; 0]);
}

/// Sixteen writers want the same name: one wins, and its bytes stay.
async fn check_create_race(store: Arc<dyn ObjectStore>) {
    let writers: Vec<_> = (0..16u8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let payload = PutPayload::from(vec![n; 100]);
                (n, store.put_opts(&Path::from("race/x"), payload, PutMode::Create.into()).await.is_ok())
            })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        let (n, won) = writer.await.expect("join");
        winners.extend(won.then_some(n));
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(read(&*store, "race/x").await, [winners[0]; 100]);
}

#[tokio::test]
async fn memory() {
    check(&InMemory::new()).await;
    check_create_race(Arc::new(InMemory::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = LocalStore::open(folder.path()).expect("open");
    check(&store).await;
    check_create_race(Arc::new(store)).await;
}

#[tokio::test]
async fn wrappers_change_nothing() {
    let entropy = SeededEntropy::new(1);
    let faulty = FaultStore::new(Arc::new(InMemory::new()), Arc::clone(&entropy) as _, Faults::default());
    let retrying = RetryStore::new(Arc::new(faulty), entropy, RetryPolicy::default());
    check(&CountingStore::new(Arc::new(retrying))).await;
}

#[tokio::test(start_paused = true)]
async fn retries_carry_over_early_failures_and_throttling() {
    for seed in 0..20 {
        let entropy = SeededEntropy::new(seed);
        let faults = Faults { first_attempts: 2, throttle: 0.1, fail_before: 0.1, ..Faults::default() };
        let faulty = FaultStore::new(Arc::new(InMemory::new()), Arc::clone(&entropy) as _, faults);
        let policy = RetryPolicy { attempts_max: 20, ..RetryPolicy::default() };
        let store = RetryStore::new(Arc::new(faulty), entropy, policy);
        let path = Path::from("a");
        store.put_opts(&path, PutPayload::from_static(b"x"), PutMode::Create.into()).await.expect("put");
        assert_eq!(read(&store, "a").await, b"x");
        store.delete(&path).await.expect("delete");
        assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })), "a missing object is not retried away");
    }
}
