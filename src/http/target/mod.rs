//! Request targets as people type them: `?where=magnitude>3` becomes `?where=magnitude%3E3` before hyper reads it.
//!
//! curl sends `<`, `>`, `"` and letters beyond ASCII as they are typed, and hyper's parser refuses the whole request for
//! them. Here they are percent-encoded on their way in. Nothing else is touched: only bytes between the method's space
//! and the ` HTTP/1.x` that ends a request line, never a line end, never a header. Where a body may follow, or another
//! protocol, the rest of the connection passes as it came, so that nobody has to agree with hyper on where a body ends.

/// What ends a target: this, `0` or `1`, and a line end.
const ENDING: &[u8; 8] = b" HTTP/1.";
/// Headers after which the rest of a connection is none of our business: they begin bodies, wait or change protocols.
const PASSING: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"upgrade", b"expect"];
/// Methods after which it is none either: HTTP/2's preface, and tunnels.
const FOREIGN: [&[u8]; 2] = [b"PRI", b"CONNECT"];
/// Bytes of a line's beginning that are remembered: the longest name above and one more.
const REMEMBERED: usize = 18;

/// Where in a connection's bytes it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a request: empty lines are skipped, as hyper does.
    Before,
    Method,
    Target,
    Header,
    /// Whatever comes, it passes.
    Through,
}

/// Encodes targets in a stream of bytes that may be cut anywhere. Holds at most a few bytes back.
#[derive(Debug)]
pub(super) struct TargetEncoder {
    place: Place,
    /// In a target: what may be its end. In a method or header: how the line begins.
    held: Vec<u8>,
    /// Bytes of the header line so far, its end not counted.
    line: usize,
}

impl TargetEncoder {
    pub(super) fn new() -> Self {
        Self { place: Place::Before, held: Vec::with_capacity(REMEMBERED), line: 0 }
    }

    /// Whether it will never change anything again.
    pub(super) fn is_through(&self) -> bool {
        self.place == Place::Through && self.held.is_empty()
    }

    /// Takes the next bytes and writes what hyper may see of them: at most three for one, and those held back before.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for (at, byte) in input.iter().enumerate() {
            match self.place {
                Place::Through => {
                    out.extend_from_slice(input.get(at..).unwrap_or_default());
                    return;
                }
                Place::Target => self.target(*byte, out),
                _ => {
                    out.push(*byte);
                    self.outside(*byte);
                }
            }
        }
    }

    /// The bytes held back, when no more come.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.place == Place::Target {
            out.append(&mut self.held);
        }
        self.pass();
    }

    fn pass(&mut self) {
        self.place = Place::Through;
        self.held.clear();
    }

    fn enter(&mut self, place: Place) {
        self.place = place;
        self.held.clear();
        self.line = 0;
    }

    /// Follows what is not changed.
    fn outside(&mut self, byte: u8) {
        match (self.place, byte) {
            (Place::Before, b'\r' | b'\n') => {}
            (Place::Before, _) => {
                self.enter(Place::Method);
                self.outside(byte);
            }
            (Place::Method, b' ') if !FOREIGN.contains(&self.held.as_slice()) => self.enter(Place::Target),
            (Place::Method, 0..=b' ') => self.pass(),
            (Place::Header, b'\n') => {
                let empty = self.line == 0 || (self.line == 1 && self.held == b"\r");
                self.enter(if empty { Place::Before } else { Place::Header });
            }
            (Place::Method | Place::Header, _) => {
                self.line += 1;
                if self.held.len() < REMEMBERED {
                    self.held.push(byte);
                }
                let passing = |name: &&[u8]| self.held.get(..name.len()).is_some_and(|b| b.eq_ignore_ascii_case(name));
                if self.place == Place::Header && PASSING.iter().any(passing) {
                    self.pass();
                }
            }
            (Place::Target | Place::Through, _) => {}
        }
    }

    fn target(&mut self, byte: u8, out: &mut Vec<u8>) {
        let goes_on = match self.held.len() {
            at @ 0..8 => ENDING.get(at) == Some(&byte),
            8 => matches!(byte, b'0' | b'1'),
            9 => matches!(byte, b'\r' | b'\n'),
            _ => byte == b'\n',
        };
        if goes_on {
            self.held.push(byte);
            if byte == b'\n' {
                out.append(&mut self.held);
                self.enter(Place::Header);
            }
            return;
        }
        // It was no end. A line end without the version before it makes no request: hyper says so.
        let lost = byte < b' ' || byte == 0x7f || self.held.last() == Some(&b'\r');
        if lost {
            out.append(&mut self.held);
            out.push(byte);
            return self.pass();
        }
        for held in std::mem::take(&mut self.held) {
            encode(held, out);
        }
        if byte == b' ' { self.held.push(byte) } else { encode(byte, out) }
    }
}

/// A byte of a target as RFC 3986 wants it. `%` stays: what is encoded already is not encoded again.
fn encode(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    match byte {
        b' ' | b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
        _ => out.push(byte),
    }
}

#[cfg(test)]
mod tests;
