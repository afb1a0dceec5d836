//! The wire format of protobuf: keys, varints, length-delimited fields.
//!
//! Owns: reading one field after another out of bytes that anybody may have made up.
//! Must not know: which messages there are, JSON.

/// Why bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the message ends in the middle of a field")]
    Truncated,
    #[error("a varint is longer than 64 bits")]
    Varint,
    #[error("field {number} has wire type {kind}, which no message of Kubernetes has")]
    WireType { number: u32, kind: u8 },
    #[error("a field has number {0}")]
    Number(u64),
}

/// What a field holds before its type is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Varint(u64),
    /// Text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Fixed 32 or 64 bits: passed over, since no type of the API has such a field.
    Fixed,
}

/// The largest field number that the format has room for.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// What is left to read of one message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field, or `None` at the end of the message.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Content<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = match key >> 3 {
            number @ 1..=NUMBER_MAX => u32::try_from(number).expect("29 bits at most"),
            number => return Err(Malformed::Number(number)),
        };
        let content = match u8::try_from(key & 7).expect("three bits") {
            0 => Content::Varint(self.varint()?),
            1 => self.take(8).map(|_| Content::Fixed)?,
            2 => {
                let length = self.varint()?;
                Content::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Content::Fixed)?,
            kind => return Err(Malformed::WireType { number, kind }),
        };
        Ok(Some((number, content)))
    }

    /// The next number of a packed list, or `None` at its end.
    pub(super) fn packed(&mut self) -> Result<Option<u64>, Malformed> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed::Truncated)?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return Err(Malformed::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, Content<'_>)>, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut found = Vec::new();
        while let Some(field) = reader.field()? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn fields_are_read_in_the_order_in_which_they_stand() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 2, 3, 4];
        let expected = [(1, Content::Varint(150)), (2, Content::Bytes(b"hi")), (3, Content::Fixed)];
        assert_eq!(fields(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_negative_number_takes_ten_bytes() {
        let mut bytes = vec![0x08];
        bytes.extend([0xff; 9]);
        bytes.push(0x01);
        assert_eq!(fields(&bytes).unwrap(), [(1, Content::Varint(u64::MAX))]);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert_eq!(fields(&[0x08]), Err(Malformed::Truncated));
        assert_eq!(fields(&[0x08, 0x80]), Err(Malformed::Truncated));
        assert_eq!(fields(&[0x12, 3, b'h']), Err(Malformed::Truncated));
        assert_eq!(fields(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Malformed::Truncated));
        assert_eq!(fields(&[0x0b, 0x0c]), Err(Malformed::WireType { number: 1, kind: 3 }));
        assert_eq!(fields(&[0x00, 0x00]), Err(Malformed::Number(0)));
        let eleven = [&[0x08][..], &[0xff; 10], &[0x01]].concat();
        assert_eq!(fields(&eleven), Err(Malformed::Varint));
    }
}
