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
        let (kind, file) = (path.field("type"), path.field("localhostProfile"));
        if profile.type_.is_empty() {
            let detail = "type is required when seccompProfile is set";
            return self.add(&kind, Problem::Required(detail.to_owned()));
        }
        let supported = &["Localhost", "RuntimeDefault", "Unconfined"];
        self.one_of(&kind, Some(&profile.type_), supported);
        let is_local = profile.type_ == "Localhost";
        match profile.localhost_profile.as_deref() {
            None | Some("") if is_local => {
                let detail = "must be set when seccomp type is Localhost".to_owned();
                self.add(&file, Problem::Required(detail));
            }
            None => {}
            Some(name) if !is_local => {
                let detail = "can only be set when seccomp type is Localhost";
                self.invalid(&file, quoted(name), detail);
            }
            Some(name) if name.starts_with('/') => {
                self.invalid(&file, quoted(name), "must be a relative path");
            }
            Some(name) if name.split('/').any(|part| part == "..") => {
                self.invalid(&file, quoted(name), "must not contain '..'");
            }
            Some(_) => {}
        }
    }

    /// <https://kubernetes.io/docs/tutorials/security/apparmor/>
    fn apparmor(&mut self, path: &Path, profile: &AppArmorProfile) {
        let (kind, name) = (path.field("type"), path.field("localhostProfile"));
        if profile.type_.is_empty() {
            let detail = "type is required when appArmorProfile is set";
            return self.add(&kind, Problem::Required(detail.to_owned()));
        }
        let supported = &["Localhost", "RuntimeDefault", "Unconfined"];
        self.one_of(&kind, Some(&profile.type_), supported);
        let is_local = profile.type_ == "Localhost";
        match profile.localhost_profile.as_deref() {
            None | Some("") if is_local => {
                let detail = "must be set when AppArmor type is Localhost".to_owned();
                self.add(&name, Problem::Required(detail));
            }
            None => {}
            Some(other) if !is_local => {
                let detail = "can only be set when AppArmor type is Localhost";
                self.invalid(&name, quoted(other), detail);
            }
            Some(padded) if padded.trim() != padded => {
                self.invalid(&name, quoted(padded), "must not be padded with whitespace");
            }
            Some(long) if long.len() > APPARMOR_NAME_MAX => {
                self.add(&name, Problem::TooLong { bytes: APPARMOR_NAME_MAX });
            }
            Some(_) => {}
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
