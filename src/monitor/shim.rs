//! What the shim knows of the container's end.
//!
//! Owns: finding the socket of the shim that started this process, and one ttrpc `Wait` on it, as
//! a state machine that never blocks. containerd is not asked: it forgets, and it may be away.
//! Must not know: pipes, logs, what becomes of the answer.
//!
//! <https://github.com/containerd/ttrpc/blob/main/PROTOCOL.md>

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, getppid};

/// How the container ended, in the shim's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: u8,
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Exited(Exit),
    /// The shim knows no such container: not yet, or not any more.
    Unknown,
}

/// The shim, and how far the question is.
#[derive(Debug)]
pub(super) struct Shim {
    /// The container's id.
    id: String,
    /// The shim's process; when it is not the parent any more, it is dead.
    process: Option<Pid>,
    addresses: Vec<PathBuf>,
    /// Which address and which version of the service is tried.
    turn: usize,
    pause: Duration,
    last_chance: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Pausing {
        until: Duration,
    },
    Asking {
        socket: UnixStream,
        received: Vec<u8>,
    },
    /// Answered, or there is nobody left to ask.
    Over,
}

/// containerd 2 speaks version 3 and answers "unimplemented" to version 2; 1.6 and 1.7 the reverse.
const SERVICES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];
/// How long to wait before asking again; doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// ttrpc's own limit of a message.
const MAX_MESSAGE: usize = 4 << 20;
const NOT_FOUND: u64 = 5;
const UNIMPLEMENTED: u64 = 12;

impl Shim {
    /// The shim that started this process, in its bundle directory.
    pub(super) fn parent(id: String, bundle: &Path) -> Shim {
        let process = getppid();
        let mut addresses = written_addresses(bundle);
        if addresses.is_empty() {
            // The bundle was another container's and is gone.
            addresses = process.map(listening_addresses).unwrap_or_default();
        }
        let mut shim = Shim::at(id, addresses);
        shim.process = process;
        shim.turn = usize::from(bundle.join("bootstrap.json").exists());
        shim
    }

    fn at(id: String, addresses: Vec<PathBuf>) -> Shim {
        let state = State::Pausing { until: Duration::ZERO };
        let (turn, pause, last_chance) = (0, FIRST_PAUSE, false);
        Shim { id, process: getppid(), addresses, turn, pause, last_chance, state }
    }

    /// What to poll for input.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Asking { socket, .. } => Some(socket.as_fd()),
            State::Pausing { .. } | State::Over => None,
        }
    }

    /// When to look again even if nothing comes.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Pausing { until } => Some(*until),
            State::Asking { .. } | State::Over => None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Asks now or never: the next failure is the last.
    pub(super) fn hurry(&mut self) {
        self.last_chance = true;
        if let State::Pausing { until } = &mut self.state {
            *until = Duration::ZERO;
        }
    }

    /// Goes on as far as it goes without waiting.
    pub(super) fn step(&mut self, now: Duration) -> Option<Answer> {
        if let State::Pausing { until } = self.state
            && until <= now
        {
            match self.ask() {
                Ok(socket) => self.state = State::Asking { socket, received: Vec::new() },
                Err(_) => self.failed(now),
            }
        }
        let State::Asking { socket, received } = &mut self.state else { return None };
        let open = receive(socket, received).unwrap_or(false);
        match reply(received) {
            Some(Reply { status: 0, exit: Some(exit) }) => {
                self.state = State::Over;
                Some(Answer::Exited(exit))
            }
            Some(Reply { status: NOT_FOUND, .. }) => {
                self.pause(now);
                Some(Answer::Unknown)
            }
            Some(Reply { status: UNIMPLEMENTED, .. }) => {
                self.failed(now);
                None
            }
            Some(Reply { .. }) => {
                self.pause(now);
                None
            }
            None if !open => {
                self.failed(now);
                None
            }
            None => None,
        }
    }

    fn ask(&self) -> io::Result<UnixStream> {
        let address =
            self.addresses.get(self.turn / SERVICES.len()).ok_or(io::ErrorKind::NotFound)?;
        let mut socket = UnixStream::connect(address)?;
        socket.write_all(&request(SERVICES[self.turn % SERVICES.len()], &self.id))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// Tries the other version, the next address; at the end of the list, looks for addresses anew.
    fn failed(&mut self, now: Duration) {
        self.turn += 1;
        if self.turn < self.addresses.len() * SERVICES.len() {
            self.state = State::Pausing { until: now };
            return;
        }
        self.turn = 0;
        let alive = self.process.filter(|_| self.process == getppid());
        let Some(process) = alive else {
            self.state = State::Over;
            return;
        };
        for found in listening_addresses(process) {
            if !self.addresses.contains(&found) {
                self.addresses.push(found);
            }
        }
        self.pause(now);
    }

    fn pause(&mut self, now: Duration) {
        if self.last_chance {
            self.state = State::Over;
        } else {
            self.state = State::Pausing { until: now + self.pause };
            self.pause = (self.pause * 2).min(MAX_PAUSE);
        }
    }
}

/// What containerd, or the shim, wrote down beside the container's specification.
fn written_addresses(bundle: &Path) -> Vec<PathBuf> {
    let bootstrap = fs::read_to_string(bundle.join("bootstrap.json")).unwrap_or_default();
    let bootstrap =
        bootstrap.split_once(r#""address":""#).and_then(|(_, rest)| rest.split_once('"'));
    let plain = fs::read_to_string(bundle.join("address")).unwrap_or_default();
    let written = [bootstrap.map_or("", |(address, _)| address), plain.trim()];
    written
        .iter()
        .filter_map(|address| address.strip_prefix("unix://"))
        .map(PathBuf::from)
        .collect()
}

/// The sockets that a process listens on.
fn listening_addresses(process: Pid) -> Vec<PathBuf> {
    const LISTENING: &str = "00010000";
    let proc = Path::new("/proc").join(process.as_raw_nonzero().to_string());
    let inodes: Vec<String> = fs::read_dir(proc.join("fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string(proc.join("net/unix")).unwrap_or_default();
    let listening = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (flags, inode, path) = (fields.next()?, fields.nth(2)?, fields.next()?);
        let ours = flags == LISTENING && inodes.iter().any(|ours| ours == inode);
        (ours && path.starts_with('/')).then(|| PathBuf::from(path))
    };
    table.lines().filter_map(listening).collect()
}

/// Takes what is there. Answers whether more can come.
fn receive(socket: &mut UnixStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 512];
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(n) => received.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                return Ok(received.len() <= MAX_MESSAGE);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Frame: length, stream (odd), type 1 (request), flags; then `Request{service, method, payload}`
/// with `WaitRequest{id}`.
fn request(service: &str, id: &str) -> Vec<u8> {
    let mut wait = Vec::new();
    put(&mut wait, 1, id.as_bytes());
    let mut body = Vec::new();
    put(&mut body, 1, service.as_bytes());
    put(&mut body, 2, b"Wait");
    put(&mut body, 3, &wait);
    let length = u32::try_from(body.len()).expect("a container's id is short");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&[0, 0, 0, 1, 1, 0]);
    frame.append(&mut body);
    frame
}

#[derive(Debug, PartialEq, Eq)]
struct Reply {
    /// 0 is success; else the code of gRPC.
    status: u64,
    exit: Option<Exit>,
}

/// The response, once it is whole: `Response{status: Status{code}, payload}` with
/// `WaitResponse{exit_status, exited_at: Timestamp{seconds, nanos}}`.
fn reply(received: &[u8]) -> Option<Reply> {
    let (head, body) = received.split_at_checked(10)?;
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let body = body.get(..usize::try_from(length).ok()?)?;
    let status = field(body, 1).map_or(0, |status| number(status.bytes(), 1));
    let exit = field(body, 2).map(|payload| {
        let payload = payload.bytes();
        let time = field(payload, 2).map_or(&[][..], Value::bytes);
        Exit {
            code: u8::try_from(number(payload, 1)).unwrap_or(u8::MAX),
            seconds: number(time, 1).cast_signed(),
            nanos: u32::try_from(number(time, 2)).unwrap_or(0),
        }
    });
    // A success without a payload is exit code 0 at the beginning of time: not what a shim says.
    Some(Reply { status, exit })
}

/// The value of one field of a protobuf message.
#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }
}

fn number(message: &[u8], tag: u64) -> u64 {
    match field(message, tag) {
        Some(Value::Number(number)) => number,
        Some(Value::Bytes(_)) | None => 0,
    }
}

fn field(message: &[u8], tag: u64) -> Option<Value<'_>> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)?),
            1 => Value::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            5 => Value::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        if key >> 3 == tag {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    rest.split_off(..length)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(value);
        }
    }
    None
}

fn put(message: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    message.push(tag << 3 | 2);
    let mut length = bytes.len();
    while length > 127 {
        message.push(u8::try_from(length & 127).expect("seven bits") | 128);
        length >>= 7;
    }
    message.push(u8::try_from(length).expect("seven bits"));
    message.extend_from_slice(bytes);
}
