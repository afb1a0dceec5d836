//! Questions that clients ask about themselves.
//!
//! Owns: who may do what, as it is told; the same as is enforced. Must not know: how a caller was
//! recognised. <https://kubernetes.io/docs/reference/access-authn-authz/authorization/>

use http::StatusCode;
use serde_json::{Value, json};

use super::api::Call;
use super::identity::Access;
use super::metadata;
use super::resources::Review;
use super::respond::Answer;
use super::status::Error;

pub(super) fn answer(call: &Call<'_>, review: Review, mut asked: Value) -> Result<Answer, Error> {
    metadata::expect_kind(call, &mut asked)?;
    let caller = call.caller;
    asked["status"] = match review {
        Review::SelfSubject => json!({
            "userInfo": {"username": caller.name, "groups": caller.groups()},
        }),
        Review::SelfSubjectAccess => access(caller.access, &asked["spec"])?,
        Review::SelfSubjectRules => rules(caller.access),
    };
    Ok(Answer::with(StatusCode::CREATED, asked, Vec::new()))
}

fn access(access: Access, spec: &Value) -> Result<Value, Error> {
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let verb = match (resource.is_object(), path.is_object()) {
        (true, false) => resource["verb"].as_str(),
        (false, true) => path["verb"].as_str(),
        (true, true) | (false, false) => {
            return Err(Error::bad(
                "exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
    };
    let verb = verb.unwrap_or_default();
    let reads = matches!(verb, "get" | "list" | "watch") && resource["resource"] != "secrets";
    let asks = resource["group"].as_str().is_some_and(|group| {
        matches!(group, "authorization.k8s.io" | "authentication.k8s.io") && verb == "create"
    });
    Ok(match access {
        Access::Full => json!({"allowed": true}),
        Access::ReadOnly if reads || asks => json!({"allowed": true}),
        Access::ReadOnly => json!({"allowed": false, "reason": "the token is for reading"}),
    })
}

fn rules(access: Access) -> Value {
    let resources = match access {
        Access::Full => json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
        Access::ReadOnly => {
            let others = super::resources::RESOURCES.iter().filter(|r| r.kind != "Secret");
            let names: Vec<&str> = others.map(|resource| resource.plural).collect();
            json!([
                {"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": names},
                {"verbs": ["create"], "resources": ["*"],
                 "apiGroups": ["authorization.k8s.io", "authentication.k8s.io"]},
            ])
        }
    };
    let verbs = match access {
        Access::Full => json!(["*"]),
        Access::ReadOnly => json!(["get"]),
    };
    json!({
        "resourceRules": resources, "incomplete": false,
        "nonResourceRules": [{"verbs": verbs, "nonResourceURLs": ["*"]}],
    })
}
