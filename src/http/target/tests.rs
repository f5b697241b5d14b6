use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::select};
use regex::bytes::Regex;

use super::*;

fn whole(input: &[u8]) -> Vec<u8> {
    in_pieces(input, &[])
}

fn in_pieces(input: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut encoder = TargetEncoder::new();
    let mut out = Vec::new();
    let mut rest = input;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        encoder.push(piece, &mut out);
        rest = after;
    }
    encoder.push(rest, &mut out);
    encoder.finish(&mut out);
    out
}

fn text(input: &str) -> String {
    String::from_utf8(whole(input.as_bytes())).expect("text")
}

#[test]
fn what_is_typed_becomes_what_hyper_reads() {
    assert_eq!(
        text("GET /r?where=a>3 and b<'é\"{}|\\^`'&x=%3E+1#y HTTP/1.1\r\nHost: <x>\r\n\r\n"),
        "GET /r?where=a%3E3%20and%20b%3C'%C3%A9%22%7B%7D%7C%5C%5E%60'&x=%3E+1%23y HTTP/1.1\r\nHost: <x>\r\n\r\n"
    );
    // A version inside a target is no end; bare line feeds end lines.
    assert_eq!(
        text("GET /a HTTP/1.1 HTTP/1.0\n\nGET /> HTTP/1.1\n\n"),
        "GET /a%20HTTP/1.1 HTTP/1.0\n\nGET /%3E HTTP/1.1\n\n"
    );
}

#[test]
fn after_a_body_or_another_protocol_nothing_changes() {
    for header in ["Content-Length: 5", "transfer-encoding: chunked", "UPGRADE: h2c", "Expect: 100-continue"] {
        let rest = format!("Host: x\r\n{header}\r\n\r\na>b\nGET /<>\" HTTP/1.1\r\n\r\n");
        assert_eq!(text(&format!("POST /> HTTP/1.1\r\n{rest}")), format!("POST /%3E HTTP/1.1\r\n{rest}"));
    }
    for same in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n<>",
        "CONNECT a:1 HTTP/1.1\r\n\r\n<>",
        "no line\r\nGET /> HTTP/1.1\r\n\r\n",
        "GET\r\nGET /> HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\rGET /> HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.",
    ] {
        assert_eq!(text(same), same);
    }
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s-u)^([^\x00-\x20]+ )([^\x00-\x1f\x7f]*)( HTTP/1\.[01]\r?\n)$").expect("a pattern")
});

/// The same over a whole connection at once: the bytes, and whether every line of it was understood.
fn naive(input: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    let mut rest = input;
    loop {
        let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        out.extend_from_slice(&rest[..empty]);
        rest = &rest[empty..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return (out, rest.is_empty()) };
        let (line, after) = rest.split_at(end + 1);
        let Some(parts) = LINE.captures(line) else { return (out, false) };
        out.extend_from_slice(&parts[1]);
        if [&b"PRI "[..], b"CONNECT "].contains(&&parts[1]) {
            out.extend_from_slice(&rest[parts[1].len()..]);
            return (out, true);
        }
        parts[2].iter().for_each(|byte| encode(*byte, &mut out));
        out.extend_from_slice(&parts[3]);
        rest = after;
        loop {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                out.extend_from_slice(rest);
                return (out, true);
            };
            let (line, after) = rest.split_at(end + 1);
            let name = String::from_utf8_lossy(line).to_lowercase();
            if PASSING.iter().any(|passing| name.as_bytes().starts_with(passing)) {
                out.extend_from_slice(rest);
                return (out, true);
            }
            out.extend_from_slice(line);
            rest = after;
            if line == b"\n" || line == b"\r\n" {
                break;
            }
        }
    }
}

const WORDS: [&str; 26] = [
    "GET",
    "GET",
    "POST",
    "PRI",
    " ",
    " ",
    " ",
    "/",
    "/a?b=",
    ">",
    "\"",
    "é",
    "%3C",
    " HTTP/1.1",
    " HTTP/1.1\r\n",
    " HTTP/1.0\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "Host: a<b\r\n",
    "Content-Length: 3\r\n",
    "expec",
    "t: x",
    " HTTP/1",
    "\u{7f}",
];

fn connection() -> impl Strategy<Value = Vec<u8>> {
    let anything = vec(select(&WORDS[..]), 0..24).prop_map(|words| words.concat().into_bytes());
    let target = vec(prop_oneof![0x20_u8..0x7f, 0x80_u8.., Just(b' '), Just(b'>')], 0..30);
    let header =
        select(vec!["Host: a<b\r\n", "X: y\n", "Accept: */*\r\n", "\tx\r\n", "upgrade: x\r\n", "Contents: 1\r\n"]);
    let request = (select(vec!["GET", "HEAD", "BREW"]), target, vec(header, 0..4), select(vec!["\r\n", "\n"]))
        .prop_map(|(method, target, headers, end)| {
            let head = [method.as_bytes(), b" /", &target, b" HTTP/1.1", end.as_bytes()].concat();
            [head, headers.concat().into_bytes(), end.as_bytes().to_vec()].concat()
        });
    prop_oneof![anything, vec(request, 0..4).prop_map(|requests| requests.concat())]
}

proptest! {
    #[test]
    fn pieces_give_what_the_whole_gives(input in connection(), cuts in vec(0_usize..9, 0..40)) {
        let (expected, understood) = naive(&input);
        let out = in_pieces(&input, &cuts);
        prop_assert!(out.starts_with(&expected), "{:?}\n{:?}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&expected));
        prop_assert!(!understood || out == expected);
        prop_assert_eq!(&out, &in_pieces(&input, &vec![1; input.len()]));
        // Lines begin and end where they did.
        let ends = |bytes: &[u8]| bytes.iter().filter(|byte| byte.is_ascii_control()).copied().collect::<Vec<_>>();
        prop_assert_eq!(ends(&out), ends(&input));
    }
}
