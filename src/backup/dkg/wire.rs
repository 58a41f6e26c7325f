//! Protobuf's wire format, read strictly: fields in ascending order, none twice that may not be, none unknown, numbers in
//! their shortest form. Values are borrowed, so that a secret stays in the one buffer that is wiped.
//!
//! The format: <https://protobuf.dev/programming-guides/encoding/>. What is refused here and allowed there (another order,
//! unknown fields, a list of numbers that is not packed) no signer writes; in a row it is damage, or a newer signer's.

use zeroize::Zeroizing;

use crate::backup::curve::{PointFault, PublicKey};

/// Why bytes are not the message that they should be. Names places and no values: what is decoded is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends inside a field.
    #[error("{0} ends in the middle of a field")]
    Truncated(&'static str),
    /// A number that is longer than it needs to be, or than 64 bits.
    #[error("{0} has a number that is not in its shortest form, or too large")]
    Number(&'static str),
    /// A type of field that none of the messages has.
    #[error("{0} has a field of a type that it has none of")]
    WireType(&'static str),
    /// A field that it does not have.
    #[error(
        "{0} has a field {1} that this version does not know: it is damaged, or a newer signer's"
    )]
    Unknown(&'static str, u32),
    /// A field that stands twice, or behind a later one.
    #[error("{0} has field {1} twice, or out of order")]
    Order(&'static str, u32),
    /// A field that must be there.
    #[error("{0} has no field {1}")]
    Missing(&'static str, u32),
    /// Two places that must agree.
    #[error("{0} names a signer in two places, and not the same one")]
    Disagrees(&'static str),
    /// A list that has fewer or more entries than it can.
    #[error("{0} has {1} entries where it cannot have so many, or so few")]
    Count(&'static str, usize),
    /// A number that is no scalar of the curve.
    #[error("{0} is not below the order of secp256k1")]
    Scalar(&'static str),
    /// A point that is none.
    #[error("{0} is no point: {1}")]
    Point(&'static str, PointFault),
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Fixed64(&'a [u8; 8]),
    Bytes(&'a [u8]),
}

/// A field of a message, with the message's name for what goes wrong.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    message: &'static str,
    pub(super) number: u32,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The fault that there is no such field.
    pub(super) const fn unknown(&self) -> Fault {
        Fault::Unknown(self.message, self.number)
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], Fault> {
        if let Value::Bytes(bytes) = self.value { Ok(bytes) } else { Err(self.mistyped()) }
    }

    pub(super) fn fixed64(&self) -> Result<&'a [u8; 8], Fault> {
        if let Value::Fixed64(bytes) = self.value { Ok(bytes) } else { Err(self.mistyped()) }
    }

    pub(super) fn number64(&self) -> Result<u64, Fault> {
        if let Value::Number(number) = self.value { Ok(number) } else { Err(self.mistyped()) }
    }

    pub(super) fn number32(&self) -> Result<u32, Fault> {
        u32::try_from(self.number64()?).map_err(|_| Fault::Number(self.message))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        match self.number64()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Number(self.message)),
        }
    }

    const fn mistyped(&self) -> Fault {
        Fault::WireType(self.message)
    }
}

/// The fields of a message, in turn.
pub(super) struct Fields<'a> {
    message: &'static str,
    rest: &'a [u8],
    last: u32,
    /// Which field may stand more than once; 0: none.
    repeated: u32,
}

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { message, rest: bytes, last: 0, repeated: 0 }
    }

    /// The same, where one field is a list.
    pub(super) const fn with_list(self, repeated: u32) -> Self {
        Self { repeated, ..self }
    }

    /// The next field.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| Fault::Number(self.message))?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Fixed64(self.take(8)?.try_into().map_err(|_| self.truncated())?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.truncated())?;
                Value::Bytes(self.take(length)?)
            }
            _ => return Err(Fault::WireType(self.message)),
        };
        if number < self.last || number == self.last && number != self.repeated {
            return Err(Fault::Order(self.message, number));
        }
        self.last = number;
        Ok(Some(Field { message: self.message, number, value }))
    }

    /// What is left, as numbers one behind the other: a packed list.
    pub(super) fn numbers(mut self) -> Result<Vec<u32>, Fault> {
        let mut numbers = Vec::new();
        while !self.rest.is_empty() {
            let number = u32::try_from(self.varint()?).map_err(|_| Fault::Number(self.message))?;
            numbers.push(number);
        }
        Ok(numbers)
    }

    const fn truncated(&self) -> Fault {
        Fault::Truncated(self.message)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.truncated())?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(self.truncated())?;
            self.rest = rest;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit left of 64, and a last byte of 0 adds nothing but length.
            if (bits << shift) >> shift != bits || (*byte == 0 && shift > 0) {
                return Err(Fault::Number(self.message));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Fault::Number(self.message))
    }
}

/// `crypto.Uint256`: 32 bytes in four fixed64. Each is written little-endian, so that they stand in the message in
/// the order that they have in the number's big-endian form.
pub(super) fn uint256(name: &'static str, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let mut bytes = Zeroizing::new([0; 32]);
    let mut fields = Fields::of(name, message);
    while let Some(field) = fields.next()? {
        let at = match field.number {
            1 => 0,
            2 => 8,
            3 => 16,
            4 => 24,
            _ => return Err(field.unknown()),
        };
        bytes[at..at + 8].copy_from_slice(field.fixed64()?);
    }
    Ok(bytes)
}

/// `crypto.Point`.
pub(super) fn point(name: &'static str, message: &[u8]) -> Result<PublicKey, Fault> {
    let (mut x, mut odd) = (None, false);
    let mut fields = Fields::of(name, message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => x = Some(uint256(name, field.bytes()?)?),
            2 => odd = field.boolean()?,
            _ => return Err(field.unknown()),
        }
    }
    let x = x.ok_or(Fault::Missing(name, 1))?;
    PublicKey::lift(&x, odd).map_err(|fault| Fault::Point(name, fault))
}

/// `crypto.Scalar`, as bytes.
pub(super) fn scalar(name: &'static str, message: &[u8]) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let mut value = None;
    let mut fields = Fields::of(name, message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => value = Some(uint256(name, field.bytes()?)?),
            _ => return Err(field.unknown()),
        }
    }
    value.ok_or(Fault::Missing(name, 1))
}
