//! Every identifier is a type of its own, so that one can never stand where another is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One run: a ULID in lower case, so that names sort by the time of their start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// A fresh identifier. Reads the clock and randomness, so only the edge calls it.
    pub fn generate() -> Self {
        RunId(ulid::Ulid::generate().to_string().to_lowercase())
    }

    /// The helper that this run asks for in this call: the same name whoever asks, and however often.
    pub fn helper(&self, token: CallToken) -> Self {
        let own = ulid::Ulid::from_string(&self.0.to_uppercase()).expect("a run id is a ULID");
        let hash = blake3::hash(format!("{} {token}", self.0).as_bytes());
        let random = u128::from_le_bytes(hash.as_bytes()[..16].try_into().expect("16 bytes of 32"));
        RunId(ulid::Ulid::from_parts(own.timestamp_ms(), random).to_string().to_lowercase())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        match ulid::Ulid::from_string(&lower.to_uppercase()) {
            Ok(_) => Ok(RunId(lower)),
            Err(_) => Err(format!("`{text}` is not a run id (26 letters and digits)")),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Content address of a blob: BLAKE3 of the uncompressed bytes, 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BlobId(String);

impl TryFrom<String> for BlobId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        BlobId::from_hex(&text).ok_or_else(|| format!("`{text}` is not the name of a blob"))
    }
}

impl BlobId {
    pub fn of(bytes: &[u8]) -> Self {
        BlobId(blake3::hash(bytes).to_hex().to_string())
    }

    /// From 64 hex digits that somebody else computed; `None` for anything else.
    pub fn from_hex(hex: &str) -> Option<Self> {
        (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
            .then(|| BlobId(hex.to_owned()))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        BlobId(blake3::Hash::from_bytes(bytes).to_hex().to_string())
    }

    pub fn to_bytes(&self) -> [u8; 32] {
        *blake3::Hash::from_hex(&self.0).expect("a blob id is 64 hex digits").as_bytes()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One dispatched tool call, unique within its run and stable across resumes: the step's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallToken(pub u64);

impl fmt::Display for CallToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
