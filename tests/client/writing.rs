//! The verbs that change objects.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kiln::cli::Exit;

use super::served::Served;
use super::{done, kiln};

const CRON_JOB: &str = "\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: 0 3 * * *
  jobTemplate:
    metadata: {labels: {app: night}}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: m, image: i}]}}}
";

fn file(served: &Served, name: &str, text: &str) -> PathBuf {
    let path = served.root.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn job(served: &Served) {
    done(served, &["create", "job", "pi", "--image", "perl:5"]).await;
}

#[tokio::test]
async fn a_patch_in_each_language_changes_a_job() {
    let served = Served::idle().await;
    job(&served).await;
    for (language, patch) in [
        ("strategic", "spec: {parallelism: 2}"),
        ("merge", r#"{"spec":{"parallelism":3}}"#),
        ("json", r#"[{"op":"replace","path":"/spec/parallelism","value":4}]"#),
    ] {
        let words = ["patch", "job/pi", "--type", language, "-p", patch];
        assert_eq!(done(&served, &words).await, "job.batch/pi patched\n");
        assert_eq!(done(&served, &words).await, "job.batch/pi patched (no change)\n");
    }
    let file = file(&served, "patch.yaml", "spec: {parallelism: 5}\n");
    let tried = ["patch", "job", "pi", "--patch-file", text(&file), "--dry-run", "server"];
    assert_eq!(done(&served, &tried).await, "job.batch/pi patched (server dry run)\n");
    let parallelism = ["get", "job", "pi", "-o", "jsonpath={.spec.parallelism}"];
    assert_eq!(done(&served, &parallelism).await, "4");
    let local = ["patch", "job/pi", "-p", "spec: {parallelism: 6}", "--dry-run", "client"];
    let shown = [&local[..], &["-o", "jsonpath={.spec.parallelism}"]].concat();
    assert_eq!(done(&served, &shown).await, "6");
    let status = ["patch", "job/pi", "--subresource", "status", "--type", "merge", "-p"];
    let status = [&status[..], &["status: {active: 7}"]].concat();
    done(&served, &status).await;
    let active = ["get", "job", "pi", "-o", "jsonpath={.status.active}"];
    assert_eq!(done(&served, &active).await, "7");
    let (exit, _, stderr) = kiln(&served, &["patch", "job/pi", "-p", "{"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(stderr.starts_with("error: unable to parse the patch: "), "{stderr}");
    served.stop().await;
}

#[tokio::test]
async fn labels_and_annotations_are_set_removed_and_listed() {
    let served = Served::idle().await;
    job(&served).await;
    for (words, expected) in [
        ("label job pi app=math tier=one", "job.batch/pi labeled\n"),
        ("label job/pi app=math", "job.batch/pi not labeled\n"),
        ("label jobs -l app=math tier-", "job.batch/pi unlabeled\n"),
        ("label jobs --all app=other --overwrite", "job.batch/pi labeled\n"),
        ("annotate job pi a=b=c", "job.batch/pi annotated\n"),
        ("annotate job pi --list", "a=b=c\n"),
        ("annotate job pi a-", "job.batch/pi annotated\n"),
        ("annotate job pi --list", ""),
        ("label job pi gone-", "label \"gone\" not found.\njob.batch/pi not labeled\n"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        assert_eq!(done(&served, &words).await, expected, "{words:?}");
    }
    let listed = done(&served, &["label", "job", "pi", "--list"]).await;
    assert!(listed.starts_with("app=other\nbatch.kubernetes.io/controller-uid="), "{listed}");
    for (words, expected) in [
        (
            "label job pi app=x",
            "error: 'app' already has a value (other), and --overwrite is false\n",
        ),
        ("label job pi", "error: at least one label update is required\n"),
        ("annotate job no a=b", "Error from server (NotFound): jobs.batch \"no\" not found\n"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let (exit, _, stderr) = kiln(&served, &words).await;
        assert_ne!(exit, Exit::Done, "{words:?}");
        assert_eq!(stderr, expected, "{words:?}");
    }
    let (_, _, stderr) = kiln(&served, &["label", "job", "pi", "app=?", "--overwrite"]).await;
    assert!(stderr.contains("metadata.labels: Invalid value"), "{stderr}");
    served.stop().await;
}

#[tokio::test]
async fn an_object_is_replaced_and_with_force_made_anew() {
    let served = Served::new().await;
    let map = |value: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: {value}}}\n")
    };
    let path = file(&served, "map.yaml", &map("one"));
    let (exit, _, stderr) = kiln(&served, &["replace", "-f", text(&path)]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(stderr.contains("(NotFound): error when replacing"), "{stderr}");
    done(&served, &["create", "-f", text(&path)]).await;
    std::fs::write(&path, map("two")).unwrap();
    assert_eq!(done(&served, &["replace", "-f", text(&path)]).await, "configmap/c replaced\n");
    let uid = ["get", "cm", "c", "-o", "jsonpath={.metadata.uid} {.data.a}"];
    let before = done(&served, &uid).await;
    assert!(before.ends_with(" two"), "{before}");
    assert_eq!(
        done(&served, &["replace", "--force", "-f", text(&path)]).await,
        "configmap \"c\" deleted\nconfigmap/c replaced\n"
    );
    assert_ne!(done(&served, &uid).await, before);
    served.stop().await;
}

#[tokio::test]
async fn a_difference_is_told_by_the_exit_code() {
    let served = Served::idle().await;
    let path = file(&served, "cron.yaml", CRON_JOB);
    let words = ["diff", "-f", text(&path)];
    let (exit, stdout, _) = kiln(&served, &words).await;
    assert_eq!(exit, Exit::Failed);
    assert!(stdout.contains("+  name: nightly\n"), "{stdout}");
    assert!(stdout.contains("/MERGED/batch.v1.CronJob.default.nightly"), "{stdout}");
    done(&served, &["apply", "-f", text(&path)]).await;
    assert_eq!(done(&served, &words).await, "");
    std::fs::write(&path, CRON_JOB.replace("0 3", "0 4")).unwrap();
    let (exit, stdout, _) = kiln(&served, &words).await;
    assert_eq!(exit, Exit::Failed);
    assert!(stdout.contains("-  schedule: 0 3 * * *\n+  schedule: 0 4 * * *\n"), "{stdout}");
    std::fs::write(&path, CRON_JOB.replace("0 3 * * *", "never")).unwrap();
    let (exit, stdout, stderr) = kiln(&served, &words).await;
    assert_eq!((exit, stdout.as_str()), (Exit::Usage, ""));
    assert!(stderr.contains("spec.schedule"), "{stderr}");
    served.stop().await;
}

/// The binary, since an editor is named by the environment.
async fn edit(served: &Served, script: &str, words: &[&str]) -> (i32, String, String) {
    let editor = file(served, "editor", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kiln"));
    let command = command.arg("edit").args(words).arg("--socket").arg(served.socket());
    let ran = command.env("KUBE_EDITOR", &editor).env("TMPDIR", served.root.path());
    let ran = ran.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (ran.status.code().unwrap(), text(&ran.stdout), text(&ran.stderr))
}

#[tokio::test]
async fn an_editor_changes_a_job_or_nothing() {
    let served = Served::idle().await;
    job(&served).await;
    let words = ["job", "pi"];
    assert_eq!(
        edit(&served, "sed -i 's/parallelism: 1/parallelism: 2/' \"$1\"", &words).await,
        (0, "job.batch/pi edited\n".to_owned(), String::new())
    );
    let parallelism = ["get", "job", "pi", "-o", "jsonpath={.spec.parallelism}"];
    assert_eq!(done(&served, &parallelism).await, "2");
    assert_eq!(
        edit(&served, "true", &words).await,
        (0, String::new(), "Edit cancelled, no changes made.\n".to_owned())
    );
    assert_eq!(
        edit(&served, ": > \"$1\"", &words).await,
        (0, String::new(), "Edit cancelled, saved file was empty.\n".to_owned())
    );
    let (code, _, stderr) = edit(&served, "exit 3", &words).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("there was a problem with the editor"), "{stderr}");
    // What is refused is opened again with the reason in it, and kept where nothing comes of it.
    let script = "cp \"$1\" \"$0.seen\"; sed -i 's/parallelism: 2/parallelism: -2/' \"$1\"";
    let (code, stdout, stderr) = edit(&served, script, &words).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("Edit cancelled, no valid changes were saved."), "{stderr}");
    assert!(stderr.contains("A copy of your changes has been stored to"), "{stderr}");
    let seen = std::fs::read_to_string(served.root.path().join("editor.seen")).unwrap();
    assert!(seen.contains("# * The Job \"pi\" is invalid: spec.parallelism: "), "{seen}");
    served.stop().await;
}

#[tokio::test]
async fn a_job_is_made_of_a_cron_job_by_hand() {
    let served = Served::idle().await;
    let path = file(&served, "cron.yaml", CRON_JOB);
    done(&served, &["create", "-f", text(&path)]).await;
    let made = done(&served, &["create", "job", "now", "--from", "cronjob/nightly"]).await;
    assert_eq!(made, "job.batch/now created\n");
    let template = "jsonpath={.metadata.annotations.cronjob\\.kubernetes\\.io/instantiate} \
                    {.metadata.labels.app} {.metadata.ownerReferences[0].name}";
    assert_eq!(done(&served, &["get", "job", "now", "-o", template]).await, "manual night nightly");
    let (exit, _, stderr) = kiln(&served, &["create", "job", "x"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(stderr.contains("--image"), "{stderr}");
    served.stop().await;
}

#[tokio::test]
async fn objects_are_made_of_a_line() {
    let served = Served::idle().await;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for (line, expected) in [
        ("create serviceaccount s", "serviceaccount/s created\n"),
        ("create cronjob c --image i --schedule @daily -- date", "cronjob.batch/c created\n"),
        ("create cm m --from-literal a=b", "configmap/m created\n"),
        ("create secret generic t --type x/y --from-literal a=b", "secret/t created\n"),
        ("create ns n --dry-run client", "namespace/n created (dry run)\n"),
        ("create ns n --dry-run=server -o name", "namespace/n\n"),
    ] {
        let words = words(line);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        assert_eq!(done(&served, &words).await, expected, "{line}");
    }
    let yaml = ["create", "cm", "x", "--from-literal", "a=b", "--dry-run", "client", "-o", "yaml"];
    assert_eq!(
        done(&served, &yaml).await,
        "apiVersion: v1\ndata:\n  a: b\nkind: ConfigMap\nmetadata:\n  name: x\n"
    );
    let (exit, _, stderr) = kiln(&served, &["get", "ns", "n"]).await;
    assert_eq!(exit, Exit::Failed);
    assert!(stderr.contains("NotFound"), "{stderr}");
    served.stop().await;
}

#[tokio::test]
async fn every_kind_of_the_server_is_created_from_files_lists_and_directories() {
    let served = Served::idle().await;
    let dir = served.root.path().join("all");
    std::fs::create_dir_all(dir.join("below")).unwrap();
    std::fs::write(dir.join("cron.yaml"), CRON_JOB).unwrap();
    let list = "kind: List\napiVersion: v1\nitems:\n\
                - {apiVersion: v1, kind: Namespace, metadata: {name: n}}\n\
                - {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: n}}\n";
    std::fs::write(dir.join("list.yaml"), list).unwrap();
    let maps =
        r#"{"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "m"}}]}"#;
    std::fs::write(dir.join("maps.json"), maps).unwrap();
    let lease = "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l}\n---\n\
                 apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n\
                 spec: {containers: [{name: m, image: i}]}\n";
    std::fs::write(dir.join("below/lease.yml"), lease).unwrap();
    assert_eq!(
        done(&served, &["create", "-R", "-f", text(&dir)]).await,
        "lease.coordination.k8s.io/l created\npod/p created\ncronjob.batch/nightly created\n\
         namespace/n created\nsecret/s created\nconfigmap/m created\n"
    );
    let (exit, _, stderr) = kiln(&served, &["apply", "-f", text(&dir), "-n", "other"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(stderr.contains("does not match the namespace \"other\""), "{stderr}");
    // The Secret goes with its namespace.
    let delete = ["delete", "-R", "-f", text(&dir), "--wait=false", "--ignore-not-found"];
    let deleted = done(&served, &delete).await;
    assert_eq!(deleted.lines().count(), 5, "{deleted}");
    let (exit, _, stderr) = kiln(&served, &["create", "-f", "https://example.com/x.yaml"]).await;
    assert_eq!(exit, Exit::Usage);
    assert!(stderr.contains("curl -fsSL https://example.com/x.yaml | kiln"), "{stderr}");
    served.stop().await;
}
