//! Compact JSON in memory, as `serde_json` writes it, with more escapes. `serde_json` visits each byte
//! of a string on its own and passes its output on in small pieces, which costs several times as much.

use std::fmt::{self, Write};

use serde::Serialize;
use serde::ser::{self, Error as _};
use serde_json::Error;

use super::super::is_seen;

/// Appends a value to a buffer.
pub(super) struct Serializer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Serializer<'a> {
    pub(super) fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the functions of the trait return it")]
    fn raw(self, text: &str) -> Result<(), Error> {
        self.buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn integer(self, number: impl itoa::Integer) -> Result<(), Error> {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn items(self, start: u8, end: &'static str) -> Items<'a> {
        self.buffer.push(start);
        Items { buffer: self.buffer, is_first: true, end }
    }

    /// Starts an object whose only key is the name of a variant, with its value.
    fn variant(self, name: &str) -> Self {
        self.buffer.push(b'{');
        string(self.buffer, name);
        self.buffer.push(b':');
        self
    }
}

/// An array or an object. `end` also closes the object of a variant.
pub(super) struct Items<'a> {
    buffer: &'a mut Vec<u8>,
    is_first: bool,
    end: &'static str,
}

impl Items<'_> {
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.buffer.push(b',');
        }
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.separate();
        value.serialize(Serializer::new(self.buffer))
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.buffer.push(b':');
        value.serialize(Serializer::new(self.buffer))
    }

    fn finish(self) {
        self.buffer.extend_from_slice(self.end.as_bytes());
    }
}

/// Appends a string in quotation marks.
fn string(buffer: &mut Vec<u8>, text: &str) {
    buffer.push(b'"');
    contents(buffer, text);
    buffer.push(b'"');
}

/// Appends the characters of a string.
fn contents(buffer: &mut Vec<u8>, text: &str) {
    if are_kept(text.as_bytes()) {
        buffer.extend_from_slice(text.as_bytes());
    } else {
        escaped(buffer, text);
    }
}

/// Whether all characters are ASCII and stand for themselves.
fn are_kept(text: &[u8]) -> bool {
    // The last word may overlap with the word before it.
    if let Some(last) = text.last_chunk() {
        let is_kept = |word: &[u8]| word.try_into().is_ok_and(|&word| is_word_kept(word));
        return is_word_kept(*last) && text.chunks_exact(8).all(is_kept);
    }
    let mut word = [b' '; 8];
    for (place, &byte) in word.iter_mut().zip(text) {
        *place = byte;
    }
    is_word_kept(word)
}

/// Whether each of these bytes is an ASCII character that stands for itself.
fn is_word_kept(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_ne_bytes(bytes);
    // The high bit of each byte that is less is set. A borrow can set the bit of a higher byte too, but
    // only if a lower byte is less.
    let less = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte)) & !word;
    let equal = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let not_kept = word | less(word, b' ') | equal(0x7f) | equal(b'"') | equal(b'\\');
    not_kept & (ONES << 7) == 0
}

#[cold]
fn escaped(buffer: &mut Vec<u8>, text: &str) {
    for letter in text.chars() {
        let short = match letter {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            letter if is_seen(letter) => {
                buffer.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let digit = |place: u16| b"0123456789abcdef"[usize::from(*unit >> place & 0xf)];
                    buffer.extend([b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                }
                continue;
            }
        };
        buffer.extend([b'\\', short]);
    }
}

/// The characters of a string, in parts.
struct Contents<'a>(&'a mut Vec<u8>);

impl fmt::Write for Contents<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        contents(self.0, text);
        Ok(())
    }
}

macro_rules! integers {
    ($($name:ident: $number:ty),*) => {
        $(fn $name(self, value: $number) -> Result<(), Error> {
            self.integer(value)
        })*
    };
}

impl<'a> ser::Serializer for Serializer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    integers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.raw(if value { "true" } else { "false" })
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        serde_json::to_writer(self.buffer, &value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        serde_json::to_writer(self.buffer, &value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        string(self.buffer, value);
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.buffer.push(b'"');
        write!(Contents(self.buffer), "{value}").map_err(Error::custom)?;
        self.buffer.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.raw("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let Self { buffer } = self.variant(name);
        value.serialize(Serializer::new(buffer))?;
        buffer.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.items(b'[', "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.items(b'[', "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.items(b'[', "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(self.variant(name).items(b'[', "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.items(b'{', "}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Error> {
        Ok(self.items(b'{', "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(self.variant(name).items(b'{', "}}"))
    }
}

/// Implements the traits of serde for arrays, whose functions differ only in their names.
macro_rules! arrays {
    ($($name:ident: $function:ident),*) => {
        $(impl ser::$name for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn $function<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish();
                Ok(())
            }
        })*
    };
}

/// The same for structs, whose keys are names in the code.
macro_rules! structs {
    ($($name:ident),*) => {
        $(impl ser::$name for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.buffer.extend_from_slice(if self.is_first { b"\"" } else { b",\"" });
                self.is_first = false;
                // The name of a field has no character to escape.
                debug_assert!(are_kept(key.as_bytes()), "{key:?}");
                self.buffer.extend_from_slice(key.as_bytes());
                self.buffer.extend_from_slice(b"\":");
                value.serialize(Serializer::new(self.buffer))
            }

            fn end(self) -> Result<(), Error> {
                self.finish();
                Ok(())
            }
        })*
    };
}

arrays!(SerializeSeq: serialize_element, SerializeTuple: serialize_element);
arrays!(SerializeTupleStruct: serialize_field, SerializeTupleVariant: serialize_field);
structs!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.separate();
        let start = self.buffer.len();
        key.serialize(Serializer::new(self.buffer))?;
        if self.buffer.get(start) != Some(&b'"') {
            return Err(Error::custom("a key must be a string"));
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish();
        Ok(())
    }
}
