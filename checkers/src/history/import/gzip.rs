//! [`Unzipped`]: what a gzip file holds, up to a bound.
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};

/// The first bytes of a gzip file.
pub(super) const GZIP: [u8; 2] = [0x1F, 0x8B];
/// A history is at most this long after decompression: a small file may stand for any number of bytes.
const BYTES_MAX: u64 = 8 << 30;

/// The text behind a gzip file.
pub(super) struct Unzipped<R> {
    decoder: MultiGzDecoder<R>,
    left: u64,
}

impl<R: Read> Unzipped<R> {
    pub(super) fn new(reader: R) -> Unzipped<R> {
        Unzipped { decoder: MultiGzDecoder::new(reader), left: BYTES_MAX }
    }
}

impl<R: Read> Read for Unzipped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(into)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                let message = format!("it holds more than {} GiB: decompress it first", BYTES_MAX >> 30);
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
    fn members_follow_each_other_and_the_bound_holds() {
        let both = [zipped(b"ab"), zipped(b"cd")].concat();
        let mut text = String::new();
        Unzipped::new(&both[..]).read_to_string(&mut text).expect("two members");
        assert_eq!(text, "abcd");
        let mut small = Unzipped { left: 3, ..Unzipped::new(&both[..]) };
        let error = small.read_to_string(&mut text).expect_err("more than three bytes");
        assert!(error.to_string().contains("decompress it first"), "{error}");
    }
}
