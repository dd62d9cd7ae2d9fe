//! Stands between the launcher and the engine's socket, and misbehaves as engines do: silent, failing, forgetful, gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::Fault;

const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What happens to connections from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Manner {
    Honest,
    /// Takes requests and never answers.
    Silent,
    /// Answers every request with 500.
    Failing,
    /// Does not know one field of a container to create.
    Forgetful(&'static str),
}

pub(super) struct Proxy {
    path: PathBuf,
    manner: Arc<Mutex<Manner>>,
    connections: Arc<Mutex<CancellationToken>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// `address` is the engine's, as `unix://…`.
    pub(super) fn before(address: &str, folder: &Path) -> Result<Proxy, Fault> {
        let Some(engine) = address.strip_prefix("unix://").map(PathBuf::from) else {
            return Err(Fault::NotRun(format!("the engine is at {address}; only a unix socket can be stood in for")));
        };
        let path = folder.join("engine.sock");
        let listener = UnixListener::bind(&path)?;
        let manner = Arc::new(Mutex::new(Manner::Honest));
        let connections = Arc::new(Mutex::new(CancellationToken::new()));
        let task = tokio::spawn({
            let (manner, connections) = (manner.clone(), connections.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let manner = manner.lock().expect("nothing panics while holding it").clone();
                    let cut = connections.lock().expect("nothing panics while holding it").clone();
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = cut.cancelled() => {}
                            // A connection that breaks is what the peers are here to notice.
                            _ = serve(client, &engine, manner) => {}
                        }
                    });
                }
            }
        });
        Ok(Proxy { path, manner, connections, task })
    }

    pub(super) fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// For connections that begin after this.
    pub(super) fn set(&self, manner: Manner) {
        *self.manner.lock().expect("nothing panics while holding it") = manner;
    }

    /// Breaks every connection there is; new ones are served.
    pub(super) fn cut(&self) {
        let fresh = CancellationToken::new();
        std::mem::replace(&mut *self.connections.lock().expect("nothing panics while holding it"), fresh).cancel();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn serve(mut client: UnixStream, engine: &Path, manner: Manner) -> io::Result<()> {
    match manner {
        Manner::Honest => {}
        Manner::Silent => std::future::pending::<()>().await,
        Manner::Failing => {
            request(&mut client).await?;
            let body = r#"{"message":"injected failure"}"#;
            let answer = format!(
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
        Manner::Forgetful(field) => {
            let mut bytes = request(&mut client).await?;
            if bytes.starts_with(b"POST") && contains(&bytes, b"/containers/create") {
                forget(&mut bytes, field);
            }
            let mut server = UnixStream::connect(engine).await?;
            server.write_all(&bytes).await?;
            return tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop);
        }
    }
    let mut server = UnixStream::connect(engine).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// One request with its body, as far as a length announces one.
async fn request(client: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if client.read_buf(&mut bytes).await? == 0 || bytes.len() > REQUEST_BYTES_MAX {
            return Ok(bytes);
        }
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if bytes.len() >= head + 4 + length.unwrap_or(0) {
            return Ok(bytes);
        }
    }
}

/// Renames the field, so that the length stays and the engine ignores it.
fn forget(bytes: &mut [u8], field: &str) {
    let named = format!("\"{field}\":").into_bytes();
    let positions: Vec<usize> =
        (0..bytes.len().saturating_sub(named.len())).filter(|&at| bytes[at..].starts_with(&named)).collect();
    for at in positions {
        bytes[at + field.len()] = b'_';
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_field_changes_no_length() {
        let mut bytes = br#"{"Memory":1,"MemorySwap":2,"PidsLimit":3}"#.to_vec();
        forget(&mut bytes, "Memory");
        assert_eq!(bytes, br#"{"Memor_":1,"MemorySwap":2,"PidsLimit":3}"#);
    }
}
