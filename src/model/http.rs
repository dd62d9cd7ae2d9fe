//! One streamed HTTP request to a model server: deadlines, byte limit, retries, redirects and redaction, shared by every
//! wire format. What the events mean is the business of a `Decode`.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sse_stream::SseByteStream;
use tokio::time::{timeout, timeout_at};

use super::failure::{Class, Failure};
use super::retry::{Budget, RetryPolicy, retry_after};
use crate::message::ModelResponse;

const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
const ERROR_DETAIL_CHARS_MAX: usize = 600;
const REDIRECTS_MAX: usize = 3;

#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub deadlines: Deadlines,
    pub retry: RetryPolicy,
    /// Of one answer, after decompression.
    pub response_bytes_max: usize,
}

#[derive(Debug, Clone)]
pub struct Deadlines {
    pub connect: Duration,
    /// From the request until the status line: some servers read the whole prompt first.
    pub headers: Duration,
    /// Between two chunks of an answer.
    pub idle: Duration,
    /// After the finish reason, for the usage that may follow it.
    pub tail: Duration,
    /// For one request with all its retries.
    pub total: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            deadlines: Deadlines {
                connect: Duration::from_secs(20),
                headers: Duration::from_secs(300),
                idle: Duration::from_secs(120),
                tail: Duration::from_secs(10),
                total: Duration::from_secs(45 * 60),
            },
            retry: RetryPolicy::default(),
            response_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Folds one answer from what the server sends.
pub(crate) trait Decode: Default + Send {
    /// The data of one server-sent event.
    fn event(&mut self, data: &str) -> Result<Flow, Failure>;
    /// An answer that came in one piece although a stream was asked for.
    fn whole(&mut self, body: Value) -> Result<(), Failure>;
    /// Whether the finish reason was seen: without it the answer was cut off.
    fn is_complete(&self) -> bool;
    fn finish(self) -> ModelResponse;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    More,
    Last,
}

/// How the key travels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyHeader {
    Bearer,
    Named(&'static str),
}

/// A connection to one address with one key. Deliberately without `Debug`.
///
/// Certificates are the platform's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR` where set; proxies are the
/// environment's, except for the loopback. Both are read below us, when the client is built.
pub(crate) struct Wire {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    key: Option<SecretString>,
    options: HttpOptions,
}

impl Wire {
    pub(crate) fn new(
        url: &str,
        key: Option<(KeyHeader, SecretString)>,
        mut headers: HeaderMap,
        options: HttpOptions,
    ) -> Result<Self, Failure> {
        let invalid = |detail: String| Failure::new(Class::Invalid, detail);
        let url = Url::parse(url).map_err(|error| invalid(format!("its base URL is not an address: {error}")))?;
        let host = url.host_str().ok_or_else(|| invalid("its base URL names no host".into()))?;
        let loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if let Some((header, key)) = &key {
            let (name, text) = match header {
                KeyHeader::Bearer => ("authorization", format!("Bearer {}", key.expose_secret())),
                KeyHeader::Named(name) => (*name, key.expose_secret().to_string()),
            };
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| invalid("the key holds characters that no header can carry".into()))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));

        // Whoever comes first installs it; a second attempt is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("greenroom/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.deadlines.connect)
            .redirect(same_origin_only());
        if loopback {
            builder = builder.no_proxy();
        }
        if url.scheme() == "http" {
            // A local server must be reachable from a machine without certificates.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| invalid(format!("no HTTP client: {}", chain(&error))))?;
        Ok(Wire { client, url, headers, key: key.map(|(_, key)| key), options })
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::new(&self.options.retry, self.options.deadlines.total)
    }

    /// Asks until there is a complete answer, a failure that asking again cannot cure, or no budget.
    pub(crate) async fn ask<D: Decode>(&self, budget: &mut Budget, body: &Value) -> Result<ModelResponse, Failure> {
        let body = Bytes::from(body.to_string());
        loop {
            let failure = match timeout_at(budget.deadline, self.attempt::<D>(body.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let total = self.options.deadlines.total;
                    return Err(Failure::transient(format!("no complete answer within {total:?}")));
                }
            };
            match budget.after(&failure) {
                Some(wait) => {
                    tracing::debug!(?wait, class = ?failure.class, "asking the model again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(self.presentable(failure, budget.attempts())),
            }
        }
    }

    async fn attempt<D: Decode>(&self, body: Bytes) -> Result<ModelResponse, Failure> {
        let deadlines = &self.options.deadlines;
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body).send();
        let response = timeout(deadlines.headers, request)
            .await
            .map_err(|_| Failure::transient(format!("no response headers within {:?}", deadlines.headers)))?
            .map_err(|error| Failure::transient(chain(&error.without_url())))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        match ContentKind::of(&response) {
            ContentKind::Html => Err(Failure::transient("a web page instead of an answer")),
            ContentKind::Json => self.read_whole::<D>(response).await,
            ContentKind::Events => self.read_events::<D>(response).await,
        }
    }

    async fn read_events<D: Decode>(&self, response: Response) -> Result<ModelResponse, Failure> {
        let mut decoder = D::default();
        let mut events = SseByteStream::new(Box::pin(self.bytes(response)));
        let mut tail_deadline = None;
        loop {
            let next = match tail_deadline {
                None => events.next().await,
                Some(deadline) => timeout_at(deadline, events.next()).await.unwrap_or(None),
            };
            let data = match next {
                None => break,
                Some(Ok(event)) => event.data.unwrap_or_default(),
                // The answer itself is there; only what may follow it was lost.
                Some(Err(_)) if decoder.is_complete() => break,
                Some(Err(error)) => return Err(body_failure(error)),
            };
            if !data.trim().is_empty() && decoder.event(&data)? == Flow::Last {
                break;
            }
            if decoder.is_complete() && tail_deadline.is_none() {
                tail_deadline = Some(tokio::time::Instant::now() + self.options.deadlines.tail);
            }
        }
        if !decoder.is_complete() {
            return Err(Failure::transient("the stream ended before the answer was complete"));
        }
        Ok(decoder.finish())
    }

    async fn read_whole<D: Decode>(&self, response: Response) -> Result<ModelResponse, Failure> {
        let mut bytes = Box::pin(self.bytes(response));
        let mut body = Vec::new();
        while let Some(chunk) = bytes.next().await {
            body.extend_from_slice(&chunk.map_err(BodyError::into_failure)?);
        }
        let value = serde_json::from_slice(&body)
            .map_err(|error| Failure::transient(format!("the answer is not JSON: {error}")))?;
        let mut decoder = D::default();
        decoder.whole(value)?;
        if !decoder.is_complete() {
            return Err(Failure::transient("the answer has no finish reason"));
        }
        Ok(decoder.finish())
    }

    /// The body under its byte limit and idle deadline, closed by an empty line, since the event parser drops a last
    /// event that lacks it.
    fn bytes(&self, response: Response) -> impl Stream<Item = Result<Bytes, BodyError>> + use<> {
        enum State {
            Reading(Response, usize),
            Closed,
        }
        let (idle, bytes_max) = (self.options.deadlines.idle, self.options.response_bytes_max);
        stream::unfold(State::Reading(response, 0), move |state| async move {
            let State::Reading(mut response, seen) = state else { return None };
            let item = match timeout(idle, response.chunk()).await {
                Err(_) => Err(BodyError::Idle(idle)),
                Ok(Err(error)) => Err(BodyError::Broken(chain(&error.without_url()))),
                Ok(Ok(None)) => Ok(Bytes::from_static(b"\n\n")),
                Ok(Ok(Some(chunk))) if seen + chunk.len() > bytes_max => Err(BodyError::TooLong(bytes_max)),
                Ok(Ok(Some(chunk))) => {
                    let seen = seen + chunk.len();
                    return Some((Ok(chunk), State::Reading(response, seen)));
                }
            };
            Some((item, State::Closed))
        })
    }

    async fn refusal(&self, mut response: Response) -> Failure {
        let status = response.status();
        if status.is_redirection() {
            return self.redirect_refused(&response);
        }
        let asked = retry_after(response.headers());
        let final_word = response.headers().get("x-should-retry").is_some_and(|value| value == "false");
        let mut body = Vec::new();
        while body.len() < ERROR_BODY_BYTES_MAX {
            match timeout(self.options.deadlines.idle, response.chunk()).await {
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
                Ok(Ok(None)) | Ok(Err(_)) | Err(_) => break,
            }
        }
        body.truncate(ERROR_BODY_BYTES_MAX);
        let mut failure = Failure::from_status(status.as_u16(), &String::from_utf8_lossy(&body));
        if failure.class == Class::RateLimited && final_word {
            failure.class = Class::Quota;
        }
        if status == StatusCode::NOT_FOUND && failure.class == Class::BadRequest {
            failure.detail = format!("{} (asked {}: is the base URL right?)", failure.detail, self.address());
        }
        failure.retry_after = asked.or(failure.retry_after);
        failure
    }

    fn redirect_refused(&self, response: &Response) -> Failure {
        let target = response
            .headers()
            .get("location")
            .and_then(|value| self.url.join(value.to_str().ok()?).ok())
            .map_or("nowhere".to_string(), |url| url.origin().ascii_serialization());
        Failure::new(Class::BadRequest, format!("{} redirects to {target}; the key was not sent there", self.address()))
    }

    /// The address without user, password or query.
    fn address(&self) -> String {
        format!("{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }

    /// The failure as a person may see it: without the key, on one line, short, with the number of tries.
    fn presentable(&self, mut failure: Failure, attempts: u32) -> Failure {
        let mut detail = failure.detail;
        if let Some(key) = self.key.as_ref().map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
            detail = detail.replace(key, "[redacted]");
        }
        let mut detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = detail.char_indices().nth(ERROR_DETAIL_CHARS_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        if let Some(wait) = failure.retry_after {
            detail = format!("{detail} (the server asks to wait {wait:?})");
        }
        if attempts > 1 {
            detail = format!("{detail} (tried {attempts} times)");
        }
        failure.detail = detail;
        failure
    }
}

/// A redirect keeps headers, so it may only stay on the very same scheme, host and port, with the method unchanged.
fn same_origin_only() -> Policy {
    Policy::custom(|attempt| {
        let same_origin = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
        let keeps_method = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if same_origin && keeps_method && attempt.previous().len() <= REDIRECTS_MAX {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

enum ContentKind {
    Events,
    Json,
    Html,
}

impl ContentKind {
    /// Some servers stream under no type or a wrong one; only these two are certainly something else.
    fn of(response: &Response) -> Self {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("application/json") {
            ContentKind::Json
        } else if kind.starts_with("text/html") {
            ContentKind::Html
        } else {
            ContentKind::Events
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("nothing more came within {0:?}")]
    Idle(Duration),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl BodyError {
    fn into_failure(self) -> Failure {
        let class = match self {
            BodyError::Idle(_) | BodyError::Broken(_) => Class::Transient,
            BodyError::TooLong(_) => Class::Invalid,
        };
        Failure::new(class, self.to_string())
    }
}

fn body_failure(error: sse_stream::Error) -> Failure {
    match error {
        sse_stream::Error::Body(cause) => match cause.downcast::<BodyError>() {
            Ok(cause) => cause.into_failure(),
            Err(cause) => Failure::transient(cause.to_string()),
        },
        other => Failure::transient(format!("the stream cannot be read: {other}")),
    }
}

/// An error with what lies beneath it: `error sending request: tcp connect error: Connection refused`.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
