//! The HTTP side: CONNECT makes a tunnel, a request with a whole `http://` address is passed on, the rest is refused with
//! a reason that a program and a person can read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, Version, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::allow::{Reach, Target};
use super::dial::dial;
use super::meter::Metered;
use super::record::{Open, Refusal};

const HEADERS_MAX: Duration = Duration::from_secs(30);
const HEADER_BYTES_MAX: usize = 64 << 10;
const TUNNEL_READ_BYTES: usize = 32 << 10;
const ERROR_HEADER: HeaderName = HeaderName::from_static("x-proxy-error");
/// What concerns one connection only, and stops at a proxy.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type ReplyBody = BoxBody<Bytes, hyper::Error>;

pub(super) async fn serve(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let limits = shared.limits;
    let stream = Metered::new(stream, shared.meter.clone());
    let watch = stream.watch(limits.idle_max, limits.connection_max);
    // A tunnel outlives the HTTP connection it was asked for on, and ends with this function all the same.
    let (tunnels, mut tunnel) = tokio::sync::mpsc::channel(1);
    let service = service_fn(move |request| {
        let (shared, tunnels) = (shared.clone(), tunnels.clone());
        async move { Ok::<_, Infallible>(answer(shared, request, tunnels).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MAX)
        // A client may have said all it will say, and still wait for the answer.
        .half_close(true)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let whole = async {
        // How a client leaves is its own affair.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection out of a set-up ended");
        }
        if let Some(carry) = tunnel.recv().await {
            carry.await;
        }
    };
    tokio::select! {
        () = whole => {}
        () = watch => {}
    }
}

type Tunnel = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    tunnels: tokio::sync::mpsc::Sender<Tunnel>,
) -> Response<ReplyBody> {
    let asked = shown_target(request.uri());
    let target = match wanted(&request) {
        Ok(target) => target,
        Err(refusal) => {
            Open::new(shared.log.clone(), asked.clone(), 0).refuse(&refusal, &asked);
            return refused(&refusal, &asked);
        }
    };
    let (name, open) = (target.to_string(), Open::new(shared.log.clone(), target.host.to_string(), target.port));
    let upstream = match reach(&shared, &request, &target).await {
        Ok(upstream) => upstream,
        Err(refusal) => {
            open.refuse(&refusal, &name);
            return refused(&refusal, &name);
        }
    };
    if request.method() == Method::CONNECT {
        let carry: Tunnel = Box::pin(async move {
            match hyper::upgrade::on(request).await {
                Ok(client) => tunnel(TokioIo::new(client), upstream, &open).await,
                Err(error) => tracing::debug!(%error, "a tunnel was asked for and not used"),
            }
        });
        // One request of a connection can become a tunnel, and that is its last.
        let _ = tunnels.try_send(carry);
        return Response::new(Full::default().map_err(|never| match never {}).boxed());
    }
    let open = Arc::new(open);
    match forward(request, upstream, open.clone()).await {
        Ok(response) => response,
        Err(error) => {
            let refusal = Refusal::Unreachable(error.to_string());
            open.refuse(&refusal, &name);
            refused(&refusal, &name)
        }
    }
}

/// What a request is for. A plain one must say the same in its address and in its Host header.
fn wanted(request: &Request<Incoming>) -> Result<Target, Refusal> {
    let bad = |error: super::HostError| Refusal::BadHost(error.to_string());
    let uri = request.uri();
    let authority = uri.authority().ok_or(Refusal::NotForAProxy)?.as_str();
    if request.method() == Method::CONNECT {
        return Target::parse(authority, None).map_err(bad);
    }
    if uri.scheme_str() != Some("http") {
        return Err(Refusal::NotForAProxy);
    }
    let target = Target::parse(authority, Some(80)).map_err(bad)?;
    for value in request.headers().get_all(header::HOST) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        if Target::parse(&text, Some(80)).ok().as_ref() != Some(&target) {
            return Err(Refusal::HostMismatch(text.chars().take(253).collect()));
        }
    }
    Ok(target)
}

async fn reach(shared: &Shared, request: &Request<Incoming>, target: &Target) -> Result<TcpStream, Refusal> {
    if let Some(what) = shared.meter.exhausted() {
        return Err(Refusal::Limit(what));
    }
    let reach: Reach = shared.allow.read().expect("nothing panics while holding the list").decide(target)?;
    tracing::debug!(method = %request.method(), %target, "allowed");
    dial(target, reach, &shared.lookup, shared.limits.dial_max).await
}

/// Bytes both ways until both have ended, or one has failed.
async fn tunnel(client: impl AsyncRead + AsyncWrite, upstream: TcpStream, open: &Open) {
    let (client_read, client_write) = tokio::io::split(client);
    let (up_read, up_write) = upstream.into_split();
    // Apart, because each may have to wait for the other to be read.
    let both = tokio::try_join!(
        pour(client_read, up_write, |count| open.count_up(count)),
        pour(up_read, client_write, |count| open.count_down(count)),
    );
    if let Err(error) = both {
        tracing::debug!(%error, "a tunnel broke off");
    }
}

async fn pour(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(usize),
) -> std::io::Result<()> {
    let mut buffer = vec![0; TUNNEL_READ_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        count(length);
    }
}

/// Passes a plain request on, over a connection of its own.
async fn forward(
    mut request: Request<Incoming>,
    upstream: TcpStream,
    open: Arc<Open>,
) -> hyper::Result<Response<ReplyBody>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(upstream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path: Uri = path.parse().expect("the path of an address is an address");
    *request.uri_mut() = path;
    *request.version_mut() = Version::HTTP_11;
    without_hop_by_hop(request.headers_mut());
    if let (false, Ok(host)) = (request.headers().contains_key(header::HOST), HeaderValue::from_str(&authority)) {
        request.headers_mut().insert(header::HOST, host);
    }
    let counted = open.clone();
    let request = request.map(|body| Counted { body, count: move |bytes| counted.count_up(bytes) });
    let mut response = sender.send_request(request).await?;
    without_hop_by_hop(response.headers_mut());
    // The connection's task ends with the body; the record with the last of both.
    Ok(response.map(|body| Counted { body, count: move |bytes| open.count_down(bytes) }.boxed()))
}

/// Also what the Connection header names.
fn without_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn refused(refusal: &Refusal, target: &str) -> Response<ReplyBody> {
    let status = match (refusal, refusal.is_ours()) {
        (Refusal::NotForAProxy | Refusal::BadHost(_), _) => StatusCode::BAD_REQUEST,
        (_, true) => StatusCode::FORBIDDEN,
        (_, false) => StatusCode::BAD_GATEWAY,
    };
    reply(status, refusal.code(), &refusal.explain(target))
}

/// The reason goes into header, body and status line: some tools print only the last.
fn reply(status: StatusCode, code: &'static str, reason: &str) -> Response<ReplyBody> {
    let body = Full::new(Bytes::from(format!("greenroom: {reason}\n"))).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(ERROR_HEADER, HeaderValue::from_static(code));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Whatever follows on this connection was meant for somebody else.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let line: Vec<u8> = reason.bytes().map(|byte| if (0x20..0x7f).contains(&byte) { byte } else { b'?' }).collect();
    if let Ok(phrase) = ReasonPhrase::try_from(line) {
        response.extensions_mut().insert(phrase);
    }
    response
}

/// For the log, where a request's target cannot be read as one.
fn shown_target(uri: &Uri) -> String {
    uri.authority().map_or_else(|| uri.path(), |authority| authority.as_str()).chars().take(253).collect()
}

/// A body that says how long each of its pieces is.
struct Counted<F> {
    body: Incoming,
    count: F,
}

impl<F: Fn(usize) + Unpin> Body for Counted<F> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            (self.count)(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
