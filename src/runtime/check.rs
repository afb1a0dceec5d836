//! Asking a container how it is.
//!
//! Owns: what counts as a good answer of a program, of a web server and of a port, and how they are reached
//! in the pod's network. Must not know: when it is asked, and what follows from the answer.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#probe-check-methods>

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

/// The pod, seen from its own network.
const LOOPBACK: &str = "127.0.0.1";
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

/// Asks in the pod's network; `None` for that of the host.
pub(super) async fn over_network(
    net: Option<PathBuf>,
    handler: Handler,
    timeout: Duration,
) -> Result<(), String> {
    let (answer, answered) = oneshot::channel();
    // A thread of its own: it enters the pod's network, and must not be used again.
    let asked = thread::Builder::new().name("probe".to_owned()).spawn(move || {
        let entered = net.as_deref().map_or(Ok(()), enter);
        let result = entered.and_then(|()| ask(&handler, timeout));
        // Whoever asked may have gone.
        let _ = answer.send(result.map_err(|error| error.to_string()));
    });
    match asked {
        Ok(_) => tokio::select! {
            answer = answered => {
                answer.unwrap_or_else(|_| Err("the thread of the probe broke".to_owned()))
            }
            () = pause(timeout) => Err(format!("no answer after {} seconds", timeout.as_secs())),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn enter(net: &Path) -> io::Result<()> {
    let namespace = File::open(net)?;
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace.as_fd(), kind).map_err(io::Error::from)
}

fn ask(handler: &Handler, timeout: Duration) -> io::Result<()> {
    match handler {
        Handler::Http(get) => ask_web_server(get, timeout),
        Handler::Tcp { host, port } => connect(host.as_deref(), *port, timeout).map(drop),
        Handler::Exec(_) | Handler::Sleep(_) => {
            Err(io::Error::other("this is not asked over the network"))
        }
    }
}

fn connect(host: Option<&str>, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let address = (host.unwrap_or(LOOPBACK), port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
    TcpStream::connect_timeout(&address, timeout)
}

fn ask_web_server(get: &HttpGet, timeout: Duration) -> io::Result<()> {
    let mut stream = connect(get.host.as_deref(), get.port, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(request(get).as_bytes())?;
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

fn request(get: &HttpGet) -> String {
    let own = |name: &str| get.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut text = format!("GET {} HTTP/1.1\r\n", get.path);
    if !own("Host") {
        text.push_str(&format!(
            "Host: {}:{}\r\n",
            get.host.as_deref().unwrap_or(LOOPBACK),
            get.port
        ));
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
        HttpGet { host: None, port, path: "/healthz".to_owned(), headers }
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
            assert_eq!(ask(&Handler::Http(get(port)), timeout).is_ok(), well, "{answer}");
            let asked = serve.join().unwrap();
            assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
            assert!(asked.contains("\r\nX-Who: me\r\n"), "{asked}");
        }
    }

    #[test]
    fn a_port_is_well_when_somebody_listens() {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = |port| ask(&Handler::Tcp { host: None, port }, Duration::from_secs(1));
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
