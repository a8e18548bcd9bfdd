//! Compression of request bodies.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// The first bytes of compressed data. No request starts with them: in protobuf they are an invalid tag.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The largest body that is expanded for a receiver that accepts no compression.
const EXPANDED_LIMIT: u64 = 256 << 20;

/// Compresses a request.
pub(crate) fn compress(request: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(request);
    encoder.finish().unwrap_or_default()
}

/// Whether a body is compressed.
pub(crate) fn is_compressed(body: &[u8]) -> bool {
    body.starts_with(&MAGIC)
}

/// Reverses [`compress`].
///
/// # Errors
///
/// The body is not valid, or it is larger than 256 MiB.
pub(crate) fn expand(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let read = MultiGzDecoder::new(body).take(EXPANDED_LIMIT + 1).read_to_end(&mut request)?;
    if read as u64 > EXPANDED_LIMIT {
        return Err(io::Error::other("the expanded request is larger than 256 MiB"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::{compress, expand, is_compressed};

    #[test]
    fn compressed_bodies_are_recognized_and_expanded() {
        let request = b"\x0a\x00 a request, a request, a request, a request, a request".to_vec();
        let body = compress(&request);
        assert!(is_compressed(&body) && !is_compressed(&request) && body.len() < request.len());
        assert_eq!(expand(&body).expect("valid"), request);
        assert!(expand(&body[..body.len() - 9]).is_err());
    }
}
