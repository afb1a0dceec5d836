//! The verbs that show objects, and what a server has.

use kiln::cli::Exit;
use serde_json::json;

use super::served::{JOBS, MAPS, PODS, Served, a_job, a_map};
use super::{done, kiln};

#[tokio::test]
async fn the_kinds_of_the_server_are_shown_with_their_names() {
    let served = Served::idle().await;
    let all = done(&served, &["api-resources", "--api-group=batch", "-o", "wide"]).await;
    assert_eq!(
        all,
        "NAME       SHORTNAMES   APIVERSION   NAMESPACED   KIND      VERBS                                                        CATEGORIES\n\
         cronjobs   cj           batch/v1     true         CronJob   create,delete,deletecollection,get,list,patch,update,watch   all\n\
         jobs                    batch/v1     true         Job       create,delete,deletecollection,get,list,patch,update,watch   all\n"
    );
    let names =
        done(&served, &["api-resources", "--namespaced=false", "--verbs", "list", "-o", "name"]);
    assert_eq!(names.await, "namespaces\nnodes\n");
    served.stop().await;
}

#[tokio::test]
async fn the_fields_of_a_kind_are_explained() {
    let served = Served::idle().await;
    let page = done(&served, &["explain", "job.spec.backoffLimit"]).await;
    let head = "GROUP:      batch\nKIND:       Job\nVERSION:    v1\n\nFIELD: backoffLimit <integer>\n\n\n\
                DESCRIPTION:\n    Specifies the number of retries before marking this job failed.";
    assert!(page.starts_with(head), "{page}");
    let page = done(&served, &["explain", "pods.spec", "--recursive"]).await;
    assert!(
        page.contains("\n  containers\t<[]Container> -required-\n    args\t<[]string>\n"),
        "{page}"
    );
    let (exit, _, stderr) = kiln(&served, &["explain", "job.spec.no"]).await;
    assert_eq!((exit, stderr.as_str()), (Exit::Failed, "error: field \"no\" does not exist\n"));
    served.stop().await;
}

#[tokio::test]
async fn one_is_told_who_one_is_and_what_one_may_do() {
    let served = Served::idle().await;
    assert_eq!(done(&served, &["auth", "can-i", "create", "jobs"]).await, "yes\n");
    assert_eq!(done(&served, &["auth", "can-i", "get", "/metrics", "-q"]).await, "");
    let list = done(&served, &["auth", "can-i", "--list"]).await;
    assert!(
        list.starts_with(
            "Resources   Non-Resource URLs   Resource Names   Verbs\n*.*         []  "
        ),
        "{list}"
    );
    let who = done(&served, &["auth", "whoami"]).await;
    assert!(who.starts_with("ATTRIBUTE   VALUE\nUsername    "), "{who}");
    let (_, stdout, stderr) = kiln(&served, &["auth", "can-i", "get", "frobs"]).await;
    assert_eq!(stdout, "yes\n");
    assert_eq!(stderr, "Warning: the server doesn't have a resource type \"frobs\"\n");
    served.stop().await;
}

#[tokio::test]
async fn several_kinds_are_shown_one_below_the_other() {
    let served = Served::idle().await;
    served.post(JOBS, &a_job("j")).await.expect(201);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a/app": "x"}},
        "spec": {"containers": [{"name": "m", "image": "i"}]},
    });
    served.post(PODS, &pod).await.expect(201);
    let all = done(&served, &["get", "all"]).await;
    let first: Vec<_> =
        all.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert_eq!(first, ["NAME", "pod/p", "", "NAME", "job.batch/j"], "{all}");
    assert_eq!(
        done(&served, &["get", "job/j", "pod/p", "-o", "name"]).await,
        "job.batch/j\npod/p\n"
    );
    let labels = done(&served, &["get", "pods", "-L", "a/app", "--no-headers"]).await;
    assert!(labels.trim_end().ends_with(" x"), "{labels}");
    assert_eq!(
        kiln(&served, &["get", "job", "no", "--ignore-not-found"]).await,
        (Exit::Done, String::new(), String::new())
    );
    served.stop().await;
}

#[tokio::test]
async fn a_long_list_is_read_in_pages() {
    let served = Served::idle().await;
    for name in ["a", "b", "c", "d", "e"] {
        served.post(MAPS, &a_map(name)).await.expect(201);
    }
    let all = done(&served, &["get", "cm", "--chunk-size", "2", "-o", "name"]).await;
    assert_eq!(all.lines().count(), 5, "{all}");
    let table = done(&served, &["get", "cm", "--chunk-size", "2"]).await;
    assert_eq!(table.lines().count(), 6, "{table}");
    served.stop().await;
}

#[tokio::test]
async fn several_objects_are_waited_for() {
    let served = Served::idle().await;
    for name in ["a", "b"] {
        served.post(JOBS, &a_job(name)).await.expect(201);
    }
    let parallelism = "--for=jsonpath={.spec.parallelism}=1";
    for words in [
        &["wait", parallelism, "job", "a", "b"][..],
        &["wait", parallelism, "jobs", "--all"],
        &["wait", parallelism, "--for=create", "job/a", "job/b"],
    ] {
        let told = done(&served, words).await;
        assert!(told.starts_with("job.batch/a condition met\n"), "{told}");
        assert!(told.ends_with("job.batch/b condition met\n"), "{told}");
    }
    let (exit, _, stderr) = kiln(&served, &["wait", parallelism, "jobs", "-l", "no=such"]).await;
    assert_eq!((exit, stderr.as_str()), (Exit::Failed, "error: no matching resources found\n"));
    assert_eq!(done(&served, &["wait", "--for=delete", "pods", "--all"]).await, "");
    served.stop().await;
}
