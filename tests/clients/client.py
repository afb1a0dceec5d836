"""What programs do with the Python client: create, list, watch, patch, follow logs, delete."""

import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
batch, core, events = client.BatchV1Api(), client.CoreV1Api(), client.EventsV1Api()
PATIENCE = 60


def a_job(name, script, suspend=False):
    container = client.V1Container(
        name="main",
        image="luksa/batch-job",
        image_pull_policy="IfNotPresent",
        command=["sh", "-c", script],
    )
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": name}),
        spec=client.V1PodSpec(restart_policy="Never", containers=[container]),
    )
    return client.V1Job(
        metadata=client.V1ObjectMeta(name=name, labels={"made": "by-python"}),
        spec=client.V1JobSpec(template=template, backoff_limit=0, suspend=suspend),
    )


def refused(status, reason, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ApiException as refusal:
        assert refusal.status == status and reason in refusal.body, refusal
    else:
        raise AssertionError(f"{call} is not refused")


# A Job from its beginning to its end, as its watcher sees it.
made = batch.create_namespaced_job("default", a_job("counts", "for i in 1 2 3; do echo $i; sleep 0.3; done"))
assert made.spec.completions == 1 and made.status.succeeded is None
refused(409, "AlreadyExists", batch.create_namespaced_job, "default", a_job("counts", "true"))
watcher = watch.Watch()
started = made.metadata.resource_version
for event in watcher.stream(
    core.list_namespaced_pod,
    "default",
    label_selector="job-name=counts",
    resource_version=started,
    timeout_seconds=PATIENCE,
):
    pod = event["object"]
    if pod.status.phase in ("Running", "Succeeded"):
        watcher.stop()
lines = watch.Watch().stream(
    core.read_namespaced_pod_log, pod.metadata.name, "default", follow=True, _request_timeout=PATIENCE
)
assert list(lines) == ["1", "2", "3"]

# A watch that is cut off after each event goes on where it was.
seen, version = [], started
while True:
    watcher = watch.Watch()
    for event in watcher.stream(
        batch.list_namespaced_job,
        "default",
        field_selector="metadata.name=counts",
        resource_version=version,
        timeout_seconds=PATIENCE,
    ):
        job, version = event["object"], event["object"].metadata.resource_version
        seen.append((event["type"], version))
        watcher.stop()
    conditions = {c.type: c.status for c in job.status.conditions or []}
    if conditions.get("Complete") == "True":
        break
whole = []
watcher = watch.Watch()
for event in watcher.stream(
    batch.list_namespaced_job,
    "default",
    field_selector="metadata.name=counts",
    resource_version=started,
    timeout_seconds=PATIENCE,
):
    whole.append((event["type"], event["object"].metadata.resource_version))
    if whole[-1][1] == version:
        watcher.stop()
assert seen == whole, (seen, whole)

# Patches, a replace that comes too late, and lists by page.
held = batch.create_namespaced_job("default", a_job("held", "true", suspend=True))
patched = batch.patch_namespaced_job("held", "default", {"spec": {"parallelism": 3}})
assert patched.spec.parallelism == 3
patched = batch.patch_namespaced_job(
    "held", "default", [{"op": "replace", "path": "/spec/parallelism", "value": 2}]
)
assert patched.spec.parallelism == 2
refused(409, "the object has been modified", batch.replace_namespaced_job, "held", "default", held)
patched.metadata.labels["made"] = "again"
assert batch.replace_namespaced_job("held", "default", patched).metadata.labels["made"] == "again"
page = batch.list_namespaced_job("default", limit=1)
rest = batch.list_namespaced_job("default", limit=1, _continue=page.metadata._continue)
assert [page.items[0].metadata.name, rest.items[0].metadata.name] == ["counts", "held"]
assert batch.list_job_for_all_namespaces(label_selector="made=by-python").items[0].metadata.name == "counts"

# Both kinds of Events tell of the same. Controllers say no eventTime, without which this client reads no
# Event of the newer kind, whoever serves it.
told = {event.metadata.uid for event in core.list_namespaced_event("default").items}
answer = events.list_namespaced_event("default", _preload_content=False)
newer = {event["metadata"]["uid"] for event in json.loads(answer.data)["items"]}
assert told == newer and told

# A ConfigMap and a Secret, and what their types do with bytes.
core.create_namespaced_config_map("default", client.V1ConfigMap(metadata={"name": "m"}, data={"a": "b"}))
core.create_namespaced_secret(
    "default", client.V1Secret(metadata={"name": "s"}, string_data={"a": "b"})
)
assert core.read_namespaced_secret("s", "default").data == {"a": "Yg=="}

# Without a policy the pods go along.
batch.delete_namespaced_job("counts", "default")
watcher = watch.Watch()
pods = core.list_namespaced_pod("default", label_selector="job-name=counts")
if pods.items:
    for event in watcher.stream(
        core.list_namespaced_pod,
        "default",
        label_selector="job-name=counts",
        resource_version=pods.metadata.resource_version,
        timeout_seconds=PATIENCE,
    ):
        if event["type"] == "DELETED":
            watcher.stop()
assert not core.list_namespaced_pod("default", label_selector="job-name=counts").items
refused(404, "NotFound", batch.read_namespaced_job, "counts", "default")
batch.delete_collection_namespaced_job("default")
assert not batch.list_namespaced_job("default").items
print("all well")
