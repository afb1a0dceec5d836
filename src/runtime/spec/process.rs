//! The process of a container.
//!
//! Owns: what is run, where, with which privileges, and which signal asks it to stop.
//! Must not know: files of the host, cgroups.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Container;
use oci_spec::image::ImageConfiguration;
use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process};

use super::env::{self, expand};
use super::{Inputs, Refusal, apparmor, resources, user};

pub(super) fn of(inputs: &Inputs<'_>, capabilities: Capabilities) -> Result<Process, Refusal> {
    let escalation = inputs.security().and_then(|s| s.allow_privilege_escalation);
    let mut process = Process::default();
    process
        .set_terminal(Some(inputs.container.tty == Some(true)))
        .set_user(user::of(inputs)?)
        .set_args(Some(args(inputs)?))
        .set_env(Some(env::of(inputs)))
        .set_cwd(working_dir(inputs))
        .set_capabilities(Some(only(capabilities)))
        // As many open files as containerd itself may have.
        .set_rlimits(None)
        .set_no_new_privileges(Some(escalation == Some(false)))
        .set_apparmor_profile(apparmor::of(inputs)?)
        .set_oom_score_adj(resources::oom_score_adj(inputs));
    Ok(process)
}

/// Nothing ambient and nothing inheritable: a user other than root gets what the program's file gives.
fn only(capabilities: Capabilities) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(capabilities.clone()))
        .set_effective(Some(capabilities.clone()))
        .set_permitted(Some(capabilities))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

/// The program and its arguments: a command replaces all of the image's, arguments only its own.
/// <https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/>
fn args(inputs: &Inputs<'_>) -> Result<Vec<String>, Refusal> {
    let own = |texts: &Option<Vec<String>>| -> Vec<String> {
        texts.iter().flatten().map(|text| expand(text, inputs.variables)).collect()
    };
    let (command, args) = (own(&inputs.container.command), own(&inputs.container.args));
    let config = inputs.image_config();
    let image = |texts: Option<&Option<Vec<String>>>| texts.cloned().flatten().unwrap_or_default();
    let mut all = if command.is_empty() {
        // Some builders write "no entry point" as one empty word.
        let entrypoint = image(config.map(|config| config.entrypoint()));
        if entrypoint == [""] { Vec::new() } else { entrypoint }
    } else {
        command.clone()
    };
    if command.is_empty() && args.is_empty() {
        all.extend(image(config.map(|config| config.cmd())));
    } else {
        all.extend(args);
    }
    if all.is_empty() { Err(Refusal::create("no command specified")) } else { Ok(all) }
}

fn working_dir(inputs: &Inputs<'_>) -> PathBuf {
    let own = inputs.container.working_dir.as_deref().filter(|dir| !dir.is_empty());
    let image = inputs.image_config().and_then(|config| config.working_dir().as_deref());
    let dir = own.or(image).filter(|dir| !dir.is_empty()).unwrap_or("/");
    // The container runtime wants it absolute.
    PathBuf::from("/").join(dir)
}

/// The first real-time signal that programs may use.
const SIGRTMIN: u32 = 34;
/// The last of all signals.
const SIGRTMAX: u32 = 64;
const SIGTERM: u32 = 15;

const SIGNALS: [(&str, u32); 32] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", SIGTERM),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("IOT", 6),
];

/// The signal that asks a container to stop: SIGTERM, unless itself or its image names another.
/// <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>
pub fn stop_signal(container: &Container, image: &ImageConfiguration) -> u32 {
    let own = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    let named = image.config().as_ref().and_then(|config| config.stop_signal().as_deref());
    own.or(named).and_then(signal).unwrap_or(SIGTERM)
}

/// `SIGTERM`, `term`, `15`, `SIGRTMIN+3`, `RTMAX-1`.
fn signal(text: &str) -> Option<u32> {
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if let Ok(number) = name.parse() {
        number
    } else if let Some(offset) = name.strip_prefix("RTMIN") {
        let up = if offset.is_empty() { 0 } else { offset.strip_prefix('+')?.parse().ok()? };
        SIGRTMIN.checked_add(up)?
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        let down = if offset.is_empty() { 0 } else { offset.strip_prefix('-')?.parse().ok()? };
        SIGRTMAX.checked_sub(down).filter(|number| *number >= SIGRTMIN)?
    } else {
        SIGNALS.iter().find(|(known, _)| *known == name)?.1
    };
    (1..=SIGRTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::Case;
    use super::*;
    use crate::pod::RefusedReason;

    fn args(case: &Case) -> Vec<String> {
        case.process().args().clone().unwrap()
    }

    #[test]
    fn a_command_replaces_all_of_the_images_and_arguments_only_its_own() {
        let image = json!({"Entrypoint": ["/entry", "-e"], "Cmd": ["cmd"]});
        let case = || Case::new().image(image.clone());
        assert_eq!(args(&case()), ["/entry", "-e", "cmd"]);
        assert_eq!(args(&case().container(json!({"args": ["a"]}))), ["/entry", "-e", "a"]);
        assert_eq!(args(&case().container(json!({"command": ["c"]}))), ["c"]);
        assert_eq!(args(&case().container(json!({"command": ["c"], "args": ["a"]}))), ["c", "a"]);
        assert_eq!(
            args(&case().container(json!({"command": [], "args": []}))),
            ["/entry", "-e", "cmd"]
        );
    }

    #[test]
    fn nothing_to_run_is_refused() {
        for image in
            [json!({}), json!({"Entrypoint": [""]}), json!({"Entrypoint": [], "Cmd": null})]
        {
            let refusal = Case::new().image(image).build().unwrap_err();
            assert_eq!(refusal.reason, RefusedReason::CreateContainerError);
            assert_eq!(refusal.message, "no command specified");
        }
    }

    #[test]
    fn command_and_arguments_see_the_pods_variables_but_not_the_images() {
        let case = Case::new().image(json!({"Env": ["I=image"], "Cmd": ["$(A)"]}));
        assert_eq!(args(&case), ["$(A)"]);
        let case = case.container(json!({
            "command": ["$(A)", "$$(A)", "$(I)"], "args": ["-x=$(B)"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}],
        }));
        assert_eq!(args(&case), ["1", "$(A)", "$(I)", "-x=12"]);
    }

    #[test]
    fn the_working_directory_is_the_containers_else_the_images_else_the_root() {
        let cwd = |case: Case| case.process().cwd().display().to_string();
        let image = json!({"Cmd": ["x"], "WorkingDir": "/image"});
        assert_eq!(cwd(Case::new()), "/");
        assert_eq!(cwd(Case::new().image(image.clone())), "/image");
        let case = || Case::new().image(image.clone());
        assert_eq!(cwd(case().container(json!({"workingDir": "/own"}))), "/own");
        assert_eq!(cwd(case().container(json!({"workingDir": ""}))), "/image");
        assert_eq!(cwd(Case::new().image(json!({"Cmd": ["x"], "WorkingDir": "rel"}))), "/rel");
    }

    #[test]
    fn privileges_can_be_gained_unless_the_container_forbids_it() {
        let forbids = |case: Case| case.process().no_new_privileges();
        assert_eq!(forbids(Case::new()), Some(false));
        let security =
            |allow: bool| Case::new().security(json!({"allowPrivilegeEscalation": allow}));
        assert_eq!(forbids(security(false)), Some(true));
        assert_eq!(forbids(security(true)), Some(false));
    }

    #[test]
    fn a_container_has_a_terminal_if_it_asks_for_one() {
        assert_eq!(Case::new().process().terminal(), Some(false));
        let process = Case::new().container(json!({"tty": true})).process();
        assert_eq!(process.terminal(), Some(true));
        assert!(process.env().as_ref().unwrap().contains(&"TERM=xterm".to_owned()));
    }

    #[test]
    fn a_stop_signal_is_read_by_name_and_by_number() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("TERM", 15),
            ("term", 15),
            ("15", 15),
            ("SIGKILL", 9),
            ("SIGIOT", 6),
            ("SIGRTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGRTMAX", 64),
            // What makes no sense asks as the default does.
            ("", 15),
            ("0", 15),
            ("65", 15),
            ("SIGNOPE", 15),
            ("SIGRTMIN3", 15),
            ("SIGRTMIN+x", 15),
            ("SIGRTMIN+31", 15),
            ("SIGRTMAX-31", 15),
        ] {
            let image: ImageConfiguration = serde_json::from_value(json!({
                "architecture": "amd64", "os": "linux", "config": {"StopSignal": text},
                "rootfs": {"type": "layers", "diff_ids": []},
            }))
            .unwrap();
            assert_eq!(stop_signal(&Container::default(), &image), number, "{text}");
        }
        let own: Container =
            serde_json::from_value(json!({"name": "a", "lifecycle": {"stopSignal": "SIGUSR1"}}))
                .unwrap();
        let image = ImageConfiguration::default();
        assert_eq!(stop_signal(&Container::default(), &image), 15);
        assert_eq!(stop_signal(&own, &image), 10);
    }
}
