//! Peers that are no HTTP servers: bytes and frames.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xbe;

const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field, without compression.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).expect("short"));
        field.extend(text.as_bytes());
    }
    field
}

/// Reads on a thread of its own what comes, and throws it away.
fn drain(stream: &TcpStream) {
    let mut stream = stream.try_clone().expect("a second handle");
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1024];
        while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
    });
}

/// Sends the same until nobody takes it any more.
fn flood(mut stream: &TcpStream, frame: &[u8]) {
    let chunk = frame.repeat((64 * 1024 / frame.len()).max(1));
    while stream.write_all(&chunk).is_ok() {}
}

fn greet(mut stream: &TcpStream) -> bool {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).is_ok()
}

/// Greets, and waits for the first request; its stream.
fn first_request(mut stream: &TcpStream) -> Option<u32> {
    greet(stream);
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).ok()?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).ok()?;
        if head[3] == HEADERS {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

pub(crate) fn silence(stream: &TcpStream) {
    drain(stream);
    std::thread::sleep(Duration::from_secs(30));
}

pub(crate) fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// What was sent and not read is answered with a reset.
pub(crate) fn end_unread(mut stream: &TcpStream) {
    let _ = stream.read(&mut [0]);
}

pub(crate) fn http_1(mut stream: &TcpStream) {
    let _ = stream.read(&mut [0; 1024]);
    let _ = stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

pub(crate) fn garbage(stream: &TcpStream) {
    drain(stream);
    let bytes: Vec<u8> = (0..4_096_u32).map(|n| (n * 167 + 13) as u8).collect();
    flood(stream, &bytes);
}

pub(crate) fn never_reads(stream: &TcpStream) {
    greet(stream);
    std::thread::sleep(Duration::from_secs(30));
}

fn floods(stream: &TcpStream, frame: &[u8]) {
    greet(stream);
    drain(stream);
    flood(stream, frame);
}

pub(crate) fn floods_pings(stream: &TcpStream) {
    floods(stream, &frame(PING, 0, 0, &[7; 8]));
}

pub(crate) fn floods_settings(stream: &TcpStream) {
    floods(stream, &frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
}

pub(crate) fn floods_window_updates(stream: &TcpStream) {
    floods(stream, &frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
}

pub(crate) fn floods_unknown_frames(stream: &TcpStream) {
    floods(stream, &frame(UNKNOWN, 0, 0, &[0; 16_000]));
}

pub(crate) fn floods_priorities(stream: &TcpStream) {
    floods(stream, &frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9]));
}

pub(crate) fn floods_push_promises(stream: &TcpStream) {
    let mut promise = 2_u32.to_be_bytes().to_vec();
    promise.extend(field(":path", "/"));
    floods(stream, &frame(PUSH_PROMISE, END_HEADERS, 1, &promise));
}

fn floods_request(stream: &TcpStream, frame: impl Fn(u32) -> Vec<u8>) {
    if let Some(request) = first_request(stream) {
        drain(stream);
        flood(stream, &frame(request));
    }
}

pub(crate) fn floods_resets(stream: &TcpStream) {
    floods_request(stream, |request| {
        frame(RST_STREAM, 0, request, &[0, 0, 0, 8])
    });
}

pub(crate) fn floods_interim_answers(stream: &TcpStream) {
    floods_request(stream, |request| {
        let interim = field(":status", "103");
        frame(HEADERS, END_HEADERS, request, &interim)
    });
}

pub(crate) fn floods_data(stream: &TcpStream) {
    floods_request(stream, |request| {
        let mut frames = answer_head(request);
        for _ in 0..64 {
            frames.extend(frame(DATA, 0, request, &[0; 16_000]));
        }
        frames
    });
}

fn answer_head(request: u32) -> Vec<u8> {
    let mut head = field(":status", "200");
    head.extend(field("content-type", "application/grpc"));
    frame(HEADERS, END_HEADERS, request, &head)
}

pub(crate) fn floods_empty_data(mut stream: &TcpStream) {
    if let Some(request) = first_request(stream) {
        drain(stream);
        let _ = stream.write_all(&answer_head(request));
        flood(stream, &frame(DATA, 0, request, &[]));
    }
}

pub(crate) fn floods_continuations(mut stream: &TcpStream) {
    if let Some(request) = first_request(stream) {
        drain(stream);
        let _ = stream.write_all(&frame(HEADERS, 0, request, &field(":status", "200")));
        let more = field("x-filler", &"x".repeat(100)).repeat(100);
        flood(stream, &frame(CONTINUATION, 0, request, &more));
    }
}

pub(crate) fn go_away(mut stream: &TcpStream) {
    greet(stream);
    drain(stream);
    let _ = stream.write_all(&frame(GO_AWAY, 0, 0, &[0; 8]));
    std::thread::sleep(Duration::from_secs(2));
}

/// Takes no byte of a message: its windows are 0, and stay so.
pub(crate) fn window_of_0(mut stream: &TcpStream) {
    let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    drain(stream);
    std::thread::sleep(Duration::from_secs(30));
}

/// Says that it has seen no request, and answers it.
pub(crate) fn answers_after_go_away(mut stream: &TcpStream) {
    if let Some(request) = first_request(stream) {
        drain(stream);
        let _ = stream.write_all(&frame(GO_AWAY, 0, 0, &[0; 8]));
        let _ = stream.write_all(&answer_head(request));
        let message = frame(DATA, 0, request, &[0, 0, 0, 0, 0]);
        let _ = stream.write_all(&message);
        std::thread::sleep(Duration::from_secs(2));
    }
}
