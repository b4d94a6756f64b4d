//! [`Unzipped`]: decompresses a gzip file while it is read, up to a bound. `import.rs` uses it for every format whose file begins
//! with [`GZIP_MAGIC`].
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// The first bytes of a gzip file (RFC 1952, section 2.3.1).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// The longest history after decompression. Never: reads on without a bound, since a small file may decompress to any length.
const MAX_BYTES: u64 = 8 << 30;

/// Reads the decompressed text of a gzip file, all its members one after the other; an error beyond [`MAX_BYTES`].
pub(super) struct Unzipped<R> {
    decoder: MultiGzDecoder<R>,
    bytes_left: u64,
}

impl<R: Read> Unzipped<R> {
    pub(super) fn new(reader: R) -> Unzipped<R> {
        Unzipped { decoder: MultiGzDecoder::new(reader), bytes_left: MAX_BYTES }
    }
}

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(into)?;
        match self.bytes_left.checked_sub(count as u64) {
            Some(left) => self.bytes_left = left,
            None => {
                let message = format!("it holds more than {} GiB: decompress it first", MAX_BYTES >> 30);
                return Err(io::Error::other(message));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn zipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn all_members_are_read_and_the_bound_holds() {
        let both = [zipped(b"ab"), zipped(b"cd")].concat();
        let mut text = String::new();
        Unzipped::new(&both[..]).read_to_string(&mut text).expect("two members");
        assert_eq!(text, "abcd");
        let mut small = Unzipped { bytes_left: 3, ..Unzipped::new(&both[..]) };
        let error = small.read_to_string(&mut text).expect_err("more than three bytes");
        assert!(error.to_string().contains("decompress it first"), "{error}");
    }
}
