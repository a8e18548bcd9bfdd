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

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.buffer.extend_from_slice(if self.is_first { b"\"" } else { b",\"" });
        self.is_first = false;
        // The name of a field has no character to escape.
        debug_assert!(are_kept(name.as_bytes()), "{name:?}");
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
        value.serialize(Serializer::new(self.buffer))
    }

    fn key(&mut self, key: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.separate();
        let start = self.buffer.len();
        key.serialize(Serializer::new(self.buffer))?;
        if self.buffer.get(start) != Some(&b'"') {
            return Err(Error::custom("a key must be a string"));
        }
        Ok(())
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.buffer.push(b':');
        value.serialize(Serializer::new(self.buffer))
    }
}

macro_rules! integers {
    ($($name:ident: $number:ty),*) => {
        $(fn $name(self, value: $number) -> Result<(), Error> {
            self.integer(value)
        })*
    };
}

/// Functions that start an array or an object, whose arguments are not used.
macro_rules! items {
    ($($name:ident($($argument:ty),*): $start:literal $end:literal),*) => {
        $(fn $name(self, $(_: $argument),*) -> Result<Items<'a>, Error> {
            Ok(self.items($start, $end))
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

    items!(serialize_seq(Option<usize>): b'[' "]", serialize_tuple(usize): b'[' "]");
    items!(serialize_tuple_struct(&'static str, usize): b'[' "]");
    items!(serialize_map(Option<usize>): b'{' "}");
    items!(serialize_struct(&'static str, usize): b'{' "}");

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(self.variant(name).items(b'[', "]}"))
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

/// Implements traits of serde by functions of [`Items`]. A function may have an argument before the
/// value. `end` is the same in all traits.
macro_rules! implement {
    ($($name:ident: $($function:ident($($key:ident: $type:ty)?) = $method:ident),+;)*) => {
        $(impl ser::$name for Items<'_> {
            type Ok = ();
            type Error = Error;

            $(fn $function<T: Serialize + ?Sized>(
                &mut self,
                $($key: $type,)?
                value: &T,
            ) -> Result<(), Error> {
                self.$method($($key,)? value)
            })+

            fn end(self) -> Result<(), Error> {
                self.buffer.extend_from_slice(self.end.as_bytes());
                Ok(())
            }
        })*
    };
}

implement! {
    SerializeSeq: serialize_element() = item;
    SerializeTuple: serialize_element() = item;
    SerializeTupleStruct: serialize_field() = item;
    SerializeTupleVariant: serialize_field() = item;
    SerializeStruct: serialize_field(key: &'static str) = field;
    SerializeStructVariant: serialize_field(key: &'static str) = field;
    SerializeMap: serialize_key() = key, serialize_value() = value;
}
