//! `simllm`: the simulated model behind a real socket. Chat Completions, streamed or in one piece; requests beyond the
//! window are refused; faults strike as scheduled, and each that struck is in the log.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::faults::{Fault, Phase, Schedule};
use super::reader::{Request, tokens_of};
use super::simllm::{Arguments, Decision, Mind, Why};

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 64 << 20;
const DRIP: Duration = Duration::from_millis(20);

#[derive(Debug, Clone)]
pub struct Rules {
    pub mind: Mind,
    /// Prompt and answer together.
    pub window_tokens: u64,
    /// Whether a longer request is refused, or only counted.
    pub refuses: bool,
    pub schedule: Schedule,
    /// Must never arrive in a body.
    pub canary: String,
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub began: Instant,
    pub ended: Instant,
    /// As counted here.
    pub prompt_tokens: u64,
    pub output_tokens_max: u64,
    pub(super) why: Why,
    /// The first tool it called.
    pub tool: Option<&'static str>,
    pub fault: Option<(Fault, Phase)>,
    pub refused: bool,
    pub canary: bool,
    /// Of the body: the same request again has the same.
    pub hash: blake3::Hash,
}

/// A running server; it ends when this is dropped.
pub struct Simllm {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Exchange>>>,
    task: JoinHandle<()>,
}

impl Simllm {
    pub async fn start(rules: Rules) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let served = Arc::new(Served { rules, log: log.clone(), number: AtomicU64::new(0) });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                // The client may leave whenever it likes.
                tokio::spawn(async move { served.connection(stream).await });
            }
        });
        Ok(Simllm { address, log, task })
    }

    /// With `/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn log(&self) -> Vec<Exchange> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Drop for Simllm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Served {
    rules: Rules,
    log: Arc<Mutex<Vec<Exchange>>>,
    number: AtomicU64,
}

/// A piece of an answer, and the moment that has come once it was sent.
struct Piece(Option<Phase>, Vec<u8>);

impl Served {
    async fn connection(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        loop {
            let Some((path, body)) = read_request(&mut stream).await? else { return Ok(()) };
            let began = Instant::now();
            if !path.ends_with("/chat/completions") {
                let body = json!({"object": "list", "data": []});
                write_whole(&mut stream, 200, "application/json", &[], body.to_string().as_bytes()).await?;
                continue;
            }
            let Ok(parsed) = serde_json::from_slice::<Value>(&body) else {
                let body = json!({"error": {"message": "the body is not JSON", "type": "invalid_request_error"}});
                write_whole(&mut stream, 400, "application/json", &[], body.to_string().as_bytes()).await?;
                continue;
            };
            if !self.answer(&mut stream, &body, &parsed, began).await? {
                return Ok(());
            }
        }
    }

    /// Whether the connection can be used again.
    async fn answer(
        &self,
        stream: &mut BufReader<TcpStream>,
        body: &[u8],
        parsed: &Value,
        began: Instant,
    ) -> io::Result<bool> {
        let request = Request::read(parsed);
        let decision = self.rules.mind.decide(&request);
        let fault = self.rules.schedule.at(self.number.fetch_add(1, Ordering::Relaxed));
        let too_long = request.tokens + request.output_tokens > self.rules.window_tokens;
        let refused = too_long && self.rules.refuses;
        let canary = !self.rules.canary.is_empty() && contains(body, self.rules.canary.as_bytes());
        let place = {
            let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            log.push(Exchange {
                began,
                ended: began,
                prompt_tokens: request.tokens,
                output_tokens_max: request.output_tokens,
                why: decision.why,
                tool: decision.calls.first().map(|(name, _)| *name),
                fault: None,
                refused,
                canary,
                hash: blake3::hash(body),
            });
            log.len() - 1
        };
        let outcome = if refused {
            write_overflow(stream, self.rules.window_tokens).await.map(|()| true)
        } else {
            let (stream_wanted, tokens) = (request.stream, request.tokens);
            self.send(stream, &decision, stream_wanted, tokens, fault, place).await
        };
        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        log[place].ended = Instant::now();
        outcome
    }

    async fn send(
        &self,
        stream: &mut BufReader<TcpStream>,
        decision: &Decision,
        stream_wanted: bool,
        prompt_tokens: u64,
        fault: Option<(Fault, Phase)>,
        place: usize,
    ) -> io::Result<bool> {
        let fired = || {
            let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            log[place].fault = fault;
        };
        if let Some((fault, Phase::BeforeHeaders)) = fault {
            fired();
            return before_headers(stream, fault, self.rules.window_tokens).await;
        }
        let shape = fault.map(|(fault, _)| fault);
        if !stream_wanted {
            let body = whole(decision, prompt_tokens).to_string();
            write_whole(stream, 200, "application/json", &[], body.as_bytes()).await?;
            return Ok(true);
        }
        let pieces = pieces(decision, prompt_tokens, shape);
        // A fault of the middle needs a middle: answers without calls have none of the second kind.
        let strikes = fault.filter(|(_, phase)| pieces.iter().any(|piece| piece.0 == Some(*phase)));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await?;
        if let Some((fault, Phase::AfterHeaders)) = fault {
            fired();
            return strike(stream, fault).await;
        }
        for Piece(phase, bytes) in &pieces {
            if matches!(shape, Some(Fault::SplitBytes)) {
                for byte in String::from_utf8_lossy(bytes).replace('\n', "\r\n").as_bytes() {
                    write_chunk(stream, &[*byte]).await?;
                }
            } else {
                write_chunk(stream, bytes).await?;
            }
            if let Some((fault, at)) = strikes
                && *phase == Some(at)
            {
                fired();
                match fault {
                    Fault::Cut | Fault::Stall | Fault::Drip | Fault::ErrorEvent | Fault::Garbage => {
                        return strike(stream, fault).await;
                    }
                    // These are in the pieces themselves.
                    _ => {}
                }
                if fault == Fault::NoDone {
                    break;
                }
            }
        }
        stream.write_all(b"0\r\n\r\n").await?;
        stream.flush().await?;
        Ok(true)
    }
}

async fn before_headers(stream: &mut BufReader<TcpStream>, fault: Fault, window_tokens: u64) -> io::Result<bool> {
    let error =
        |message: &str, kind: &str| json!({"error": {"message": message, "type": kind, "code": kind}}).to_string();
    let json = "application/json";
    match fault {
        Fault::Cut => return Ok(false),
        Fault::Stall | Fault::Drip => {
            until_left(stream).await;
            return Ok(false);
        }
        Fault::RateLimited { retry_after_ms } => {
            let headers = [("retry-after-ms", retry_after_ms.to_string())];
            write_whole(stream, 429, json, &headers, error("slow down", "rate_limit_exceeded").as_bytes()).await?;
        }
        Fault::RetryAfterSeconds { seconds } => {
            let headers = [("retry-after", seconds.to_string())];
            write_whole(stream, 429, json, &headers, error("slow down", "rate_limit_exceeded").as_bytes()).await?;
        }
        Fault::QuotaGone => {
            let body = error("You exceeded your current quota", "insufficient_quota");
            write_whole(stream, 429, json, &[], body.as_bytes()).await?;
        }
        Fault::Status { status } => {
            write_whole(stream, status, json, &[], error("it does not work", "server_error").as_bytes()).await?;
        }
        Fault::ErrorIn200 => {
            let body = json!({"error": {"message": "Overloaded", "code": 503}}).to_string();
            write_whole(stream, 200, json, &[], body.as_bytes()).await?;
        }
        Fault::Html { status } => {
            let body = b"<html><body><h1>Bad Gateway</h1></body></html>";
            write_whole(stream, status, "text/html", &[], body).await?;
        }
        Fault::Overflow => write_overflow(stream, window_tokens).await?,
        Fault::Redirect => {
            let headers = [("location", "http://127.0.0.2:9/v1/chat/completions".to_owned())];
            write_whole(stream, 307, json, &headers, b"{}").await?;
        }
        Fault::ErrorEvent
        | Fault::Garbage
        | Fault::NoDone
        | Fault::SplitBytes
        | Fault::NoToolIds
        | Fault::SameToolIds
        | Fault::ArgumentsAsObject
        | Fault::Length => {}
    }
    Ok(true)
}

/// In the middle of a body; the connection is of no more use.
async fn strike(stream: &mut BufReader<TcpStream>, fault: Fault) -> io::Result<bool> {
    stream.flush().await?;
    match fault {
        Fault::Stall => until_left(stream).await,
        Fault::Drip => {
            while write_chunk(stream, b":").await.is_ok() {
                tokio::time::sleep(DRIP).await;
            }
        }
        Fault::ErrorEvent => {
            let event = data(&json!({"error": {"message": "Overloaded", "type": "overloaded_error", "code": 503}}));
            write_chunk(stream, &event).await?;
        }
        Fault::Garbage => write_chunk(stream, b"data: {\"choices\": [{\"delta\n\n").await?,
        _ => {}
    }
    Ok(false)
}

async fn until_left(stream: &mut BufReader<TcpStream>) {
    let mut nothing = [0; 64];
    while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
}

fn data(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

fn delta(delta: Value) -> Vec<u8> {
    data(&json!({"id": "sim", "object": "chat.completion.chunk", "model": "simllm",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn arguments_text(arguments: &Arguments) -> String {
    match arguments {
        Arguments::Json(value) => value.to_string(),
        Arguments::Broken(text) => (*text).to_owned(),
    }
}

fn call_id(number: usize, shape: Option<Fault>) -> Value {
    match shape {
        Some(Fault::NoToolIds) => Value::Null,
        Some(Fault::SameToolIds) => "call".into(),
        _ => format!("call_{number}").into(),
    }
}

fn pieces(decision: &Decision, prompt_tokens: u64, shape: Option<Fault>) -> Vec<Piece> {
    let mut pieces = vec![Piece(None, delta(json!({"role": "assistant", "content": ""})))];
    let half = |text: &str| text.floor_char_boundary(text.len() / 2);
    if !decision.text.is_empty() {
        let (first, second) = decision.text.split_at(half(&decision.text));
        pieces.push(Piece(Some(Phase::MidText), delta(json!({"content": first}))));
        pieces.push(Piece(None, delta(json!({"content": second}))));
    }
    for (number, (name, arguments)) in decision.calls.iter().enumerate() {
        let id = call_id(number, shape);
        let call = |arguments: Value| {
            delta(json!({"tool_calls": [{"index": number, "id": id, "type": "function",
                "function": {"name": name, "arguments": arguments}}]}))
        };
        let more =
            |arguments: &str| delta(json!({"tool_calls": [{"index": number, "function": {"arguments": arguments}}]}));
        match (shape, arguments) {
            (Some(Fault::ArgumentsAsObject), Arguments::Json(value)) => {
                pieces.push(Piece(Some(Phase::MidToolJson), call(value.clone())));
            }
            _ => {
                let text = arguments_text(arguments);
                let (first, second) = text.split_at(half(&text));
                pieces.push(Piece(None, call("".into())));
                pieces.push(Piece(Some(Phase::MidToolJson), more(first)));
                pieces.push(Piece(None, more(second)));
            }
        }
    }
    let reason = finish_reason(decision, shape);
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    pieces.push(Piece(Some(Phase::AfterFinish), data(&end)));
    let usage = json!({"choices": [], "usage": usage(decision, prompt_tokens)});
    pieces.push(Piece(None, [data(&usage), b"data: [DONE]\n\n".to_vec()].concat()));
    pieces
}

fn finish_reason(decision: &Decision, shape: Option<Fault>) -> &'static str {
    match shape {
        Some(Fault::Length) => "length",
        _ if decision.calls.is_empty() => "stop",
        _ => "tool_calls",
    }
}

fn usage(decision: &Decision, prompt_tokens: u64) -> Value {
    let calls = decision.calls.iter().map(|(name, arguments)| tokens_of(name) + tokens_of(&arguments_text(arguments)));
    let completion = tokens_of(&decision.text) + calls.sum::<u64>();
    json!({"prompt_tokens": prompt_tokens, "completion_tokens": completion, "total_tokens": prompt_tokens + completion})
}

fn whole(decision: &Decision, prompt_tokens: u64) -> Value {
    let call = |(number, (name, arguments)): (usize, &(&str, Arguments))| {
        json!({"id": call_id(number, None), "type": "function",
            "function": {"name": name, "arguments": arguments_text(arguments)}})
    };
    let calls: Vec<Value> = decision.calls.iter().enumerate().map(call).collect();
    let mut message = json!({"role": "assistant", "content": decision.text});
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"id": "sim", "object": "chat.completion", "model": "simllm",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(decision, None)}],
        "usage": usage(decision, prompt_tokens)})
}

async fn write_overflow(stream: &mut BufReader<TcpStream>, window_tokens: u64) -> io::Result<()> {
    let message = format!("This model's maximum context length is {window_tokens} tokens.");
    let error = json!({"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"});
    let body = json!({ "error": error }).to_string();
    write_whole(stream, 400, "application/json", &[], body.as_bytes()).await
}

async fn write_whole(
    stream: &mut BufReader<TcpStream>,
    status: u16,
    content_type: &str,
    headers: &[(&str, String)],
    body: &[u8],
) -> io::Result<()> {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n{more}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await
}

async fn write_chunk(stream: &mut BufReader<TcpStream>, bytes: &[u8]) -> io::Result<()> {
    let head = format!("{:x}\r\n", bytes.len());
    stream.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).await?;
    stream.flush().await
}

/// Path and body; `None` where the client has gone.
async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head of a request is too long"));
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0);
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("the body of a request is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some((path, body)))
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
