//! Custom sections of a component, replaced, so that tests can make versions of a check without
//! compiling it. Included by path where a crate's own tests need it.

/// The component with this custom section, in place of one of the same name.
#[must_use]
pub fn replaced(wasm: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    let mut rest = &wasm[8..];
    while let Some((&id, tail)) = rest.split_first() {
        let (size, tail) = number(tail);
        let (body, tail) = tail.split_at(size);
        let (length, label) = if id == 0 { number(body) } else { (0, body) };
        if id != 0 || &label[..length] != name.as_bytes() {
            let whole = rest.len() - tail.len();
            out.extend(&rest[..whole]);
        }
        rest = tail;
    }
    let mut body = leb128(name.len());
    body.extend(name.as_bytes());
    body.extend(content);
    out.push(0);
    out.extend(leb128(body.len()));
    out.extend(body);
    out
}

/// The content of the custom section of this name.
#[must_use]
pub fn found<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = &wasm[8..];
    while let Some((&id, tail)) = rest.split_first() {
        let (size, tail) = number(tail);
        let (body, tail) = tail.split_at(size);
        rest = tail;
        if id == 0 {
            let (length, label) = number(body);
            if &label[..length] == name.as_bytes() {
                return Some(&label[length..]);
            }
        }
    }
    None
}

/// An unsigned number in LEB128, and what follows it.
fn number(bytes: &[u8]) -> (usize, &[u8]) {
    let end = bytes.iter().position(|b| b & 0x80 == 0).map_or(bytes.len(), |at| at + 1);
    let (digits, rest) = bytes.split_at(end);
    (digits.iter().rev().fold(0, |n, b| n << 7 | usize::from(b & 0x7f)), rest)
}

fn leb128(mut n: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 0x7f {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
    out
}
