//! The Jobs: some long, some failing, some chatty; and what their containers write down.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::random::Random;
use super::stage::{JOBS, Stage};

/// How many Jobs are not over at once, at most.
const OPEN_MAX: usize = 8;
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Long,
    Failing,
    Chatty,
    /// Its container fails once and is started again.
    Restarting,
    Indexed,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Long, Self::Failing, Self::Chatty, Self::Restarting, Self::Indexed];

    /// How many lines each attempt writes between its first and its last.
    pub(crate) fn lines(self) -> usize {
        match self {
            Self::Long => 40,
            Self::Failing | Self::Restarting => 5,
            Self::Chatty => 4000,
            Self::Indexed => 3,
        }
    }

    pub(crate) fn completions(self) -> i64 {
        match self {
            Self::Long => 2,
            Self::Indexed => 5,
            Self::Failing | Self::Chatty | Self::Restarting => 1,
        }
    }

    pub(crate) fn fails(self) -> bool {
        self == Self::Failing
    }

    fn script(self) -> String {
        let (pause, code) = match self {
            Self::Long => ("sleep 0.2", "0"),
            Self::Failing => ("sleep 0.05", "7"),
            Self::Chatty => (":", "0"),
            Self::Restarting => (
                "sleep 0.05",
                "$(if [ $(grep -c \"^start .* $U \" /c/ledger) = 1 ]; then echo 3; else echo 0; fi)",
            ),
            Self::Indexed => ("sleep 0.1", "0"),
        };
        format!(
            "n=$(cat /proc/sys/kernel/random/uuid); echo \"start $J $U $n\" >> /c/ledger; \
             echo start $n; i=0; while [ $i -lt {} ]; do i=$((i+1)); echo $n $i; {pause}; done; \
             code={code}; echo end $n $code; echo \"end $J $U $n $code\" >> /c/ledger; exit $code",
            self.lines()
        )
    }

    fn job(self, name: &str, stage: &Stage) -> Value {
        let mut spec = json!({"backoffLimit": if self.fails() { 2 } else { 100 }});
        if self.completions() > 1 {
            spec["completions"] = self.completions().into();
            spec["parallelism"] = 3.into();
        }
        if self == Self::Indexed {
            spec["completionMode"] = "Indexed".into();
        }
        let policy = if self == Self::Restarting { "OnFailure" } else { "Never" };
        spec["template"] = json!({"spec": {
            "restartPolicy": policy, "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": "luksa/batch-job",
                "command": ["sh", "-c", self.script()],
                "env": [
                    {"name": "J", "value": name},
                    {"name": "U", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                ],
                "volumeMounts": [{"name": "c", "mountPath": "/c"}],
            }],
            "volumes": [{"name": "c", "hostPath": {"path": stage.shared()}}],
        }});
        json!({"metadata": {"name": name}, "spec": spec})
    }
}

/// What a container has written down.
pub(crate) struct Entry<'a> {
    pub(crate) job: &'a str,
    pub(crate) uid: &'a str,
    /// One for each time that a program ran.
    pub(crate) run: &'a str,
    /// At its end.
    pub(crate) code: Option<i64>,
}

pub(crate) fn entries(ledger: &str) -> impl Iterator<Item = Entry<'_>> {
    ledger.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let code = words.get(4).map(|code| code.parse().unwrap());
        Entry { job: words[1], uid: words[2], run: words[3], code }
    })
}

#[derive(Default)]
pub(crate) struct Workload {
    /// Those that the API has acknowledged.
    pub(crate) jobs: BTreeMap<String, Kind>,
    asked: Option<Instant>,
    submitted: u32,
    open: usize,
}

impl Workload {
    /// Submits a Job where there is room for it.
    pub(crate) fn step(&mut self, stage: &Stage, random: &mut Random) {
        if self.asked.is_none_or(|at| at.elapsed() > LOOK)
            && let Some(jobs) = stage.get(JOBS)
        {
            self.asked = Some(Instant::now());
            self.open = jobs.iter().filter(|job| end(job).is_none()).count();
        }
        if self.open >= OPEN_MAX || random.below(4) > 0 {
            return;
        }
        let (name, kind) = (format!("f-{}", self.submitted), *random.one_of(&Kind::ALL).unwrap());
        self.submitted += 1;
        // Nobody may have heard it, or the disk is full; what was acknowledged must not be lost.
        if let Some((code, answer)) = stage.ask("POST", JOBS, &kind.job(&name, stage)) {
            assert!(code == 201 || code >= 500, "{answer}");
            if code == 201 {
                self.jobs.insert(name, kind);
                self.open += 1;
            }
        }
    }

    /// Waits until all Jobs have ended, or gives up.
    pub(crate) fn end(&self, stage: &Stage, patience: Duration) {
        let since = Instant::now();
        while since.elapsed() < patience {
            let jobs = stage.get(JOBS);
            if jobs.is_some_and(|jobs| jobs.iter().all(|job| end(job).is_some())) {
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

/// The condition that says that a Job is over.
pub(crate) fn end(job: &Value) -> Option<&str> {
    let all = job["status"]["conditions"].as_array()?;
    let mut ends = all.iter().filter(|condition| condition["status"] == "True");
    ends.find_map(|condition| {
        condition["type"].as_str().filter(|kind| matches!(*kind, "Complete" | "Failed"))
    })
}
