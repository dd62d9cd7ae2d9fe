//! Contents of many files in one call.

use std::io::Read;

use greenroom_supervisor::protocol::{ByteString, CallError, Chunk, Collected, Place, Response, Stream};

use super::beneath::{open_roots, root_of};
use crate::worker::Reply;

const CHUNK_BYTES: usize = 512 << 10;

pub(crate) fn collect(roots: &[ByteString], places: &[Place], reply: &Reply) -> Result<Response, CallError> {
    let roots = open_roots(roots)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    for place in places {
        let root = root_of(&roots, place)?;
        let mut hasher = blake3::Hasher::new();
        let sent = root.file(place.path.as_bytes()).and_then(|(mut file, _)| {
            let begin = offset;
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok(offset - begin),
                    length => {
                        hasher.update(&buffer[..length]);
                        reply.data(&Chunk { stream: Stream::File, offset, bytes: &buffer[..length] });
                        offset += length as u64;
                    }
                }
            }
        });
        let collected = Collected { bytes: sent.ok(), blake3: hasher.finalize().to_hex().to_string() };
        reply.interim(&Response::Collected(collected));
    }
    Ok(Response::CollectDone)
}
