//! Asking a container how it is.
//!
//! Owns: what counts as a good answer of a program, of a web server and of a port, and how they are reached
//! in the pod's network. Must not know: when it is asked, and what follows from the answer.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#probe-check-methods>

mod health;
mod tls;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::Executed;
use super::pause::pause;
use crate::pod::{Handler, HttpGet};

/// A pod without an address, seen from its own network.
pub(super) const LOOPBACK: &str = "127.0.0.1";
/// In so many parts at most the first line of an answer may come.
const ANSWER_PARTS_MAX: u32 = 16;

/// What the end of a program amounts to.
pub(super) fn of_program(ran: Executed, timeout: Duration) -> Result<(), String> {
    match ran {
        Executed::Exited { code: 0, .. } => Ok(()),
        Executed::Exited { code, output } => {
            let output = output.trim();
            let colon = if output.is_empty() { "" } else { ": " };
            Err(format!("command exited with code {code}{colon}{output}"))
        }
        Executed::NotStarted { message } => Err(message),
        Executed::TimedOut => Err(format!("command timed out after {} seconds", timeout.as_secs())),
    }
}

/// Asks in the pod's network; `None` for that of the host. `own`: the pod's address there.
pub(super) async fn over_network(
    net: Option<PathBuf>,
    own: String,
    handler: Handler,
    timeout: Duration,
) -> Result<(), String> {
    let answer = async {
        match handler {
            Handler::Grpc { port, service } => {
                let stream = within(net, move || connect(&own, port, timeout)).await?;
                health::ask(stream, &service, timeout).await
            }
            handler @ (Handler::Exec(_)
            | Handler::Http(_)
            | Handler::Tcp { .. }
            | Handler::Sleep(_)) => within(net, move || ask(&handler, &own, timeout)).await,
        }
    };
    tokio::select! {
        answer = answer => answer,
        () = pause(timeout) => Err(format!("no answer after {} seconds", timeout.as_secs())),
    }
}

/// Does something that blocks in a network.
async fn within<T: Send + 'static>(
    net: Option<PathBuf>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = oneshot::channel();
    // A thread of its own: it enters the pod's network, and must not be used again.
    let asked = thread::Builder::new().name("probe".to_owned()).spawn(move || {
        let entered = net.as_deref().map_or(Ok(()), enter);
        let result = entered.and_then(|()| work());
        // Whoever asked may have gone.
        let _ = answer.send(result.map_err(|error| error.to_string()));
    });
    asked.map_err(|error| error.to_string())?;
    answered.await.unwrap_or_else(|_| Err("the thread of the probe broke".to_owned()))
}

fn enter(net: &Path) -> io::Result<()> {
    let namespace = File::open(net)?;
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace.as_fd(), kind).map_err(io::Error::from)
}

fn ask(handler: &Handler, own: &str, timeout: Duration) -> io::Result<()> {
    match handler {
        Handler::Http(get) => {
            let host = get.host.as_deref().unwrap_or(own);
            let stream = connect(host, get.port, timeout)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.set_write_timeout(Some(timeout))?;
            match get.tls {
                true => ask_web_server(tls::secure(stream, host)?, get, host),
                false => ask_web_server(stream, get, host),
            }
        }
        Handler::Tcp { host, port } => {
            connect(host.as_deref().unwrap_or(own), *port, timeout).map(drop)
        }
        Handler::Grpc { .. } | Handler::Exec(_) | Handler::Sleep(_) => {
            Err(io::Error::other("this is not asked like this"))
        }
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let address = (host, port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
    TcpStream::connect_timeout(&address, timeout)
}

fn ask_web_server(mut stream: impl Read + Write, get: &HttpGet, host: &str) -> io::Result<()> {
    stream.write_all(request(get, host).as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    for _ in 0..ANSWER_PARTS_MAX {
        let read = stream.read(&mut part)?;
        answer.extend_from_slice(&part[..read]);
        // The first line is enough.
        if read == 0 || answer.contains(&b'\n') {
            break;
        }
    }
    match status(&answer) {
        Some(200..=399) => Ok(()),
        Some(code) => Err(io::Error::other(format!("HTTP probe failed with statuscode: {code}"))),
        None => Err(io::Error::other("malformed HTTP response")),
    }
}

fn request(get: &HttpGet, host: &str) -> String {
    let own = |name: &str| get.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut text = format!("GET {} HTTP/1.1\r\n", get.path);
    if !own("Host") {
        text.push_str(&format!("Host: {}\r\n", authority(host, get.port)));
    }
    if !own("User-Agent") {
        text.push_str("User-Agent: kube-probe/1\r\n");
    }
    if !own("Accept") {
        text.push_str("Accept: */*\r\n");
    }
    for (name, value) in &get.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("Connection: close\r\n\r\n");
    text
}

/// `10.0.0.1:80`, `[fd00::1]:80`
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// `HTTP/1.1 200 OK` is 200.
fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let line = text.lines().next()?;
    let rest = line.strip_prefix("HTTP/")?;
    rest.split(' ').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn get(port: u16) -> HttpGet {
        let headers = vec![("X-Who".to_owned(), "me".to_owned())];
        HttpGet { host: None, port, path: "/healthz".to_owned(), headers, tls: false }
    }

    /// Answers once, with this; answers what was asked.
    fn server(answer: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut part = [0; 1024];
            let read = stream.read(&mut part).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&part[..read]).into_owned()
        });
        (port, serve)
    }

    #[test]
    fn a_web_server_is_well_when_it_answers_with_200_to_399() {
        let timeout = Duration::from_secs(5);
        for (answer, well) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.0 302 Found\r\n\r\n", true),
            ("HTTP/1.1 503 No\r\n\r\n", false),
            ("nonsense\r\n", false),
            ("", false),
        ] {
            let (port, serve) = server(answer);
            let asked = ask(&Handler::Http(get(port)), LOOPBACK, timeout);
            assert_eq!(asked.is_ok(), well, "{answer}");
            let asked = serve.join().unwrap();
            assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("\r\nX-Who: me\r\n"), "{asked}");
        }
    }

    #[test]
    fn a_web_server_may_show_any_certificate() {
        let made = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.unwrap())
            .unwrap();
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = thread::spawn(move || {
            let connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
            let (stream, _) = listener.accept().unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut part = [0; 1024];
            let read = stream.read(&mut part).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            String::from_utf8_lossy(&part[..read]).into_owned()
        });
        let get = HttpGet { tls: true, ..get(port) };
        ask(&Handler::Http(get), LOOPBACK, Duration::from_secs(5)).unwrap();
        assert!(serve.join().unwrap().contains(&format!("\r\nHost: {LOOPBACK}:{port}\r\n")));
    }

    #[test]
    fn a_port_is_well_when_somebody_listens() {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked =
            |port| ask(&Handler::Tcp { host: None, port }, LOOPBACK, Duration::from_secs(1));
        assert!(asked(port).is_ok());
        drop(listener);
        assert!(asked(port).is_err());
    }

    #[test]
    fn a_program_is_well_when_it_exits_with_0_in_time() {
        let timeout = Duration::from_secs(3);
        let exited = |code| Executed::Exited { code, output: " why\n".to_owned() };
        assert_eq!(of_program(exited(0), timeout), Ok(()));
        let said = |ran| of_program(ran, timeout).unwrap_err();
        assert_eq!(said(exited(2)), "command exited with code 2: why");
        assert_eq!(said(Executed::TimedOut), "command timed out after 3 seconds");
    }
}
