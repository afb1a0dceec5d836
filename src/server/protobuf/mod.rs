//! Protobuf bodies of requests, as Go clients send them, turned into the JSON form of the API.
//!
//! Owns: the envelope (`k8s\0` and `runtime.Unknown`), and the walk that reads a message by its table.
//! The answer is what the same client would have sent as JSON: zeros that Go writes for want of a
//! pointer are left out, everything else stands as it stood.
//! Must not know: what a kind means, defaults, HTTP.
//!
//! A table and one walk, rather than generated structs: structs would have to be turned into JSON
//! field by field once more, and cannot say which zeros mean "absent".

mod table;
mod wire;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use k8s_openapi::ByteString;

use table::KINDS;
pub use wire::Malformed;
use wire::{Content, Reader};

/// The content type of bodies that [`decode`] reads.
pub const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The first bytes of every body.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl>
const MAGIC: &[u8] = b"k8s\0";

/// A body has no more bytes than this, as for JSON.
pub const BYTES_MAX: usize = 3 * 1024 * 1024;

/// A body has no more values than this: two bytes on the wire can become a map in memory.
const VALUES_MAX: u32 = 256 * 1024;

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the body has {bytes} bytes; the limit is {BYTES_MAX}")]
    TooLarge { bytes: usize },
    #[error("the body has more than {VALUES_MAX} values")]
    TooMany,
    #[error("the body does not begin with the prefix of Kubernetes' protobuf encoding")]
    Prefix,
    #[error("the body is encoded as {0:?} inside its envelope")]
    Encoding(String),
    #[error("no kind {kind:?} of {api_version:?} can be read from protobuf")]
    Kind { api_version: String, kind: String },
    #[error("{message} is not a protobuf message")]
    Wire { message: &'static str, source: Malformed },
    #[error("{message}.{field} has a value of another type")]
    Type { message: &'static str, field: &'static str },
    #[error("{message}.{field} is not UTF-8")]
    Text { message: &'static str, field: &'static str, source: std::str::Utf8Error },
    #[error("{message}.{field} is not JSON")]
    Json { message: &'static str, field: &'static str, source: serde_json::Error },
    #[error("{message}.{field} is a time outside the years 0 to 9999")]
    Time { message: &'static str, field: &'static str },
}

/// A message of the API.
#[derive(Debug)]
struct Message {
    /// The name of the type in OpenAPI.
    name: &'static str,
    fields: &'static [Field],
}

/// One field of a message.
#[derive(Debug)]
struct Field {
    number: u32,
    /// In JSON.
    name: &'static str,
    kind: Kind,
    /// Go writes this field always; a zero says nothing.
    zero_is_absent: bool,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Bool,
    Int,
    /// Base64 in JSON.
    Bytes,
    /// Seconds and nanoseconds; in JSON, RFC 3339 with whole seconds.
    Time,
    /// Seconds and nanoseconds; in JSON, RFC 3339 with microseconds.
    MicroTime,
    IntOrString,
    Quantity,
    /// JSON as it is, in bytes.
    Json,
    /// A list of texts as a message.
    Texts,
    Of(&'static Message),
    /// A message whose fields stand in JSON beside this one.
    Inline(&'static Message),
    List(&'static Kind),
    /// From text.
    Map(&'static Kind),
}

/// Reads an object from the body of a request.
pub fn decode(body: &[u8]) -> Result<Value, Error> {
    if body.len() > BYTES_MAX {
        return Err(Error::TooLarge { bytes: body.len() });
    }
    let envelope = Envelope::read(body.strip_prefix(MAGIC).ok_or(Error::Prefix)?)?;
    for said in [envelope.encoding, envelope.content_type] {
        if !said.is_empty() && said != CONTENT_TYPE {
            return Err(Error::Encoding(said.to_owned()));
        }
    }
    let Some(message) = message_of(envelope.api_version, envelope.kind) else {
        let (api_version, kind) = (envelope.api_version.to_owned(), envelope.kind.to_owned());
        return Err(Error::Kind { api_version, kind });
    };

    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), envelope.api_version.into());
    object.insert("kind".to_owned(), envelope.kind.into());
    Walk { values: 0 }.message(envelope.raw, message, &mut object)?;
    Ok(Value::Object(object))
}

/// The table of a kind. `DeleteOptions` belongs to every group; the others to one.
fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    let of = |(group_version, name, _): &&(&str, &str, _)| {
        *name == kind && (group_version.is_empty() || *group_version == api_version)
    };
    KINDS.iter().find(of).map(|(_, _, message)| *message)
}

/// `runtime.Unknown`: what is in a body, and of which kind.
#[derive(Debug, Default)]
struct Envelope<'a> {
    api_version: &'a str,
    kind: &'a str,
    raw: &'a [u8],
    encoding: &'a str,
    content_type: &'a str,
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let at = |field| At { message: "io.k8s.apimachinery.pkg.runtime.Unknown", field };
        let mut envelope = Self::default();
        let mut reader = Reader::new(bytes);
        while let Some((number, content)) = at("").next(&mut reader)? {
            match number {
                1 => envelope.type_meta(at("typeMeta").bytes(content)?)?,
                2 => envelope.raw = at("raw").bytes(content)?,
                3 => envelope.encoding = at("contentEncoding").text(content)?,
                4 => envelope.content_type = at("contentType").text(content)?,
                _ => {}
            }
        }
        Ok(envelope)
    }

    fn type_meta(&mut self, bytes: &'a [u8]) -> Result<(), Error> {
        let at = |field| At { message: "io.k8s.apimachinery.pkg.runtime.TypeMeta", field };
        let mut reader = Reader::new(bytes);
        while let Some((number, content)) = at("").next(&mut reader)? {
            match number {
                1 => self.api_version = at("apiVersion").text(content)?,
                2 => self.kind = at("kind").text(content)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads messages by their tables. No message holds one of its own type, so the depth of the walk is
/// that of the table.
struct Walk {
    values: u32,
}

impl Walk {
    /// Reads the fields of a message into a JSON object. Fields that the table does not have are of
    /// a newer client, and passed over as Kubernetes passes them over.
    fn message(
        &mut self,
        bytes: &[u8],
        message: &'static Message,
        into: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(bytes);
        let at = |field| At { message: message.name, field };
        while let Some((number, content)) = at("").next(&mut reader)? {
            if let Some(field) = message.fields.iter().find(|field| field.number == number) {
                self.field(content, at(field.name), field, into)?;
            }
        }
        Ok(())
    }

    /// Adds one field to an object. Where a field stands twice, messages are merged, and of anything
    /// else the last one holds.
    fn field(
        &mut self,
        content: Content<'_>,
        at: At,
        field: &'static Field,
        into: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let name = field.name;
        match field.kind {
            Kind::Inline(message) => self.message(at.bytes(content)?, message, into),
            Kind::List(element) => {
                let list = into.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                self.elements(content, at, element, list.as_array_mut().expect("of one type"))
            }
            Kind::Map(element) => {
                let map = into.entry(name).or_insert_with(|| Value::Object(Map::new()));
                self.entry(content, at, element, map.as_object_mut().expect("of one type"))
            }
            Kind::Text
            | Kind::Bool
            | Kind::Int
            | Kind::Bytes
            | Kind::Time
            | Kind::MicroTime
            | Kind::IntOrString
            | Kind::Quantity
            | Kind::Json
            | Kind::Texts
            | Kind::Of(_) => {
                let before = into.remove(name);
                if let Some(value) = self.value(content, at, field.kind, before)?
                    && !(field.zero_is_absent && is_zero(&value))
                {
                    into.insert(name.to_owned(), value);
                }
                Ok(())
            }
        }
    }

    /// Adds to a list what one field says: one element, or numbers that are packed into one field.
    fn elements(
        &mut self,
        content: Content<'_>,
        at: At,
        element: &'static Kind,
        list: &mut Vec<Value>,
    ) -> Result<(), Error> {
        if let (Kind::Int, Content::Bytes(bytes)) = (element, content) {
            let mut reader = Reader::new(bytes);
            while let Some(number) = reader.packed().map_err(|source| at.wire(source))? {
                self.count()?;
                list.push(number.cast_signed().into());
            }
            return Ok(());
        }
        list.extend(self.value(content, at, *element, None)?);
        Ok(())
    }

    /// Adds one entry to a map.
    fn entry(
        &mut self,
        content: Content<'_>,
        at: At,
        element: &'static Kind,
        map: &mut Map<String, Value>,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(at.bytes(content)?);
        let (mut key, mut found) = ("", None);
        while let Some((number, content)) = at.next(&mut reader)? {
            match number {
                1 => key = at.text(content)?,
                2 => found = Some(content),
                _ => {}
            }
        }
        // Both parts of an entry may be left out where they are empty.
        let value = self.value(found.unwrap_or(Content::Bytes(&[])), at, *element, None)?;
        map.insert(key.to_owned(), value.unwrap_or(Value::Null));
        Ok(())
    }

    /// One value, or `None` for a time that was never set. `before` is what the same field said
    /// earlier in the message.
    fn value(
        &mut self,
        content: Content<'_>,
        at: At,
        kind: Kind,
        before: Option<Value>,
    ) -> Result<Option<Value>, Error> {
        self.count()?;
        Ok(Some(match kind {
            Kind::Text => at.text(content)?.into(),
            Kind::Bool => (at.number(content)? != 0).into(),
            Kind::Int => at.number(content)?.into(),
            Kind::Bytes => base64(at.bytes(content)?),
            Kind::Time => return time(content, at, "%Y-%m-%dT%H:%M:%SZ"),
            Kind::MicroTime => return time(content, at, "%Y-%m-%dT%H:%M:%S.%6fZ"),
            Kind::IntOrString => int_or_string(content, at)?,
            Kind::Quantity => quantity(content, at)?,
            Kind::Json => json(content, at)?,
            Kind::Texts => {
                let mut reader = Reader::new(at.bytes(content)?);
                let mut texts = Vec::new();
                while let Some((number, content)) = at.next(&mut reader)? {
                    if number == 1 {
                        texts.extend(self.value(content, at, Kind::Text, None)?);
                    }
                }
                Value::Array(texts)
            }
            Kind::Of(message) => {
                let mut object = match before {
                    Some(Value::Object(object)) => object,
                    Some(_) | None => Map::new(),
                };
                self.message(at.bytes(content)?, message, &mut object)?;
                Value::Object(object)
            }
            Kind::Inline(_) | Kind::List(_) | Kind::Map(_) => {
                unreachable!("the table has these as fields only, not as elements")
            }
        }))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(Error::TooMany) } else { Ok(()) }
    }
}

/// A field of a message, for an error to name, and the readings that can fail there.
#[derive(Debug, Clone, Copy)]
struct At {
    message: &'static str,
    field: &'static str,
}

impl At {
    fn next<'a>(self, reader: &mut Reader<'a>) -> Result<Option<(u32, Content<'a>)>, Error> {
        reader.field().map_err(|source| self.wire(source))
    }

    fn bytes(self, content: Content<'_>) -> Result<&[u8], Error> {
        match content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Varint(_) | Content::Fixed => Err(self.mismatch()),
        }
    }

    fn text(self, content: Content<'_>) -> Result<&str, Error> {
        let Self { message, field } = self;
        std::str::from_utf8(self.bytes(content)?).map_err(|source| Error::Text {
            message,
            field,
            source,
        })
    }

    fn number(self, content: Content<'_>) -> Result<i64, Error> {
        match content {
            Content::Varint(number) => Ok(number.cast_signed()),
            Content::Bytes(_) | Content::Fixed => Err(self.mismatch()),
        }
    }

    fn wire(self, source: Malformed) -> Error {
        Error::Wire { message: self.message, source }
    }

    fn mismatch(self) -> Error {
        Error::Type { message: self.message, field: self.field }
    }
}

/// What Go leaves out of JSON under `omitempty`.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn base64(bytes: &[u8]) -> Value {
    serde_json::to_value(ByteString(bytes.to_vec())).expect("bytes are a string in JSON")
}

/// A time that was never set has no bytes; the epoch has two zeros.
fn time(content: Content<'_>, at: At, format: &str) -> Result<Option<Value>, Error> {
    let bytes = at.bytes(content)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, content)) = at.next(&mut reader)? {
        match number {
            1 => seconds = at.number(content)?,
            2 => nanos = at.number(content)?,
            _ => {}
        }
    }
    let invalid = || Error::Time { message: at.message, field: at.field };
    let nanos = i32::try_from(nanos).ok().filter(|nanos| (0..1_000_000_000).contains(nanos));
    let nanos = nanos.ok_or_else(invalid)?;
    let time = Timestamp::new(seconds, nanos).map_err(|_| invalid())?.to_zoned(TimeZone::UTC);
    if !(0..=9999).contains(&time.year()) {
        return Err(invalid());
    }
    Ok(Some(time.strftime(format).to_string().into()))
}

fn int_or_string(content: Content<'_>, at: At) -> Result<Value, Error> {
    let (mut kind, mut number, mut text) = (0, 0, "");
    let mut reader = Reader::new(at.bytes(content)?);
    while let Some((field, content)) = at.next(&mut reader)? {
        match field {
            1 => kind = at.number(content)?,
            2 => number = at.number(content)?,
            3 => text = at.text(content)?,
            _ => {}
        }
    }
    match kind {
        0 => Ok(number.into()),
        1 => Ok(text.into()),
        _ => Err(at.mismatch()),
    }
}

/// A quantity that was never set is a zero in JSON.
fn quantity(content: Content<'_>, at: At) -> Result<Value, Error> {
    let mut text = "0";
    let mut reader = Reader::new(at.bytes(content)?);
    while let Some((number, content)) = at.next(&mut reader)? {
        if number == 1 {
            text = at.text(content)?;
        }
    }
    Ok(text.into())
}

fn json(content: Content<'_>, at: At) -> Result<Value, Error> {
    let mut raw: &[u8] = b"null";
    let mut reader = Reader::new(at.bytes(content)?);
    while let Some((number, content)) = at.next(&mut reader)? {
        if number == 1 {
            raw = at.bytes(content)?;
        }
    }
    let At { message, field } = at;
    serde_json::from_slice(raw).map_err(|source| Error::Json { message, field, source })
}

#[cfg(test)]
mod tests;
