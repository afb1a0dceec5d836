//! Every verb of kubectl that means something here, one after the other, in its own words.

use super::host::Outcome;
use super::serving::{Client, Serving};

/// Since which kubectl there is the verb, what is typed, how it ends, and what it says.
type Step = (u32, &'static str, i32, &'static str);

const APPLY: &[Step] = &[
    (0, "$K apply -f $DIR/held.yaml", 0, "job.batch/held created"),
    (0, "$K apply -f $DIR/held.yaml", 0, "job.batch/held unchanged"),
    (0, "$K diff -f $DIR/held.yaml", 0, ""),
    (0, "$K diff -f $DIR/other.yaml", 1, "+    team: green"),
    (0, "$K apply -f $DIR/other.yaml", 0, "job.batch/held configured"),
    (0, "$K apply --server-side -f $DIR/other.yaml --force-conflicts", 0, "serverside-applied"),
    (
        0,
        "$K apply --server-side --field-manager=other -f $DIR/held.yaml",
        1,
        ".metadata.labels.team",
    ),
    (
        0,
        "$K apply --server-side --field-manager=other --force-conflicts -f $DIR/held.yaml",
        0,
        "job.batch/held serverside-applied",
    ),
    (21, "$K get job held -o yaml --show-managed-fields", 0, "manager: other"),
    (0, "$K replace -f $DIR/other.yaml", 0, "job.batch/held replaced"),
    (0, "KUBE_EDITOR='sed -i s/green/red/' $K edit job held", 0, "job.batch/held edited"),
    (0, "KUBE_EDITOR=true $K edit job held", 0, "Edit cancelled, no changes made."),
    (0, "KUBE_EDITOR='sed -i s/completions:.1/completions:.2/' $K edit job held", 1, "is invalid"),
    (0, "$K get job held -o 'jsonpath={.metadata.labels.team}'", 0, "red"),
    (
        0,
        r#"$K patch job held --type=json -p '[{"op":"replace","path":"/spec/backoffLimit","value":2}]'"#,
        0,
        "job.batch/held patched",
    ),
    (0, r#"$K patch job held --type=merge -p '{"spec":{"backoffLimit":3}}'"#, 0, "patched"),
    (0, r#"$K patch job held -p '{"spec":{"backoffLimit":4}}'"#, 0, "patched"),
    (0, r#"$K patch job held -p '{"spec":{"backoffLimit":4}}'"#, 0, "patched (no change)"),
    (0, "$K get job held -o 'jsonpath={.spec.backoffLimit}'", 0, "4"),
    (0, "$K label job held x=y", 0, "job.batch/held labeled"),
    (0, "$K label job held x=z", 1, "--overwrite is false"),
    (0, "$K label job held x=z --overwrite", 0, "job.batch/held labeled"),
    (0, "$K label job held x-", 0, "labeled"),
    (0, "$K annotate jobs --all note=hi", 0, "job.batch/held annotated"),
    (0, "$K set image job/held main=other", 1, "field is immutable"),
    (0, "$K apply -k $DIR/k", 0, "job.batch/held-k created"),
    (0, "$K get -k $DIR/k", 0, "held-k"),
    (0, "$K delete -k $DIR/k", 0, "\"held-k\" deleted"),
    (0, "$K create -f $DIR/list.yaml", 0, "configmap/l1 created\nsecret/l2 created"),
    (0, "$K delete -f $DIR/list.yaml", 0, "\"l2\" deleted"),
    (0, "$K create -f $DIR/wrong.yaml", 1, "spec.template.spec.restartPolicy"),
    (25, "$K create -f $DIR/unknown.yaml", 1, "unknown field \"spec.frob\""),
];

const CREATE: &[Step] = &[
    (
        0,
        "$K create job made --image=luksa/batch-job -- sh -c 'echo made'",
        0,
        "job.batch/made created",
    ),
    (0, "$K create configmap c --from-literal=a=b", 0, "configmap/c created"),
    (0, "$K create secret generic s --from-literal=a=b", 0, "secret/s created"),
    (0, "$K create namespace n", 0, "namespace/n created"),
    (0, "$K create serviceaccount a", 0, "serviceaccount/a created"),
    (
        21,
        "$K create cronjob nightly --image=luksa/batch-job --schedule='0 3 1 1 *' -- true",
        0,
        "cronjob.batch/nightly created",
    ),
    (21, "$K create job tonight --from=cronjob/nightly", 0, "job.batch/tonight created"),
    (21, "$K wait --for=condition=complete job/tonight --timeout=60s", 0, "condition met"),
    (21, "$K get cronjobs", 0, "0 3 1 1 *"),
    (0, "$K wait --for=condition=complete job/made --timeout=60s", 0, "condition met"),
    (
        23,
        "$K wait --for=jsonpath='{.status.succeeded}'=1 job/made --timeout=9s",
        0,
        "condition met",
    ),
    (0, "$K wait --for=condition=complete job/held --timeout=1s", 1, "timed out waiting"),
    (0, "$K logs job/made", 0, "made"),
    (0, "$K create job made --image=x", 1, "jobs.batch \"made\" already exists"),
    (0, "$K create -f $DIR/new.yaml --dry-run=server", 0, "created (server dry run)"),
    (0, "$K get job new", 1, "Error from server (NotFound): jobs.batch \"new\" not found"),
    (
        0,
        "$K run bare --image=luksa/batch-job --restart=Never --command -- sh -c 'echo bare'",
        0,
        "pod/bare created",
    ),
    (0, "until $K get pod bare | grep Completed; do sleep 0.2; done; $K logs bare", 0, "bare"),
];

const LOOK: &[Step] = &[
    (0, "$K version", 0, "kiln"),
    (0, "$K explain job.spec.backoffLimit", 0, "number of retries before marking this job failed"),
    (0, "$K api-resources", 0, "jobs"),
    (0, "$K api-resources -o name", 0, "events.events.k8s.io"),
    (0, "$K api-versions", 0, "batch/v1"),
    (0, "$K auth can-i create jobs", 0, "yes"),
    (0, "$K auth can-i --list", 0, "*.*"),
    (28, "$K auth whoami", 0, "kiln:admin"),
    (0, "$K get events", 0, "Created pod: made-"),
    (0, "$K get events.events.k8s.io", 0, "Created pod: made-"),
    (0, "$K get events --field-selector involvedObject.name=made", 0, "Job completed"),
    (26, "$K events --for job/made", 0, "Job completed"),
    (0, "$K get all", 0, "job.batch/made"),
    (0, "$K get job -o name", 0, "job.batch/held\njob.batch/made\n"),
    (0, "$K get job -o wide", 0, "SELECTOR"),
    (0, "$K get job held -o json", 0, "\"kind\": \"Job\""),
    (0, "$K get job -o 'jsonpath={.items[*].metadata.name}'", 0, "held made"),
    (0, "$K get job -o custom-columns=N:.metadata.name,S:.spec.suspend", 0, "held      true"),
    (0, "$K get job -l 'team in (red,blue)'", 0, "held"),
    (0, "$K get job -l team=blue", 0, "No resources found in default namespace."),
    (0, "$K get job --field-selector status.successful=1 -o name", 0, "job.batch/made"),
    (0, "$K get job -A", 0, "NAMESPACE"),
    (0, "$K get pods -A --field-selector status.phase=Succeeded", 0, "Completed"),
    (0, "$K get job --sort-by=.metadata.name --no-headers", 0, "made"),
    (0, "$K get job --show-labels -L team", 0, "team=red"),
    (0, "$K get job held --output-watch-events -w --request-timeout=2s", 0, "ADDED"),
    (0, "$K describe pod bare", 0, "Started container bare"),
    (0, "$K describe job made", 0, "1 Succeeded"),
    (0, "$K describe configmap c", 0, "a:"),
    (21, "$K describe cronjob nightly", 0, "0 3 1 1 *"),
    (0, "$K describe node", 0, "Allocatable"),
    (0, "$K get cm,secret,sa", 0, "configmap/c"),
    (0, "$K get frobs", 1, "the server doesn't have a resource type \"frobs\""),
    (0, "$K top pod", 1, "Metrics API not available"),
    (0, "$K get --raw /livez", 0, "ok"),
];

const DELETE: &[Step] = &[
    (0, "$K create -f $DIR/new.yaml", 0, "job.batch/new created"),
    (0, "until $K get pods -l app=new -o name | grep pod; do sleep 0.1; done", 0, "pod/new-"),
    (20, "$K delete job new --cascade=orphan", 0, "\"new\" deleted"),
    (0, "$K get pods -l app=new -o name", 0, "pod/new-"),
    (0, "$K delete pods -l app=new --grace-period=1", 0, "deleted"),
    (0, "$K create -f $DIR/new.yaml", 0, "job.batch/new created"),
    (20, "$K delete job new --cascade=foreground", 0, "\"new\" deleted"),
    // What goes in the foreground goes after its pods.
    (0, "$K get pods -l app=new", 0, "No resources found"),
    (0, "$K create -f $DIR/new.yaml", 0, "job.batch/new created"),
    (20, "$K delete job new --cascade=background", 0, "\"new\" deleted"),
    (0, "$K delete namespace n", 0, "\"n\" deleted"),
    (0, "$K delete jobs --all", 0, "\"held\" deleted"),
    (0, "$K delete cronjob,cm,secret --all", 0, "\"c\" deleted"),
    (0, "$K delete sa a", 0, "\"a\" deleted"),
    (0, "$K delete pods --all --grace-period=1", 0, "\"bare\" deleted"),
    (0, "$K delete job nope --ignore-not-found", 0, ""),
    (0, "$K delete job nope", 1, "jobs.batch \"nope\" not found"),
    (
        0,
        "until [ -z \"$($K get all -o name)\" ]; do sleep 0.1; done; $K get all",
        0,
        "No resources found",
    ),
];

#[test]
fn every_verb_of_the_machines_kubectl_works() {
    work_through(&Client::kubectl());
}

#[test]
fn every_verb_of_a_new_kubectl_works() {
    work_through(&Client::new_kubectl());
}

fn work_through(kubectl: &Client) {
    let serving = Serving::new();
    write_manifests(&serving);
    let minor = kubectl.minor();
    for (since, script, code, says) in [APPLY, CREATE, LOOK, DELETE].concat() {
        if minor < since {
            continue;
        }
        let Outcome { code: ended, stdout, stderr } = serving.run(kubectl, script);
        let outcome = Outcome { code: ended, stdout: stdout + &stderr, stderr: script.to_owned() };
        outcome.exits(code).prints(says);
    }
}

fn write_manifests(serving: &Serving) {
    let job = |name: &str, meta: &str, spec: &str, script: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}{meta}}}\nspec:\n  {spec}\n  \
             template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      restartPolicy: Never\n      \
             terminationGracePeriodSeconds: 1\n      containers:\n      - {{name: main, image: \
             luksa/batch-job, imagePullPolicy: IfNotPresent, command: [sh, -c, '{script}']}}\n"
        )
    };
    let held = job("held", ", labels: {team: blue}", "suspend: true", "true");
    std::fs::create_dir(serving.host.path().join("k")).unwrap();
    serving.host.file("k/held.yaml", &held);
    serving.host.file("k/kustomization.yaml", "resources: [held.yaml]\nnameSuffix: -k\n");
    serving.host.file("held.yaml", &held);
    serving.host.file("other.yaml", &held.replace("blue", "green"));
    serving.host.file("wrong.yaml", &held.replace("Never", "Always"));
    serving.host.file("unknown.yaml", &held.replace("suspend", "frob"));
    serving.host.file("new.yaml", &job("new", "", "suspend: false", "sleep 1000"));
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: \
                {name: l1}, data: {a: b}}\n- {apiVersion: v1, kind: Secret, metadata: {name: l2}, \
                stringData: {a: b}}\n";
    serving.host.file("list.yaml", list);
}
