//! A kiln that runs, and the Job that it runs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::host::Outcome;

/// A Job of one pod with a shell script.
pub(crate) fn job(script: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: j}}\nspec:\n  {more}\n  template:\n    \
         spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n        \
         image: luksa/batch-job\n        imagePullPolicy: IfNotPresent\n        \
         command: [sh, -c, {}]\n",
        serde_json::to_string(script).unwrap()
    )
}

/// A kiln that runs, and what it has printed so far.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    pub(crate) fn until_it_prints(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before it printed {words:?}");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn end(mut self) -> Outcome {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let mut outcome = Outcome::from(self.child.wait_with_output().unwrap());
        outcome.stdout = rest;
        outcome
    }
}
