//! Names that follow from what they stand for: the same inputs give the same name, today and after an upgrade.

/// What Kubernetes makes generated names of: no vowels, and nothing that looks like something else.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest base of a generated name, which leaves room for a suffix in a DNS label.
const BASE_LEN_MAX: usize = 52;

/// FNV-1a of the parts, each set apart from the next.
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    parts.into_iter().fold(OFFSET, |hash, part| step(part.iter().fold(hash, step), &0xff))
}

/// The first `len` characters that stand for a hash in a name.
pub fn suffix(hash: u64, len: usize) -> String {
    let base = ALPHABET.len() as u64;
    let digit = |rest: u64| char::from(ALPHABET[usize::try_from(rest % base).expect("below 27")]);
    // The low bits of FNV-1a are its weakest.
    let mixed = hash ^ (hash >> 32);
    std::iter::successors(Some(mixed), |rest| Some(rest / base)).map(digit).take(len).collect()
}

/// `base-suffix`, the base shortened where it must be for the whole to be a label.
pub fn name(base: &str, suffix: &str) -> String {
    let base: String = base.chars().take(BASE_LEN_MAX).collect();
    format!("{}-{suffix}", base.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests;
