//! Bodies that kubectl really sent, bodies made from the table and read back, and bodies that nobody
//! should send.

use jiff::fmt::strtime;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret, ServiceAccount};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::*;

/// `kubectl create job x --image=y -- cmd`, as kubectl 1.32 sends it.
const JOB: &str = "6b3873000a0f0a0862617463682f763112034a6f6212770a110a017812001a0022002a003200380042\
    00125832560a100a0012001a0022002a003200380042001242121f0a01781201791a03636d642a0042006a00720080010\
    0880100900100a201001a054e65766572320042004a0052005800600068008201008a01009a0100c201001a0820002800\
    30003a001a002200";

/// `kubectl create job z --from=cronjob/c`.
const JOB_OF_CRON_JOB: &str = "6b3873000a0f0a0862617463682f763112034a6f6212bc010a5b0a017a12001a002200\
    2a00320038004200622b0a2163726f6e6a6f622e6b756265726e657465732e696f2f696e7374616e7469617465120\
    66d616e75616c6a1b0a0743726f6e4a6f621a01632201312a0862617463682f76313001125332510a100a0012001a0022\
    002a00320038004200123d121a0a01611201622a0042006a007200800100880100900100a201001a054e6576657232004\
    2004a0052005800600068008201008a01009a0100c201001a082000280030003a001a002200";

/// `kubectl create cronjob c --image=busybox --schedule='*/5 * * * *' -- date`.
const CRON_JOB: &str = "6b3873000a130a0862617463682f7631120743726f6e4a6f6212a1010a110a016312001a00220\
    02a003200380042001289010a0b2a2f35202a202a202a202a1a002a780a110a016312001a0022002a003200380042\
    00126332610a100a0012001a0022002a00320038004200124d12260a0163120762757379626f781a04646174652a00420\
    06a007200800100880100900100a201001a094f6e4661696c757265320042004a0052005800600068008201008a01009a\
    0100c201001a001a002200";

/// `kubectl create configmap m --from-literal=a=b`.
const CONFIG_MAP: &str = "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a016d12001a0022002a0032\
    003800420012060a01611201621a002200";

/// `kubectl create secret generic s --from-literal=user=admin`.
const SECRET: &str = "6b3873000a0c0a027631120653656372657412240a110a017312001a0022002a0032003800420\
    0120d0a0475736572120561646d696e1a001a002200";

/// `kubectl auth can-i create jobs`.
const ACCESS_REVIEW: &str = "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f763112175365\
    6c665375626a65637441636365737352657669657712440a100a0012001a0022002a0032003800420012260a240a07646\
    56661756c7412066372656174651a05626174636822002a046a6f627332003a001a08080012001a0020001a002200";

fn body(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

#[test]
fn a_job_that_kubectl_creates_is_read_without_the_zeros_that_go_writes() {
    let expected = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "x"},
        "spec": {"template": {
            "spec": {
                "containers": [{"name": "x", "image": "y", "command": ["cmd"]}],
                "restartPolicy": "Never",
            },
        }},
    });
    assert_eq!(decode(&body(JOB)).unwrap(), expected);
}

#[test]
fn a_job_made_from_a_cron_job_keeps_its_annotation_and_its_owner() {
    let job = decode(&body(JOB_OF_CRON_JOB)).unwrap();
    let expected = json!({
        "name": "z",
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual"},
        "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "CronJob", "name": "c", "uid": "1", "controller": true,
        }],
    });
    assert_eq!(job["metadata"], expected);
}

#[test]
fn the_other_kinds_that_kubectl_creates_are_read() {
    let cron_job = decode(&body(CRON_JOB)).unwrap();
    assert_eq!(cron_job["spec"]["schedule"], "*/5 * * * *");
    assert_eq!(cron_job["spec"]["jobTemplate"]["metadata"], json!({"name": "c"}));
    let template = &cron_job["spec"]["jobTemplate"]["spec"]["template"];
    assert_eq!(template["spec"]["restartPolicy"], "OnFailure");

    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"},
    });
    assert_eq!(decode(&body(CONFIG_MAP)).unwrap(), expected);

    let expected = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "data": {"user": "YWRtaW4="},
    });
    assert_eq!(decode(&body(SECRET)).unwrap(), expected);

    let review = decode(&body(ACCESS_REVIEW)).unwrap();
    let expected = json!({"resourceAttributes": {
        "namespace": "default", "verb": "create", "group": "batch", "resource": "jobs",
    }});
    assert_eq!(review["spec"], expected);
}

#[test]
fn delete_options_are_read_whichever_group_they_name() {
    let options = json!({
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "1"},
        "propagationPolicy": "Foreground",
        "dryRun": ["All"],
    });
    for api_version in ["v1", "batch/v1", "meta.k8s.io/v1"] {
        let read = decode(&encoded(api_version, "DeleteOptions", &options)).unwrap();
        assert_eq!(read["apiVersion"], api_version);
        assert_eq!(read["gracePeriodSeconds"], 0);
        assert_eq!(read["propagationPolicy"], "Foreground");
        assert_eq!(read["dryRun"], json!(["All"]));
    }
}

#[test]
fn a_zero_behind_a_pointer_stays_and_a_time_that_was_never_set_goes() {
    // parallelism and suspend are pointers in Go; the time stamp is empty, the epoch is not.
    let spec = [&[0x08, 0x00, 0x50, 0x00][..]].concat();
    let metadata = [&[0x42, 0x00][..], &[0x4a, 0x04, 0x08, 0x00, 0x10, 0x00]].concat();
    let raw = [field_bytes(1, &metadata), field_bytes(2, &spec)].concat();
    let job = decode(&envelope("batch/v1", "Job", &raw)).unwrap();
    assert_eq!(job["spec"], json!({"parallelism": 0, "suspend": false}));
    assert_eq!(job["metadata"], json!({"deletionTimestamp": "1970-01-01T00:00:00Z"}));
}

#[test]
fn packed_numbers_are_a_list() {
    // spec.template.spec.securityContext.supplementalGroups = [1, 2], packed.
    let groups = field_bytes(4, &[1, 2]);
    let pod = field_bytes(2, &field_bytes(14, &groups));
    let pod = decode(&envelope("v1", "Pod", &pod)).unwrap();
    assert_eq!(pod["spec"]["securityContext"]["supplementalGroups"], json!([1, 2]));
}

#[test]
fn a_body_says_what_is_wrong_with_it() {
    let said = |body: &[u8]| decode(body).unwrap_err().to_string();
    assert!(said(b"{}").contains("does not begin with the prefix"));
    assert_eq!(
        said(&envelope("v1", "Gizmo", &[])),
        r#"no kind "Gizmo" of "v1" can be read from protobuf"#
    );
    assert_eq!(
        said(&envelope("batch/v1", "Job", &[0x0a, 0x05, 0x01])),
        "io.k8s.api.batch.v1.Job is not a protobuf message"
    );
    assert_eq!(
        said(&envelope("batch/v1", "Job", &[0x08, 0x05])),
        "io.k8s.api.batch.v1.Job.metadata has a value of another type"
    );
    let name = field_bytes(1, &field_bytes(1, b"\xff"));
    assert_eq!(
        said(&envelope("batch/v1", "Job", &name)),
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.name is not UTF-8"
    );
    let years = field_bytes(1, &field_bytes(8, &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    assert!(
        said(&envelope("batch/v1", "Job", &years)).contains("creationTimestamp is a time outside")
    );
    let gzip = [envelope("v1", "Pod", &[]), field_bytes(3, b"gzip")].concat();
    assert!(said(&gzip).contains(r#""gzip""#));
    assert!(said(&vec![0; BYTES_MAX + 1]).contains("limit"));
}

#[test]
fn a_small_body_cannot_become_a_large_object() {
    let volumes = field_bytes(1, &[]).repeat(VALUES_MAX.try_into().unwrap());
    let pod = envelope("v1", "Pod", &field_bytes(2, &volumes));
    assert!(pod.len() < BYTES_MAX);
    assert!(matches!(decode(&pod), Err(Error::TooMany)));
}

#[test]
fn no_number_and_no_name_stands_twice_in_a_message() {
    fn visit(message: &'static Message, depth: usize) {
        assert!(depth < 16, "{} holds itself", message.name);
        for (i, field) in message.fields.iter().enumerate() {
            for other in &message.fields[..i] {
                assert_ne!(field.number, other.number, "{}", message.name);
                assert!(field.name.is_empty() || field.name != other.name, "{}", message.name);
            }
            let mut kind = field.kind;
            if let Kind::List(element) | Kind::Map(element) = kind {
                kind = *element;
            }
            if let Kind::Of(inner) | Kind::Inline(inner) = kind {
                visit(inner, depth + 1);
            }
        }
    }
    KINDS.iter().for_each(|(_, _, message)| visit(message, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_was_json_is_the_same_json_after_protobuf(seed: u64) {
        for (api_version, kind, message) in KINDS {
            let api_version = if api_version.is_empty() { "v1" } else { api_version };
            let mut object = Dice(seed).object(message, 0);
            object.insert("apiVersion".into(), api_version.into());
            object.insert("kind".into(), kind.into());
            let object = Value::Object(object);
            let read = decode(&encoded(api_version, kind, &object)).unwrap();
            prop_assert_eq!(read, object);
        }
    }

    #[test]
    fn the_table_has_the_names_and_types_of_the_objects(seed: u64) {
        typed::<Job>(seed, &table::JOB)?;
        typed::<CronJob>(seed, &table::CRON_JOB)?;
        typed::<Pod>(seed, &table::POD)?;
        typed::<ConfigMap>(seed, &table::CONFIG_MAP)?;
        typed::<Secret>(seed, &table::SECRET)?;
        typed::<Namespace>(seed, &table::NAMESPACE)?;
        typed::<ServiceAccount>(seed, &table::SERVICE_ACCOUNT)?;
        typed::<Event>(seed, &table::EVENT)?;
    }

    #[test]
    fn any_bytes_are_an_object_or_an_error(
        mut bytes in prop::sample::select(vec![JOB, CRON_JOB, SECRET, ACCESS_REVIEW]).prop_map(body),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        keep in any::<prop::sample::Index>(),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = decode(&bytes);
        let _ = decode(&bytes[..keep.index(bytes.len())]);
    }
}

/// Holds that a typed object loses nothing of one made from the table.
fn typed<T: Serialize + DeserializeOwned>(
    seed: u64,
    message: &'static Message,
) -> Result<(), TestCaseError> {
    let object = Value::Object(Dice(seed).object(message, 0));
    let typed: T = serde_json::from_value(object.clone())
        .map_err(|why| TestCaseError::fail(format!("{}: {why}: {object}", message.name)))?;
    let typed = serde_json::to_value(&typed).unwrap();
    let mut lost = Vec::new();
    missing(&object, &typed, message.name, &mut lost);
    prop_assert!(lost.is_empty(), "lost {lost:?}");
    Ok(())
}

fn missing(all: &Value, some: &Value, path: &str, lost: &mut Vec<String>) {
    match (all, some) {
        (Value::Object(all), Value::Object(some)) => {
            for (name, value) in all {
                let path = format!("{path}.{name}");
                missing(value, some.get(name).unwrap_or(&Value::Null), &path, lost);
            }
        }
        (Value::Array(all), Value::Array(some)) if all.len() == some.len() => {
            all.iter().zip(some).for_each(|(a, b)| missing(a, b, path, lost));
        }
        (all, some) if all != some => lost.push(path.to_owned()),
        _ => {}
    }
}

/// Makes objects from the table; the same seed makes the same object.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn object(&mut self, message: &'static Message, depth: u64) -> Map<String, Value> {
        let mut object = Map::new();
        for field in message.fields {
            if self.roll(3 + depth) > 0 {
                continue;
            }
            if let Kind::Inline(inner) = field.kind {
                object.append(&mut self.object(inner, depth));
                continue;
            }
            let value = self.value(field.kind, depth);
            if !(field.zero_is_absent && is_zero(&value)) {
                object.insert(field.name.to_owned(), value);
            }
        }
        object
    }

    fn value(&mut self, kind: Kind, depth: u64) -> Value {
        match kind {
            Kind::Text => ["", "a", "Never", "ä€"][usize::try_from(self.roll(4)).unwrap()].into(),
            Kind::Bool => (self.roll(2) == 0).into(),
            Kind::Int => {
                [0, 1, -1, i32::MIN, i32::MAX][usize::try_from(self.roll(5)).unwrap()].into()
            }
            Kind::Bytes => base64(&self.roll(1 << 40).to_be_bytes()),
            Kind::Time => self.time("%Y-%m-%dT%H:%M:%SZ"),
            Kind::MicroTime => self.time("%Y-%m-%dT%H:%M:%S.%6fZ"),
            Kind::IntOrString if self.roll(2) == 0 => 8080.into(),
            Kind::IntOrString => "http".into(),
            Kind::Quantity => "1500m".into(),
            Kind::Json => json!({"f:spec": {"f:parallelism": {}}}),
            Kind::Texts => json!(["a", "b"]),
            Kind::Of(message) => Value::Object(self.object(message, depth + 1)),
            Kind::List(element) => {
                (0..=self.roll(2)).map(|_| self.value(*element, depth)).collect()
            }
            Kind::Map(element) => Value::Object(
                (0..=self.roll(2))
                    .map(|n| (format!("k{n}"), self.value(*element, depth)))
                    .collect(),
            ),
            Kind::Inline(_) => unreachable!("handled with its message"),
        }
    }

    fn time(&mut self, format: &str) -> Value {
        let micros = i64::try_from(self.roll(4_000_000_000_000_000)).unwrap();
        let time = Timestamp::from_microsecond(micros).unwrap();
        strtime::format(format, time).unwrap().into()
    }
}

/// A body as Go would write it: zeros too, where a field is no pointer.
fn encoded(api_version: &str, kind: &str, object: &Value) -> Vec<u8> {
    let message = message_of(api_version, kind).unwrap();
    let mut raw = Vec::new();
    encode(object.as_object().unwrap(), message, &mut raw);
    envelope(api_version, kind, &raw)
}

fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta =
        [field_bytes(1, api_version.as_bytes()), field_bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field_bytes(1, &type_meta), field_bytes(2, raw)].concat()
}

fn encode(object: &Map<String, Value>, message: &'static Message, out: &mut Vec<u8>) {
    for field in message.fields {
        if let Kind::Inline(inner) = field.kind {
            let mut bytes = Vec::new();
            encode(object, inner, &mut bytes);
            out.extend(field_bytes(field.number, &bytes));
            continue;
        }
        match (object.get(field.name), field.kind) {
            (Some(Value::Array(list)), Kind::List(element)) => {
                list.iter().for_each(|value| out.extend(one(field.number, value, *element)));
            }
            (Some(Value::Object(map)), Kind::Map(element)) => {
                for (key, value) in map {
                    let entry = [one(1, &key.as_str().into(), Kind::Text), one(2, value, *element)];
                    out.extend(field_bytes(field.number, &entry.concat()));
                }
            }
            (Some(value), kind) => out.extend(one(field.number, value, kind)),
            (None, Kind::Text | Kind::Bytes | Kind::Of(_)) if field.zero_is_absent => {
                out.extend(field_bytes(field.number, &[]));
            }
            (None, Kind::Bool | Kind::Int) if field.zero_is_absent => {
                out.extend(field_varint(field.number, 0));
            }
            (None, _) => {}
        }
    }
}

fn one(number: u32, value: &Value, kind: Kind) -> Vec<u8> {
    let text = || value.as_str().unwrap();
    match kind {
        Kind::Text => field_bytes(number, text().as_bytes()),
        Kind::Bool => field_varint(number, value.as_bool().unwrap().into()),
        Kind::Int => field_varint(number, value.as_i64().unwrap()),
        Kind::Bytes => {
            let bytes: ByteString = serde_json::from_value(value.clone()).unwrap();
            field_bytes(number, &bytes.0)
        }
        Kind::Time | Kind::MicroTime => {
            let time: Timestamp = text().parse().unwrap();
            let nanos = time.subsec_nanosecond().into();
            let time = [field_varint(1, time.as_second()), field_varint(2, nanos)];
            field_bytes(number, &time.concat())
        }
        Kind::IntOrString => {
            let kind = i64::from(value.is_string());
            let parts = [
                field_varint(1, kind),
                field_varint(2, value.as_i64().unwrap_or(0)),
                field_bytes(3, value.as_str().unwrap_or_default().as_bytes()),
            ];
            field_bytes(number, &parts.concat())
        }
        Kind::Quantity => field_bytes(number, &field_bytes(1, text().as_bytes())),
        Kind::Json => field_bytes(number, &field_bytes(1, value.to_string().as_bytes())),
        Kind::Texts => {
            let texts = value.as_array().unwrap().iter();
            let texts: Vec<_> = texts.map(|text| one(1, text, Kind::Text)).collect();
            field_bytes(number, &texts.concat())
        }
        Kind::Of(message) => {
            let mut bytes = Vec::new();
            encode(value.as_object().unwrap(), message, &mut bytes);
            field_bytes(number, &bytes)
        }
        Kind::Inline(_) | Kind::List(_) | Kind::Map(_) => unreachable!("never an element"),
    }
}

fn field_bytes(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = varint(u64::from(number) << 3 | 2);
    field.extend(varint(bytes.len().try_into().unwrap()));
    field.extend(bytes);
    field
}

fn field_varint(number: u32, value: i64) -> Vec<u8> {
    [varint(u64::from(number) << 3), varint(value.cast_unsigned())].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}
