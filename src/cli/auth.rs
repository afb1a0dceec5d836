//! `kiln auth`: who one is to the server, and what one may do.
//!
//! Owns: the questions, and how the answers are told. Must not know: who may do what.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::get::{Form, render};
use super::remote::{Error, JSON, Remote, named};
use super::table::Columns;
use super::{Exit, jsonpath};

/// Ask who one is to the server, and what one may do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln auth can-i create jobs
  kiln auth can-i get pods/log -n builds -q && kiln logs job/pi -n builds
  kiln auth can-i --list
  kiln auth whoami")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Whether one may do something: exits with 0 or 1
    CanI(CanI),
    /// Who one is
    Whoami {
        /// yaml or json
        #[arg(short, long, value_name = "FORM")]
        output: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct CanI {
    /// get, list, watch, create, update, patch, delete, ...
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    verb: Option<String>,

    /// TYPE, TYPE/NAME, TYPE.GROUP, or a path such as /metrics
    #[arg(required_unless_present = "list")]
    resource: Option<String>,

    /// Name of the one object that is meant
    name: Option<String>,

    /// Part of the objects: log, status
    #[arg(long, value_name = "NAME")]
    subresource: Option<String>,

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Show all that one may do
    #[arg(long)]
    list: bool,

    /// Only exit with the answer
    #[arg(short, long)]
    quiet: bool,

    /// With --list: show no headers
    #[arg(long, requires = "list")]
    no_headers: bool,
}

const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    match &args.what {
        What::CanI(asked) if asked.list => list(asked, remote).await,
        What::CanI(asked) => can_i(asked, remote).await,
        What::Whoami { output } => whoami(output.as_deref(), remote).await,
    }
}

async fn can_i(asked: &CanI, remote: &Remote) -> Result<Exit, Error> {
    let verb = asked.verb.as_deref().unwrap_or_default();
    let resource = asked.resource.as_deref().unwrap_or_default();
    let spec = if resource.starts_with('/') {
        json!({"nonResourceAttributes": {"verb": verb, "path": resource}})
    } else {
        json!({"resourceAttributes": attributes(asked, verb, resource, remote).await?})
    };
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec,
    });
    let path = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
    let answer = remote.send(Method::POST, &path, JSON, &review).await?;
    let allowed = answer["status"]["allowed"] == true;
    if !asked.quiet {
        remote.print(told(&answer["status"]) + "\n");
    }
    Ok(if allowed { Exit::Done } else { Exit::Failed })
}

/// `yes`, or `no - why`
fn told(status: &Value) -> String {
    let mut text = if status["allowed"] == true { "yes" } else { "no" }.to_owned();
    for (field, before) in [("reason", " - "), ("evaluationError", " - ")] {
        if let Some(why) = status[field].as_str().filter(|why| !why.is_empty()) {
            text = text + before + why;
        }
    }
    text
}

async fn attributes(
    asked: &CanI,
    verb: &str,
    resource: &str,
    remote: &Remote,
) -> Result<Value, Error> {
    let (kind, name) = match resource.split_once('/') {
        Some((kind, name)) => (kind, Some(name.to_owned())),
        None => (resource, asked.name.clone()),
    };
    // What may be done can be asked of kinds that are not there, too.
    let mut attributes = match named(remote, kind).await {
        Ok(found) => {
            if !found.namespaced && !asked.all_namespaces {
                let told =
                    format!("Warning: resource '{}' is not namespace scoped\n", found.plural);
                remote.output.say(&told);
            }
            json!({"group": found.group, "version": found.version, "resource": found.plural})
        }
        Err(Error::Failed { .. }) if kind == "*" => json!({"group": "*", "resource": "*"}),
        Err(Error::Failed { message }) => {
            remote.output.say(&format!("Warning: {message}\n"));
            let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
            json!({"group": group, "resource": plural})
        }
        Err(error) => return Err(error),
    };
    attributes["verb"] = verb.into();
    if let Some(name) = name {
        attributes["name"] = name.into();
    }
    if let Some(subresource) = &asked.subresource {
        attributes["subresource"] = subresource.clone().into();
    }
    if !asked.all_namespaces {
        attributes["namespace"] = remote.namespace.clone().into();
    }
    Ok(attributes)
}

async fn list(asked: &CanI, remote: &Remote) -> Result<Exit, Error> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": remote.namespace},
    });
    let path = format!("{AUTHORIZATION}/selfsubjectrulesreviews");
    let answer = remote.send(Method::POST, &path, JSON, &review).await?;
    remote.print(rules(&answer["status"], asked.no_headers));
    Ok(Exit::Done)
}

/// A line for each kind, and one for each set of paths.
fn rules(status: &Value, no_headers: bool) -> String {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(jsonpath::text).collect()
    };
    let set = |value: &Value| format!("[{}]", texts(value).join(" "));
    let mut rows = Vec::new();
    for rule in status["resourceRules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let name = if group.is_empty() { resource } else { format!("{resource}.{group}") };
                rows.push([
                    name,
                    "[]".to_owned(),
                    set(&rule["resourceNames"]),
                    set(&rule["verbs"]),
                ]);
            }
        }
    }
    rows.sort();
    for rule in status["nonResourceRules"].as_array().into_iter().flatten() {
        let paths = set(&rule["nonResourceURLs"]);
        rows.push([String::new(), paths, "[]".to_owned(), set(&rule["verbs"])]);
    }
    let mut lines: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    if !no_headers {
        let headers = ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"];
        lines.insert(0, headers.map(str::to_owned).to_vec());
    }
    Columns::default().set(&lines)
}

async fn whoami(output: Option<&str>, remote: &Remote) -> Result<Exit, Error> {
    let form = Form::read(output)?;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = remote.send(Method::POST, path, JSON, &review).await?;
    let shown = match form {
        Form::Table { .. } => who(&answer["status"]["userInfo"]),
        Form::Yaml
        | Form::Json
        | Form::Name
        | Form::JsonPath(_)
        | Form::JsonPathAsJson(_)
        | Form::Columns(_) => render(
            &form,
            vec![("selfsubjectreview.authentication.k8s.io".to_owned(), answer)],
            true,
            false,
        )?,
    };
    remote.print(shown);
    Ok(Exit::Done)
}

fn who(user: &Value) -> String {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![row("ATTRIBUTE", "VALUE".to_owned())];
    for (name, field) in [("Username", "username"), ("UID", "uid")] {
        if let Some(value) = user[field].as_str().filter(|value| !value.is_empty()) {
            rows.push(row(name, value.to_owned()));
        }
    }
    let groups: Vec<_> =
        user["groups"].as_array().into_iter().flatten().map(jsonpath::text).collect();
    if !groups.is_empty() {
        rows.push(row("Groups", format!("[{}]", groups.join(" "))));
    }
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        let values: Vec<_> = values.as_array().into_iter().flatten().map(jsonpath::text).collect();
        rows.push(row(&format!("Extra: {key}"), format!("[{}]", values.join(" "))));
    }
    Columns::default().set(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_one_may_do_is_a_line_for_each_kind() {
        let status = json!({
            "resourceRules": [
                {"verbs": ["get", "list"], "apiGroups": ["", "batch"], "resources": ["jobs"]},
            ],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version", "/livez"]}],
        });
        assert_eq!(
            rules(&status, false),
            "Resources    Non-Resource URLs   Resource Names   Verbs\n\
             jobs         []                  []               [get list]\n\
             jobs.batch   []                  []               [get list]\n             \
             [/version /livez]   []               [get]\n"
        );
    }

    #[test]
    fn an_answer_says_why_not() {
        assert_eq!(told(&json!({"allowed": true})), "yes");
        assert_eq!(told(&json!({"allowed": false, "reason": "read only"})), "no - read only");
    }

    #[test]
    fn who_one_is_has_groups() {
        let user = json!({"username": "me", "groups": ["a", "b"]});
        assert_eq!(who(&user), "ATTRIBUTE   VALUE\nUsername    me\nGroups      [a b]\n");
    }
}
