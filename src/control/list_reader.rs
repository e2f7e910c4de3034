//! Reads the entries of a list answer one by one as they arrive: a list that is kept whole takes as
//! much memory as its sender likes.

/// The largest entry; longer ones are skipped.
const MAX_ENTRY_BYTES: usize = 64 * 1024;

/// Reads a message whose field 1 is repeated, and skips all other fields.
pub(super) struct Entries<F> {
    each: F,
    /// The beginning of an incomplete token.
    rest: Vec<u8>,
    /// The number of bytes still to skip.
    skip: u64,
    is_broken: bool,
}

/// The token at the beginning of a message.
enum Token {
    /// An entry between these two offsets.
    Entry(usize, usize),
    /// Another field of this length, which is skipped.
    Other(u64),
    /// Incomplete.
    Incomplete,
    /// Not a Protocol Buffers message.
    Broken,
}

// === impl Entries ===

impl<F: FnMut(&[u8])> Entries<F> {
    pub(super) fn new(each: F) -> Self {
        Self {
            each,
            rest: Vec::new(),
            skip: 0,
            is_broken: false,
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        if self.rest.is_empty() {
            let taken = self.read(bytes);
            self.rest.extend_from_slice(&bytes[taken..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let taken = self.read(&rest);
            rest.drain(..taken);
            self.rest = rest;
        }
    }

    /// Whether the message was complete and valid.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_broken && self.rest.is_empty() && self.skip == 0
    }

    /// Returns how many of the bytes were processed.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.is_broken {
                return bytes.len();
            }
            let left = &bytes[at..];
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX);
                let skipped = skipped.min(left.len());
                self.skip -= skipped as u64;
                at += skipped;
                continue;
            }
            match token(left) {
                Token::Entry(from, to) => {
                    (self.each)(&left[from..to]);
                    at += to;
                }
                Token::Other(length) => self.skip = length,
                Token::Incomplete => break,
                Token::Broken => self.is_broken = true,
            }
        }
        at
    }
}

/// The number of fields in a message, as far as it can be read.
pub(super) fn fields(message: &[u8]) -> usize {
    let mut rest = message;
    let mut count = 0;
    while !rest.is_empty() {
        let length = match token(rest) {
            Token::Entry(_, to) => to,
            Token::Other(length) => usize::try_from(length).unwrap_or(usize::MAX),
            Token::Incomplete | Token::Broken => break,
        };
        rest = rest.get(length..).unwrap_or_default();
        count += 1;
    }
    count
}

fn token(bytes: &[u8]) -> Token {
    let (tag, tag_length) = match varint(bytes) {
        Ok(Some(found)) => found,
        Ok(None) => return Token::Incomplete,
        Err(()) => return Token::Broken,
    };
    let after = &bytes[tag_length..];
    let fixed = |length| Token::Other(tag_length as u64 + length);
    match tag & 7 {
        0 => match varint(after) {
            Ok(Some((_, length))) => fixed(length as u64),
            Ok(None) => Token::Incomplete,
            Err(()) => Token::Broken,
        },
        1 => fixed(8),
        5 => fixed(4),
        2 => match varint(after) {
            Ok(Some((length, prefix))) => {
                let from = tag_length + prefix;
                match usize::try_from(length) {
                    Ok(length) if tag >> 3 == 1 && length <= MAX_ENTRY_BYTES => {
                        let to = from + length;
                        if bytes.len() < to {
                            Token::Incomplete
                        } else {
                            Token::Entry(from, to)
                        }
                    }
                    _ => Token::Other(length.saturating_add(from as u64)),
                }
            }
            Ok(None) => Token::Incomplete,
            Err(()) => Token::Broken,
        },
        _ => Token::Broken,
    }
}

/// The number and its length; `None` while it is incomplete.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, ()> {
    let mut number = 0_u64;
    for (place, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((number, place + 1)));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::control::proto::{ListServicesResponse, ServiceInfo};

    fn read(bytes: &[u8], piece: usize) -> (Vec<ServiceInfo>, bool) {
        let mut all = Vec::new();
        let mut entries = Entries::new(|entry: &[u8]| {
            all.push(ServiceInfo::decode(entry).unwrap_or_default());
        });
        bytes.chunks(piece).for_each(|it| entries.take(it));
        let is_whole = entries.is_whole();
        (all, is_whole)
    }

    #[test]
    fn a_list_is_read_in_pieces_of_any_size() {
        let service = |n: usize| ServiceInfo {
            namespace: "n".repeat(n % 300),
            version: "v1".to_owned(),
            replica_count: 7,
            ..ServiceInfo::default()
        };
        let list = ListServicesResponse {
            services: (0..50).map(|n| service(n * 17)).collect(),
            stable_vn: [("greeter".to_owned(), 3)].into(),
        };
        let bytes = list.encode_to_vec();
        for piece in [1, 2, 3, 7, 100, 1_000_000] {
            let (services, is_whole) = read(&bytes, piece);
            assert_eq!(services, list.services, "{piece}");
            assert!(is_whole);
        }
        let (_, is_whole) = read(&bytes[..bytes.len() - 1], 10);
        assert!(!is_whole);
        assert_eq!(fields(&bytes), 51);
    }

    #[test]
    fn entries_too_long_to_be_kept_are_left_out() {
        let service = |length| ServiceInfo {
            namespace: "n".repeat(length),
            ..ServiceInfo::default()
        };
        let services = vec![service(1_000_000), service(3)];
        let list = ListServicesResponse {
            services,
            ..Default::default()
        };
        let (read, is_whole) = read(&list.encode_to_vec(), 1_000);
        assert_eq!(read, [service(3)]);
        assert!(is_whole);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(bytes: Vec<u8>, piece in 1_usize..64) {
            read(&bytes, piece);
        }
    }
}
