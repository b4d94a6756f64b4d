//! [`CpuShare`] and [`ByteSize`]: quantities of a node's resources as people write them.
use dsfuzz_span::written_as_text;
use std::fmt;
use std::str::FromStr;

/// A share of one CPU in whole percent: `20%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuShare(u32);

impl CpuShare {
    /// This many percent.
    pub const fn percent(percent: u32) -> CpuShare {
        CpuShare(percent)
    }

    /// In percent.
    pub fn as_percent(self) -> u32 {
        self.0
    }
}

impl FromStr for CpuShare {
    type Err = String;

    fn from_str(text: &str) -> Result<CpuShare, String> {
        let digits = text.trim().strip_suffix('%').map(str::trim_end);
        match digits.map(str::parse) {
            Some(Ok(percent @ 1..=99)) => Ok(CpuShare(percent)),
            Some(Ok(percent)) => Err(format!("{percent}%: 1% to 99% of one CPU are possible")),
            _ => Err(format!("not a share of one CPU: {text}; write it in whole percent, such as 20%")),
        }
    }
}

impl fmt::Display for CpuShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A number of bytes: `200MB`, `64MiB`, `0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// Units with their bytes, the largest of each family first.
const UNITS: [(&str, u64); 7] = [
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl ByteSize {
    /// This many bytes.
    pub const fn bytes(bytes: u64) -> ByteSize {
        ByteSize(bytes)
    }

    /// In bytes.
    pub fn as_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let wrong = || {
            format!(
                "not a number of bytes: {text}; write it as 200MB, 64MiB or 4096, with B, kB (1000), MB, GB, KiB (1024), MiB or GiB"
            )
        };
        let text = text.trim();
        let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let unit = match unit.trim_start() {
            "" => 1,
            name => UNITS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes).ok_or_else(wrong)?,
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(ByteSize).ok_or_else(|| format!("{text}: more bytes than any machine has"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, bytes): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*bytes);
        let (name, bytes) = UNITS.iter().find(whole).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / bytes)
    }
}

written_as_text!(
    CpuShare,
    "CpuShare",
    "A share of one CPU in whole percent, such as 20%.",
    "type": "string",
    "pattern": "^[1-9][0-9]?%$",
);
written_as_text!(
    ByteSize,
    "ByteSize",
    "A number of bytes, such as 200MB, 64MiB or 4096.",
    "type": "string",
    "pattern": "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)?$",
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shares_of_a_cpu_are_read_and_written() {
        for (text, percent) in [("20%", 20), ("1%", 1), ("99 %", 99)] {
            assert_eq!(text.parse::<CpuShare>().map(CpuShare::as_percent), Ok(percent));
        }
        assert_eq!(CpuShare::percent(20).to_string(), "20%");
        for wrong in ["0%", "100%", "150%"] {
            let why = wrong.parse::<CpuShare>().expect_err("out of range");
            assert_eq!(why, format!("{wrong}: 1% to 99% of one CPU are possible"));
        }
        for wrong in [json!("20"), json!(20), json!("1.5%"), json!("-5%"), json!("%")] {
            let why = serde_json::from_value::<CpuShare>(wrong.clone()).expect_err("no share").to_string();
            assert!(why.starts_with("not a share of one CPU: "), "{wrong}: {why}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("200MB", 200_000_000), ("64MiB", 64 << 20), ("4096", 4096), ("0", 0), ("3 kB", 3000)] {
            let size: ByteSize = text.parse().expect("a size");
            assert_eq!(size.as_bytes(), bytes);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        let written = [200_000_000, 64 << 20, 0, 1025].map(|bytes| ByteSize::bytes(bytes).to_string());
        assert_eq!(written, ["200MB", "64MiB", "0B", "1025B"]);
        assert_eq!(serde_json::from_value::<ByteSize>(json!(7)).ok(), Some(ByteSize::bytes(7)));
        for wrong in [json!("MB"), json!("1.5GB"), json!("-1MB"), json!(-1), json!("5 bytes"), json!("99999999999GB")] {
            assert!(serde_json::from_value::<ByteSize>(wrong.clone()).is_err(), "{wrong}");
        }
        let why = "1000KB".parse::<ByteSize>().expect_err("a unit that there is not");
        assert!(why.contains("kB (1000)") && why.contains("KiB (1024)"), "{why}");
    }
}
