//! A client of HTTP/2 that does next to nothing: requests are bytes, of answers only the end is looked
//! for. What is counted is the server's.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

use super::Run;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames of a request, into which the stream is put, and what a good answer has in it.
pub(crate) struct Request {
    frames: Vec<(u8, u8, Vec<u8>)>,
    expected: &'static [u8],
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    to.extend(&length[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

/// A field that is not to be kept: by its number in the static table, or by name.
fn field(name: Result<u8, &str>, value: &str, to: &mut Vec<u8>) {
    let mut text = |text: &str| {
        to.push(u8::try_from(text.len()).expect("short"));
        to.extend(text.as_bytes());
    };
    match name {
        Ok(number) => {
            let (first, rest) = (number.min(15), number.saturating_sub(15));
            to.push(first);
            if first == 15 {
                to.push(rest);
            }
        }
        Err(name) => {
            text("");
            text(name);
        }
    }
    let mut text = |text: &str| {
        to.push(u8::try_from(text.len()).expect("short"));
        to.extend(text.as_bytes());
    };
    text(value);
}

/// `GET /`, as a gateway asks.
pub(crate) fn get() -> Request {
    // :method GET, :scheme http, :path /, and :authority.
    let mut head = vec![0x82, 0x86, 0x84];
    field(Ok(1), "localhost", &mut head);
    field(Ok(58), "Go-http-client/2.0", &mut head);
    field(Ok(19), "application/json", &mut head);
    field(Ok(16), "gzip", &mut head);
    Request {
        frames: vec![(HEADERS, END_HEADERS | END_STREAM, head)],
        expected: b"Hello!",
    }
}

/// A call of the greeter, as Go's client makes one.
pub(crate) fn grpc(method: &str, message: &[u8]) -> Request {
    // :method POST, :scheme http.
    let mut head = vec![0x83, 0x86];
    field(Ok(4), &format!("/greeter.v1.Greeter/{method}"), &mut head);
    field(Ok(1), "localhost", &mut head);
    field(Ok(31), "application/grpc", &mut head);
    field(Ok(58), "grpc-go/1.75.0", &mut head);
    field(Err("te"), "trailers", &mut head);
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend(message);
    Request {
        frames: vec![(HEADERS, END_HEADERS, head), (DATA, END_STREAM, body)],
        expected: b"Ada",
    }
}

/// Each call waits for the end of the one before.
pub(crate) fn calls(runtime: Runtime, mut io: DuplexStream, request: Request) -> Run {
    let mut opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(SETTINGS, 0, 0, &[], &mut opening);
    frame(SETTINGS, 1, 0, &[], &mut opening);
    let window = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
    frame(WINDOW_UPDATE, 0, 0, &window, &mut opening);
    runtime.block_on(io.write_all(&opening)).expect("sent");
    let mut stream = 1;
    let (mut sent, mut came) = (Vec::new(), Vec::new());
    Box::new(move |calls| {
        runtime.block_on(async {
            for _ in 0..calls {
                sent.clear();
                for (kind, flags, payload) in &request.frames {
                    frame(*kind, *flags, stream, payload, &mut sent);
                }
                io.write_all(&sent).await.expect("sent");
                came.clear();
                let mut at = 0;
                while !has_ended(&came, &mut at, stream) {
                    let read = io.read_buf(&mut came).await.expect("answered");
                    assert!(read > 0, "the server has ended");
                }
                if stream == 1 {
                    let expected = request.expected;
                    assert!(came.windows(expected.len()).any(|it| it == expected));
                }
                stream += 2;
            }
        });
    })
}

/// Whether the frames from `at` on end the stream; those that are whole are passed.
fn has_ended(came: &[u8], at: &mut usize, stream: u32) -> bool {
    while let Some(&[a, b, c, kind, flags, s, t, u, v]) = came.get(*at..*at + 9) {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if came.len() < *at + 9 + length {
            return false;
        }
        *at += 9 + length;
        let of = u32::from_be_bytes([s, t, u, v]);
        if matches!(kind, DATA | HEADERS) && of == stream && flags & END_STREAM != 0 {
            return true;
        }
    }
    false
}
