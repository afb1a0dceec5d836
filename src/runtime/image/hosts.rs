//! Which hosts have the images of a registry.
//!
//! Owns: containerd's directories of hosts (`certs.d/<registry>/hosts.toml`), Docker's directories of
//! certificates, and what is assumed of a registry that has neither.
//! Must not know: how a host is asked. The format is that of
//! <https://github.com/containerd/containerd/blob/main/docs/hosts.md>.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use reqwest::Url;
use toml::{Table, Value};

/// A host to ask, and how.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    /// Without a slash at its end: `https://registry-1.docker.io/v2`.
    pub(super) base: Url,
    /// It has to be told which registry is meant.
    pub(super) is_mirror: bool,
    /// It may be asked what a tag means.
    pub(super) can_resolve: bool,
    /// It may be asked for content.
    pub(super) can_pull: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) tls: Tls,
}

/// The files are read each time, so that a new certificate makes a new connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    /// Roots besides the system's, as PEM.
    pub(super) roots: Vec<Vec<u8>>,
    /// Certificate and key of this client, as PEM.
    pub(super) identity: Option<Vec<u8>>,
    pub(super) skip_verify: bool,
}

impl Host {
    /// `host` or `host:port`: what it is called in messages and in files of credentials.
    pub(super) fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(self.base.host_str().unwrap_or_default())
    }
}

/// The hosts of a registry, in the order in which they are to be asked.
///
/// # Errors
/// What is wrong, with the file: a mirror that is passed over in silence is a riddle.
pub(super) fn of(registry: &str, dir: &Path) -> Result<Vec<Host>, String> {
    let Some(dir) = candidates(registry).map(|name| dir.join(name)).find(|dir| dir.is_dir()) else {
        return Ok(vec![origin(registry, Tls::default())?]);
    };
    let path = dir.join("hosts.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let tls =
                docker_certificates(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
            return Ok(vec![origin(registry, tls)?]);
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    read(registry, &text, &dir).map_err(|why| format!("{}: {why}", path.display()))
}

fn candidates(registry: &str) -> impl Iterator<Item = String> {
    let with_port = registry.split_once(':').map(|(host, port)| format!("{host}_{port}_"));
    with_port.into_iter().chain([registry.to_owned(), "_default".to_owned()])
}

fn read(registry: &str, text: &str, dir: &Path) -> Result<Vec<Host>, String> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut hosts = Vec::new();
    // The order of the file is the order of preference.
    for (url, settings) in table(&file, "host")?.into_iter().flatten() {
        let Value::Table(settings) = settings else {
            return Err(format!("host.{url:?} is no table"));
        };
        let host = host(registry, url, settings, dir);
        hosts.push(host.map_err(|why| format!("host.{url:?}: {why}"))?);
    }
    let server = match file.get("server") {
        Some(Value::String(url)) => url.clone(),
        Some(_) => return Err("server is no string".to_owned()),
        None => origin(registry, Tls::default())?.base.to_string(),
    };
    let mut last = host(registry, &server, &file, dir)?;
    last.tls.skip_verify |= !file.contains_key("skip_verify") && last.is_loopback();
    if last.can_pull || last.can_resolve {
        hosts.push(last);
    }
    Ok(hosts)
}

/// What is assumed where no file says otherwise.
fn origin(registry: &str, tls: Tls) -> Result<Host, String> {
    let server = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (server, None),
    };
    let loopback = is_loopback(host);
    // A registry on loopback with a port of its own is one that somebody tries out.
    let plain = loopback
        && port.is_some_and(|port| port != "443")
        && tls.roots.is_empty()
        && tls.identity.is_none();
    let scheme = if plain { "http" } else { "https" };
    let mut host = host_at(registry, &format!("{scheme}://{server}"), false)?;
    host.tls = Tls { skip_verify: loopback, ..tls };
    Ok(host)
}

fn host(registry: &str, url: &str, settings: &Table, dir: &Path) -> Result<Host, String> {
    let has_scheme = url.starts_with("http://") || url.starts_with("https://");
    let url = if has_scheme { url.to_owned() } else { format!("https://{url}") };
    let mut host = host_at(registry, &url, boolean(settings, "override_path")?)?;
    if settings.contains_key("capabilities") {
        let capabilities = strings(settings, "capabilities")?;
        host.can_pull = capabilities.iter().any(|c| c == "pull");
        host.can_resolve = capabilities.iter().any(|c| c == "resolve");
    }
    host.tls.skip_verify = boolean(settings, "skip_verify")?;
    for path in strings(settings, "ca")? {
        host.tls.roots.push(pem(dir, &path)?);
    }
    host.tls.identity = identity(settings, dir)?;
    for (name, values) in table(settings, "header")?.into_iter().flatten() {
        let name =
            name.parse::<HeaderName>().map_err(|error| format!("header {name:?}: {error}"))?;
        for value in list(values).ok_or_else(|| format!("header {name:?} is no string"))? {
            let value =
                HeaderValue::from_str(value).map_err(|e| format!("header {name:?}: {e}"))?;
            host.headers.push((name.clone(), value));
        }
    }
    Ok(host)
}

fn host_at(registry: &str, url: &str, override_path: bool) -> Result<Host, String> {
    let mut base = url.parse::<Url>().map_err(|error| format!("`{url}`: {error}"))?;
    let path = base.path().trim_end_matches('/').to_owned();
    let complete = override_path || path.ends_with("/v2");
    base.set_path(&if complete { path } else { format!("{path}/v2") });
    base.set_query(None);
    let mut host = Host {
        base,
        is_mirror: false,
        can_resolve: true,
        can_pull: true,
        headers: Vec::new(),
        tls: Tls::default(),
    };
    let name = host.name();
    let is_hub = registry == "docker.io" && name == "registry-1.docker.io";
    // A URL leaves out the port that its scheme implies.
    let is_origin = name == registry || registry == format!("{name}:443");
    host.is_mirror = !is_origin && !is_hub;
    Ok(host)
}

/// Certificate and key, in one file or in two. Only the first pair is used: one client is enough.
fn identity(settings: &Table, dir: &Path) -> Result<Option<Vec<u8>>, String> {
    let wrong = "client is neither a file nor a list of files or of pairs [certificate, key]";
    let files: Vec<&str> = match settings.get("client") {
        None => return Ok(None),
        Some(Value::String(file)) => vec![file],
        Some(Value::Array(entries)) => match entries.first() {
            None => return Ok(None),
            Some(Value::String(file)) => vec![file],
            Some(pair) => list(pair).ok_or(wrong)?,
        },
        Some(_) => return Err(wrong.to_owned()),
    };
    let mut all = Vec::new();
    for file in files.into_iter().filter(|file| !file.is_empty()) {
        all.extend(pem(dir, file)?);
        all.push(b'\n');
    }
    Ok((!all.is_empty()).then_some(all))
}

/// `*.crt` are roots; `x.cert` and `x.key` are a client's.
fn docker_certificates(dir: &Path) -> io::Result<Tls> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut tls = Tls::default();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.roots.push(fs::read(&file)?),
            Some("cert") if tls.identity.is_none() => {
                let mut pair = fs::read(&file)?;
                pair.push(b'\n');
                pair.extend(fs::read(file.with_extension("key"))?);
                tls.identity = Some(pair);
            }
            Some(_) | None => {}
        }
    }
    Ok(tls)
}

fn pem(dir: &Path, file: &str) -> Result<Vec<u8>, String> {
    let path = dir.join(file);
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn boolean(settings: &Table, key: &str) -> Result<bool, String> {
    match settings.get(key) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| format!("{key} is neither true nor false")),
    }
}

fn table<'a>(settings: &'a Table, key: &str) -> Result<Option<&'a Table>, String> {
    match settings.get(key) {
        None => Ok(None),
        Some(value) => value.as_table().map(Some).ok_or_else(|| format!("{key} is no table")),
    }
}

fn strings(settings: &Table, key: &str) -> Result<Vec<String>, String> {
    let Some(value) = settings.get(key) else { return Ok(Vec::new()) };
    let found =
        list(value).ok_or_else(|| format!("{key} is neither a string nor a list of them"))?;
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// One string or several.
fn list(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => several.iter().map(Value::as_str).collect(),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(hosts: &[Host]) -> Vec<String> {
        hosts.iter().map(|host| host.base.to_string()).collect()
    }

    fn parsed(registry: &str, text: &str) -> Result<Vec<Host>, String> {
        read(registry, text, Path::new("/nonexistent"))
    }

    #[test]
    fn without_a_file_a_registry_is_asked_over_https_and_loopback_over_http() {
        for (registry, base, skip_verify) in [
            ("docker.io", "https://registry-1.docker.io/v2", false),
            ("quay.io", "https://quay.io/v2", false),
            ("quay.io:8443", "https://quay.io:8443/v2", false),
            ("localhost", "https://localhost/v2", true),
            ("localhost:443", "https://localhost/v2", true),
            ("localhost:5000", "http://localhost:5000/v2", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2", true),
        ] {
            let hosts = of(registry, Path::new("/nonexistent")).unwrap();
            assert_eq!(bases(&hosts), [base]);
            assert_eq!((hosts[0].is_mirror, hosts[0].tls.skip_verify), (false, skip_verify));
        }
    }

    #[test]
    fn mirrors_are_asked_in_the_order_of_the_file_and_the_server_last() {
        let hosts = parsed(
            "docker.io",
            r#"
            [host."https://z.example"]
              capabilities = ["pull"]
              header = { x-team = ["a", "b"] }
            [host."http://a.example:5000/proxy"]
            [host."b.example/own/path"]
              override_path = true
              skip_verify = true
            "#,
        )
        .unwrap();
        assert_eq!(
            bases(&hosts),
            [
                "https://z.example/v2",
                "http://a.example:5000/proxy/v2",
                "https://b.example/own/path",
                "https://registry-1.docker.io/v2",
            ]
        );
        let mirrors: Vec<_> = hosts.iter().map(|host| host.is_mirror).collect();
        assert_eq!(mirrors, [true, true, true, false]);
        assert_eq!((hosts[0].can_pull, hosts[0].can_resolve), (true, false));
        assert_eq!(hosts[0].headers.len(), 2);
        assert!(hosts[2].tls.skip_verify && !hosts[3].tls.skip_verify);
    }

    #[test]
    fn a_server_can_be_plain_http_or_left_out() {
        let hosts = parsed("r.example:80", "server = \"http://r.example\"").unwrap();
        assert_eq!(bases(&hosts), ["http://r.example/v2"]);
        let hosts =
            parsed("r.example", "server = \"http://o.example/\"\ncapabilities = []").unwrap();
        assert!(hosts.is_empty());
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told() {
        for (text, why) in [
            ("server = 1", "server is no string"),
            ("[host.\"https://a\"]\nskip_verify = \"x\"", "neither true nor false"),
            ("[host.\"https://a\"]\nca = \"no.pem\"", "/nonexistent/no.pem"),
            ("[host.\"https://a\"]\nheader = { \"a b\" = \"x\" }", "header"),
            ("[host", "TOML"),
        ] {
            let error = parsed("docker.io", text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn directories_are_looked_up_as_containerd_does() {
        let root = tempfile::tempdir().unwrap();
        let names: Vec<_> = candidates("r.example:5000").collect();
        assert_eq!(names, ["r.example_5000_", "r.example:5000", "_default"]);
        fs::create_dir(root.path().join("_default")).unwrap();
        let file = root.path().join("_default/hosts.toml");
        fs::write(file, "[host.\"https://cache.example\"]").unwrap();
        let hosts = of("r.example", root.path()).unwrap();
        assert_eq!(bases(&hosts), ["https://cache.example/v2", "https://r.example/v2"]);
    }

    #[test]
    fn certificates_may_lie_about_as_docker_has_them() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("localhost:5000");
        fs::create_dir(&dir).unwrap();
        for (file, text) in [("ca.crt", "CA"), ("me.cert", "CERT"), ("me.key", "KEY")] {
            fs::write(dir.join(file), text).unwrap();
        }
        let hosts = of("localhost:5000", root.path()).unwrap();
        assert_eq!(bases(&hosts), ["https://localhost:5000/v2"]);
        assert_eq!(hosts[0].tls.roots, [b"CA"]);
        assert_eq!(hosts[0].tls.identity.as_deref(), Some(b"CERT\nKEY".as_slice()));
    }
}
