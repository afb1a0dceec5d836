//! One conformance suite for every backend, and what only a file can show.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

fn job(name: &str) -> Job {
    let mut job = Job::default();
    job.metadata.namespace = Some("default".into());
    job.metadata.name = Some(name.into());
    job
}

async fn create(store: &Store, job: &Job) -> Result<Revision, Error> {
    let mut txn = store.txn();
    txn.create(job);
    txn.commit().await.map(|written| written.last)
}

async fn read(store: &Store, name: &str) -> Job {
    store.get("default", name).await.unwrap().expect("it was created")
}

/// The two backends that the suite runs against.
fn stores() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let file = Store::open(dir.path()).unwrap();
    vec![(Store::in_memory().unwrap(), None), (file, Some(dir))]
}

#[tokio::test]
async fn what_was_committed_is_read_with_its_revision() {
    for (store, _dir) in stores() {
        let revision = create(&store, &job("a")).await.unwrap();
        let read = read(&store, "a").await;
        assert_eq!(read.metadata.resource_version, Some(revision.to_string()));
        assert!(store.get::<Job>("default", "b").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_name_can_be_created_once() {
    for (store, _dir) in stores() {
        create(&store, &job("a")).await.unwrap();
        let again = create(&store, &job("a")).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    }
}

#[tokio::test]
async fn of_two_writers_who_read_the_same_one_loses() {
    for (store, _dir) in stores() {
        create(&store, &job("a")).await.unwrap();
        let seen = read(&store, "a").await;
        let mut first = store.txn();
        first.update(&seen);
        first.commit().await.unwrap();
        let mut second = store.txn();
        second.update(&seen).create(&job("b"));
        assert!(matches!(second.commit().await, Err(Error::Conflict { .. })));
        assert!(store.get::<Job>("default", "b").await.unwrap().is_none(), "all or nothing");
    }
}

#[tokio::test]
async fn a_released_object_goes_away_on_update() {
    for (store, _dir) in stores() {
        let mut held = job("a");
        held.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        held.metadata.finalizers = Some(vec!["hold".into()]);
        create(&store, &held).await.unwrap();
        let mut held = read(&store, "a").await;
        held.remove_finalizer("hold");
        let mut txn = store.txn();
        txn.update(&held);
        txn.commit().await.unwrap();
        assert!(store.get::<Job>("default", "a").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn lists_are_by_namespace_and_in_order() {
    for (store, _dir) in stores() {
        for name in ["b", "a", "c"] {
            create(&store, &job(name)).await.unwrap();
        }
        let mut other = job("z");
        other.metadata.namespace = Some("default2".into());
        create(&store, &other).await.unwrap();
        let (jobs, revision) = store.list::<Job>(Some("default")).await.unwrap();
        let names: Vec<_> = jobs.iter().map(Object::name).collect();
        assert_eq!((names, revision), (vec!["a", "b", "c"], 4));
        assert_eq!(store.list::<Job>(None).await.unwrap().0.len(), 4);
    }
}

#[tokio::test]
async fn a_watch_sees_every_change_once_and_in_order() {
    for (store, _dir) in stores() {
        create(&store, &job("a")).await.unwrap();
        let mut watch = store.watch(Kind::Job, 0);
        create(&store, &job("b")).await.unwrap();
        assert_eq!(watch.next().await.unwrap().key.name, "a");
        assert_eq!(watch.next().await.unwrap().key.name, "b");
        let seen = read(&store, "a").await;
        let mut txn = store.txn();
        txn.delete(&seen);
        txn.commit().await.unwrap();
        let gone = watch.next().await.unwrap();
        assert!(gone.object::<Job>().unwrap().is_none());
        assert_eq!(gone.previous::<Job>().unwrap().unwrap().name(), "a");
    }
}

#[tokio::test]
async fn a_watcher_that_lags_reads_the_history() {
    let store = Store::in_memory().unwrap();
    let mut watch = store.watch(Kind::Job, 0);
    let count = 5_000;
    for number in 0..count {
        create(&store, &job(&format!("j{number}"))).await.unwrap();
    }
    for number in 0..count {
        assert_eq!(watch.next().await.unwrap().key.name, format!("j{number}"));
    }
}

#[tokio::test]
async fn a_watcher_that_lags_sees_nothing_twice() {
    let store = Store::in_memory().unwrap();
    let mut watch = store.watch(Kind::Job, 0);
    create(&store, &job("a")).await.unwrap();
    assert_eq!(watch.next().await.unwrap().key.name, "a");
    let mut two = store.txn();
    two.create(&job("b")).create(&job("c"));
    two.commit().await.unwrap();
    assert_eq!(watch.next().await.unwrap().key.name, "b");
    let count = 4_500;
    for number in 0..count {
        create(&store, &job(&format!("j{number}"))).await.unwrap();
    }
    assert_eq!(watch.next().await.unwrap().key.name, "c");
    for number in 0..count {
        assert_eq!(watch.next().await.unwrap().key.name, format!("j{number}"));
    }
}

#[tokio::test]
async fn each_write_of_a_transaction_has_a_revision_and_a_watch_goes_on_after_any_of_them() {
    for (store, _dir) in stores() {
        create(&store, &job("a")).await.unwrap();
        let mut changed = read(&store, "a").await;
        changed.metadata.labels = Some([("new".to_owned(), "yes".to_owned())].into());
        let mut txn = store.txn();
        txn.create(&job("b")).update(&changed).create(&job("c"));
        let written = txn.commit().await.unwrap();
        assert_eq!((written.revisions(), written.first(), written.last), (2..=4, 2, 4));
        for (name, revision) in [("b", "2"), ("a", "3"), ("c", "4")] {
            let read = read(&store, name).await;
            assert_eq!(read.metadata.resource_version.as_deref(), Some(revision));
        }
        let history = [("a", 1), ("b", 2), ("a", 3), ("c", 4)];
        for from in 0..4 {
            let mut watch = store.watch(Kind::Job, from);
            for expected in &history[usize::try_from(from).unwrap()..] {
                let change = watch.next().await.unwrap();
                assert_eq!((change.key.name.as_str(), change.revision), *expected);
            }
        }
    }
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.db");
    std::fs::write(&file, include_bytes!("../../tests/fixtures/store/v1.sqlite")).unwrap();
    let before = upkeep::check(&file).unwrap();
    assert_eq!((before.version, before.revision, before.problems.len()), (1, 7, 0));
    let store = Store::open(dir.path()).unwrap();
    let pi = read(&store, "pi").await;
    assert_eq!(pi.status.as_ref().and_then(|status| status.succeeded), Some(1));
    assert_eq!(pi.metadata.resource_version.as_deref(), Some("7"));
    let (pods, _) = store.list::<k8s_openapi::api::core::v1::Pod>(None).await.unwrap();
    assert_eq!(pods.iter().map(Object::name).collect::<Vec<_>>(), ["pi-bdq7z"]);
    let late = store.watch(Kind::Job, 6).next().await;
    assert!(matches!(late, Err(Error::Compacted { oldest: 7, .. })), "{late:?}");
    let mut watch = store.watch(Kind::Job, 7);
    assert_eq!(create(&store, &job("b")).await.unwrap(), 8);
    assert_eq!(watch.next().await.unwrap().revision, 8);
    drop(store);
    let after = upkeep::check(&file).unwrap();
    assert_eq!((after.version, after.problems.len()), (2, 0));
}

/// What is written into the middle of a page.
const RUBBISH: [u8; 64] = [0xa5; 64];

#[tokio::test]
async fn a_damaged_file_is_refused_with_the_cure_and_not_touched() {
    use std::os::unix::fs::FileExt;
    let whole = tempfile::tempdir().unwrap();
    let store = Store::open(whole.path()).unwrap();
    for number in 0..300 {
        create(&store, &job(&format!("j{number:03}"))).await.unwrap();
    }
    drop(store);
    let bytes = std::fs::read(whole.path().join("store.db")).unwrap();
    for page in 0..bytes.len() / 4096 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        std::fs::write(&path, &bytes).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&RUBBISH, 4096 * page as u64).unwrap();
        let damaged = std::fs::read(&path).unwrap();
        let refused = Store::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "page {page}: {refused:?}");
        assert!(refused.to_string().contains("kiln store restore FILE --force"), "{refused}");
        assert!(std::fs::read(&path).unwrap() == damaged, "page {page} was touched");
        let found = upkeep::check(&path);
        assert!(found.is_ok_and(|found| !found.problems.is_empty()), "page {page}");
    }
}

#[tokio::test]
async fn what_is_damaged_while_it_is_open_is_told_by_whoever_reads_it() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..300 {
        create(&store, &job(&format!("j{number:03}"))).await.unwrap();
    }
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("store.db")).unwrap();
    for page in 1..file.metadata().unwrap().len() / 4096 {
        file.write_all_at(&RUBBISH, 4096 * page).unwrap();
    }
    let failed = store.list::<Job>(None).await.unwrap_err();
    assert!(matches!(failed, Error::Damaged { .. }), "{failed:?}");
}

#[tokio::test]
async fn history_that_is_gone_is_told() {
    let store = Store::in_memory().unwrap();
    create(&store, &job("a")).await.unwrap();
    for _ in 0..11_500 {
        let mut txn = store.txn();
        txn.put(&job("a"));
        txn.commit().await.unwrap();
    }
    let late = store.watch(Kind::Job, 1).next().await;
    assert!(matches!(late, Err(Error::Compacted { .. })), "{late:?}");
}

#[tokio::test]
async fn writers_at_once_all_get_their_own_revision() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let jobs: Vec<_> = (0..100).map(|number| job(&format!("j{number}"))).collect();
    let commits = jobs.iter().map(|job| create(&store, job));
    let mut revisions: Vec<_> =
        futures::future::join_all(commits).await.into_iter().map(Result::unwrap).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_is_read_again_after_it_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    create(&Store::open(dir.path()).unwrap(), &job("a")).await.unwrap();
    let again = Store::open(dir.path()).unwrap();
    assert_eq!(read(&again, "a").await.metadata.resource_version.as_deref(), Some("1"));
    assert_eq!(create(&again, &job("b")).await.unwrap(), 2);
}

#[test]
fn a_file_of_a_newer_kiln_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let connection = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let refused = Store::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains("use a newer kiln"), "{refused}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let refused = Store::open(Path::new("/no/such/dir")).unwrap_err();
    assert!(refused.to_string().contains("/no/such/dir/store.db"), "{refused}");
}

fn names(page: &untyped::Page) -> Vec<&str> {
    page.items.iter().map(|(key, _)| key.name.as_str()).collect()
}

#[tokio::test]
async fn a_page_shows_what_was_there_at_its_revision() {
    for (store, _dir) in stores() {
        for name in ["a", "b", "c", "d"] {
            create(&store, &job(name)).await.unwrap();
        }
        let query = untyped::Query {
            kind: Kind::Job,
            namespace: None,
            name: None,
            after: None,
            limit: Some(2),
            at: None,
        };
        let first = store.page(query).await.unwrap();
        assert_eq!((names(&first), first.revision, first.remaining), (vec!["a", "b"], 4, 2));
        let (gone, mut changed) = (read(&store, "c").await, read(&store, "d").await);
        changed.metadata.labels = Some([("new".to_owned(), "yes".to_owned())].into());
        let mut txn = store.txn();
        txn.delete(&gone).update(&changed).create(&job("e"));
        txn.commit().await.unwrap();

        let after = Some(&first.items[1].0);
        let then = untyped::Query { after, limit: None, at: Some(4), ..query };
        let second = store.page(then).await.unwrap();
        assert_eq!((names(&second), second.revision), (vec!["c", "d"], 4));
        assert!(second.items[1].1["metadata"].get("labels").is_none(), "as it was");
        assert_eq!(second.items[1].1["metadata"]["resourceVersion"], "4");
        let now = untyped::Query { after, limit: None, ..query };
        assert_eq!(names(&store.page(now).await.unwrap()), ["d", "e"]);
        let namespace = Some("default");
        for (name, found) in [("d", vec!["d"]), ("", vec![]), ("c", vec![])] {
            let one =
                untyped::Query { namespace, name: Some(name), after: None, limit: None, ..query };
            assert_eq!(names(&store.page(one).await.unwrap()), found);
        }
    }
}

#[tokio::test]
async fn what_is_in_no_namespace_is_found_by_its_name() {
    for (store, _dir) in stores() {
        let key = Key::new(Kind::Namespace, "", "default");
        let value = serde_json::json!({"metadata": {"name": "default"}});
        let mut txn = store.txn();
        txn.create_value(&key, &value);
        txn.commit().await.unwrap();
        assert_eq!(store.read(&key).await.unwrap().unwrap()["metadata"]["resourceVersion"], "1");
        let change = store.watch(Kind::Namespace, 0).next().await.unwrap();
        assert_eq!(change.key, key);
    }
}

#[tokio::test]
async fn a_watch_says_up_to_where_it_is_complete() {
    let store = Store::in_memory().unwrap();
    let mut watch = store.watch_in(Kind::Job, Some("other"), 0);
    for name in ["a", "b", "c"] {
        create(&store, &job(name)).await.unwrap();
    }
    let nothing = tokio::time::timeout(std::time::Duration::from_millis(5), watch.next()).await;
    assert!(nothing.is_err());
    assert_eq!(watch.passed(), 3);
}

#[tokio::test]
async fn pages_have_each_object_once_in_order() {
    for (store, _dir) in stores() {
        for (count, sizes) in [(0, vec![0]), (PAGE, vec![PAGE, 0]), (PAGE + 1, vec![PAGE, 1])] {
            let mut txn = store.txn();
            for n in 0..count {
                txn.put(&job(&format!("j{n:05}")));
            }
            txn.commit().await.unwrap();
            let (mut pages, mut found, mut names) = (store.pages::<Job>(None), vec![], vec![]);
            while let Some((page, _)) = pages.next().await.unwrap() {
                found.push(page.len());
                names.extend(page.into_iter().map(|job| job.name().to_owned()));
            }
            assert_eq!((found, names.len()), (sizes, count));
            assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
