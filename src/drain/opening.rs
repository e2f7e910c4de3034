//! Classifies the first bytes of a connection the way hyper does.

use super::sever::Opening;

/// The first bytes that an HTTP/2 client sends.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads the first bytes of a connection, in pieces of any size.
#[derive(Debug)]
pub(crate) struct OpeningReader {
    /// How many bytes of [`PREFACE`] have arrived; `None` once it cannot be the preface.
    preface: Option<usize>,
    /// A non-empty line has arrived.
    has_begun: bool,
    /// The current line is not empty.
    in_line: bool,
}

// === impl OpeningReader ===

impl OpeningReader {
    /// Classifies all bytes so far. Must not be called again after a result other than `Silent` or
    /// `Head`.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Opening {
        if bytes.is_empty() && !self.has_begun {
            return Opening::Silent;
        }
        for byte in bytes {
            if let Some(opening) = self.take(*byte) {
                return opening;
            }
        }
        Opening::Head
    }

    fn take(&mut self, byte: u8) -> Option<Opening> {
        if let Some(count) = self.preface {
            if PREFACE.get(count) == Some(&byte) {
                if count + 1 == PREFACE.len() {
                    return Some(Opening::Http2);
                }
                self.preface = Some(count + 1);
                self.has_begun = true;
                self.in_line = !matches!(byte, b'\r' | b'\n');
                // The preface's own empty line does not end a head.
                return None;
            }
            self.preface = None;
        }
        match byte {
            // hyper skips empty lines before the head.
            b'\n' if self.has_begun && !self.in_line => return Some(Opening::Http1),
            b'\n' => self.in_line = false,
            b'\r' => {}
            // Never part of a head; TLS and the like begin with these bytes.
            0..=8 | 11 | 12 | 14..=31 | 127 => return Some(Opening::Opaque),
            _ => (self.has_begun, self.in_line) = (true, true),
        }
        None
    }
}

impl Default for OpeningReader {
    fn default() -> Self {
        Self {
            preface: Some(0),
            has_begun: false,
            in_line: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, however the bytes are cut.
    #[track_caller]
    fn assert_is(bytes: &[u8], expected: Opening) {
        assert_eq!(OpeningReader::default().read(bytes), expected);
        let mut reader = OpeningReader::default();
        let mut last = Opening::Silent;
        for byte in bytes {
            last = reader.read(std::slice::from_ref(byte));
            if !matches!(last, Opening::Silent | Opening::Head) {
                break;
            }
        }
        assert_eq!(last, expected, "byte by byte");
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line() {
        for half in [
            "G",
            "GET /pets HT",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nhost: pets\r\n",
            "GET / HTTP/1.1\r\nhost: pets\r\n\r",
            "\r\n\r\nGET / HTTP/1.1\r\n",
            "\r\n\r\n",
            "GET / HTTP/1.1\nhost: p\u{e9}ts\tx\n",
        ] {
            assert_is(half.as_bytes(), Opening::Head);
        }
        for whole in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: pets\r\n\r\nbody",
            "\r\n\r\nGET / HTTP/1.0\n\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / HTTP/1.1\r\nhost: pets\r\n\r\n",
        ] {
            assert_is(whole.as_bytes(), Opening::Http1);
        }
    }

    #[test]
    fn http_2_has_its_preface() {
        assert_is(PREFACE, Opening::Http2);
        let with_frames = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
        assert_is(&with_frames, Opening::Http2);
        for length in 1..PREFACE.len() {
            assert_is(&PREFACE[..length], Opening::Head);
        }
        assert_is(b"PRI * HTTP/2.0\r\nhost: pets\r\n\r\n", Opening::Http1);
    }

    #[test]
    fn what_is_encrypted_is_opaque() {
        assert_is(b"\x16\x03\x01\x02\0\x01\0", Opening::Opaque);
        assert_is(
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n\x16\x03\x01",
            Opening::Opaque,
        );
        assert_is(b"\r\n\r\n\0\r\nQUIT\n", Opening::Opaque);
        assert_is(b"", Opening::Silent);
    }
}
