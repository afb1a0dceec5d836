//! A program beside the one that a container runs.
//!
//! Owns: starting it, waiting for it, and its output. Must not know: what it is for.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use containerd_client::services::v1 as services;
use prost_types::Any;
use serde_json::Value;

use super::containerd::{call, is_away, is_not_found, plain};
use super::pause::pause;
use super::task::{Task, gone};
use super::{Error, Executed};

/// The type of a process in containerd, exactly.
const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
/// So much of the end of its output is kept.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024;
/// How long a program that was killed may take to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
const SIGKILL: u32 = 9;

/// No two programs in one container have the same id, also not those of an engine before this one.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Runs it to its end, with the user, the variables and the privileges of the container's own program.
pub(super) async fn run(
    task: &Task,
    command: Vec<String>,
    timeout: Duration,
) -> Result<Executed, Error> {
    let Some(process) = process(task, command).await? else {
        return Ok(Executed::NotStarted { message: "the container is gone".to_owned() });
    };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let id = format!("exec-{}-{count}", std::process::id());
    let output = task.dir.join(&id);
    let request = services::ExecProcessRequest {
        container_id: task.id.clone(),
        stdout: format!("file://{}", output.display()),
        stderr: format!("file://{}", output.display()),
        spec: Some(Any { type_url: PROCESS_TYPE.to_owned(), value: process }),
        exec_id: id.clone(),
        ..services::ExecProcessRequest::default()
    };
    let ran = match task.client.tasks().exec(call(request)).await {
        Ok(_) => finish(task, &id, &output, timeout).await,
        Err(status) if is_away(&status) => Err(task.client.error("run a program", &status)),
        Err(status) => Ok(Executed::NotStarted { message: plain(&status) }),
    };
    // It is there only if the program has been started.
    let _ = fs::remove_file(&output);
    ran
}

/// The container's own process with another command, as JSON; `None` where there is no container.
async fn process(task: &Task, command: Vec<String>) -> Result<Option<Vec<u8>>, Error> {
    let request = services::GetContainerRequest { id: task.id.clone() };
    let container = match task.client.containers().get(call(request)).await {
        Ok(answer) => answer.into_inner().container.unwrap_or_default(),
        Err(status) if is_not_found(&status) => return Ok(None),
        Err(status) => return Err(task.client.error("read a container's record", &status)),
    };
    let spec = container.spec.unwrap_or_default().value;
    let broken = |message: String| Error::Failed { attempt: "read a container's spec", message };
    let mut spec: Value =
        serde_json::from_slice(&spec).map_err(|error| broken(error.to_string()))?;
    let mut process = spec.get_mut("process").map(Value::take).unwrap_or_default();
    let fields = process.as_object_mut().ok_or_else(|| broken("no process in it".to_owned()))?;
    fields.insert("args".to_owned(), command.into());
    fields.insert("terminal".to_owned(), false.into());
    Ok(Some(serde_json::to_vec(&process).expect("a value is JSON")))
}

async fn finish(
    task: &Task,
    id: &str,
    output: &Path,
    timeout: Duration,
) -> Result<Executed, Error> {
    let request = services::StartRequest { container_id: task.id.clone(), exec_id: id.to_owned() };
    let mut tasks = task.client.tasks();
    let started = tokio::select! {
        started = tasks.start(call(request)) => Some(started),
        () = pause(timeout) => None,
    };
    let ran = match started {
        Some(Err(status)) if is_away(&status) => {
            return Err(task.client.error("run a program", &status));
        }
        Some(Err(status)) => Executed::NotStarted { message: plain(&status) },
        Some(Ok(_)) => tokio::select! {
            code = wait(task, id) => Executed::Exited {
                code: code?,
                output: String::new(),
            },
            () = pause(timeout) => Executed::TimedOut,
        },
        None => Executed::TimedOut,
    };
    if ran == Executed::TimedOut {
        kill(task, id).await;
    }
    let request =
        services::DeleteProcessRequest { container_id: task.id.clone(), exec_id: id.to_owned() };
    gone(task.client.tasks().delete_process(call(request)).await)
        .map_err(|status| task.client.error("delete a program that has ended", &status))?;
    // Only now is all of its output in the file: the shim copies it.
    Ok(match ran {
        Executed::Exited { code, .. } => {
            Executed::Exited { code, output: end_of(output).unwrap_or_default() }
        }
        Executed::NotStarted { .. } | Executed::TimedOut => ran,
    })
}

async fn wait(task: &Task, id: &str) -> Result<i32, Error> {
    let request = services::WaitRequest { container_id: task.id.clone(), exec_id: id.to_owned() };
    let answer = task.client.waits().wait(call(request)).await;
    let answer = answer.map_err(|status| task.client.error("wait for a program", &status))?;
    Ok(i32::try_from(answer.into_inner().exit_status).unwrap_or(255))
}

/// Whatever comes of it, the program is deleted next.
async fn kill(task: &Task, id: &str) {
    let request = services::KillRequest {
        container_id: task.id.clone(),
        exec_id: id.to_owned(),
        signal: SIGKILL,
        all: false,
    };
    if task.client.tasks().kill(call(request)).await.is_ok() {
        tokio::select! {
            _ = wait(task, id) => {}
            () = pause(KILL_TIMEOUT) => tracing::warn!(id, "a program does not end although it was killed"),
        }
    }
}

fn end_of(output: &Path) -> io::Result<String> {
    let mut file = File::open(output)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(OUTPUT_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
