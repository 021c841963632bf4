//! One connection: from HTTP to the door and back.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;

use crate::wire::body::{WireBody, broken};
use crate::wire::door::{Door, Request, Response};
use crate::wire::refusal::Refusal;

/// The largest request in bytes: 10 MiB of records are 14 MiB of base64, and the members around them come on top.
const MAX_REQUEST: usize = 32 << 20;

/// Serves one connection until either side closes it.
pub(super) async fn serve(socket: TcpStream, door: Arc<Door>) {
    // Events are small and must not wait for the next one. A socket that refuses is only slower.
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { answer(&door, request).await }
    });
    // What breaks a connection is the client's affair, or was scripted.
    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(door: &Door, request: hyper::Request<Incoming>) -> io::Result<hyper::Response<WireBody>> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (target, content_type) = (header("x-amz-target"), header("content-type"));
    let refuse = |refusal: &Refusal| door.refuse(Request { target, content_type, body: &[] }, refusal);
    if head.method != Method::POST {
        let told = format!("the method is {}, but every operation is a POST", head.method);
        return Ok(to_http(refuse(&Refusal::new("UnknownOperationException", told))));
    }
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let told = format!("the request is longer than {MAX_REQUEST} bytes");
            return Ok(to_http(refuse(&Refusal::new("RequestEntityTooLargeException", told))));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    respond(door, Request { target, content_type, body: &body }).await
}

async fn respond(door: &Door, request: Request<'_>) -> io::Result<hyper::Response<WireBody>> {
    door.answer(request).await.map(to_http).map_err(|_| broken())
}

fn to_http(response: Response) -> hyper::Response<WireBody> {
    let mut http = hyper::Response::new(response.body);
    *http.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            http.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    http
}
