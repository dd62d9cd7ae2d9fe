//! The set-up phase's way out: accepts connections on the container's loopback and carries them as frames to the host,
//! where an allow-list decides. Nothing here decides anything, and nothing here waits.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use greenroom_supervisor::protocol::{
    PROXY_CONNECTIONS_MAX, PROXY_CREDIT_BYTES, PROXY_WINDOW_BYTES, ProxyFrame, ProxyNews,
};

use crate::outbox::Outbox;
use crate::sys;

const READ_BYTES: usize = 64 << 10;

#[derive(Default)]
pub(crate) struct Proxy {
    listener: Option<TcpListener>,
    connections: BTreeMap<u32, Connection>,
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Listener,
    Connection(u32),
}

struct Connection {
    socket: TcpStream,
    /// What the host still has room for.
    credit: usize,
    reading: Reading,
    /// On its way to the socket.
    waiting: Vec<u8>,
    written: usize,
    writing: Writing,
    /// Passed on to the socket, and not yet given back to the host's window.
    passed_on: usize,
}

#[derive(PartialEq, Eq)]
enum Reading {
    Open,
    Ended,
}

#[derive(PartialEq, Eq)]
enum Writing {
    Open,
    /// The host will send no more: the socket hears of it behind what is still waiting.
    Ending,
    Ended,
}

/// What became of a connection.
#[derive(PartialEq, Eq)]
enum Life {
    GoesOn,
    /// Both directions have ended.
    Over,
    /// Broken off, which the host does not know yet.
    Broken,
}

impl Proxy {
    /// Begins to listen; answers with the port. A listener that is there already goes on where the port is the same.
    pub(crate) fn listen(&mut self, port: u16) -> io::Result<u16> {
        if self.listener.is_none() {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            self.listener = Some(listener);
        }
        let listener = self.listener.as_ref().expect("it was just made");
        listener.local_addr().map(|address| address.port())
    }

    /// A new client knows of no connection, and asks for a listener again.
    pub(crate) fn reset(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    pub(crate) fn interests(&self, mut add: impl FnMut(RawFd, i16, Slot)) {
        if let Some(listener) = &self.listener
            && self.connections.len() < PROXY_CONNECTIONS_MAX
        {
            add(listener.as_raw_fd(), libc::POLLIN, Slot::Listener);
        }
        for (&id, connection) in &self.connections {
            let events = connection.events();
            // Without an event it would still be reported once its peer has gone, again and again.
            if events != 0 {
                add(connection.socket.as_raw_fd(), events, Slot::Connection(id));
            }
        }
    }

    pub(crate) fn on_ready(&mut self, slot: Slot, outbox: &mut Outbox) {
        match slot {
            Slot::Listener => self.accept(outbox),
            Slot::Connection(id) => self.with(id, outbox, |connection, outbox| match connection.flush(id, outbox) {
                Life::GoesOn => connection.pull(id, outbox),
                ended => ended,
            }),
        }
    }

    /// A frame of the host's. One about a connection that has ended meanwhile means nothing.
    pub(crate) fn on_frame(&mut self, payload: &[u8], outbox: &mut Outbox) -> Result<(), &'static str> {
        let frame = ProxyFrame::decode(payload).ok_or("a proxy frame that is none")?;
        let id = frame.connection;
        match frame.news {
            ProxyNews::Open => return Err("the host opens no connections into a sandbox"),
            ProxyNews::Data(bytes) => self.with(id, outbox, |connection, outbox| {
                if connection.writing != Writing::Open || connection.owed() + bytes.len() > PROXY_WINDOW_BYTES {
                    return Life::Broken;
                }
                connection.waiting.extend_from_slice(bytes);
                connection.flush(id, outbox)
            }),
            ProxyNews::Credit(bytes) => self.with(id, outbox, |connection, _| {
                connection.credit = (connection.credit + bytes as usize).min(PROXY_WINDOW_BYTES);
                Life::GoesOn
            }),
            ProxyNews::End => self.with(id, outbox, |connection, outbox| {
                if connection.writing == Writing::Open {
                    connection.writing = Writing::Ending;
                }
                connection.flush(id, outbox)
            }),
            ProxyNews::Reset => drop(self.connections.remove(&id)),
        }
        Ok(())
    }

    fn with(&mut self, id: u32, outbox: &mut Outbox, act: impl FnOnce(&mut Connection, &mut Outbox) -> Life) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match act(connection, outbox) {
            Life::GoesOn => {}
            Life::Over => drop(self.connections.remove(&id)),
            Life::Broken => {
                self.connections.remove(&id);
                outbox.proxy(&ProxyFrame { connection: id, news: ProxyNews::Reset });
            }
        }
    }

    fn accept(&mut self, outbox: &mut Outbox) {
        let Some(listener) = &self.listener else { return };
        while self.connections.len() < PROXY_CONNECTIONS_MAX {
            // Out of descriptors, or gone before it was taken: whoever connected sees it end.
            let Ok((socket, _)) = listener.accept() else { return };
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            // Requests are small and wait for their answers.
            let _ = socket.set_nodelay(true);
            let mut id = self.next;
            while self.connections.contains_key(&id) {
                id = id.wrapping_add(1);
            }
            self.next = id.wrapping_add(1);
            self.connections.insert(id, Connection::new(socket));
            outbox.proxy(&ProxyFrame { connection: id, news: ProxyNews::Open });
        }
    }
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            credit: PROXY_WINDOW_BYTES,
            reading: Reading::Open,
            waiting: Vec::new(),
            written: 0,
            writing: Writing::Open,
            passed_on: 0,
        }
    }

    fn events(&self) -> i16 {
        let read = if self.reading == Reading::Open && self.credit > 0 { libc::POLLIN } else { 0 };
        let write = if self.waiting.is_empty() { 0 } else { libc::POLLOUT };
        read | write
    }

    /// What the host has sent and not got back.
    fn owed(&self) -> usize {
        self.waiting.len() - self.written + self.passed_on
    }

    fn pull(&mut self, id: u32, outbox: &mut Outbox) -> Life {
        if self.reading == Reading::Ended || self.credit == 0 {
            return Life::GoesOn;
        }
        let mut buffer = [0; READ_BYTES];
        let most = self.credit.min(READ_BYTES);
        match self.socket.read(&mut buffer[..most]) {
            Ok(0) => {
                self.reading = Reading::Ended;
                outbox.proxy(&ProxyFrame { connection: id, news: ProxyNews::End });
            }
            Ok(length) => {
                self.credit -= length;
                outbox.proxy(&ProxyFrame { connection: id, news: ProxyNews::Data(&buffer[..length]) });
            }
            Err(error) if sys::is_retry(&error) => {}
            Err(_) => return Life::Broken,
        }
        self.life()
    }

    fn flush(&mut self, id: u32, outbox: &mut Outbox) -> Life {
        while self.written < self.waiting.len() {
            match self.socket.write(&self.waiting[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    self.passed_on += count;
                }
                Err(error) if sys::is_retry(&error) => break,
                Err(_) => return Life::Broken,
            }
        }
        if self.written == self.waiting.len() {
            self.waiting.clear();
            self.written = 0;
            if self.writing == Writing::Ending {
                self.writing = Writing::Ended;
                if self.socket.shutdown(Shutdown::Write).is_err() {
                    return Life::Broken;
                }
            }
        }
        if self.passed_on >= PROXY_CREDIT_BYTES {
            let news = ProxyNews::Credit(self.passed_on as u32);
            outbox.proxy(&ProxyFrame { connection: id, news });
            self.passed_on = 0;
        }
        self.life()
    }

    fn life(&self) -> Life {
        match (&self.reading, &self.writing) {
            (Reading::Ended, Writing::Ended) => Life::Over,
            (Reading::Open | Reading::Ended, Writing::Open | Writing::Ending) | (Reading::Open, Writing::Ended) => {
                Life::GoesOn
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A proxy with one accepted connection, and that connection's other end.
    fn connected() -> (Proxy, Outbox, TcpStream) {
        let (mut proxy, mut outbox) = (Proxy::default(), Outbox::default());
        let port = proxy.listen(0).unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        proxy.on_ready(Slot::Listener, &mut outbox);
        assert_eq!(proxy.connections.len(), 1);
        (proxy, outbox, client)
    }

    fn tell(proxy: &mut Proxy, outbox: &mut Outbox, news: ProxyNews<'_>) {
        proxy.on_frame(&ProxyFrame { connection: 0, news }.encode(), outbox).unwrap();
    }

    #[test]
    fn reading_stops_at_the_window_and_goes_on_with_credit() {
        let (mut proxy, mut outbox, mut client) = connected();
        let writer = std::thread::spawn(move || client.write_all(&vec![7; 2 * PROXY_WINDOW_BYTES]));
        while proxy.connections[&0].credit > 0 {
            proxy.on_ready(Slot::Connection(0), &mut outbox);
        }
        let mut waits_for = Vec::new();
        proxy.interests(|_, _, slot| waits_for.push(slot));
        assert_eq!(waits_for, [Slot::Listener], "a full window is not waited for");
        tell(&mut proxy, &mut outbox, ProxyNews::Credit(PROXY_WINDOW_BYTES as u32));
        while proxy.connections.get(&0).is_some_and(|connection| connection.credit > 0) {
            proxy.on_ready(Slot::Connection(0), &mut outbox);
        }
        drop(proxy);
        // All of it was read, or the rest was reset when the proxy went: either way nobody waits.
        let _ = writer.join().unwrap();
    }

    #[test]
    fn a_host_that_sends_more_than_its_window_is_cut_off() {
        let (mut proxy, mut outbox, client) = connected();
        // Nobody reads `client`, so the kernel's buffers fill and bytes stay with us.
        for _ in 0..256 {
            tell(&mut proxy, &mut outbox, ProxyNews::Data(&[0; 64 << 10]));
        }
        assert!(proxy.connections.is_empty());
        drop(client);
    }

    #[test]
    fn each_direction_ends_by_itself() {
        let (mut proxy, mut outbox, mut client) = connected();
        tell(&mut proxy, &mut outbox, ProxyNews::Data(b"last words"));
        tell(&mut proxy, &mut outbox, ProxyNews::End);
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "last words");
        assert_eq!(proxy.connections.len(), 1, "the other direction is still open");
        drop(client);
        while !proxy.connections.is_empty() {
            proxy.on_ready(Slot::Connection(0), &mut outbox);
        }
    }
}
