//! The default seccomp profile.
//!
//! Owns: which system calls a container may make. The table is containerd's default profile. Must not
//! know: how the profile is put into force.
//! <https://kubernetes.io/docs/tutorials/security/seccomp/>

use std::env::consts::ARCH;

use k8s_openapi::api::core::v1::{Container, Pod};
use oci_spec::runtime::{
    Arch, Capabilities, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

use super::{Inputs, Refusal};

/// The profile that the container asks for, or else its pod, or else the host.
pub(super) fn of(
    inputs: &Inputs<'_>,
    capabilities: &Capabilities,
) -> Result<Option<LinuxSeccomp>, Refusal> {
    if inputs.is_privileged() {
        return Ok(None);
    }
    let own = inputs.security().and_then(|security| security.seccomp_profile.as_ref());
    let pod = inputs.pod_security().and_then(|security| security.seccomp_profile.as_ref());
    let confined = match own.or(pod).map(|profile| profile.type_.as_str()) {
        None => inputs.host.seccomp_default,
        Some("RuntimeDefault") => true,
        Some("Unconfined") => false,
        Some("Localhost") => return Ok(inputs.seccomp.clone()),
        Some(other) => {
            return Err(Refusal::config(format!("seccomp profile {other:?} is not supported")));
        }
    };
    Ok(confined.then(|| default_profile(ARCH, inputs.host.kernel, capabilities)))
}

/// The file of the host that holds the container's profile, below the directory of profiles.
/// <https://kubernetes.io/docs/tutorials/security/seccomp/#create-a-local-kubernetes-cluster-with-kind>
pub fn local_profile<'a>(pod: &'a Pod, container: &'a Container) -> Option<&'a str> {
    let security = container.security_context.as_ref();
    if security.and_then(|security| security.privileged) == Some(true) {
        return None;
    }
    let of_pod = || pod.spec.as_ref()?.security_context.as_ref()?.seccomp_profile.as_ref();
    let own = security.and_then(|security| security.seccomp_profile.as_ref());
    let profile = own.or_else(of_pod).filter(|profile| profile.type_ == "Localhost")?;
    profile.localhost_profile.as_deref()
}

/// What the processor's family may do, and what a container with these capabilities.
fn default_profile(arch: &str, kernel: (u32, u32), bounding: &Capabilities) -> LinuxSeccomp {
    let mut syscalls = vec![allow(ALWAYS, None)];
    syscalls.extend(SOCKET_FAMILIES.map(|(op, family)| allow("socket", Some((op, family)))));
    syscalls.extend(
        PERSONALITIES
            .map(|value| allow("personality", Some((LinuxSeccompOperator::ScmpCmpEq, value)))),
    );
    if kernel >= PTRACE_IS_SAFE {
        syscalls.push(allow(PTRACE, None));
    }
    let (architectures, of_arch) = match arch {
        "x86_64" => (&X86_64[..], "arch_prctl modify_ldt"),
        "aarch64" => (&AARCH64[..], ON_ARM),
        // Without a list the filter is for the kernel's own architecture.
        _ => (&[][..], ""),
    };
    if !of_arch.is_empty() {
        syscalls.push(allow(of_arch, None));
    }
    for (capability, names) in BY_CAPABILITY {
        if bounding.contains(&capability) {
            syscalls.push(allow(names, None));
        }
    }
    if !bounding.contains(&Capability::SysAdmin) {
        syscalls.extend(without_new_namespaces());
    }
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_architectures((!architectures.is_empty()).then(|| architectures.to_vec()))
        .set_syscalls(Some(syscalls));
    profile
}

/// `clone` without flags that make namespaces. The flags of `clone3` are in memory, where a filter
/// cannot look: it "does not exist", so that the C library falls back on `clone`.
fn without_new_namespaces() -> [LinuxSyscall; 2] {
    let clone = allow("clone", Some((LinuxSeccompOperator::ScmpCmpMaskedEq, NAMESPACE_FLAGS)));
    let mut clone3 = allow("clone3", None);
    clone3.set_action(LinuxSeccompAction::ScmpActErrno).set_errno_ret(Some(ENOSYS));
    [clone, clone3]
}

/// Allows what is named, if the first argument compares so; of a mask, if none of its bits is set.
fn allow(names: &str, first: Option<(LinuxSeccompOperator, u64)>) -> LinuxSyscall {
    let arg = first.map(|(op, value)| {
        let arg = LinuxSeccompArgBuilder::default().index(0_usize).value(value).value_two(0_u64);
        vec![arg.op(op).build().expect("every field has a default")]
    });
    let mut syscall = LinuxSyscall::default();
    syscall
        .set_names(names.split_whitespace().map(str::to_owned).collect())
        .set_action(LinuxSeccompAction::ScmpActAllow)
        .set_args(arg);
    syscall
}

/// A 64-bit host also runs programs of its 32-bit ancestors.
const X86_64: [Arch; 3] = [Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32];
const AARCH64: [Arch; 2] = [Arch::ScmpArchArm, Arch::ScmpArchAarch64];

const ON_ARM: &str =
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

/// Before this version a traced process could slip through a filter.
const PTRACE_IS_SAFE: (u32, u32) = (4, 8);
const PTRACE: &str = "process_vm_readv process_vm_writev ptrace";

const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// All families but AF_ALG, the kernel's cryptography, and AF_VSOCK, which leads to the hypervisor. One
/// comparison a rule: several for one argument would be taken as alternatives.
const SOCKET_FAMILIES: [(LinuxSeccompOperator, u64); 3] = [
    (LinuxSeccompOperator::ScmpCmpLt, AF_ALG),
    (LinuxSeccompOperator::ScmpCmpEq, AF_ALG + 1),
    (LinuxSeccompOperator::ScmpCmpGt, AF_VSOCK),
];

/// PER_LINUX and PER_LINUX32, both also with UNAME26, and the question which it is.
const PERSONALITIES: [u64; 5] = [0x0, 0x0008, 0x20000, 0x20008, 0xffff_ffff];

/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;
const ENOSYS: u32 = 38;

/// What a capability would be of no use without.
const BY_CAPABILITY: [(Capability, &str); 14] = [
    (Capability::DacReadSearch, "open_by_handle_at"),
    (
        Capability::SysAdmin,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount \
         mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname \
         sethostname setns syslog umount umount2 unshare",
    ),
    (Capability::SysBoot, "reboot"),
    (Capability::SysChroot, "chroot"),
    (Capability::SysModule, "delete_module init_module finit_module"),
    (Capability::SysPacct, "acct"),
    (
        Capability::SysPtrace,
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    (Capability::SysRawio, "iopl ioperm"),
    (Capability::SysTime, "settimeofday stime clock_settime clock_settime64"),
    (Capability::SysTtyConfig, "vhangup"),
    (Capability::SysNice, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    (Capability::Syslog, "syslog"),
    (Capability::Bpf, "bpf"),
    (Capability::Perfmon, "perf_event_open"),
];

/// What every container may do. What the host's seccomp library does not know is passed over.
const ALWAYS: &str = "\
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown \
    chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime \
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect \
    copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
    epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit \
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod \
    fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr \
    flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate \
    ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat \
    getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 \
    getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority \
    getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage \
    getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr \
    getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl \
    io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup \
    io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown \
    lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek \
    lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lsm_set_self_attr lstat \
    lstat64 madvise membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat \
    mlock mlock2 mlockall map_shadow_stack mmap mmap2 mprotect mq_getsetattr mq_notify mq_open \
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap \
    mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at \
    nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe \
    pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv \
    preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read \
    readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg \
    remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir \
    rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr \
    sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr \
    sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop \
    semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 \
    setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority \
    setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 \
    setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 \
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 \
    sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount \
    statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create \
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 \
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times \
    tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat \
    utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::testing::Case;
    use super::*;

    const KERNEL: (u32, u32) = (6, 1);

    fn profile(arch: &str, capabilities: &[Capability]) -> LinuxSeccomp {
        let bounding = capabilities.iter().copied().collect();
        default_profile(arch, KERNEL, &bounding)
    }

    /// What is allowed whatever its arguments are.
    fn allowed(profile: &LinuxSeccomp) -> BTreeSet<String> {
        let syscalls = profile.syscalls().as_ref().unwrap().iter();
        let free = syscalls.filter(|syscall| {
            syscall.action() == LinuxSeccompAction::ScmpActAllow && syscall.args().is_none()
        });
        free.flat_map(|syscall| syscall.names().clone()).collect()
    }

    fn is_confined(case: &Case) -> bool {
        case.spec().linux().as_ref().unwrap().seccomp().is_some()
    }

    #[test]
    fn the_containers_profile_is_above_the_pods_and_that_above_the_hosts() {
        let kind = |kind: &str| json!({"seccompProfile": {"type": kind}});
        let pod = |of: &str| Case::new().pod(json!({"securityContext": kind(of)}));
        let mut by_default = Case::new();
        by_default.host.seccomp_default = true;
        assert!(is_confined(&by_default) && !is_confined(&Case::new()));
        assert!(!is_confined(&by_default.security(kind("Unconfined"))));
        assert!(is_confined(&pod("RuntimeDefault")));
        assert!(!is_confined(&pod("RuntimeDefault").security(kind("Unconfined"))));
        assert!(is_confined(&pod("Unconfined").security(kind("RuntimeDefault"))));
        let privileged = pod("RuntimeDefault").security(json!({"privileged": true}));
        assert!(!is_confined(&privileged));
    }

    #[test]
    fn a_profile_of_the_hosts_files_is_taken_as_it_is() {
        let profile =
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}});
        let mut case = Case::new().security(profile.clone());
        let mut file = LinuxSeccomp::default();
        file.set_default_action(LinuxSeccompAction::ScmpActLog);
        case.seccomp = Some(file.clone());
        assert_eq!(case.spec().linux().as_ref().unwrap().seccomp(), &Some(file));
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "securityContext": profile, "containers": [
                {"name": "a"}, {"name": "b", "securityContext": {"privileged": true}},
                {"name": "c", "securityContext": {"seccompProfile": {"type": "Unconfined"}}},
            ],
        }}))
        .unwrap();
        let of = |at: usize| local_profile(&pod, &pod.spec.as_ref().unwrap().containers[at]);
        assert_eq!([of(0), of(1), of(2)], [Some("a.json"), None, None]);
    }

    #[test]
    fn the_table_names_each_call_once() {
        let names: Vec<_> = ALWAYS.split_whitespace().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.len() > 300 && names.first() == Some(&"accept"), "{}", names.len());
    }

    #[test]
    fn what_only_an_administrator_needs_is_denied_without_the_capability() {
        let plain = allowed(&profile("x86_64", &[Capability::Chown]));
        for name in ["mount", "unshare", "setns", "reboot", "bpf", "clone", "clone3", "chroot"] {
            assert!(!plain.contains(name), "{name}");
        }
        for name in ["execve", "openat", "fork", "arch_prctl", "ptrace"] {
            assert!(plain.contains(name), "{name}");
        }
        let admin = allowed(&profile("x86_64", &[Capability::SysAdmin]));
        assert!(["mount", "clone", "clone3"].iter().all(|name| admin.contains(*name)));
        for (capability, names) in BY_CAPABILITY {
            let more = allowed(&profile("x86_64", &[capability]));
            assert!(names.split_whitespace().all(|name| more.contains(name)), "{capability}");
        }
    }

    #[test]
    fn without_the_capability_a_process_can_be_cloned_but_not_into_new_namespaces() {
        let profile = serde_json::to_value(profile("x86_64", &[])).unwrap();
        let rule = |name: &str| -> Vec<Value> {
            let rules = profile["syscalls"].as_array().unwrap().iter();
            rules.filter(|rule| rule["names"] == json!([name])).cloned().collect()
        };
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
        assert_eq!(
            rule("clone"),
            [json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 2_114_060_288_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
            ]})]
        );
        assert_eq!(
            rule("clone3"),
            [json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})]
        );
        let families: Vec<_> = rule("socket").iter().map(|rule| rule["args"][0].clone()).collect();
        assert_eq!(
            families[1],
            json!({"index": 0, "value": 39, "valueTwo": 0, "op": "SCMP_CMP_EQ"})
        );
        assert_eq!((families.len(), rule("personality").len()), (3, 5));
    }

    #[test]
    fn each_architecture_has_its_own_calls() {
        let x86 = profile("x86_64", &[]);
        assert_eq!(x86.architectures().as_deref(), Some(&X86_64[..]));
        let arm = profile("aarch64", &[]);
        assert_eq!(arm.architectures().as_deref(), Some(&AARCH64[..]));
        assert!(allowed(&arm).contains("set_tls") && !allowed(&arm).contains("modify_ldt"));
        assert_eq!(profile("riscv64", &[]).architectures(), &None);
    }

    #[test]
    fn on_an_old_kernel_only_a_container_with_the_capability_may_trace() {
        let old = default_profile("x86_64", (4, 4), &Capabilities::new());
        assert!(!allowed(&old).contains("ptrace"));
        let with = Capabilities::from([Capability::SysPtrace]);
        assert!(allowed(&default_profile("x86_64", (4, 4), &with)).contains("ptrace"));
    }
}
