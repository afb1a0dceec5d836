//! With which rights a pod may run.
//!
//! Owns: the checks of security contexts. Must not know: what a right becomes on the host.
//! <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>

use k8s_openapi::api::core::v1::{
    AppArmorProfile, PodSecurityContext, SeccompProfile, SecurityContext,
};

use super::{Found, Problem, quoted};
use crate::api::path::Path;

impl Found {
    pub(super) fn pod_security(&mut self, path: &Path, security: &PodSecurityContext) {
        self.id(&path.field("runAsUser"), security.run_as_user);
        self.id(&path.field("runAsGroup"), security.run_as_group);
        self.id(&path.field("fsGroup"), security.fs_group);
        for (index, group) in security.supplemental_groups.iter().flatten().enumerate() {
            self.id(&path.field("supplementalGroups").index(index), Some(*group));
        }
        self.one_of(
            &path.field("fsGroupChangePolicy"),
            security.fs_group_change_policy.as_deref(),
            &["Always", "OnRootMismatch"],
        );
        let policy = security.supplemental_groups_policy.as_deref();
        self.one_of(&path.field("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
        if let Some(profile) = &security.seccomp_profile {
            self.seccomp(&path.field("seccompProfile"), profile);
        }
        if let Some(profile) = &security.app_armor_profile {
            self.apparmor(&path.field("appArmorProfile"), profile);
        }
    }

    pub(super) fn security(&mut self, path: &Path, security: &SecurityContext) {
        self.id(&path.field("runAsUser"), security.run_as_user);
        self.id(&path.field("runAsGroup"), security.run_as_group);
        if let Some(profile) = &security.seccomp_profile {
            self.seccomp(&path.field("seccompProfile"), profile);
        }
        if let Some(profile) = &security.app_armor_profile {
            self.apparmor(&path.field("appArmorProfile"), profile);
        }
        if security.allow_privilege_escalation != Some(false) {
            return;
        }
        let added = security.capabilities.as_ref().and_then(|all| all.add.as_ref());
        for (contradicts, detail) in [
            (
                security.privileged == Some(true),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ),
            (
                added.into_iter().flatten().any(|name| name == "CAP_SYS_ADMIN"),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            ),
        ] {
            if contradicts {
                self.invalid(path, serde_json::to_string(security).unwrap_or_default(), detail);
            }
        }
    }

    /// A user's or a group's number.
    fn id(&mut self, path: &Path, id: Option<i64>) {
        self.within(path, id, 0, i64::from(i32::MAX));
    }

    /// <https://kubernetes.io/docs/tutorials/security/seccomp/>
    fn seccomp(&mut self, path: &Path, profile: &SeccompProfile) {
        let local = profile.localhost_profile.as_deref();
        let Some(file) = self.profile(path, ("seccomp", "seccompProfile"), &profile.type_, local)
        else {
            return;
        };
        let path = path.field("localhostProfile");
        if file.starts_with('/') {
            self.invalid(&path, quoted(file), "must be a relative path");
        } else if file.split('/').any(|part| part == "..") {
            self.invalid(&path, quoted(file), "must not contain '..'");
        }
    }

    /// <https://kubernetes.io/docs/tutorials/security/apparmor/>
    fn apparmor(&mut self, path: &Path, profile: &AppArmorProfile) {
        let local = profile.localhost_profile.as_deref();
        let Some(name) = self.profile(path, ("AppArmor", "appArmorProfile"), &profile.type_, local)
        else {
            return;
        };
        let path = path.field("localhostProfile");
        if name.trim() != name {
            self.invalid(&path, quoted(name), "must not be padded with whitespace");
        } else if name.len() > APPARMOR_NAME_MAX {
            self.add(&path, Problem::TooLong { bytes: APPARMOR_NAME_MAX });
        }
    }

    /// A profile of the kernel's is one of three types, and has a name if it is the host's. Answers that
    /// name, where it is in its place. `what`: the mechanism, and the field.
    fn profile<'a>(
        &mut self,
        path: &Path,
        (what, field): (&str, &str),
        kind: &str,
        name: Option<&'a str>,
    ) -> Option<&'a str> {
        if kind.is_empty() {
            let detail = format!("type is required when {field} is set");
            self.add(&path.field("type"), Problem::Required(detail));
            return None;
        }
        self.one_of(
            &path.field("type"),
            Some(kind),
            &["Localhost", "RuntimeDefault", "Unconfined"],
        );
        let is_local = kind == "Localhost";
        let path = path.field("localhostProfile");
        match name {
            None | Some("") if is_local => {
                let detail = format!("must be set when {what} type is Localhost");
                self.add(&path, Problem::Required(detail));
                None
            }
            Some(other) if !is_local => {
                let detail = format!("can only be set when {what} type is Localhost");
                self.invalid(&path, quoted(other), detail);
                None
            }
            named => named,
        }
    }
}

/// The name of an AppArmor profile is no longer.
const APPARMOR_NAME_MAX: usize = 4095;

#[cfg(test)]
mod tests {
    use super::super::tests::{refused_container, refused_pod};

    #[test]
    fn users_and_groups_have_numbers_of_31_bits() {
        let range = "must be between 0 and 2147483647, inclusive";
        for (field, value, path) in [
            ("runAsUser", "-1", "runAsUser"),
            ("runAsGroup", "2147483648", "runAsGroup"),
            ("fsGroup", "-1", "fsGroup"),
            ("supplementalGroups", "[1, -1]", "supplementalGroups[1]"),
        ] {
            let shown = if value.contains("-1") { "-1" } else { value };
            assert_eq!(
                refused_pod(&format!("securityContext: {{{field}: {value}}}")),
                [format!(
                    "spec.template.spec.securityContext.{path}: Invalid value: {shown}: {range}"
                )]
            );
        }
        assert_eq!(
            refused_container("securityContext: {runAsUser: 2147483648}"),
            [format!(
                "spec.template.spec.containers[0].securityContext.runAsUser: \
                 Invalid value: 2147483648: {range}"
            )]
        );
        assert_eq!(refused_container("securityContext: {runAsUser: 0}"), [""; 0]);
    }

    #[test]
    fn a_right_is_not_given_and_taken_at_once() {
        for (rights, detail) in [
            ("privileged: true", "`privileged` to true"),
            ("capabilities: {add: [CAP_SYS_ADMIN]}", "`capabilities.Add` CAP_SYS_ADMIN"),
        ] {
            let found = refused_container(&format!(
                "securityContext: {{allowPrivilegeEscalation: false, {rights}}}"
            ));
            assert_eq!(found.len(), 1, "{found:?}");
            let (start, end) = (
                "spec.template.spec.containers[0].securityContext: Invalid value: {\"allowPriv",
                format!("cannot set `allowPrivilegeEscalation` to false and {detail}"),
            );
            assert!(found[0].starts_with(start) && found[0].ends_with(&end), "{found:?}");
        }
    }

    #[test]
    fn a_profile_of_the_hosts_is_named_and_no_other_is() {
        let path = "spec.template.spec.containers[0].securityContext";
        for (field, system) in [("seccompProfile", "seccomp"), ("appArmorProfile", "AppArmor")] {
            let of = |profile: &str| {
                refused_container(&format!("securityContext: {{{field}: {profile}}}"))
            };
            let at = format!("{path}.{field}.localhostProfile");
            assert_eq!(of("{type: Localhost, localhostProfile: a/b}"), [""; 0]);
            assert_eq!(
                of("{type: Localhost}"),
                [format!("{at}: Required value: must be set when {system} type is Localhost")]
            );
            assert_eq!(
                of("{type: RuntimeDefault, localhostProfile: a}"),
                [format!(
                    "{at}: Invalid value: \"a\": can only be set when {system} type is Localhost"
                )]
            );
        }
        for (name, detail) in
            [("/a", "must be a relative path"), ("a/../b", "must not contain '..'")]
        {
            assert_eq!(
                refused_pod(&format!(
                    "securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {name}}}}}"
                )),
                [format!(
                    "spec.template.spec.securityContext.seccompProfile.localhostProfile: Invalid \
                     value: \"{name}\": {detail}"
                )]
            );
        }
    }

    #[test]
    fn a_seccomp_profile_has_a_type() {
        assert_eq!(
            refused_pod("securityContext: {seccompProfile: {type: ''}}"),
            ["spec.template.spec.securityContext.seccompProfile.type: Required value: \
              type is required when seccompProfile is set"]
        );
        assert_eq!(
            refused_container("securityContext: {seccompProfile: {type: Mine}}"),
            ["spec.template.spec.containers[0].securityContext.seccompProfile.type: Unsupported \
              value: \"Mine\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\""]
        );
        assert_eq!(
            refused_pod("securityContext: {fsGroupChangePolicy: Sometimes}"),
            ["spec.template.spec.securityContext.fsGroupChangePolicy: Unsupported value: \
              \"Sometimes\": supported values: \"Always\", \"OnRootMismatch\""]
        );
    }
}
