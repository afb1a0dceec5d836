//! Sockets.
//!
//! Owns: who is listened to and how many at once, TLS, and how long a peer may keep silent. Must not
//! know: what is asked.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::api::Api;
use super::identity::{Caller, Tokens};

/// Connections at once; more wait until one ends.
const CONNECTIONS_MAX: usize = 1024;
/// How long a peer has to shake hands.
const HELLO: Duration = Duration::from_secs(20);
/// How long a peer of HTTP/1 has to send the head of its next request; clients keep connections open.
const NEXT_HEAD: Duration = Duration::from_secs(90);
/// How long what is written may wait for a peer that does not read.
const STALLED: Duration = Duration::from_mins(1);
/// How often a silent peer of HTTP/2 is asked whether it is there, and how long it has to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(15);
/// The same for TCP, which finds half-open connections.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// After how many of them nobody is there.
const KEEPALIVES_MISSED: u32 = 3;
/// How long connections have to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted: for want of files, mostly.
const BREATHE: Duration = Duration::from_millis(100);
/// What one connection may ask for at once.
const STREAMS_PER_CONNECTION: u32 = 250;

/// Why nobody is listened to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {address}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("cannot listen on `{}`", .path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("another server listens on `{}`", .path.display())]
    Taken { path: PathBuf },
}

/// Opens the socket on which nobody has to say who they are: its file says who may.
pub(super) fn unix(path: &Path, group: Option<u32>) -> Result<UnixListener, Error> {
    let failed = |source| Error::Unix { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(Error::Taken { path: path.to_owned() }),
        // Left over from a server that did not end in order.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(failed)?;
    }
    Ok(listener)
}

/// The number of a group of this host.
pub(super) fn group(name: &str) -> Option<u32> {
    let text = std::fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

pub(super) async fn tcp(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Tcp { address, source })
}

/// Serves whoever connects to the unix socket, until told to stop.
pub(super) async fn serve_unix(api: Arc<Api>, listener: UnixListener, stop: CancellationToken) {
    let mut connections = Connections::new(stop);
    while let Some(accepted) = connections.accept(|context| listener.poll_accept(context)).await {
        let (stream, _): (UnixStream, _) = accepted;
        let (api, stop) = (Arc::clone(&api), connections.stop.clone());
        connections.spawn(serve(api, stream, Who::Known(Caller::admin()), stop));
    }
    connections.end().await;
}

/// Serves whoever connects by TLS, until told to stop.
pub(super) async fn serve_tls(
    api: Arc<Api>,
    listener: TcpListener,
    (tls, tokens): (watch::Receiver<Arc<ServerConfig>>, Tokens),
    stop: CancellationToken,
) {
    let tokens = Arc::new(tokens);
    let mut connections = Connections::new(stop);
    while let Some(accepted) = connections.accept(|context| listener.poll_accept(context)).await {
        let (stream, peer): (TcpStream, SocketAddr) = accepted;
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.borrow()));
        let (api, tokens, stop) = (Arc::clone(&api), Arc::clone(&tokens), connections.stop.clone());
        connections.spawn(async move {
            keep_alive(&stream);
            let stream = match timeout(HELLO, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return debug!(%peer, %error, "no TLS with a peer"),
                Err(_) => return debug!(%peer, "a peer did not shake hands in time"),
            };
            // It was checked against the authority in the handshake.
            let shown = stream.get_ref().1.peer_certificates().is_some();
            let who = if shown { Who::Known(Caller::admin()) } else { Who::ByToken(tokens) };
            serve(api, stream, who, stop).await;
        });
    }
    connections.end().await;
}

fn keep_alive(stream: &TcpStream) {
    // A connection without them works too.
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE);
    let _ = sockopt::set_tcp_keepcnt(stream, KEEPALIVES_MISSED);
}

/// How the caller of a request is found out.
enum Who {
    Known(Caller),
    ByToken(Arc<Tokens>),
}

/// Serves one connection until it ends.
async fn serve<S>(api: Arc<Api>, stream: S, who: Who, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let who = Arc::new(who);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (api, who) = (Arc::clone(&api), Arc::clone(&who));
        async move {
            let caller = match &*who {
                Who::Known(caller) => Some(caller.clone()),
                Who::ByToken(tokens) => tokens.caller(request.headers()),
            };
            Ok::<_, Infallible>(api.answer(caller, request).await)
        }
    });
    // What hyper spawns are the streams of this connection, which end with it.
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    let connection = builder.serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    // Both are cancel-safe: the connection is polled on afterwards.
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection broke");
    }
}

/// The connections of one socket.
struct Connections {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    places: Arc<Semaphore>,
}

impl Connections {
    fn new(stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { stop, tasks: JoinSet::new(), places }
    }

    /// The next connection; `None`: no more.
    async fn accept<T>(
        &mut self,
        mut poll_accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Option<T> {
        loop {
            // Whoever is not accepted yet waits in the kernel's queue: nothing is lost by a drop.
            let accepted = async {
                let _place = self.places.acquire().await;
                let accepted = poll_fn(&mut poll_accept).await;
                if let Err(error) = &accepted {
                    warn!(%error, "cannot accept connections");
                    sleep_until(Instant::now() + BREATHE).await;
                }
                accepted
            };
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                accepted = accepted => accepted,
            };
            while self.tasks.try_join_next().is_some() {}
            if let Ok(accepted) = accepted {
                return Some(accepted);
            }
        }
    }

    fn spawn(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        let places = Arc::clone(&self.places);
        self.tasks.spawn(async move {
            let _place = places.acquire_owned().await;
            connection.await;
        });
    }

    async fn end(mut self) {
        let rest = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, rest).await.is_err() {
            debug!("connections did not end in time");
        }
        self.tasks.shutdown().await;
    }
}

/// A stream whose writer gives up on a peer that does not read.
struct Patient<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timer =
            self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALLED)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
