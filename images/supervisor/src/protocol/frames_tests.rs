//! Frames out of damaged streams.
#![allow(clippy::unwrap_used)]

use super::*;

fn frame(call: u64, payload: &[u8]) -> Frame {
    Frame { epoch: 7, kind: FrameKind::Data, call, seq: call + 100, payload: payload.to_vec() }
}

/// What a reader makes of a stream, however it is cut into pieces.
fn read(stream: &[u8]) -> Vec<Frame> {
    let whole = read_in_pieces(stream, stream.len().max(1));
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(read_in_pieces(stream, piece), whole, "in pieces of {piece}");
    }
    whole
}

fn read_in_pieces(stream: &[u8], piece: usize) -> Vec<Frame> {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for bytes in stream.chunks(piece) {
        reader.push(bytes);
        frames.extend(std::iter::from_fn(|| reader.next_frame()));
    }
    frames
}

#[test]
fn frames_follow_one_another() {
    let frames = [frame(1, b""), frame(2, b"hello"), frame(3, &[0xf5; 1000])];
    let stream: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    assert_eq!(read(&stream), frames);
}

#[test]
fn garbage_before_and_between_is_skipped() {
    let mut stream = b"\xf5GR\xf5GR\x00 noise \xf5\xf5G".to_vec();
    stream.extend(frame(1, b"one").encode());
    stream.extend(b"\xf5GRmore noise");
    stream.extend(frame(2, b"two").encode());
    assert_eq!(read(&stream), [frame(1, b"one"), frame(2, b"two")]);
}

#[test]
fn half_a_frame_costs_only_itself() {
    let first = frame(1, &[b'x'; 500]).encode();
    for cut in 0..first.len() {
        let mut stream = first[..cut].to_vec();
        stream.extend(frame(2, b"the next client's hello").encode());
        assert_eq!(read_in_pieces(&stream, 16), [frame(2, b"the next client's hello")], "cut at {cut}");
    }
}

#[test]
fn attaching_in_mid_frame_finds_the_next_one() {
    let mut stream = frame(1, &[b'x'; 500]).encode();
    stream.extend(frame(2, b"two").encode());
    for cut in 1..100 {
        assert_eq!(read_in_pieces(&stream[cut..], 16), [frame(2, b"two")], "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_never_yields_a_wrong_frame() {
    let good = frame(1, b"some payload \xf5GR of a frame");
    let wire = good.encode();
    for bit in 0..wire.len() * 8 {
        let mut stream = wire.clone();
        stream[bit / 8] ^= 1 << (bit % 8);
        // A longer length may swallow what follows until the next magic ends it: hence two frames behind.
        stream.extend(frame(2, b"two").encode());
        assert_eq!(read_in_pieces(&stream, 5), [frame(2, b"two")], "bit {bit}");
    }
}

#[test]
fn a_payload_that_imitates_a_frame_is_never_taken_for_one() {
    let forged = Frame { epoch: 7, kind: FrameKind::Response, call: 1, seq: 1, payload: b"forged".to_vec() }.encode();
    let outer = frame(9, &forged.repeat(3));
    let wire = outer.encode();
    assert_eq!(read(&wire), std::slice::from_ref(&outer));
    // Nor when the reader attaches at any point inside it.
    for cut in 1..wire.len() {
        assert_eq!(read_in_pieces(&wire[cut..], 4096), [], "cut at {cut}");
    }
}

#[test]
fn a_length_beyond_the_limit_is_not_waited_for() {
    let mut stream = vec![0xf5, b'G', b'R', 0xf7];
    stream.extend([1, 0, 0, 0, 0, 3]);
    stream.extend([0; 16]);
    stream.extend(u32::MAX.to_le_bytes());
    stream.extend(frame(2, b"two").encode());
    assert_eq!(read(&stream), [frame(2, b"two")]);
}

#[test]
fn chunks_carry_stream_and_offset() {
    let chunk = Chunk { stream: Stream::Stderr, offset: 1 << 40, bytes: b"bytes" };
    assert_eq!(Chunk::decode(&chunk.encode()), Some(chunk));
    assert_eq!(Chunk::decode(b"short"), None);
    assert_eq!(Chunk::decode(&[9; 20]), None);
}
