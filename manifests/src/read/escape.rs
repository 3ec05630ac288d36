//! `\'` between double quotes: no YAML, yet written in the wild and understood by Kubernetes' own tools.

/// Scalars of one text in which it is put right; each costs another reading.
pub(super) const REPAIRS_MAX: usize = 32;

/// What may follow a backslash between double quotes.
const ESCAPES: &str = "0abt\tnvfre \"/\\N_LPxuU\n\r";

/// The text with every `\'` in the double-quoted scalar that begins at the character `start` written as YAML has it.
/// None: that is not what is wrong there.
pub(super) fn repaired(text: &str, start: usize) -> Option<String> {
    let (begin, _) = text.char_indices().nth(start)?;
    let scalar = text[begin..].strip_prefix('"')?;
    let mut written = String::with_capacity(text.len() + 8);
    written.push_str(&text[..=begin]);
    let mut repairs = 0;
    let mut characters = scalar.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' if repairs > 0 => {
                written.push_str(&scalar[index..]);
                return Some(written);
            }
            '"' => return None,
            '\\' => match characters.next()?.1 {
                '\'' => {
                    repairs += 1;
                    written.push_str("\\x27");
                }
                escape if ESCAPES.contains(escape) => written.extend(['\\', escape]),
                _ => return None,
            },
            plain => written.push(plain),
        }
    }
    None
}
