//! What containers and pods may ask for, and how much of it they may use.
//!
//! Owns: the checks of requests and limits. Must not know: what becomes of them on the host.
//! <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/>

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use super::{Found, Problem, quoted};
use crate::api::path::Path;
use crate::api::quantity::{HUGE_PAGES, Quantity, ResourceList, amount_of};

/// The resources that a pod may have as a whole, besides huge pages.
const POD_LEVEL: [&str; 2] = ["cpu", "memory"];

impl Found {
    pub(super) fn resources(&mut self, path: &Path, resources: &ResourceRequirements) {
        let (limits, requests) = (path.field("limits"), path.field("requests"));
        let none = ResourceList::new();
        let limited = resources.limits.as_ref().unwrap_or(&none);
        let asked = resources.requests.as_ref().unwrap_or(&none);
        for (name, limit) in limited {
            self.quantity(&limits.key(name), &limit.0);
            self.whole_pages(path, name, &limit.0);
        }
        for (name, request) in asked {
            let amount = self.quantity(&requests.key(name), &request.0);
            let rigid = name.starts_with(HUGE_PAGES);
            let Some(limit) = limited.get(name) else {
                if rigid {
                    let detail = "Limit must be set for non overcommitable resources".to_owned();
                    self.add(&limits, Problem::Required(detail));
                }
                continue;
            };
            let (Some(amount), Ok(most)) = (amount, Quantity::parse(&limit.0)) else { continue };
            if rigid && amount != most {
                let detail = format!("must be equal to {name} limit of {}", limit.0);
                self.invalid(&requests, quoted(&request.0), detail);
            } else if amount > most {
                let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
                self.invalid(&requests, quoted(&request.0), detail);
            }
        }
        let has = |wanted: fn(&str) -> bool| limited.keys().chain(asked.keys()).any(|n| wanted(n));
        let huge = has(|name| name.starts_with(HUGE_PAGES));
        if huge && !has(|name| ["cpu", "memory"].contains(&name)) {
            self.add(path, Problem::Forbidden("HugePages require cpu or memory"));
        }
    }

    /// Huge pages are given as a whole, and the name says how large one is.
    /// <https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/>
    fn whole_pages(&mut self, path: &Path, name: &str, text: &str) {
        let Some(size) = name.strip_prefix(HUGE_PAGES) else { return };
        let bytes = |text: &str| Quantity::parse(text).ok().map(Quantity::value);
        let whole = match (bytes(size), bytes(text)) {
            (Some(page), Some(all)) if page > 0 => all % page == 0,
            (_, None) => return, // told already
            (Some(_) | None, Some(_)) => false,
        };
        if !whole {
            let detail = format!("{text} is not positive integer multiple of {name}");
            self.invalid(path, quoted(text), detail);
        }
    }

    /// What all containers of a pod may have together.
    /// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#pod-level-resource-specification>
    pub(super) fn pod_resources(&mut self, path: &Path, pod: &PodSpec) {
        let Some(own) = &pod.resources else { return };
        self.resources(path, own);
        let (limits, requests) = (path.field("limits"), path.field("requests"));
        for (at, list) in [(&limits, &own.limits), (&requests, &own.requests)] {
            for name in list.iter().flat_map(|list| list.keys()) {
                if !POD_LEVEL.contains(&name.as_str()) && !name.starts_with(HUGE_PAGES) {
                    let value = name.clone();
                    self.add(&at.key(name), Problem::Unsupported { value, supported: &POD_LEVEL });
                }
            }
        }
        for (name, request) in own.requests.iter().flatten() {
            let of = |resources: &ResourceRequirements| {
                amount_of(resources.requests.as_ref(), name)
                    .or_else(|| amount_of(resources.limits.as_ref(), name))
            };
            let containers = pod.containers.iter().filter_map(|c| of(c.resources.as_ref()?));
            let sum = containers.fold(Quantity::default(), Quantity::plus);
            if Quantity::parse(&request.0).is_ok_and(|most| sum > most) {
                let detail = format!(
                    "must be greater than or equal to aggregate container requests of {}",
                    shown(sum)
                );
                self.invalid(&requests.key(name), quoted(&request.0), detail);
            }
        }
        for (name, most) in own.limits.iter().flatten() {
            let (text, Ok(most)) = (&most.0, Quantity::parse(&most.0)) else { continue };
            for container in &pod.containers {
                let list = container.resources.as_ref().and_then(|own| own.limits.as_ref());
                let limit = list.and_then(|list| list.get(name));
                let above = |text: &str| Quantity::parse(text).is_ok_and(|limit| limit > most);
                if let Some(limit) = limit.filter(|limit| above(&limit.0)) {
                    let detail = format!("must be less than or equal to pod limits of {text}");
                    self.invalid(&limits.key(name), quoted(&limit.0), detail);
                }
            }
        }
    }

    fn quantity(&mut self, path: &Path, text: &str) -> Option<Quantity> {
        match Quantity::parse(text) {
            Ok(quantity) if quantity.is_negative() => {
                self.invalid(path, quoted(text), "must be greater than or equal to 0");
                None
            }
            Ok(quantity) => Some(quantity),
            Err(why) => {
                self.invalid(path, quoted(text), why.to_string());
                None
            }
        }
    }
}

/// Whole, or in thousandths.
fn shown(amount: Quantity) -> String {
    match amount.millis() {
        millis if millis % 1000 == 0 => amount.value().to_string(),
        millis => format!("{millis}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{refused, refused_container};

    #[test]
    fn huge_pages_are_whole_limited_and_not_all_that_is_asked_for() {
        let path = "spec.template.spec.containers[0].resources";
        for (resources, expected) in [
            ("limits: {hugepages-2Mi: 4Mi}", ": Forbidden: HugePages require cpu or memory"),
            (
                "limits: {hugepages-2Mi: 3Mi, cpu: 1}",
                ": Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
            ),
            (
                "requests: {hugepages-2Mi: 4Mi, cpu: 1}",
                ".limits: Required value: Limit must be set for non overcommitable resources",
            ),
            (
                "limits: {hugepages-2Mi: 4Mi, cpu: 1}, requests: {hugepages-2Mi: 2Mi}",
                ".requests: Invalid value: \"2Mi\": must be equal to hugepages-2Mi limit of 4Mi",
            ),
        ] {
            let found = refused_container(&format!("resources: {{{resources}}}"));
            assert_eq!(found, [format!("{path}{expected}")]);
        }
        assert_eq!(
            refused_container("resources: {limits: {hugepages-2Mi: 4Mi, memory: 1Gi}}"),
            [""; 0]
        );
    }

    #[test]
    fn what_a_pod_has_as_a_whole_is_no_less_than_what_its_containers_have() {
        let of = |own: &str, container: &str| {
            let container = format!("{{name: a, image: b, resources: {{{container}}}}}");
            refused(&format!(
                "{{template: {{spec: {{restartPolicy: Never, resources: {{{own}}}, containers: \
                 [{container}]}}}}}}"
            ))
        };
        let path = "spec.template.spec.resources";
        assert_eq!(of("requests: {cpu: 1}, limits: {cpu: 2}", "limits: {cpu: 1}"), [""; 0]);
        assert_eq!(
            of("requests: {cpu: 500m}", "requests: {cpu: 1}"),
            [format!(
                "{path}.requests[cpu]: Invalid value: \"500m\": must be greater than or equal to \
                 aggregate container requests of 1"
            )]
        );
        assert_eq!(
            of("limits: {memory: 1Gi}", "limits: {memory: 2Gi}"),
            [format!(
                "{path}.limits[memory]: Invalid value: \"2Gi\": must be less than or equal to pod \
                 limits of 1Gi"
            )]
        );
        assert_eq!(
            of("limits: {ephemeral-storage: 1}", ""),
            [format!(
                "{path}.limits[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": \
                 supported values: \"cpu\", \"memory\""
            )]
        );
    }
}
