//! Asking a server for its health by gRPC.
//!
//! Owns: the one call of the protocol, and what its answers amount to. Must not know: when it is asked.
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use std::io;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

const CHECK: PathAndQuery = PathAndQuery::from_static("/grpc.health.v1.Health/Check");

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(enumeration = "Health", tag = "1")]
    status: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
enum Health {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// Asks over this connection for this service; empty for the server as a whole.
pub(super) async fn ask(stream: TcpStream, service: &str, timeout: Duration) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| format!("error: health rpc probe failed: {error}");
    stream.set_nonblocking(true).map_err(|error| text(&error))?;
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|error| text(&error))?;
    // There is one connection, and it is made already.
    let stream = Mutex::new(Some(TokioIo::new(stream)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.lock().ok().and_then(|mut stream| stream.take());
        std::future::ready(stream.ok_or_else(|| io::Error::other("the connection is lost")))
    });
    let endpoint = Endpoint::from_static("http://probe");
    let channel = endpoint.connect_with_connector(connector).await.map_err(|e| text(&e))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| text(&error))?;
    let mut request = Request::new(Question { service: service.to_owned() });
    request.set_timeout(timeout);
    let codec: ProstCodec<Question, Answer> = ProstCodec::default();
    let answer = client.unary(request, CHECK, codec).await;
    verdict(answer.map(|answer| answer.into_inner().status()), timeout)
}

/// In the words of a kubelet.
fn verdict(answer: Result<Health, Status>, timeout: Duration) -> Result<(), String> {
    match answer {
        Ok(Health::Serving) => Ok(()),
        Ok(other) => {
            let name = match other {
                Health::Unknown => "UNKNOWN",
                Health::Serving => "SERVING",
                Health::NotServing => "NOT_SERVING",
                Health::ServiceUnknown => "SERVICE_UNKNOWN",
            };
            Err(format!("service unhealthy (responded with {name:?})"))
        }
        Err(status) if status.code() == Code::Unimplemented => Err(format!(
            "error: this server does not implement the grpc health protocol \
             (grpc.health.v1.Health): {}",
            status.message()
        )),
        Err(status) if matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) => {
            Err(format!("timeout: health rpc did not complete within {}s", timeout.as_secs()))
        }
        Err(status) => Err(format!("error: health rpc probe failed: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    /// A server that answers each call with this status of gRPC and this message; answers its connection.
    async fn server(code: &'static str, message: &'static [u8]) -> TcpStream {
        use bytes::Bytes;
        use http_body_util::{BodyExt, StreamBody};
        use hyper::body::Frame;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let serve = move |request: http::Request<hyper::body::Incoming>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let asked = request.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(&asked[..], b"\0\0\0\0\x05\x0a\x03web");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static(code));
            let frames: [Result<_, io::Error>; 2] =
                [Ok(Frame::data(Bytes::from_static(message))), Ok(Frame::trailers(trailers))];
            let answer = http::Response::builder().header("content-type", "application/grpc");
            answer.body(StreamBody::new(futures::stream::iter(frames)))
        };
        let service = hyper::service::service_fn(serve);
        #[expect(clippy::disallowed_methods, reason = "the test ends it")]
        tokio::spawn(async move {
            let executor = hyper_util::rt::TokioExecutor::new();
            let server = hyper::server::conn::http2::Builder::new(executor);
            // The client goes away when it has its answer.
            let _ = server.serve_connection(TokioIo::new(accepted), service).await;
        });
        stream
    }

    #[tokio::test]
    async fn a_server_is_well_when_it_says_that_it_serves() {
        let well = server("0", b"\0\0\0\0\x02\x08\x01").await;
        assert_eq!(ask(well, "web", TIMEOUT).await, Ok(()));
        let ill = server("0", b"\0\0\0\0\x02\x08\x02").await;
        let why = ask(ill, "web", TIMEOUT).await.unwrap_err();
        assert_eq!(why, "service unhealthy (responded with \"NOT_SERVING\")");
        let other = server("12", b"").await;
        let why = ask(other, "web", TIMEOUT).await.unwrap_err();
        assert!(why.contains("does not implement the grpc health protocol"), "{why}");
    }

    #[tokio::test]
    async fn what_is_no_server_of_grpc_is_not_well() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut accepted, b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        drop(accepted);
        let why = ask(stream, "", TIMEOUT).await.unwrap_err();
        assert!(why.starts_with("error: health rpc probe failed"), "{why}");
    }
}
