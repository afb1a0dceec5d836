//! The AppArmor profile of a container.
//!
//! Owns: which one it is under. Must not know: how a profile is loaded; a pod that needs one on a host
//! without AppArmor is never started.
//! <https://kubernetes.io/docs/tutorials/security/apparmor/>

use super::{Inputs, Refusal};

/// What of AppArmor this host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppArmor {
    /// The profile for containers that ask for none, if it is loaded.
    pub default: Option<String>,
    /// All that are loaded.
    pub loaded: Vec<String>,
}

/// The profile that the container asks for, or else its pod, or else the host's own.
pub(super) fn of(inputs: &Inputs<'_>) -> Result<Option<String>, Refusal> {
    if inputs.is_privileged() {
        return Ok(None);
    }
    let own = inputs.security().and_then(|security| security.app_armor_profile.as_ref());
    let pod = inputs.pod_security().and_then(|security| security.app_armor_profile.as_ref());
    let host = &inputs.host.apparmor;
    let Some(asked) = own.or(pod) else { return Ok(host.default.clone()) };
    match (asked.type_.as_str(), asked.localhost_profile.as_deref()) {
        ("Unconfined", _) => Ok(None),
        ("RuntimeDefault", _) => Ok(host.default.clone()),
        (_, Some(name)) if host.loaded.iter().any(|loaded| loaded == name) => {
            Ok(Some(name.to_owned()))
        }
        (_, name) => {
            let name = name.unwrap_or_default();
            Err(Refusal::create(format!("apparmor profile not found {name}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Case;

    fn profile(case: Case) -> Result<Option<String>, String> {
        let mut case = case;
        case.host.apparmor.default = Some("default".to_owned());
        case.host.apparmor.loaded = vec!["default".to_owned(), "own".to_owned()];
        let spec = case.build().map_err(|refusal| refusal.message)?;
        Ok(spec.process().as_ref().unwrap().apparmor_profile().clone())
    }

    #[test]
    fn the_containers_profile_is_above_the_pods_and_that_above_the_hosts() {
        let asks = |kind: &str, name: Option<&str>| json!({"appArmorProfile": {"type": kind, "localhostProfile": name}});
        let default = Ok(Some("default".to_owned()));
        let pod = |kind: &str| Case::new().pod(json!({"securityContext": asks(kind, None)}));
        assert_eq!(profile(Case::new()), default);
        assert_eq!(profile(pod("Unconfined")), Ok(None));
        assert_eq!(profile(pod("Unconfined").security(asks("RuntimeDefault", None))), default);
        let own = Case::new().security(asks("Localhost", Some("own")));
        assert_eq!(profile(own), Ok(Some("own".to_owned())));
        let missing = Case::new().security(asks("Localhost", Some("gone")));
        assert_eq!(profile(missing), Err("apparmor profile not found gone".to_owned()));
        assert_eq!(profile(Case::new().security(json!({"privileged": true}))), Ok(None));
    }
}
