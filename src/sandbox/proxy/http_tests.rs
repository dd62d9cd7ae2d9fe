//! Requests as clients write them, against a server on this machine's loopback.

#![allow(clippy::unwrap_used)]

use tokio::net::TcpListener;

use super::super::{AllowList, Lookup, Origin, Proxy, ProxyLimits, ProxyRecord, Verdict};
use super::*;

/// A server that answers every connection with what it was sent, behind a fixed head.
async fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = vec![0; 64 << 10];
                let length = stream.read(&mut heard).await.unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&heard[..length]).await.unwrap();
            });
        }
    });
    port
}

/// Every name is this machine.
fn lookup() -> Lookup {
    Arc::new(|_, _| Box::pin(async { Ok(vec!["127.0.0.1".parse().unwrap()]) }))
}

fn proxy(allow: &[String]) -> Proxy {
    let mut list = AllowList::default();
    allow.iter().for_each(|entry| list.allow(entry.parse().unwrap(), Origin::Operator));
    Proxy::with_lookup(list, ProxyLimits::default(), lookup())
}

async fn say(proxy: &Proxy, request: &str) -> (String, Vec<ProxyRecord>) {
    let (mut client, carried) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.serve(carried).await }
    });
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    drop(client);
    serving.await.unwrap();
    (String::from_utf8_lossy(&answer).into_owned(), proxy.take_records())
}

fn code(records: &[ProxyRecord]) -> &str {
    match records {
        [ProxyRecord { verdict: Verdict::Refused { code, .. } | Verdict::Failed { code, .. }, .. }] => code,
        other => panic!("one refusal, not {other:?}"),
    }
}

#[tokio::test]
async fn a_plain_request_reaches_an_allowed_host_without_what_was_meant_for_the_proxy() {
    let port = server().await;
    let proxy = proxy(&[format!("index.example:{port}")]);
    let request = format!(
        "GET http://Index.Example:{port}/simple/?a=b HTTP/1.1\r\nHost: index.example:{port}\r\n\
         Proxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: Keep-Alive\r\nX-Private: 1\r\n\
         Connection: X-Private, close\r\n\r\n"
    );
    let (answer, records) = say(&proxy, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("GET /simple/?a=b HTTP/1.1"), "{answer}");
    for gone in ["c2VjcmV0", "Keep-Alive", "X-Private", "x-private"] {
        assert!(!answer.contains(gone), "{gone}: {answer}");
    }
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].host.as_str(), records[0].port), ("index.example", port));
    assert_eq!(records[0].verdict, Verdict::Allowed);
    assert!(records[0].bytes_down > 0);
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_counts_them() {
    let port = server().await;
    let proxy = proxy(&[format!("index.example:{port}")]);
    let request = format!("CONNECT index.example:{port} HTTP/1.1\r\nHost: index.example:{port}\r\n\r\nhello through");
    let (answer, records) = say(&proxy, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("hello through"), "{answer}");
    assert_eq!((records[0].bytes_up, records.len()), (13, 1));
    assert!(records[0].bytes_down > 13);
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_with_a_reason_in_three_places() {
    let proxy = proxy(&["index.example".to_owned()]);
    for request in [
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: index.example:443\r\n\r\n",
    ] {
        let (answer, records) = say(&proxy, request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 `evil.example:443` is not on the allow-list"), "{head}");
        assert!(head.contains("x-proxy-error: host_not_allowed"), "{head}");
        assert!(body.contains("[setup] allow = [\"evil.example:443\"]"), "{body}");
        assert_eq!(body.lines().count(), 1);
        assert_eq!(code(&records), "host_not_allowed");
    }
}

#[tokio::test]
async fn every_way_around_has_its_own_refusal() {
    let list = ["index.example".to_owned(), "inside.example:8080".to_owned()];
    for (request, expected) in [
        ("CONNECT index.example:22 HTTP/1.1\r\n\r\n", "port_not_allowed"),
        ("CONNECT 93.184.216.34:443 HTTP/1.1\r\n\r\n", "raw_address"),
        ("CONNECT 2130706433:443 HTTP/1.1\r\n\r\n", "raw_address"),
        ("CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n", "raw_address"),
        ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", "raw_address"),
        ("CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n", "raw_address"),
        ("GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", "raw_address"),
        // The test's resolver leads every name to this machine.
        ("CONNECT index.example:443 HTTP/1.1\r\n\r\n", "private_address"),
        ("GET http://index.example/ HTTP/1.1\r\nHost: index.example\r\n\r\n", "private_address"),
        ("GET http://index.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", "host_mismatch"),
        ("GET http://index.example/ HTTP/1.1\r\nHost: index.example:81\r\n\r\n", "host_mismatch"),
        ("GET http://index.example/ HTTP/1.1\r\nHost: index.example\r\nHost: evil.example\r\n\r\n", "host_mismatch"),
        ("GET https://index.example/ HTTP/1.1\r\nHost: index.example\r\n\r\n", "not_a_proxy_request"),
        ("GET /latest/meta-data/ HTTP/1.1\r\nHost: index.example\r\n\r\n", "not_a_proxy_request"),
        ("GET http://index.example@evil.example/ HTTP/1.1\r\nHost: index.example\r\n\r\n", "bad_host"),
        ("CONNECT user@index.example:443 HTTP/1.1\r\n\r\n", "bad_host"),
    ] {
        let (answer, records) = say(&proxy(&list), request).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{request}: {answer}");
        assert_eq!(code(&records), expected, "{request}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_answered_and_left() {
    for request in
        ["\x16\x03\x01\x02\x00", "CONNECT index.example\0.evil.example:443 HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n\r\n"]
    {
        let (answer, records) = say(&proxy(&["index.example".to_owned()]), request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{request:?}: {answer}");
        assert!(records.iter().all(|record| record.verdict != Verdict::Allowed), "{records:?}");
    }
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_a_failure_and_no_refusal() {
    // Bound and never listened on: connections are refused by the kernel.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let proxy = proxy(&[format!("index.example:{port}")]);
    let (answer, records) = say(&proxy, &format!("CONNECT index.example:{port} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(matches!(&records[0].verdict, Verdict::Failed { code, .. } if code == "unreachable"), "{records:?}");
}

#[tokio::test]
async fn nothing_goes_out_once_the_limit_is_met() {
    let port = server().await;
    let mut list = AllowList::default();
    list.allow(format!("index.example:{port}").parse().unwrap(), Origin::Operator);
    let proxy = Proxy::with_lookup(list, ProxyLimits { bytes_up_max: 100, ..ProxyLimits::default() }, lookup());
    let request = format!("CONNECT index.example:{port} HTTP/1.1\r\n\r\n{}", "x".repeat(100));
    say(&proxy, &request).await;
    let (answer, records) = say(&proxy, &request).await;
    assert!(answer.is_empty() || answer.contains("403"), "{answer}");
    assert!(records.iter().all(|record| record.verdict != Verdict::Allowed), "{records:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends() {
    let (mut client, carried) = tokio::io::duplex(1 << 10);
    let proxy = proxy(&[]);
    let serving = tokio::spawn(async move { proxy.serve(carried).await });
    client.write_all(b"CONNECT ").await.unwrap();
    serving.await.unwrap();
}
