//! The capabilities of a container.
//!
//! Owns: which the container starts with, and how `capabilities.add` and `drop` are read.
//! Must not know: users, seccomp.
//! <https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#set-capabilities-for-a-container>

use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability};

use super::{Inputs, Refusal};

/// What every container may do unless it drops it.
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// All of them, each at its number in the kernel.
const BY_NUMBER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The capabilities in a mask as `/proc/<pid>/status` has it in `CapEff`.
pub fn of_mask(mask: u64) -> Capabilities {
    let set = |(number, _): &(usize, &Capability)| mask >> number & 1 == 1;
    BY_NUMBER.iter().enumerate().filter(set).map(|(_, capability)| *capability).collect()
}

/// What the container may do. `ALL` means all that the host can give; it is applied before what is
/// named, so that `add: [ALL], drop: [NET_RAW]` and the reverse mean what they say.
pub(super) fn of(inputs: &Inputs<'_>) -> Result<Capabilities, Refusal> {
    if inputs.is_privileged() {
        return Ok(inputs.host.capabilities.clone());
    }
    let asked = inputs.security().and_then(|security| security.capabilities.as_ref());
    let add = Named::read(asked.and_then(|asked| asked.add.as_deref()))?;
    let drop = Named::read(asked.and_then(|asked| asked.drop.as_deref()))?;
    let mut set = match (add.all, drop.all) {
        (_, true) => Capabilities::new(),
        (true, false) => inputs.host.capabilities.clone(),
        (false, false) => Capabilities::from(DEFAULT),
    };
    set.extend(add.named);
    set.retain(|capability| !drop.named.contains(capability));
    Ok(set)
}

#[derive(Default)]
struct Named {
    all: bool,
    named: Capabilities,
}

impl Named {
    /// Names with or without `CAP_`, in any case.
    fn read(names: Option<&[String]>) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for name in names.unwrap_or_default() {
            let upper = name.to_ascii_uppercase();
            if upper == "ALL" {
                read.all = true;
                continue;
            }
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let capability = Capability::from_str(bare)
                .map_err(|_| Refusal::create(format!("unknown capability {name:?}")))?;
            read.named.insert(capability);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::Case;
    use super::*;
    use crate::pod::RefusedReason;

    /// The names in the bounding set, sorted.
    fn names(case: &Case) -> Vec<String> {
        let capabilities = case.process().capabilities().clone().unwrap();
        let bounding = capabilities.bounding().clone().unwrap();
        assert_eq!(capabilities.permitted().as_ref(), Some(&bounding));
        assert_eq!(capabilities.effective().as_ref(), Some(&bounding));
        assert_eq!((capabilities.inheritable(), capabilities.ambient()), (&None, &None));
        let mut names: Vec<_> = bounding.iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    fn with(capabilities: Value) -> Case {
        Case::new().security(json!({"capabilities": capabilities}))
    }

    #[test]
    fn a_container_starts_with_fourteen_capabilities() {
        assert_eq!(
            names(&Case::new()),
            [
                "AUDIT_WRITE",
                "CHOWN",
                "DAC_OVERRIDE",
                "FOWNER",
                "FSETID",
                "KILL",
                "MKNOD",
                "NET_BIND_SERVICE",
                "NET_RAW",
                "SETFCAP",
                "SETGID",
                "SETPCAP",
                "SETUID",
                "SYS_CHROOT",
            ]
        );
    }

    #[test]
    fn names_are_read_with_and_without_their_prefix_and_in_any_case() {
        let case = with(json!({"add": ["CAP_SYS_TIME", "net_admin"], "drop": ["ALL"]}));
        assert_eq!(names(&case), ["NET_ADMIN", "SYS_TIME"]);
    }

    #[test]
    fn all_comes_before_what_is_named() {
        let all = BY_NUMBER.len();
        assert_eq!(names(&with(json!({"add": ["ALL"]}))).len(), all);
        assert_eq!(names(&with(json!({"add": ["all"], "drop": ["NET_RAW"]}))).len(), all - 1);
        assert!(names(&with(json!({"drop": ["ALL"]}))).is_empty());
        let both = names(&with(json!({"add": ["CHOWN"], "drop": ["CHOWN"]})));
        assert!(!both.contains(&"CHOWN".to_owned()));
    }

    #[test]
    fn all_is_no_more_than_the_host_can_give() {
        let mut case = Case::new().security(json!({"privileged": true}));
        case.host.capabilities = of_mask(0b11);
        assert_eq!(names(&case), ["CHOWN", "DAC_OVERRIDE"]);
        let mut case = with(json!({"add": ["ALL"]}));
        case.host.capabilities = of_mask(1 << 24);
        assert_eq!(names(&case), ["SYS_RESOURCE"]);
    }

    #[test]
    fn an_unknown_capability_is_refused() {
        for asked in [json!({"add": ["FLY"]}), json!({"drop": ["CAP_FLY"]})] {
            let refusal = with(asked).build().unwrap_err();
            assert_eq!(refusal.reason, RefusedReason::CreateContainerError);
            assert!(refusal.message.starts_with("unknown capability \""), "{refusal}");
        }
    }

    #[test]
    fn a_mask_names_each_capability_once_and_ignores_what_is_unknown() {
        assert_eq!(of_mask(u64::MAX).len(), BY_NUMBER.len());
        assert_eq!(of_mask(1 << 21), Capabilities::from([Capability::SysAdmin]));
        assert!(of_mask(1 << 41).is_empty());
    }
}
