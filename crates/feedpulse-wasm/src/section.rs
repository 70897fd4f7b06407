//! Finds a custom section of a component, reading nothing else and running nothing.
//!
//! Layout: WebAssembly core specification §5.5 (sections), component model `Binary.md` (preamble).

/// Why the section cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionError {
    /// Not WebAssembly at all.
    NotWasm,
    /// A core module, not yet a component.
    CoreModule,
    /// The bytes end inside a section, or a size is no number.
    Broken,
    /// No section has this name.
    Missing,
    /// Two have it.
    Twice,
}

/// The content of the one custom section with this name; none when there is none, or when it cannot be
/// read. Reads nothing else and runs nothing.
#[must_use]
pub fn custom_section<'a>(wasm: &'a [u8], name: &str) -> Option<&'a [u8]> {
    find(wasm, name).ok()
}

/// The content of the one custom section with this name.
pub(crate) fn find<'a>(wasm: &'a [u8], name: &str) -> Result<&'a [u8], SectionError> {
    let Some((preamble, mut rest)) = wasm.split_first_chunk::<8>() else {
        return Err(SectionError::NotWasm);
    };
    // magic, then version and layer as two 16-bit numbers: layer 1 is a component
    match *preamble {
        [0, b'a', b's', b'm', _, 0, 1, 0] => {}
        [0, b'a', b's', b'm', _, 0, 0, 0] => return Err(SectionError::CoreModule),
        _ => return Err(SectionError::NotWasm),
    }
    let mut found = None;
    while let Some((&id, tail)) = rest.split_first() {
        rest = tail;
        let size = leb128(&mut rest).ok_or(SectionError::Broken)?;
        let (mut body, tail) = rest.split_at_checked(size).ok_or(SectionError::Broken)?;
        rest = tail;
        if id != 0 {
            continue;
        }
        let length = leb128(&mut body).ok_or(SectionError::Broken)?;
        let (label, content) = body.split_at_checked(length).ok_or(SectionError::Broken)?;
        if label == name.as_bytes() && found.replace(content).is_some() {
            return Err(SectionError::Twice);
        }
    }
    found.ok_or(SectionError::Missing)
}

/// An unsigned 32-bit number in LEB128.
fn leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().and_then(|n| usize::try_from(n).ok());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    #[test]
    fn finds_the_section_among_others() {
        let mut wasm = HEAD.to_vec();
        wasm.extend([1, 2, 9, 9]);
        wasm.extend([0, 4, 1, b'a', 7, 8]);
        wasm.extend([0, 3, 1, b'b', 5]);
        assert_eq!(find(&wasm, "b"), Ok(&[5][..]));
        assert_eq!(find(&wasm, "a"), Ok(&[7, 8][..]));
        assert_eq!(find(&wasm, "c"), Err(SectionError::Missing));
        wasm.extend([0, 2, 1, b'b']);
        assert_eq!(find(&wasm, "b"), Err(SectionError::Twice));
    }

    #[test]
    fn any_cut_is_an_error_and_never_a_panic() {
        let mut wasm = HEAD.to_vec();
        wasm.extend([0, 3, 1, b'b', 5]);
        for end in 0..wasm.len() {
            assert!(find(&wasm[..end], "b").is_err(), "{end}");
        }
        assert_eq!(find(b"\0asm\x01\0\0\0", "b"), Err(SectionError::CoreModule));
        assert_eq!(find(b"\x7fELF\x01\0\0\0", "b"), Err(SectionError::NotWasm));
        let huge = [&HEAD[..], &[0, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(find(&huge, "b"), Err(SectionError::Broken));
    }
}
