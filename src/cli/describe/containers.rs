//! Containers and volumes, described.
//!
//! Owns: their fields, and the states of containers where there are any. Must not know: whether they
//! are of a pod or of a template.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStatus, EnvVar, EnvVarSource, Volume,
};

use super::sheet::{NONE, Sheet, rfc1123};
use crate::api::quantity::{ResourceList, limits, requests};

/// `statuses`: of a pod; a template has none.
pub(super) fn containers(
    sheet: &mut Sheet,
    label: &str,
    indent: &str,
    all: &[Container],
    statuses: Option<&[ContainerStatus]>,
) {
    sheet.line(format!("{label}:"));
    for container in all {
        let status =
            statuses.and_then(|all| all.iter().find(|status| status.name == container.name));
        sheet.line(format!("{indent}{}:", container.name));
        basics(sheet, container, status);
        words(sheet, "Command", container.command.as_ref());
        words(sheet, "Args", container.args.as_ref());
        if let Some(status) = status {
            states(sheet, status);
        }
        amounts(sheet, "Limits", limits(container));
        amounts(sheet, "Requests", requests(container));
        environment(sheet, container);
        mounts(sheet, container);
    }
}

fn basics(sheet: &mut Sheet, container: &Container, status: Option<&ContainerStatus>) {
    if let Some(status) = status {
        sheet.field("    Container ID", status.container_id.as_deref().unwrap_or_default());
    }
    sheet.field("    Image", container.image.as_deref().unwrap_or_default());
    if let Some(status) = status {
        sheet.field("    Image ID", &status.image_id);
    }
    let ports = container.ports.iter().flatten();
    let (mut own, mut host) = (Vec::new(), Vec::new());
    for port in ports {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        own.push(format!("{}/{protocol}", port.container_port));
        host.push(format!("{}/{protocol}", port.host_port.unwrap_or(0)));
    }
    let plural = if own.len() > 1 { "s" } else { "" };
    let text =
        |ports: Vec<String>| if ports.is_empty() { NONE.to_owned() } else { ports.join(", ") };
    sheet.field(&format!("    Port{plural}"), text(own));
    sheet.field(&format!("    Host Port{plural}"), text(host));
}

fn words(sheet: &mut Sheet, name: &str, words: Option<&Vec<String>>) {
    let Some(words) = words.filter(|words| !words.is_empty()) else { return };
    sheet.line(format!("    {name}:"));
    for line in words.iter().flat_map(|word| word.split('\n')) {
        sheet.line(format!("      {line}"));
    }
}

fn amounts(sheet: &mut Sheet, name: &str, amounts: Option<&ResourceList>) {
    let Some(amounts) = amounts.filter(|amounts| !amounts.is_empty()) else { return };
    sheet.line(format!("    {name}:"));
    for (resource, amount) in amounts {
        sheet.field(&format!("      {resource}"), &amount.0);
    }
}

fn states(sheet: &mut Sheet, status: &ContainerStatus) {
    state(sheet, "State", status.state.as_ref());
    if let Some(last) = status.last_state.as_ref().filter(|last| last.terminated.is_some()) {
        state(sheet, "Last State", Some(last));
    }
    sheet.field("    Ready", if status.ready { "True" } else { "False" });
    sheet.field("    Restart Count", status.restart_count);
}

fn state(sheet: &mut Sheet, name: &str, state: Option<&ContainerState>) {
    let name = format!("    {name}");
    let reason = |sheet: &mut Sheet, field: &str, text: Option<&String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            sheet.field(&format!("      {field}"), text);
        }
    };
    if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        sheet.field(&name, "Running");
        if let Some(at) = &running.started_at {
            sheet.field("      Started", rfc1123(at.0));
        }
    } else if let Some(end) = state.and_then(|state| state.terminated.as_ref()) {
        sheet.field(&name, "Terminated");
        reason(sheet, "Reason", end.reason.as_ref());
        reason(sheet, "Message", end.message.as_ref());
        sheet.field("      Exit Code", end.exit_code);
        if let Some(signal) = end.signal.filter(|signal| *signal > 0) {
            sheet.field("      Signal", signal);
        }
        for (field, at) in [("Started", &end.started_at), ("Finished", &end.finished_at)] {
            if let Some(at) = at {
                sheet.field(&format!("      {field}"), rfc1123(at.0));
            }
        }
    } else {
        sheet.field(&name, "Waiting");
        let waiting = state.and_then(|state| state.waiting.as_ref());
        reason(sheet, "Reason", waiting.and_then(|waiting| waiting.reason.as_ref()));
    }
}

fn environment(sheet: &mut Sheet, container: &Container) {
    let sources = container.env_from.as_deref().unwrap_or_default();
    if !sources.is_empty() {
        sheet.line("    Environment Variables from:");
    }
    for source in sources {
        let map = source.config_map_ref.as_ref().map(|map| (&map.name, "ConfigMap", map.optional));
        let secret = source.secret_ref.as_ref().map(|s| (&s.name, "Secret", s.optional));
        if let Some((name, kind, optional)) = map.or(secret) {
            let optional = optional.unwrap_or(false);
            sheet.line(format!("      {name}\t{kind}\tOptional: {optional}"));
        }
    }
    let all = container.env.as_deref().unwrap_or_default();
    if all.is_empty() {
        return sheet.field("    Environment", NONE);
    }
    sheet.line("    Environment:");
    for variable in all {
        sheet.line(format!("      {}:\t{}", variable.name, value(variable)));
    }
}

fn value(variable: &EnvVar) -> String {
    let Some(EnvVarSource {
        config_map_key_ref,
        field_ref,
        resource_field_ref,
        secret_key_ref,
        ..
    }) = &variable.value_from
    else {
        return variable.value.clone().unwrap_or_default().replace('\n', "\n\t");
    };
    if let Some(field) = field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        format!(" ({version}:{})", field.field_path)
    } else if let Some(map) = config_map_key_ref {
        let optional = map.optional.unwrap_or(false);
        format!("<set to the key '{}' of config map '{}'>\tOptional: {optional}", map.key, map.name)
    } else if let Some(secret) = secret_key_ref {
        let optional = secret.optional.unwrap_or(false);
        format!(
            "<set to the key '{}' in secret '{}'>\tOptional: {optional}",
            secret.key, secret.name
        )
    } else if let Some(resource) = resource_field_ref {
        format!(" ({})", resource.resource)
    } else {
        String::new()
    }
}

fn mounts(sheet: &mut Sheet, container: &Container) {
    let mut mounts: Vec<_> = container.volume_mounts.iter().flatten().collect();
    if mounts.is_empty() {
        return sheet.field("    Mounts", NONE);
    }
    mounts.sort_by(|a, b| a.mount_path.cmp(&b.mount_path));
    sheet.line("    Mounts:");
    for mount in mounts {
        let mode = if mount.read_only == Some(true) { "ro" } else { "rw" };
        let sub = mount.sub_path.as_ref().filter(|path| !path.is_empty());
        let sub = sub.map(|path| format!(",path={path:?}")).unwrap_or_default();
        sheet.line(format!("      {} from {} ({mode}{sub})", mount.mount_path, mount.name));
    }
}

pub(super) fn volumes(sheet: &mut Sheet, indent: &str, all: Option<&Vec<Volume>>) {
    let all = all.map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        return sheet.field(&format!("{indent}Volumes"), NONE);
    }
    sheet.line(format!("{indent}Volumes:"));
    let before = if indent.is_empty() { "  " } else { "   " };
    for volume in all {
        sheet.line(format!("{before}{}:", volume.name));
        if let Some(dir) = &volume.empty_dir {
            sheet
                .field("    Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
            sheet.field("    Medium", dir.medium.as_deref().unwrap_or_default());
            let limit = dir.size_limit.as_ref().map_or("<unset>", |limit| limit.0.as_str());
            sheet.field("    SizeLimit", limit);
        } else if let Some(path) = &volume.host_path {
            sheet.field("    Type", "HostPath (bare host directory volume)");
            sheet.field("    Path", &path.path);
            sheet.field("    HostPathType", path.type_.as_deref().unwrap_or_default());
        } else if let Some(secret) = &volume.secret {
            sheet.field("    Type", "Secret (a volume populated by a Secret)");
            sheet.field("    SecretName", secret.secret_name.as_deref().unwrap_or_default());
            sheet.field("    Optional", secret.optional.unwrap_or(false));
        } else if let Some(map) = &volume.config_map {
            sheet.field("    Type", "ConfigMap (a volume populated by a ConfigMap)");
            sheet.field("    Name", &map.name);
            sheet.field("    Optional", map.optional.unwrap_or(false));
        } else {
            sheet.field("    Type", "of another kind; `-o yaml` shows it");
        }
    }
}
