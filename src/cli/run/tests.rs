//! Whole runs on a host that exists only in memory.

mod stubborn;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use self::stubborn::Stubborn;
use super::*;
use crate::api::object::Object;
use crate::cli::output::Captured;
use crate::pod::Instance;
use crate::runtime::fake::Fake;
use crate::runtime::{Runtime, logs};
use crate::server::manifests::{Admitted, Source};
use crate::{engine, job, pod};

/// How long something may take in real time before a test says what it waits for.
const PATIENCE: Duration = Duration::from_secs(20);

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: pi}
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: 'busybox:1'}
";

/// A host, and a run on it.
struct Stage {
    store: Store,
    clock: Clock,
    host: Arc<Fake>,
    log_dir: PathBuf,
    interrupts: mpsc::Sender<()>,
}

impl Stage {
    /// Waits until so many containers run; by pod and instance.
    async fn running(&self, count: usize) -> Vec<(Pod, Instance)> {
        let mut running = Vec::new();
        self.until("containers run", async || {
            let pods = self.store.list::<Pod>(None).await.unwrap().0;
            let found = self.host.running().into_iter().filter_map(|(uid, instance)| {
                let pod = pods.iter().find(|pod| pod.uid() == uid)?.clone();
                Some((pod, instance))
            });
            running = found.collect();
            running.len() == count
        })
        .await;
        running
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !is_so().await {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "in vain: {what}");
    }

    /// The container writes a line.
    fn write(&self, (pod, instance): &(Pod, Instance), stream: &str, text: &str) {
        let path = logs::path(&self.log_dir, pod, instance);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "2026-01-01T00:00:00.000000000Z {stream} F {text}").unwrap();
    }

    fn exit(&self, (pod, instance): &(Pod, Instance), code: i32) {
        self.host.exit(pod.uid(), instance, code);
    }

    /// Waits until a running container is told of in the store.
    async fn told(&self, (pod, instance): &(Pod, Instance)) {
        self.until("the store tells of it", async || {
            let pod = self.store.get::<Pod>(pod.namespace(), pod.name()).await.unwrap();
            let pod = pod.unwrap_or_default();
            crate::api::pod::container_status(&pod, &instance.container).is_some_and(|status| {
                status.state.as_ref().is_some_and(|state| state.running.is_some())
            })
        })
        .await;
    }

    fn advance(&self, seconds: u64) {
        let by = Duration::from_secs(seconds);
        self.clock.advance_to(self.clock.now().checked_add(by).unwrap());
    }
}

/// What a run left.
struct Played {
    exit: Exit,
    printed: Captured,
}

fn options() -> Options {
    Options { prefix: true, format: None, timeout: None, progress: Progress::Plain }
}

/// Runs a manifest while `script` does what containers and people do.
async fn play(manifest: &str, options: Options, script: impl AsyncFnOnce(&Stage)) -> Played {
    play_on(manifest, options, |fake| fake, script).await
}

async fn play_on<R: Runtime>(
    manifest: &str,
    options: Options,
    runtime: impl FnOnce(Arc<Fake>) -> Arc<R>,
    script: impl AsyncFnOnce(&Stage),
) -> Played {
    let (played, stage) = play_and_look(manifest, options, runtime, script).await;
    assert_eq!(stage.host.pods_left(), 0, "something is left on the host");
    assert!(stage.store.list::<Job>(None).await.unwrap().0.is_empty(), "a Job is left");
    assert!(stage.store.list::<Pod>(None).await.unwrap().0.is_empty(), "a pod is left");
    played
}

/// The same, where something may be left.
async fn play_and_look<R: Runtime>(
    manifest: &str,
    options: Options,
    runtime: impl FnOnce(Arc<Fake>) -> Arc<R>,
    script: impl AsyncFnOnce(&Stage),
) -> (Played, Stage) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::virtual_at("2026-01-01T00:00:00Z".parse().unwrap());
    let tells = clock.clone();
    let fake = Arc::new(Fake::new(move || tells.now()));
    let store = Store::in_memory().unwrap();
    let log_dir = dir.path().to_owned();
    let (interrupts, received) = mpsc::channel(1);
    let rules = job::Rules { pull_deadline: Some(Duration::from_mins(5)), ..Default::default() };
    let host = Host {
        runtime: runtime(Arc::clone(&fake)),
        store: store.clone(),
        clock: clock.clone(),
        settings: engine::Settings::new(rules, pod::Rules::default()),
        log_dir: log_dir.clone(),
    };
    let stage = Stage { store, clock, host: fake, log_dir, interrupts };
    let jobs = admitted(manifest, stage.clock.now());
    let (printer, printed) = Printer::captured().unwrap();
    let run = core(&host, options, jobs, printer.output(), received);
    let both = async { tokio::join!(run, script(&stage)) };
    let (exit, ()) = tokio::time::timeout(PATIENCE, both).await.expect("the run does not end");
    printer.finish().await;
    (Played { exit: exit.unwrap(), printed }, stage)
}

/// With uids that are always the same, and so are the names of pods.
fn admitted(manifest: &str, now: Timestamp) -> Admitted {
    let source = Source { name: "job.yaml".to_owned(), bytes: manifest.as_bytes().to_vec() };
    let Admitted { jobs, others } = manifests::admit(&[source], now).unwrap();
    let fixed = jobs.iter().enumerate().map(|(number, job)| {
        let text = serde_json::to_string(job).unwrap();
        serde_json::from_str(&text.replace(job.uid(), &format!("uid-{number}"))).unwrap()
    });
    Admitted { jobs: fixed.collect(), others }
}

#[tokio::test]
async fn a_job_that_completes_is_shown_from_its_creation_to_its_line_in_the_table() {
    let played = play(JOB, options(), async |stage| {
        let main = &stage.running(1).await[0];
        stage.write(main, "stdout", "3.14");
        stage.write(main, "stderr", "no more digits");
        stage.exit(main, 0);
    })
    .await;
    assert_eq!(played.exit, Exit::Done);
    let pod = pod_name(&played);
    assert_eq!(played.printed.stdout(), format!("[{pod}] 3.14\n"));
    let stderr = played.printed.stderr();
    for line in [
        "job.batch/pi created".to_owned(),
        format!("pod/{pod} started"),
        format!("[{pod}] no more digits"),
        format!("pod/{pod} succeeded"),
        "job.batch/pi is complete".to_owned(),
    ] {
        assert!(stderr.lines().any(|other| other == line), "{line} is not in\n{stderr}");
    }
    assert!(
        stderr.ends_with(
            "NAME   STATUS     COMPLETIONS   DURATION   AGE\n\
             pi     Complete   1/1           0s         0s\n"
        ),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_job_that_fails_says_why_with_exit_codes_and_the_last_lines() {
    let played = play(JOB, options(), async |stage| {
        for attempt in 0..2 {
            let main = &stage.running(1).await[0];
            for number in 0..12 {
                stage.write(main, "stdout", &format!("attempt {attempt}, line {number}"));
            }
            stage.exit(main, 3);
            stage.until("it has ended", async || stage.host.running().is_empty()).await;
            stage.until("the back-off", async || stage.clock.next_wake().is_some()).await;
            stage
                .until("it is counted", async || {
                    let job = stage.store.get::<Job>("default", "pi").await.unwrap();
                    job.is_none_or(|job| crate::api::job::failed(&job) > attempt)
                })
                .await;
            if attempt == 0 {
                stage.advance(10);
            }
        }
    })
    .await;
    assert_eq!(played.exit, Exit::Failed);
    assert_eq!(played.printed.stdout().lines().count(), 24);
    let stderr = played.printed.stderr();
    let started = stderr.lines().filter_map(|line| line.strip_suffix(" started"));
    let pods: Vec<_> = started.collect();
    assert_eq!(pods.len(), 2, "{stderr}");
    let mut expected = "\
NAME   STATUS   COMPLETIONS   DURATION   AGE
pi     Failed   0/1           10s        10s

job.batch/pi failed: BackoffLimitExceeded: Job has reached the specified backoff limit
"
    .to_owned();
    for (attempt, pod) in pods.iter().enumerate() {
        expected += &format!("  {pod}: Error\n    main exited with code 3 (Error)\n");
        expected += "    the last lines of main:\n";
        for number in 2..12 {
            expected += &format!("      attempt {attempt}, line {number}\n");
        }
    }
    assert!(stderr.ends_with(&expected), "{stderr}\n--- instead of ---\n{expected}");
}

#[tokio::test]
async fn every_attempt_of_a_container_is_shown_to_its_end() {
    let manifest = JOB.replace("Never", "OnFailure").replace("backoffLimit: 1", "backoffLimit: 6");
    let played = play(&manifest, options(), async |stage| {
        for attempt in 0..3 {
            let main = &stage.running(1).await[0];
            assert_eq!(main.1.attempt, attempt);
            stage.write(main, "stdout", &format!("attempt {attempt}"));
            stage.exit(main, i32::from(attempt < 2));
            if attempt < 2 {
                stage
                    .until("its end is told", async || {
                        let pods = stage.store.list::<Pod>(None).await.unwrap().0;
                        pods.iter().any(|pod| {
                            let status = crate::api::pod::container_status(pod, "main").unwrap();
                            let count = status.restart_count.cast_unsigned();
                            let waits = status.state.as_ref().unwrap().waiting.as_ref();
                            let backs_off = waits.and_then(|waits| waits.reason.as_deref())
                                == Some("CrashLoopBackOff");
                            count > attempt || (count == attempt && backs_off)
                        })
                    })
                    .await;
                stage.advance(20);
            }
        }
    })
    .await;
    assert_eq!(played.exit, Exit::Done);
    let pod = pod_name(&played);
    let expected: String = (0..3).map(|n| format!("[{pod}] attempt {n}\n")).collect();
    assert_eq!(played.printed.stdout(), expected);
    let restarts = format!("pod/{pod}: main exited with code 1 (Error), is restarted");
    let told = played.printed.stderr();
    assert_eq!(told.lines().filter(|line| line.starts_with(&restarts)).count(), 2, "{told}");
}

#[tokio::test]
async fn containers_that_share_a_pod_have_their_names_in_front() {
    let manifest = format!("{JOB}      - {{name: side, image: 'busybox:1'}}\n");
    let script = async |stage: &Stage| {
        for both in &stage.running(2).await {
            stage.write(both, "stdout", &format!("from {}", both.1.container));
            stage.exit(both, 0);
        }
    };
    let played = play(&manifest, options(), script).await;
    let pod = pod_name(&played);
    let stdout = played.printed.stdout();
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("[{pod}/main] from main"), format!("[{pod}/side] from side")]);
    let bare = Options { prefix: false, progress: Progress::Nothing, ..options() };
    let played = play(&manifest, bare, script).await;
    let stdout = played.printed.stdout();
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["from main", "from side"]);
    assert!(played.printed.stderr().starts_with("NAME "), "{}", played.printed.stderr());
}

#[tokio::test]
async fn the_finished_job_is_all_that_is_on_standard_output_when_it_is_asked_for() {
    let asked = Options { format: Some(Format::Json), ..options() };
    let played = play(JOB, asked, async |stage| {
        let main = &stage.running(1).await[0];
        stage.write(main, "stdout", "3.14");
        stage.exit(main, 0);
    })
    .await;
    let job: Job = serde_json::from_str(&played.printed.stdout()).unwrap();
    assert_eq!(crate::api::job::is_finished(&job), Some(crate::api::job::Finished::Complete));
    assert!(!job.is_deleting());
    let stderr = played.printed.stderr();
    assert!(stderr.contains("] 3.14\n") && !stderr.contains("NAME"), "{stderr}");
}

#[tokio::test]
async fn several_jobs_run_side_by_side_and_one_that_fails_decides() {
    let other = JOB.replace("name: pi", "name: tau").replace("backoffLimit: 1", "backoffLimit: 0");
    let played = play(&format!("{JOB}---\n{other}"), options(), async |stage| {
        for each in &stage.running(2).await {
            stage.exit(each, i32::from(each.0.name().starts_with("tau")));
        }
    })
    .await;
    assert_eq!(played.exit, Exit::Failed);
    let stderr = played.printed.stderr();
    assert!(stderr.contains("pi     Complete"), "{stderr}");
    assert!(stderr.contains("tau    Failed"), "{stderr}");
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_told_at_once_and_fails_the_job_in_the_end() {
    let played = play(JOB, options(), async |stage| {
        stage.host.set_missing("busybox:1", true);
        stage
            .until("the pull fails", async || {
                let pods = stage.store.list::<Pod>(None).await.unwrap().0;
                pods.iter().any(|pod| {
                    let status = crate::api::pod::container_status(pod, "main");
                    status
                        .and_then(|s| s.state.as_ref()?.waiting.as_ref()?.message.as_ref())
                        .is_some()
                })
            })
            .await;
        stage.advance(301);
    })
    .await;
    assert_eq!(played.exit, Exit::Failed);
    let stderr = played.printed.stderr();
    let told = "main waits: ErrImagePull: busybox:1: not found\n";
    assert_eq!(stderr.matches(told).count(), 2, "once at once, once at the end: {stderr}");
    assert!(stderr.contains("job.batch/pi failed: ImagePullDeadlineExceeded: "), "{stderr}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended() {
    let patient = Options { timeout: Some(Duration::from_mins(1)), ..options() };
    let played = play(JOB, patient, async |stage| {
        stage.told(&stage.running(1).await[0]).await;
        stage.advance(60);
    })
    .await;
    assert_eq!(played.exit, Exit::TimedOut);
    let stderr = played.printed.stderr();
    assert!(stderr.contains("timed out after 60s: deleting pi\nNAME "), "{stderr}");
    assert!(stderr.ends_with("job.batch/pi deleted\n"), "{stderr}");
}

#[tokio::test]
async fn an_interrupt_deletes_the_jobs_and_what_they_still_write_is_shown() {
    let played = play_on(JOB, options(), Stubborn::new, async |stage| {
        let main = &stage.running(1).await[0];
        stage.told(main).await;
        stage.interrupts.send(()).await.unwrap();
        stage
            .until("it is told to stop", async || {
                let pods = stage.store.list::<Pod>(None).await.unwrap().0;
                pods.iter().all(Object::is_deleting)
            })
            .await;
        stage.write(main, "stdout", "cleaning up");
        stage.exit(main, 0);
    })
    .await;
    assert_eq!(played.exit, Exit::Interrupted);
    assert!(played.printed.stdout().ends_with("] cleaning up\n"));
    let stderr = played.printed.stderr();
    assert!(stderr.contains("interrupted: deleting pi; "), "{stderr}");
    assert!(stderr.ends_with("job.batch/pi deleted\n"), "{stderr}");
}

#[tokio::test]
async fn a_second_interrupt_kills_what_does_not_stop() {
    let played = play_on(JOB, options(), Stubborn::new, async |stage| {
        stage.told(&stage.running(1).await[0]).await;
        stage.interrupts.send(()).await.unwrap();
        stage.interrupts.send(()).await.unwrap();
    })
    .await;
    assert_eq!(played.exit, Exit::Interrupted);
    let stderr = played.printed.stderr();
    assert!(stderr.contains("killing the containers\n"), "{stderr}");
}

#[tokio::test]
async fn a_third_interrupt_gives_up_although_no_kill_is_answered() {
    let (played, _) = play_and_look(JOB, options(), Stubborn::deaf, async |stage| {
        stage.told(&stage.running(1).await[0]).await;
        for _ in 0..3 {
            stage.interrupts.send(()).await.unwrap();
        }
    })
    .await;
    assert_eq!(played.exit, Exit::Interrupted);
    let stderr = played.printed.stderr();
    assert!(stderr.ends_with("killing the containers\ngiving up\n"), "{stderr}");
}

#[tokio::test]
async fn a_job_that_is_over_has_its_exit_code_although_its_pod_cannot_be_removed() {
    let (played, _) = play_and_look(JOB, options(), Stubborn::deaf, async |stage| {
        let main = &stage.running(1).await[0];
        stage.exit(main, 0);
        stage
            .until("the Job is deleted", async || {
                let job = stage.store.get::<Job>("default", "pi").await.unwrap();
                job.is_none_or(|job| job.is_deleting())
            })
            .await;
        stage
            .until("the run gives up", async || {
                stage.advance(1);
                stage.interrupts.is_closed()
            })
            .await;
    })
    .await;
    assert_eq!(played.exit, Exit::Done);
    let stderr = played.printed.stderr();
    assert!(stderr.contains("pi     Complete") && stderr.contains("giving up: "), "{stderr}");
}

/// The pod whose start was told.
fn pod_name(played: &Played) -> String {
    let stderr = played.printed.stderr();
    let mut started = stderr.lines().filter_map(|line| line.strip_suffix(" started"));
    started.next().unwrap().trim_start_matches("pod/").to_owned()
}
