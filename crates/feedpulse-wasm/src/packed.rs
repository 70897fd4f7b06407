//! Components that come packed with gzip: a ConfigMap holds 1 MiB, and an interpreter with its check
//! is 1.8 MB of WebAssembly but 0.6 MB of gzip (RFC 1952).

use crate::manifest::ManifestError;
use flate2::bufread::MultiGzDecoder;
use std::borrow::Cow;
use std::io::{Read, Write as _};

/// Largest component, bytes, unpacked.
pub(crate) const MAX_COMPONENT: usize = 64 << 20;

/// The component in these bytes, unpacked where it is packed.
///
/// # Errors
/// When the packed bytes are damaged, or hold more than [`MAX_COMPONENT`].
pub(crate) fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ManifestError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut wasm = Vec::new();
    // one byte more tells a component that is just as long as it may be from a longer one
    let most = u64::try_from(MAX_COMPONENT).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(bytes)
        .take(most)
        .read_to_end(&mut wasm)
        .map_err(|_| ManifestError::Damaged)?;
    if wasm.len() > MAX_COMPONENT {
        return Err(ManifestError::UnpacksTooLong);
    }
    Ok(Cow::Owned(wasm))
}

/// Packs a component, for a place where room is scarce. [`crate::Runtime::load`] and
/// [`crate::Manifest::read`] take it as it is.
#[must_use]
pub fn pack(wasm: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // a Vec takes everything; what is left to do if it did not is to give the bytes as they are
    match encoder.write_all(wasm).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(_) => wasm.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bytes_come_out_whole() {
        let wasm = b"\0asm\x0d\0\x01\0".repeat(1000);
        let packed = pack(&wasm);
        assert!(packed.len() < wasm.len() / 10);
        assert_eq!(unpack(&packed).unwrap(), wasm);
        assert!(matches!(unpack(&wasm).unwrap(), Cow::Borrowed(_)), "plain bytes are not copied");
    }

    #[test]
    fn damage_is_noticed_and_a_bomb_does_not_go_off() {
        let mut packed = pack(&b"\0asm\x0d\0\x01\0".repeat(1000));
        assert_eq!(unpack(&packed[..packed.len() / 2]), Err(ManifestError::Damaged));
        assert_eq!(unpack(&packed[..2]), Err(ManifestError::Damaged));
        // the checksum is the last but four bytes
        let end = packed.len() - 8;
        packed[end] ^= 1;
        assert_eq!(unpack(&packed), Err(ManifestError::Damaged));
        let bomb = pack(&vec![0; MAX_COMPONENT + 1]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpack(&bomb), Err(ManifestError::UnpacksTooLong));
    }
}
