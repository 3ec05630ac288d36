//! Netlink attributes as nf_tables wants them: big-endian numbers, zero-terminated names, nests.

const NLA_F_NESTED: u16 = 0x8000;

/// A message under construction, attribute after attribute.
#[derive(Debug)]
pub(super) struct Attributes {
    bytes: Vec<u8>,
}

impl Attributes {
    /// Goes on after `header`.
    pub(super) fn after(header: Vec<u8>) -> Self {
        Self { bytes: header }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend(value);
        self.close(start)
    }

    pub(super) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn string(&mut self, kind: u16, value: &str) -> &mut Self {
        let start = self.open(kind);
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
        self.close(start)
    }

    /// `NFTA_DATA_VALUE` in a nest of its own.
    pub(super) fn value(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nested(kind, |data| {
            data.bytes(1, value);
        })
    }

    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.open(kind | NLA_F_NESTED);
        fill(self);
        self.close(start)
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0, 0]);
        self.bytes.extend(kind.to_ne_bytes());
        start
    }

    /// Writes the length, and fills up to the next multiple of 4, which the length does not count.
    fn close(&mut self, start: usize) -> &mut Self {
        let length = u16::try_from(self.bytes.len() - start).expect("lists are cut into parts below 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_filled_to_four_bytes_and_nests_count_what_is_in_them() {
        let mut attributes = Attributes::after(Vec::new());
        attributes.nested(4, |inside| {
            inside.string(1, "ab").u32(2, 0x0102_0304);
        });
        let expected: Vec<u8> = [
            (20u16.to_ne_bytes(), (4 | NLA_F_NESTED).to_ne_bytes()),
            (7u16.to_ne_bytes(), 1u16.to_ne_bytes()),
            (*b"ab", [0, 0]),
            (8u16.to_ne_bytes(), 2u16.to_ne_bytes()),
            ([1, 2], [3, 4]),
        ]
        .iter()
        .flat_map(|(left, right)| [*left, *right].concat())
        .collect();
        assert_eq!(attributes.into_bytes(), expected);
    }
}
