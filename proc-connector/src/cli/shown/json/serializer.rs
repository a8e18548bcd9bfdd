//! Compact JSON in memory, as `serde_json` writes it, with more escapes. `serde_json` visits each byte
//! of a string on its own and passes its output on in small pieces, which costs several times as much.

use std::fmt::{self, Write};

use serde::Serialize;
use serde::ser::{self, Error as _};
use serde_json::Error;

use super::string::{Contents, are_kept, string};

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
