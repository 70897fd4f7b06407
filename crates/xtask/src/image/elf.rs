//! Reads just enough of an ELF header to know for which machine a program is and that it is static.

/// The machine of a static 64-bit little-endian Linux program, in OCI's words.
pub(super) fn static_machine(bytes: &[u8]) -> Result<&'static str, String> {
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("it is not a 64-bit little-endian ELF file".to_owned());
    }
    let short = || "its ELF header is cut short".to_owned();
    let machine = match u16_at(bytes, 18).ok_or_else(short)? {
        62 => "amd64",
        183 => "arm64",
        other => return Err(format!("its ELF machine is {other}; amd64 and arm64 are known")),
    };
    let table = u64_at(bytes, 32).and_then(|o| usize::try_from(o).ok()).ok_or_else(short)?;
    let size = usize::from(u16_at(bytes, 54).ok_or_else(short)?);
    let count = usize::from(u16_at(bytes, 56).ok_or_else(short)?);
    for index in 0..count {
        let at = size.checked_mul(index).and_then(|o| o.checked_add(table)).ok_or_else(short)?;
        // PT_INTERP (3): the program asks for a dynamic loader, which a scratch image has not.
        if u32_at(bytes, at).ok_or_else(short)? == 3 {
            return Err("it is not static: it asks for a dynamic loader".to_owned());
        }
    }
    Ok(machine)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::static_machine;

    #[test]
    fn other_files_are_refused_and_none_panics() {
        assert!(static_machine(b"#!/bin/sh\n").is_err());
        let mut header = vec![0_u8; 64];
        header[..6].copy_from_slice(b"\x7fELF\x02\x01");
        header[18] = 62;
        assert_eq!(static_machine(&header), Ok("amd64"));
        header[18] = 8;
        assert!(static_machine(&header).unwrap_err().contains("machine is 8"));
        header[18] = 183;
        header[32..40].fill(0xff); // A program header table far outside of the file.
        header[56] = 1;
        assert!(static_machine(&header).unwrap_err().contains("cut short"));
        for length in 0..header.len() {
            let _ = static_machine(&header[..length]);
        }
    }
}
