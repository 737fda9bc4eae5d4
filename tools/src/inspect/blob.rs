//! Keys and values as reports show them: as text where they are text, else in hexadecimal, or hidden.

use serde::Serialize;
use std::fmt;

/// How many bytes of a key or value a report carries at most.
const SHOWN: usize = 4096;

/// Whether keys and values may be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Keys and values are replaced by their lengths.
    pub redact: bool,
}

impl Privacy {
    /// Bytes of a user, as a report may show them.
    #[must_use]
    pub fn show(self, bytes: &[u8]) -> Blob {
        let mut blob = Blob { bytes: bytes.len(), text: None, hex: None };
        if self.redact {
            return blob;
        }
        let part = &bytes[..bytes.len().min(SHOWN)];
        let text = match std::str::from_utf8(part) {
            Ok(text) => Some(text),
            // A character that was cut in two is no reason for hexadecimal.
            Err(error) if part.len() < bytes.len() && error.error_len().is_none() => {
                std::str::from_utf8(&part[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        };
        match text.filter(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))) {
            Some(text) => blob.text = Some(text.to_owned()),
            None => blob.hex = Some(hex(part)),
        }
        blob
    }
}

/// A key or a value in a report. It has at most 4096 of the bytes, and none if it is hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blob {
    /// The length, in bytes.
    pub bytes: usize,
    /// The bytes, if they are printable text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The bytes in hexadecimal, if they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl fmt::Display for Blob {
    /// On one line; a precision cuts it to so many characters: `{:.40}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = f.precision().unwrap_or(usize::MAX);
        let (text, shown) = match (&self.text, &self.hex) {
            (Some(text), _) => (format!("{text:?}"), text.len()),
            (_, Some(hex)) => (format!("0x{hex}"), hex.len() / 2),
            _ => return write!(f, "({} bytes)", self.bytes),
        };
        if text.chars().count() <= width && shown == self.bytes {
            return f.write_str(&text);
        }
        let rest = format!("… ({} bytes)", self.bytes);
        let room = width.saturating_sub(rest.chars().count()).max(4);
        let cut: String = text.trim_end_matches('"').chars().take(room).collect();
        write!(f, "{cut}{rest}")
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_and_everything_else_is_hexadecimal() {
        let open = Privacy::default();
        assert_eq!(open.show("grün".as_bytes()).to_string(), "\"grün\"");
        assert_eq!(open.show(b"a\x1b[0m").to_string(), "0x611b5b306d");
        assert_eq!(format!("{:.16}", open.show(&[b'x'; 100])), "\"xxx… (100 bytes)");
        assert_eq!(Privacy { redact: true }.show(b"secret").to_string(), "(6 bytes)");
        let long = "ä".repeat(3000);
        assert!(open.show(&long.as_bytes()[..5999]).text.is_some(), "the cut falls into a character");
    }
}
