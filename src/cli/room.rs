//! What this host has for pods.
//!
//! Owns: reading it, and what of it is set aside. Must not know: which pods run.
//! <https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/>

use std::fs;
use std::str::FromStr;

use crate::api::amounts::Amounts;
use crate::api::quantity::{Quantity, ResourceList, cpu_millis, memory_bytes};

/// What pods do not get: `cpu=500m,memory=1Gi`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved(Amounts);

impl FromStr for Reserved {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut list = ResourceList::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, amount) = part
                .split_once('=')
                .filter(|(name, _)| ["cpu", "memory"].contains(name))
                .ok_or("expected amounts of cpu and memory, as in cpu=500m,memory=1Gi")?;
            let quantity = Quantity::parse(amount).map_err(|error| format!("{name}: {error}"))?;
            if quantity.is_negative() {
                return Err(format!("{name}: must be greater than or equal to 0"));
            }
            let amount = serde_json::from_value(amount.into()).map_err(|e| e.to_string())?;
            if list.insert(name.to_owned(), amount).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        let (cpu, memory) = (cpu_millis(Some(&list)), memory_bytes(Some(&list)));
        let (cpu_millis, memory_bytes) = (cpu.unwrap_or(0), memory.unwrap_or(0));
        Ok(Self(Amounts { cpu_millis, memory_bytes, pods: 0 }))
    }
}

/// All that the host has, and what of it pods may ask for.
pub(super) fn of_host(pods: u32, reserved: Reserved) -> (Amounts, Amounts) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all = Amounts {
        cpu_millis: u64::try_from(cores).unwrap_or(u64::MAX).saturating_mul(1000),
        memory_bytes: memory(),
        pods: pods.into(),
    };
    (all, all - reserved.0)
}

fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    // A host that does not say how much it has refuses nobody.
    kibibytes.map_or(u64::MAX, |kibibytes| kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_read_as_amounts() {
        let read = |text: &str| text.parse::<Reserved>();
        let both = Amounts { cpu_millis: 500, memory_bytes: 1 << 30, pods: 0 };
        assert_eq!(read("cpu=500m, memory=1Gi"), Ok(Reserved(both)));
        assert_eq!(read(""), Ok(Reserved::default()));
        for text in ["cpu", "disk=1", "cpu=x", "cpu=-1", "cpu=1,cpu=2"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pods_get_what_is_not_reserved() {
        let (all, free) = of_host(7, "cpu=500m,memory=1Mi".parse().unwrap());
        assert!(all.cpu_millis >= 1000 && all.memory_bytes > 1 << 20);
        assert_eq!((all.cpu_millis - free.cpu_millis, free.pods), (500, 7));
        assert_eq!(all.memory_bytes - free.memory_bytes, 1 << 20);
    }
}
