//! Reads the layout of a vDSO. Pure: bytes in, places or a refusal out. Never: patches an unknown layout.

/// The functions that tell the wall clock, in the order of the image's entries.
const FUNCTIONS: [&str; 3] = ["__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"];
/// Room that the jump needs.
const JUMP_BYTES: u64 = 5;

/// Places in the vDSO, counted from the begin of the mapping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VdsoLayout {
    /// First byte behind the loaded part and the section headers: from there on the mapping is unused.
    pub(super) used: u64,
    /// The three functions; the last may be missing.
    pub(super) functions: [Option<u64>; 3],
}

/// Reads the ELF headers and dynamic symbols.
pub(super) fn layout(bytes: &[u8]) -> Result<VdsoLayout, String> {
    read(bytes).ok_or_else(|| "its vDSO has a layout that this agent does not understand".to_owned())
}

fn read(bytes: &[u8]) -> Option<VdsoLayout> {
    let at = |place: u64, width: usize| -> Option<u64> {
        let place = usize::try_from(place).ok()?;
        let part = bytes.get(place..place.checked_add(width)?)?;
        let mut whole = [0; 8];
        whole.get_mut(..width)?.copy_from_slice(part);
        Some(u64::from_le_bytes(whole))
    };
    // 64-bit little-endian ELF for x86-64.
    if !bytes.starts_with(b"\x7fELF\x02\x01") || at(18, 2)? != 62 {
        return None;
    }
    let (mut used, mut dynamic) = (None, None);
    for index in 0..at(56, 2)? {
        let header = at(32, 8)?.checked_add(index * 56)?;
        match at(header, 4)? {
            1 => used = Some(at(header + 16, 8)?.checked_add(at(header + 40, 8)?)?),
            2 => dynamic = Some(at(header + 16, 8)?),
            _ => {}
        }
    }
    let (mut hash, mut gnu_hash, mut strings, mut symbols) = (None, None, None, None);
    let mut place = dynamic?;
    loop {
        let value = Some(at(place + 8, 8)?);
        match at(place, 8)? {
            0 => break,
            4 => hash = value,
            5 => strings = value,
            6 => symbols = value,
            0x6fff_fef5 => gnu_hash = value,
            _ => {}
        }
        place += 16;
    }
    let (strings, symbols) = (strings?, symbols?);
    let count = match (hash, gnu_hash) {
        (Some(hash), _) => at(hash + 4, 4)?,
        // Without the old hash table the symbols end where the strings begin, as linkers lay them out.
        (None, Some(_)) => strings.checked_sub(symbols)? / 24,
        (None, None) => return None,
    };
    let mut functions = [None; 3];
    for index in 0..count.min(1024) {
        let symbol = symbols + index * 24;
        let name = usize::try_from(strings + at(symbol, 4)?).ok()?;
        let name = bytes.get(name..)?.split(|byte| *byte == 0).next()?;
        let (value, size) = (at(symbol + 8, 8)?, at(symbol + 16, 8)?);
        for (function, known) in functions.iter_mut().zip(FUNCTIONS) {
            if name == known.as_bytes() && size > JUMP_BYTES && value + size <= used? {
                *function = Some(value);
            }
        }
    }
    functions[0].and(functions[1])?;
    // Debuggers read the section headers behind the loaded part: they are left alone, too.
    let headers = at(40, 8)?.checked_add(at(60, 2)? * at(58, 2)?)?;
    Some(VdsoLayout { used: used?.max(headers), functions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn this_kernels_vdso_is_understood() {
        use std::os::unix::fs::FileExt;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).expect("a vdso");
        let (begin, end) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let begin = u64::from_str_radix(begin, 16).expect("hex");
        let end = u64::from_str_radix(end, 16).expect("hex");
        let mut bytes = vec![0; (end - begin) as usize];
        std::fs::File::open("/proc/self/mem").expect("mem").read_exact_at(&mut bytes, begin).expect("read");
        let layout = layout(&bytes).expect("understood");
        assert!(layout.functions.iter().all(Option::is_some));
        assert!(layout.used < end - begin);
    }

    #[test]
    fn anything_else_is_refused() {
        assert!(layout(b"\x7fELF\x02\x01").is_err());
        assert!(layout(&[0; 8192]).is_err());
        let mut other_machine = vec![0; 8192];
        other_machine[..6].copy_from_slice(b"\x7fELF\x02\x01");
        other_machine[18] = 183;
        assert!(layout(&other_machine).is_err());
    }
}
