use super::{Value, avm_plus, marker};

/// Bounds on the values of one message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Objects and arrays inside each other. Real metadata needs 3; the reader recurses, so this also bounds its stack.
    pub depth: usize,
    /// Values in all. Real metadata has under 50.
    pub values: usize,
    /// Bytes of one string. URLs with signatures are under 2 KiB (FFmpeg sends at most 1,024 of `tcUrl`).
    pub string_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 16, values: 1024, string_bytes: 4 << 10 }
    }
}

/// A value that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AMF0 byte {position}: {cause}")]
pub struct Error {
    /// Bytes read before it.
    pub position: usize,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The message ends inside the value.
    #[error("cut short")]
    Truncated,
    /// A type that has no known length, so nothing after it can be read.
    #[error("unknown type {0:#04x}")]
    Unknown(u8),
    /// Deeper than [`Limits::depth`].
    #[error("nested too deeply")]
    Depth,
    /// More than [`Limits::values`].
    #[error("too many values")]
    Values,
    /// Longer than [`Limits::string_bytes`].
    #[error("a string of {0} bytes")]
    StringLength(usize),
}

impl Cause {
    /// Over a limit, rather than malformed.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::Depth | Self::Values | Self::StringLength(_))
    }
}

/// Reads the values of one message, one after the other. Announced lengths and counts reserve nothing.
pub struct Reader<'a> {
    length: usize,
    rest: &'a [u8],
    limits: Limits,
    values: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first value.
    pub fn new(input: &'a [u8], limits: Limits) -> Self {
        Self { length: input.len(), rest: input, limits, values: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    /// The next value, or none at the end. After an error there is no next value.
    pub fn value(&mut self) -> Result<Option<Value>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let value = self.value_at(0).map_err(|cause| Error { position: self.position(), cause });
        if value.is_err() {
            self.rest = &[];
        }
        value.map(Some)
    }

    fn value_at(&mut self, depth: usize) -> Result<Value, Cause> {
        if depth > self.limits.depth {
            return Err(Cause::Depth);
        }
        self.values = self.values.saturating_add(1);
        if self.values > self.limits.values {
            return Err(Cause::Values);
        }
        let [kind] = self.take()?;
        Ok(match kind {
            marker::NUMBER => Value::Number(f64::from_be_bytes(self.take()?)),
            marker::BOOLEAN => Value::Boolean(self.take::<1>()? != [0]),
            marker::STRING => Value::String(self.short_string()?),
            marker::LONG_STRING | marker::XML => {
                let length = u32::from_be_bytes(self.take()?);
                Value::String(self.string(length as usize)?)
            }
            marker::OBJECT => Value::Object(self.properties(depth)?),
            marker::TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth)?)
            }
            marker::ECMA_ARRAY => {
                // Its count is wrong in the wild; the end marker counts.
                self.take::<4>()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.take()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value_at(depth.saturating_add(1))?);
                }
                Value::StrictArray(values)
            }
            marker::DATE => {
                let millis = f64::from_be_bytes(self.take()?);
                self.take::<2>()?; // A time zone, which the specification says to ignore.
                Value::Date(millis)
            }
            marker::NULL => Value::Null,
            marker::UNDEFINED | marker::UNSUPPORTED => Value::Undefined,
            marker::REFERENCE => {
                self.take::<2>()?;
                Value::Undefined
            }
            marker::AVM_PLUS => avm_plus::value(self)?,
            unknown => return Err(Cause::Unknown(unknown)),
        })
    }

    /// Name and value pairs up to the end marker. Some encoders leave that out at the end of a message.
    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Cause> {
        let mut properties = Vec::new();
        while !self.rest.is_empty() {
            let name = self.short_string()?;
            if name.is_empty() && self.rest.first() == Some(&marker::OBJECT_END) {
                self.take::<1>()?;
                break;
            }
            properties.push((name, self.value_at(depth.saturating_add(1))?));
        }
        Ok(properties)
    }

    fn short_string(&mut self) -> Result<String, Cause> {
        let length = u16::from_be_bytes(self.take()?);
        self.string(length.into())
    }

    pub(super) fn string(&mut self, length: usize) -> Result<String, Cause> {
        if length > self.limits.string_bytes {
            return Err(Cause::StringLength(length));
        }
        let (text, rest) = self.rest.split_at_checked(length).ok_or(Cause::Truncated)?;
        self.rest = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Cause> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Cause::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }
}
