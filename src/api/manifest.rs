//! Manifests: the door through which a user's bytes become Jobs, and what these need.
//!
//! Owns: reading YAML and JSON strictly, and telling the user where something is wrong. Nothing that
//! is written in a manifest is ignored: it is taken, refused, or the server's to set.
//! Must not know: defaults, what makes a Job valid, where the bytes come from.

use std::fmt;

use k8s_openapi::api::batch::v1::Job;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::fields;
use super::list;
use super::locate::Locate;
use super::object::Kind;
use super::octal::read_modes;
use super::path::{Path, Segment};
use super::validation::FieldError;

/// Why a manifest is not accepted: `job.yaml:12: spec.parallelism: expected an integer, ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file, as the user named it.
    pub source: String,
    /// Counted from one.
    pub line: Option<usize>,
    /// The field; empty if the whole document is meant.
    pub path: String,
    pub problem: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for Refusal {}

/// Reads all Jobs of a file: YAML of one or several documents, or JSON; a `List` is its items.
/// `source` is what the refusals call the file.
///
/// # Errors
/// All that is wrong in all documents; nothing of the file is taken then.
pub fn read(source: &str, bytes: &[u8]) -> Result<Vec<Job>, Vec<Refusal>> {
    Ok(Manifest::read(source, bytes)?.jobs)
}

/// Reads all objects of a file, of whatever kind, as they are written; a list of any kind is its items.
///
/// # Errors
/// What is wrong with the file itself; what is wrong with an object is not looked for.
pub fn documents(source: &str, bytes: &[u8]) -> Result<Vec<Value>, Vec<Refusal>> {
    let file = File { source, bytes, format: Format::of(bytes) };
    let (mut objects, mut refusals) = (Vec::new(), Vec::new());
    for document in file.documents() {
        match document {
            Ok(Value::Null) => {}
            Ok(mut value) => match list::items(&mut value) {
                Some(items) => objects.extend(items),
                None => objects.push(value),
            },
            Err(refusal) => refusals.push(refusal),
        }
    }
    if objects.is_empty() && refusals.is_empty() {
        refusals.push(refusal(source, None, "no objects in it".to_owned()));
    }
    if refusals.is_empty() { Ok(objects) } else { Err(refusals) }
}

/// Reads one document of JSON, in which no key is there twice.
///
/// # Errors
/// What is wrong, and where.
pub fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice::<Strict>(bytes).map(|s| s.0).map_err(|error| error.to_string())
}

/// Reads one document of YAML, in which no key is there twice.
///
/// # Errors
/// What is wrong, and where.
pub fn yaml(bytes: &[u8]) -> Result<Value, String> {
    serde_yaml::from_slice::<Strict>(bytes).map(of_yaml).map_err(|error| error.to_string())
}

fn of_yaml(Strict(mut value): Strict) -> Value {
    read_modes(&mut value);
    value
}

/// The Jobs of a file and what they need, and where each of them stands in it.
#[derive(Debug, Clone)]
pub struct Manifest<'a> {
    file: File<'a>,
    jobs: Vec<Job>,
    /// Of each Job.
    places: Vec<Place>,
    others: Vec<Other>,
    /// Of each of the others.
    other_places: Vec<Place>,
}

/// An object that Jobs may need, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    pub kind: Kind,
    pub value: Value,
}

/// The kinds that Jobs may need.
const OTHERS: [Kind; 4] =
    [Kind::ConfigMap, Kind::Secret, Kind::ServiceAccount, Kind::PersistentVolumeClaim];

impl<'a> Manifest<'a> {
    /// The same as [`read`], for whoever has more to say of the Jobs.
    ///
    /// # Errors
    /// All that is wrong in all documents; nothing of the file is taken then.
    pub fn read(source: &'a str, bytes: &'a [u8]) -> Result<Self, Vec<Refusal>> {
        let file = File { source, bytes, format: Format::of(bytes) };
        let (jobs, places) = (Vec::new(), Vec::new());
        let manifest = Self { file, jobs, places, others: Vec::new(), other_places: Vec::new() };
        let mut reader = Reader { file, manifest, refusals: Vec::new() };
        reader.read();
        let is_empty = reader.manifest.jobs.is_empty() && reader.manifest.others.is_empty();
        if is_empty && reader.refusals.is_empty() {
            let problem = "no objects in it; kiln runs batch/v1 Jobs".to_owned();
            reader.refusals.push(refusal(source, None, problem));
        }
        if reader.refusals.is_empty() { Ok(reader.manifest) } else { Err(reader.refusals) }
    }

    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub fn others(&self) -> &[Other] {
        &self.others
    }

    /// What is wrong with the Job of this number, counted from zero, and where: at the field, or
    /// where it should be.
    pub fn refuse(&self, job: usize, error: &FieldError) -> Refusal {
        self.refuse_at(&self.places[job], error)
    }

    /// The same for another object.
    pub fn refuse_other(&self, other: usize, error: &FieldError) -> Refusal {
        self.refuse_at(&self.other_places[other], error)
    }

    /// The same where only words tell which field of the object is meant.
    pub fn refuse_in_words(&self, other: usize, problem: String) -> Refusal {
        let place = &self.other_places[other];
        let line = self.file.line_of(place.document, &place.within);
        let (source, path) = (self.file.source.to_owned(), place.within.to_string());
        Refusal { source, line, path, problem }
    }

    fn refuse_at(&self, place: &Place, error: &FieldError) -> Refusal {
        let mut path = place.full(&as_written(&error.path));
        let line = loop {
            let line = self.file.line_of(place.document, &path);
            if line.is_some() || path.segments().is_empty() {
                break line;
            }
            path = path.parent();
        };
        let (path, problem) = (place.full(&error.path).to_string(), error.problem.to_string());
        Refusal { source: self.file.source.to_owned(), line, path, problem }
    }
}

/// Kubernetes leaves a step out when it refuses the labels of a template.
fn as_written(path: &Path) -> Path {
    for list in ["labels", "annotations"] {
        if *path == Path::of("spec.template").field(list) {
            return Path::of("spec.template.metadata").field(list);
        }
    }
    path.clone()
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    /// What begins with a brace is JSON, for kubectl too.
    fn of(bytes: &[u8]) -> Self {
        match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{') => Self::Json,
            Some(_) | None => Self::Yaml,
        }
    }
}

/// What is read, and what the user calls it.
#[derive(Debug, Clone, Copy)]
struct File<'a> {
    source: &'a str,
    bytes: &'a [u8],
    format: Format,
}

struct Reader<'a> {
    file: File<'a>,
    manifest: Manifest<'a>,
    refusals: Vec<Refusal>,
}

impl Reader<'_> {
    fn read(&mut self) {
        for (index, document) in self.file.documents().into_iter().enumerate() {
            match document {
                Ok(Value::Null) => {}
                Ok(value) => self.object(Place { document: index, within: Path::default() }, value),
                Err(refusal) => self.refusals.push(refusal),
            }
        }
    }

    /// Takes an object, which is a Job, a list, or refused.
    fn object(&mut self, place: Place, value: Value) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        match (version, kind) {
            ("batch/v1", "Job") => self.job(&place, value),
            ("v1", "List") | ("batch/v1", "JobList") => self.list(&place, value),
            (_, "") => self.refuse(
                &place,
                &Path::default(),
                "no kind; kiln runs objects with `apiVersion: batch/v1` and `kind: Job`".to_owned(),
            ),
            (_, "Job") => self.refuse(
                &place,
                &Path::of("apiVersion"),
                format!("expected \"batch/v1\" for a Job, found {version:?}"),
            ),
            (version, kind) if let Some(other) = other(kind) => {
                let expected = other.api_version();
                if version == expected {
                    self.manifest.others.push(Other { kind: other, value });
                    self.manifest.other_places.push(place);
                } else {
                    let text = format!("expected {expected:?} for a {kind}, found {version:?}");
                    self.refuse(&place, &Path::of("apiVersion"), text);
                }
            }
            (_, kind) => {
                let cure = cure(kind);
                let problem = format!("{kind}: not supported; kiln runs batch/v1 Jobs: {cure}");
                self.refuse(&place, &Path::of("kind"), problem);
            }
        }
    }

    fn list(&mut self, place: &Place, mut value: Value) {
        let items = value.get_mut("items").map(Value::take).unwrap_or_default();
        for finding in fields::check_list(value) {
            self.refuse(place, &finding.path, finding.problem.to_string());
        }
        match items {
            Value::Array(items) => {
                for (i, item) in items.into_iter().enumerate() {
                    let within = place.within.field("items").index(i);
                    self.object(Place { document: place.document, within }, item);
                }
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                self.refuse(place, &Path::of("items"), "expected a list".to_owned());
            }
        }
    }

    fn job(&mut self, place: &Place, value: Value) {
        let (kept, findings) = fields::check_job(value);
        if findings.is_empty() {
            match serde_json::from_value(kept) {
                Ok(job) => {
                    self.manifest.jobs.push(job);
                    self.manifest.places.push(place.clone());
                }
                Err(e) => self.refuse(place, &Path::default(), e.to_string()),
            }
        }
        for finding in findings {
            self.refuse(place, &finding.path, finding.problem.to_string());
        }
    }

    fn refuse(&mut self, place: &Place, path: &Path, problem: String) {
        let full = place.full(path);
        let line = self.file.line_of(place.document, &full);
        let source = self.file.source.to_owned();
        self.refusals.push(Refusal { source, line, path: full.to_string(), problem });
    }
}

impl File<'_> {
    fn documents(&self) -> Vec<Result<Value, Refusal>> {
        match self.format {
            Format::Json => serde_json::Deserializer::from_slice(self.bytes)
                .into_iter::<Strict>()
                .map(|document| document.map(|s| s.0).map_err(|e| self.broken_json(&e)))
                .collect(),
            Format::Yaml => {
                let mut documents = Vec::new();
                for document in serde_yaml::Deserializer::from_slice(self.bytes) {
                    let read = Strict::deserialize(document);
                    let broken = read.is_err();
                    documents.push(read.map(of_yaml).map_err(|e| self.broken_yaml(&e)));
                    // The parser cannot find its way after an error of syntax.
                    if broken {
                        break;
                    }
                }
                documents
            }
        }
    }

    /// Reads the file once more, up to the field: only the parser knows where it stands.
    fn line_of(&self, document: usize, path: &Path) -> Option<usize> {
        let locate = Locate(path.segments());
        match self.format {
            Format::Yaml => {
                let deserializer =
                    serde_yaml::Deserializer::from_slice(self.bytes).nth(document)?;
                Some(locate.deserialize(deserializer).err()?.location()?.line())
            }
            Format::Json => {
                let mut deserializer = serde_json::Deserializer::from_slice(self.bytes);
                for _ in 0..document {
                    IgnoredAny::deserialize(&mut deserializer).ok()?;
                }
                Some(locate.deserialize(&mut deserializer).err()?.line())
            }
        }
    }

    fn broken_yaml(&self, error: &serde_yaml::Error) -> Refusal {
        let mut problem = error.to_string();
        if let Some(at) = error.location() {
            let suffix = format!(" at line {} column {}", at.line(), at.column());
            problem = problem.replacen(&suffix, "", 1);
        }
        if problem.contains("found character that cannot start any token") {
            problem += "; YAML is indented with spaces, not with tabs";
        }
        refusal(self.source, error.location().map(|l| l.line()), problem)
    }

    fn broken_json(&self, error: &serde_json::Error) -> Refusal {
        let suffix = format!(" at line {} column {}", error.line(), error.column());
        let problem = error.to_string().replacen(&suffix, "", 1);
        refusal(self.source, Some(error.line()), problem)
    }
}

/// Which object of the file is meant.
#[derive(Debug, Clone)]
struct Place {
    /// Counted from zero.
    document: usize,
    /// The way into a list.
    within: Path,
}

impl Place {
    /// The way from the root of the document.
    fn full(&self, path: &Path) -> Path {
        path.segments().iter().fold(self.within.clone(), |full, s| match s {
            Segment::Field(name) => full.field(name),
            Segment::Index(index) => full.index(*index),
            Segment::Key(key) => full.key(key),
        })
    }
}

fn refusal(source: &str, line: Option<usize>, problem: String) -> Refusal {
    Refusal { source: source.to_owned(), line, path: String::new(), problem }
}

fn other(kind: &str) -> Option<Kind> {
    OTHERS.into_iter().find(|other| other.as_str() == kind)
}

fn cure(kind: &str) -> &'static str {
    match kind {
        "CronJob" => {
            "`kiln serve` runs it by its schedule; to run it now, put its spec.jobTemplate into a Job"
        }
        "Pod" => "put its metadata and spec under spec.template of a Job",
        _ => "take it out of the file",
    }
}

/// Any document, without duplicate keys, merge keys (`<<`) resolved.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list, text, a number, true, false or null")
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        let number = serde_json::Number::from_f64(v);
        number.map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key {key:?}")));
            }
            let Strict(value) = entries.next_value()?;
            map.insert(key, value);
        }
        merge(&mut map);
        Ok(Value::Object(map))
    }
}

/// Adds what `<<` refers to, as far as the map does not say it itself.
fn merge(map: &mut Map<String, Value>) {
    let bases = match map.get("<<") {
        Some(Value::Object(base)) => vec![base.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(|v| v.as_object().cloned()).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => return,
    };
    map.remove("<<");
    for (key, value) in bases.into_iter().flatten() {
        map.entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::object::Object;

    fn refusals(text: &str) -> Vec<String> {
        let refusals = read("job.yaml", text.as_bytes()).expect_err("refused");
        refusals.iter().map(ToString::to_string).collect()
    }

    fn names(text: &str) -> Vec<String> {
        let jobs = read("job.yaml", text.as_bytes()).expect("accepted");
        jobs.iter().map(|j| j.name().to_owned()).collect()
    }

    const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: one
spec:
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: busybox
";

    #[test]
    fn a_job_is_read_from_yaml_and_from_json() {
        assert_eq!(names(JOB), ["one"]);
        let json = r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"\ud83d\ude00"}}"#;
        assert_eq!(names(json), ["\u{1f600}"]);
        assert_eq!(names(&format!("{json}\n{json}")).len(), 2);
    }

    #[test]
    fn several_documents_and_lists_are_their_jobs() {
        let two = JOB.replace("one", "two");
        assert_eq!(names(&format!("---\n{JOB}---\n# nothing\n---\n{two}---\n")), ["one", "two"]);
        let list = r#"{"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
            "items": [{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}},
                      {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "b"}}]}"#;
        assert_eq!(names(list), ["a", "b"]);
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_line_and_path() {
        assert_eq!(
            refusals(&JOB.replace("image:", "imagee:")),
            ["job.yaml:12: spec.template.spec.containers[0].imagee: unknown field; \
              did you mean \"image\"?"]
        );
        assert_eq!(
            refusals(&format!("{JOB}  restartPolicy: Never\n")),
            ["job.yaml:13: spec.restartPolicy: unknown field; it belongs to spec.template.spec"]
        );
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_line_and_path() {
        assert_eq!(
            refusals(&JOB.replace("parallelism: 2", "parallelism: two")),
            ["job.yaml:6: spec.parallelism: expected an integer, found the string \"two\""]
        );
        assert_eq!(
            refusals(&format!("{JOB}        command: [sh, -c,\n          7]\n")),
            ["job.yaml:14: spec.template.spec.containers[0].command[2]: expected a string, \
              found the integer 7; put it in quotes: \"7\""]
        );
    }

    #[test]
    fn lines_count_through_the_whole_file_and_into_lists() {
        let text = format!("{JOB}---\n{}", JOB.replace("image:", "imag:"));
        assert!(
            refusals(&text)[0].starts_with("job.yaml:25: spec.template.spec.containers[0].imag:")
        );
        let list = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n\
            {\"apiVersion\": \"batch/v1\", \"kind\": \"Job\",\n \"spek\": {}}]}";
        assert_eq!(
            refusals(list),
            ["job.yaml:3: items[0].spek: unknown field; did you mean \"spec\"?"]
        );
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        for text in [
            format!("{JOB}  parallelism: 3\n"),
            "{\"spec\": {\"parallelism\": 1, \"parallelism\": 2}}".to_owned(),
        ] {
            let refusals = refusals(&text);
            assert_eq!(refusals.len(), 1);
            assert!(refusals[0].contains("duplicate key \"parallelism\""), "{refusals:?}");
            assert!(refusals[0].starts_with("job.yaml:"), "{refusals:?}");
        }
    }

    #[test]
    fn broken_syntax_is_refused_with_its_line() {
        let tabs = refusals("kind: Job\nspec:\n\tparallelism: 1\n");
        assert!(tabs[0].starts_with("job.yaml:3: "), "{tabs:?}");
        assert!(tabs[0].ends_with("spaces, not with tabs"), "{tabs:?}");
        let json = refusals("{\"kind\": \"Job\",\n  spec}");
        assert!(json[0].starts_with("job.yaml:2: key must be a string"), "{json:?}");
        assert_eq!(refusals("a: b: c").len(), 1);
        assert_eq!(read("x", b"\xff\xfe\x00").expect_err("refused").len(), 1);
    }

    #[test]
    fn other_kinds_are_refused_with_the_cure() {
        let pod = refusals("apiVersion: v1\nkind: Pod\n");
        assert_eq!(
            pod,
            ["job.yaml:2: kind: Pod: not supported; kiln runs batch/v1 Jobs: \
              put its metadata and spec under spec.template of a Job"]
        );
        assert!(refusals("kind: CronJob")[0].ends_with("kiln runs batch/v1 Jobs: \
            `kiln serve` runs it by its schedule; to run it now, put its spec.jobTemplate into a Job"));
        assert!(refusals("kind: Service")[0].ends_with("take it out of the file"));
        assert_eq!(
            refusals("apiVersion: v2\nkind: ConfigMap"),
            ["job.yaml:1: apiVersion: expected \"v1\" for a ConfigMap, found \"v2\""]
        );
        assert_eq!(
            refusals("apiVersion: batch/v1beta1\nkind: Job"),
            ["job.yaml:1: apiVersion: expected \"batch/v1\" for a Job, found \"batch/v1beta1\""]
        );
        assert!(refusals("just text")[0].contains("no kind"));
    }

    #[test]
    fn what_a_job_needs_may_stand_beside_it() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n";
        let text = format!("{map}---\n{JOB}---\n{}", map.replace("ConfigMap", "Secret"));
        let manifest = Manifest::read("job.yaml", text.as_bytes()).expect("accepted");
        let kinds: Vec<Kind> = manifest.others().iter().map(|other| other.kind).collect();
        assert_eq!((manifest.jobs().len(), kinds), (1, vec![Kind::ConfigMap, Kind::Secret]));
        let refusal = manifest.refuse_in_words(1, "so".to_owned());
        assert_eq!(refusal.to_string(), "job.yaml:18: so");
        assert!(Manifest::read("maps.yaml", map.as_bytes()).expect("accepted").jobs().is_empty());
    }

    #[test]
    fn an_empty_file_is_refused() {
        for text in ["", "# only a comment\n", "---\n---\n"] {
            let expected = "job.yaml: no objects in it; kiln runs batch/v1 Jobs";
            assert_eq!(refusals(text), [expected], "{text:?}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text = JOB.replace("image:", "imagee:").replace(": 2", ": two") + "---\nkind: Pod\n";
        assert_eq!(refusals(&text).len(), 3);
    }

    #[test]
    fn what_is_not_valid_is_refused_where_it_stands_or_should() {
        use crate::api::validation::Problem;
        let template = "  template:\n    metadata:\n      labels: {a: b}\n";
        let two = JOB.replace("  template:\n", template);
        let text = format!("{JOB}---\n{two}");
        let manifest = Manifest::read("job.yaml", text.as_bytes()).expect("accepted");
        let container = Path::of("spec.template.spec.containers").index(0);
        for (job, path, line) in [
            (0, container.field("image"), 12),
            (1, container.field("image"), 27),
            (1, Path::of("spec.template.labels"), 22),
            (0, Path::of("spec.template.labels"), 7),
            (0, container.field("ports").index(3).field("name"), 11),
            (0, Path::of("spec.selector"), 5),
        ] {
            let problem = Problem::Required(String::new());
            let refusal = manifest.refuse(job, &FieldError { path: path.clone(), problem });
            assert_eq!(refusal.to_string(), format!("job.yaml:{line}: {path}: Required value"));
        }
        let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: batch/v1\n  kind: Job\n  \
            metadata:\n    name: A\n";
        let manifest = Manifest::read("-", list.as_bytes()).expect("accepted");
        let (path, problem) = (Path::of("metadata.name"), Problem::Forbidden("so"));
        let refusal = manifest.refuse(0, &FieldError { path, problem });
        assert_eq!(refusal.to_string(), "-:7: items[0].metadata.name: Forbidden: so");
    }

    #[test]
    fn merge_keys_are_resolved() {
        let merged = JOB.replace("metadata:", "metadata: &m\n  labels: {a: b}")
            + "---\napiVersion: batch/v1\nkind: Job\nmetadata:\n  <<: {name: base, namespace: x}\n  name: own\n";
        let jobs = read("job.yaml", merged.as_bytes()).expect("accepted");
        assert_eq!((jobs[1].name(), jobs[1].namespace()), ("own", "x"));
    }

    #[test]
    fn what_the_server_sets_is_discarded() {
        let text = JOB.replace("  name: one", "  name: one\n  uid: mine\n  finalizers: [a/b]")
            + "status: {succeeded: 5}\n";
        let jobs = read("job.yaml", text.as_bytes()).expect("accepted");
        assert_eq!((jobs[0].uid(), &jobs[0].status), ("", &None));
        assert_eq!(jobs[0].metadata.finalizers, None);
    }
}
