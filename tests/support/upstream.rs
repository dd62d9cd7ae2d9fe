//! A model server of our own on the loopback: raw HTTP, so that a test decides every byte and every break, and on top
//! of it a scripted Chat Completions upstream that answers by the number of assistant messages in the request.

#![allow(dead_code, unreachable_pub, reason = "each test binary includes this file and uses its part")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What arrived.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a client sends JSON")
    }
}

/// What goes back: chunks are written one by one, each as an HTTP chunk of its own.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub chunks: Vec<Vec<u8>>,
    pub ending: Ending,
}

#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// The body ends as it should.
    Complete,
    /// The connection closes in the middle of the body.
    Cut,
    /// Nothing more comes until the client leaves.
    Stall,
    /// A comment every so often until the client leaves.
    Drip(Duration),
    /// Not even a status line.
    Silence,
}

impl Reply {
    pub fn events(chunks: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        Reply {
            status: 200,
            headers: vec![("content-type", "text/event-stream".into())],
            chunks: chunks.into_iter().map(Into::into).collect(),
            ending: Ending::Complete,
        }
    }

    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Reply {
            status,
            headers: vec![("content-type", content_type.into())],
            chunks: vec![body.into()],
            ending: Ending::Complete,
        }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Reply::body(status, "application/json", body.to_string())
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }
}

/// A running server; it ends when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// `answer` gets each request with its number, from 0.
    pub async fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move {
                    // The client may leave whenever it likes.
                    let _ = serve(stream, &*answer, &log).await;
                });
            }
        });
        Server { address, requests, task }
    }

    /// Answers the n-th request with the n-th reply, and the last one from then on.
    pub async fn replying(replies: Vec<Reply>) -> Self {
        Server::start(move |_, n| replies[n.min(replies.len() - 1)].clone()).await
    }

    /// Plays a script over Chat Completions.
    pub async fn scripted(turns: Vec<Turn>) -> Self {
        Server::start(move |request, _| {
            if !request.path.ends_with("/chat/completions") {
                return Reply::json(404, &json!({"error": {"message": format!("no such path: {}", request.path)}}));
            }
            let body = request.json();
            let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
            let given = messages.iter().filter(|message| message["role"] == "assistant").count();
            match turns.get(given) {
                Some(turn) => turn.reply(),
                None => Turn::text("The script has ended.").reply(),
            }
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics while it holds the log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One scripted answer.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    pub reasoning: String,
    pub text: String,
    /// Name and input of each call.
    pub calls: Vec<(String, Value)>,
    pub order: Order,
}

/// How the pieces of parallel calls follow one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// One call after the other, as most servers do.
    #[default]
    Sequential,
    /// A piece of each in turn, as the protocol allows.
    Interleaved,
}

impl Turn {
    pub fn text(text: &str) -> Self {
        Turn { text: text.into(), ..Turn::default() }
    }

    pub fn call(mut self, name: &str, input: Value) -> Self {
        self.calls.push((name.into(), input));
        self
    }

    pub fn reasoning(mut self, reasoning: &str) -> Self {
        self.reasoning = reasoning.into();
        self
    }

    pub fn interleaved(mut self) -> Self {
        self.order = Order::Interleaved;
        self
    }

    /// 1000 prompt tokens, 800 of them cached, and 50 of answer.
    pub fn usage() -> Value {
        json!({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
               "prompt_tokens_details": {"cached_tokens": 800}})
    }

    /// As a stream in small pieces.
    pub fn reply(&self) -> Reply {
        let mut deltas = vec![json!({"role": "assistant", "content": ""})];
        deltas.extend(halves(&self.reasoning).map(|piece| json!({"reasoning_content": piece})));
        deltas.extend(halves(&self.text).map(|piece| json!({"content": piece})));
        let mut pieces: Vec<(usize, usize, Value)> = Vec::new();
        for (index, (name, input)) in self.calls.iter().enumerate() {
            let head = json!({"index": index, "id": format!("upstream_{name}_{index}"), "type": "function",
                              "function": {"name": name, "arguments": ""}});
            let arguments = halves(&input.to_string())
                .map(|piece| json!({"index": index, "function": {"arguments": piece}}))
                .collect::<Vec<_>>();
            pieces.extend([head].into_iter().chain(arguments).enumerate().map(|(nth, piece)| (index, nth, piece)));
        }
        match self.order {
            Order::Sequential => {}
            Order::Interleaved => pieces.sort_by_key(|(index, nth, _)| (*nth, *index)),
        }
        deltas.extend(pieces.into_iter().map(|(_, _, piece)| json!({"tool_calls": [piece]})));
        let finish = if self.calls.is_empty() { "stop" } else { "tool_calls" };
        let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| chunk(choice(delta, Value::Null))).collect();
        chunks.push(chunk(choice(json!({}), finish.into())));
        let mut usage = chunk(json!([]));
        usage["usage"] = Turn::usage();
        chunks.push(usage);
        let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
        Reply::events(events.chain(["data: [DONE]\n\n".to_string()]))
    }
}

fn chunk(choices: Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "scripted",
           "choices": choices})
}

fn halves(text: &str) -> impl Iterator<Item = String> {
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
    let (first, second) = text.split_at(middle);
    [first.to_string(), second.to_string()].into_iter().filter(|piece| !piece.is_empty())
}

async fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&Request, usize) -> Reply + Send + Sync),
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
    let reply = {
        let mut log = log.lock().expect("no test panics while it holds the log");
        log.push(request.clone());
        answer(&request, log.len() - 1)
    };
    if matches!(reply.ending, Ending::Silence) {
        return until_left(&mut stream).await;
    }
    let mut head = format!("HTTP/1.1 {} Scripted\r\ntransfer-encoding: chunked\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    for chunk in reply.chunks.iter().filter(|chunk| !chunk.is_empty()) {
        write_chunk(&mut stream, chunk).await?;
    }
    match reply.ending {
        Ending::Complete => stream.write_all(b"0\r\n\r\n").await?,
        Ending::Cut | Ending::Silence => {}
        Ending::Stall => until_left(&mut stream).await?,
        Ending::Drip(pause) => loop {
            tokio::time::sleep(pause).await;
            write_chunk(&mut stream, b": still here\n\n").await?;
        },
    }
    stream.shutdown().await
}

async fn write_chunk(stream: &mut TcpStream, chunk: &[u8]) -> std::io::Result<()> {
    let mut frame = format!("{:x}\r\n", chunk.len()).into_bytes();
    frame.extend_from_slice(chunk);
    frame.extend_from_slice(b"\r\n");
    stream.write_all(&frame).await?;
    stream.flush().await
}

async fn until_left(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// A request whose body has a stated length, as every client here sends it.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_string();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    while bytes.len() < head_end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Request { path, headers, body: bytes[head_end..].to_vec() }))
}
