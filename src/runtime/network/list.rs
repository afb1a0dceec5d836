//! What a network is made of: an ordered list of plugins.
//!
//! Owns: finding the list of this host, and what each plugin is told of it. Must not know: how plugins are
//! called.
//! <https://github.com/containernetworking/cni/blob/main/SPEC.md#section-1-network-configuration-format>

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::record::PortMapping;

/// The version of a list that names none.
const VERSION_DEFAULT: &str = "0.1.0";
/// Before this version results look different.
const VERSION_MIN: (u32, u32) = (0, 3);
/// From this version on a plugin is told at the end what came of its addition.
const VERSION_TELLS_AT_END: (u32, u32) = (0, 4);

/// The first list of the directory, and where it is. The error names the file.
pub(super) fn first(dir: &Path) -> Result<Option<(PathBuf, Value)>, String> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("`{}`: {error}", dir.display())),
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let ending = file.extension().unwrap_or_default();
        ["conflist", "conf", "json"].iter().any(|known| ending == *known)
    });
    files.sort();
    let Some(file) = files.into_iter().next() else { return Ok(None) };
    let read = fs::read(&file).map_err(|error| error.to_string());
    let list = read.and_then(|bytes| parse(&bytes));
    let list =
        list.map_err(|why| format!("the network of `{}` is wrong: {why}", file.display()))?;
    Ok(Some((file, list)))
}

/// A list, or a single plugin, which becomes one.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut list: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if list["plugins"].is_null() && list["type"].is_string() {
        list = json!({"name": list["name"], "cniVersion": list["cniVersion"], "plugins": [list]});
    }
    if list["name"].as_str().is_none_or(str::is_empty) {
        return Err("it has no name".to_owned());
    }
    if version(&list) < VERSION_MIN {
        return Err("its cniVersion is older than 0.3.0".to_owned());
    }
    let plugins = list["plugins"].as_array().filter(|plugins| !plugins.is_empty());
    let plugins = plugins.ok_or("it has no plugins")?;
    let plain = |plugin: &Value| {
        plugin["type"].as_str().is_some_and(|kind| !kind.is_empty() && !kind.contains('/'))
    };
    if plugins.iter().all(plain) {
        Ok(list)
    } else {
        Err("a plugin's type must be the name of a program".to_owned())
    }
}

fn version(list: &Value) -> (u32, u32) {
    let mut parts = list["cniVersion"].as_str().unwrap_or(VERSION_DEFAULT).split('.');
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// Whether the list's plugins are told at the end what came of the addition.
pub(super) fn tells_at_end(list: &Value) -> bool {
    version(list) >= VERSION_TELLS_AT_END
}

/// Whether a plugin of the list opens ports of the host.
pub(super) fn maps_ports(list: &Value) -> bool {
    plugins(list).any(|plugin| plugin["capabilities"]["portMappings"] == true)
}

/// What each plugin is told, in order.
pub(super) fn configs(list: &Value, ports: &[PortMapping]) -> Vec<Value> {
    let each = plugins(list).map(|plugin| {
        let mut config = plugin.clone();
        config["name"] = list["name"].clone();
        config["cniVersion"] = json!(list["cniVersion"].as_str().unwrap_or(VERSION_DEFAULT));
        if plugin["capabilities"]["portMappings"] == true && !ports.is_empty() {
            config["runtimeConfig"] = json!({"portMappings": ports});
        }
        config
    });
    each.collect()
}

fn plugins(list: &Value) -> impl Iterator<Item = &Value> {
    list["plugins"].as_array().into_iter().flatten()
}

/// The addresses that a result tells, without the lengths of their networks.
pub(super) fn addresses(result: &Value) -> Vec<String> {
    let all = result["ips"].as_array().into_iter().flatten();
    let texts = all.filter_map(|ip| ip["address"].as_str());
    texts.map(|text| text.split('/').next().unwrap_or(text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        parse(text.as_bytes())
    }

    #[test]
    fn the_first_file_rules_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(first(&dir.path().join("none")), Ok(None));
        assert_eq!(first(dir.path()), Ok(None));
        let list = r#"{"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "ptp"}]}"#;
        fs::write(dir.path().join("20-b.conflist"), list).unwrap();
        fs::write(dir.path().join("05-notes.txt"), "no").unwrap();
        let (file, found) = first(dir.path()).unwrap().unwrap();
        assert_eq!((file, &found["name"]), (dir.path().join("20-b.conflist"), &json!("n")));
        fs::write(dir.path().join("10-a.conf"), "{").unwrap();
        assert!(first(dir.path()).unwrap_err().contains("10-a.conf` is wrong"));
    }

    #[test]
    fn a_single_plugin_is_a_list_of_one() {
        let list = read(r#"{"name": "n", "cniVersion": "0.3.1", "type": "bridge", "bridge": "b"}"#);
        let list = list.unwrap();
        assert_eq!((&list["name"], &list["plugins"][0]["bridge"]), (&json!("n"), &json!("b")));
        assert!(!tells_at_end(&list));
    }

    #[test]
    fn a_list_that_says_too_little_is_refused() {
        for (text, why) in [
            ("[", "EOF"),
            (r#"{"cniVersion": "1.0.0", "plugins": [{"type": "a"}]}"#, "no name"),
            (r#"{"name": "n", "cniVersion": "1.0.0", "plugins": []}"#, "no plugins"),
            (r#"{"name": "n", "plugins": [{"type": "a"}]}"#, "older than 0.3.0"),
            (r#"{"name": "n", "cniVersion": "1.0.0", "plugins": [{"type": "../a"}]}"#, "type"),
        ] {
            assert!(read(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn a_plugin_is_told_of_the_ports_that_it_can_open() {
        let list = json!({"name": "n", "cniVersion": "1.0.0", "plugins": [
            {"type": "bridge"}, {"type": "portmap", "capabilities": {"portMappings": true}},
        ]});
        let port = PortMapping {
            host_port: 80,
            container_port: 8080,
            protocol: "tcp".to_owned(),
            host_ip: String::new(),
        };
        let [bridge, portmap] = &configs(&list, &[port])[..] else { panic!("there are two") };
        let common = json!({"type": "bridge", "name": "n", "cniVersion": "1.0.0"});
        assert_eq!(*bridge, common);
        let port = json!({"hostPort": 80, "containerPort": 8080, "protocol": "tcp", "hostIP": ""});
        assert_eq!(portmap["runtimeConfig"], json!({"portMappings": [port]}));
        assert_eq!(configs(&list, &[])[1]["runtimeConfig"], Value::Null);
        assert!(maps_ports(&list) && tells_at_end(&list));
    }

    #[test]
    fn the_addresses_of_a_result_are_plain() {
        let result = json!({"ips": [{"address": "10.1.0.2/16"}, {"address": "fd00::2/64"}]});
        assert_eq!(addresses(&result), ["10.1.0.2", "fd00::2"]);
        assert_eq!(addresses(&Value::Null), [""; 0]);
    }
}
