//! Paths, arguments and environment: bytes that are nearly always UTF-8, and must survive when they are not.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes without NUL. In JSON a plain string where they are UTF-8; otherwise NUL followed by hexadecimal digits, which
/// no valid string can be mistaken for because no path, argument or variable contains NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteString(Vec<u8>);

impl ByteString {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for ByteString {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<String> for ByteString {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for ByteString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => {
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                serializer.serialize_str(&format!("\0{hex}"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for ByteString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = String::deserialize(deserializer)?;
        let Some(hex) = text.strip_prefix('\0') else {
            return match text.contains('\0') {
                true => Err(D::Error::custom("a NUL inside a path, argument or variable")),
                false => Ok(Self(text.into_bytes())),
            };
        };
        if hex.len() % 2 != 0 || !hex.is_ascii() {
            return Err(D::Error::custom("an odd number of hexadecimal digits"));
        }
        let digit = |byte: u8| (byte as char).to_digit(16).ok_or_else(|| D::Error::custom("not a hexadecimal digit"));
        let mut bytes = Vec::with_capacity(hex.len() / 2);
        for pair in hex.as_bytes().chunks_exact(2) {
            let byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
            if byte == 0 {
                return Err(D::Error::custom("a NUL inside a path, argument or variable"));
            }
            bytes.push(byte);
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::ByteString;

    fn there_and_back(bytes: &[u8]) -> String {
        let json = serde_json::to_string(&ByteString::new(bytes)).unwrap();
        assert_eq!(serde_json::from_str::<ByteString>(&json).unwrap().as_bytes(), bytes);
        json
    }

    #[test]
    fn utf8_stays_readable_and_the_rest_survives() {
        assert_eq!(there_and_back("src/größe.rs".as_bytes()), "\"src/größe.rs\"");
        assert_eq!(there_and_back(b"caf\xe9"), "\"\\u0000636166e9\"");
        there_and_back(b"");
    }

    #[test]
    fn a_nul_is_refused_in_either_form() {
        for json in ["\"a\\u0000b\"", "\"\\u00006100\"", "\"\\u0000616\"", "\"\\u0000zz\""] {
            assert!(serde_json::from_str::<ByteString>(json).is_err(), "{json}");
        }
    }
}
