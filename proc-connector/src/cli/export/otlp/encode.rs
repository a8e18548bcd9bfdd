//! The encoding of messages of OTLP, field by field.
//!
//! A record is written without its struct in `opentelemetry-proto`, whose many small allocations and two
//! passes cost several times as much. The tests decode every record with that struct.

use prost::encoding::{encode_varint, encoded_len_varint};

/// The number of a field and the type of its value, as they precede the value.
const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;

/// Appends the attributes of a message, each as a `KeyValue`.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    pub(super) buffer: &'a mut Vec<u8>,
    /// The field of the message that has its attributes.
    field: u8,
}

impl<'a> Attributes<'a> {
    /// The attributes of a `LogRecord`.
    pub(super) fn of_record(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer, field: 6 }
    }

    /// The attributes of a `Resource`.
    pub(super) fn of_resource(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer, field: 1 }
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.text_in_parts(key, [value.as_bytes()]);
    }

    /// Appends a text that has several parts. Together they must be UTF-8.
    pub(super) fn text_in_parts<const N: usize>(&mut self, key: &str, parts: [&[u8]; N]) {
        let len = parts.iter().map(|part| part.len()).sum();
        self.begin(key, field_len(len));
        put_len(self.buffer, 1, len);
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
    }

    /// Appends a text of a process. Invalid UTF-8 is replaced.
    pub(super) fn lossy(&mut self, key: &str, value: &[u8]) {
        self.text(key, &String::from_utf8_lossy(value));
    }

    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        self.begin(key, field_len(value.len()));
        put_bytes(self.buffer, 7, value);
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.begin(key, 2);
        self.buffer.extend([tag(2, VARINT), u8::from(value)]);
    }

    /// Appends a number. One that does not fit into the `int64` of OTLP is cut to its maximum.
    pub(super) fn number(&mut self, key: &str, value: impl Into<u64>) {
        let value = value.into().min(u64::MAX / 2);
        self.begin(key, 1 + encoded_len_varint(value));
        put_number(self.buffer, 3, value);
    }

    /// Appends a list of texts.
    pub(super) fn texts<'b>(&mut self, key: &str, texts: impl Iterator<Item = &'b [u8]>) {
        let mut values = Vec::new();
        for text in texts {
            let text = String::from_utf8_lossy(text);
            // A field of `ArrayValue`: an `AnyValue` with a text.
            put_len(&mut values, 1, field_len(text.len()));
            put_bytes(&mut values, 1, text.as_bytes());
        }
        self.begin(key, field_len(values.len()));
        put_bytes(self.buffer, 5, &values);
    }

    /// Appends a key, and what precedes its `AnyValue` of `len` bytes.
    fn begin(&mut self, key: &str, len: usize) {
        put_len(self.buffer, self.field, field_len(key.len()) + field_len(len));
        put_bytes(self.buffer, 1, key.as_bytes());
        put_len(self.buffer, 2, len);
    }
}

/// The length of a field whose number is below 16 and whose value has `len` bytes.
pub(super) fn field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

/// Appends what precedes the value of a field with a length.
pub(super) fn put_len(buffer: &mut Vec<u8>, field: u8, len: usize) {
    buffer.push(tag(field, BYTES));
    put_varint(buffer, len as u64);
}

pub(super) fn put_bytes(buffer: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_len(buffer, field, bytes.len());
    buffer.extend_from_slice(bytes);
}

pub(super) fn put_number(buffer: &mut Vec<u8>, field: u8, value: u64) {
    buffer.push(tag(field, VARINT));
    put_varint(buffer, value);
}

pub(super) fn put_fixed64(buffer: &mut Vec<u8>, field: u8, value: u64) {
    buffer.push(tag(field, FIXED64));
    buffer.extend_from_slice(&value.to_le_bytes());
}

fn put_varint(buffer: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        buffer.push(value as u8);
    } else {
        encode_varint(value, buffer);
    }
}
