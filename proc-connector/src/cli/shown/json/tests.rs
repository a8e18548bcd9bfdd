//! The text equals that of `serde_json`, except for the additional escapes.

use std::collections::BTreeMap;
use std::fmt;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::append;
use crate::cli::shown::is_seen;

/// A value of each kind that serde distinguishes.
#[derive(Debug, Serialize)]
struct All {
    integers: (i8, i16, i32, i64, u8, u16, u32, u64),
    floats: (f32, f64),
    flag: bool,
    letter: char,
    text: String,
    parts: Parts,
    bytes: Vec<u8>,
    nothing: (),
    maybe: Option<Box<All>>,
    unit: Unit,
    pair: Pair,
    kinds: Vec<Kind>,
    map: BTreeMap<String, Value>,
    #[serde(flatten)]
    flat: Flat,
}

#[derive(Debug, Serialize)]
struct Unit;

#[derive(Debug, Serialize)]
struct Pair(u8, String);

#[derive(Debug, Serialize)]
struct Flat {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    second: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
enum Kind {
    Unit,
    Value(String),
    Tuple(u8, String),
    Fields { first: String, second: Vec<u8> },
}

/// Bytes as text in several parts, which the formatter receives one after the other.
#[derive(Debug)]
struct Parts(Vec<u8>);

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", proc_connector::parser::Text(&self.0))
    }
}

/// Text of visible and invisible characters, many of them with an escape.
fn text() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        4 => any::<char>(),
        4 => prop::char::range(' ', '~'),
        2 => prop::char::range('\0', '\u{a0}'),
        2 => prop::sample::select(vec!['"', '\\', '/', '\u{7f}', '\u{202e}', '\u{e0001}', 'é', '😀']),
    ];
    prop_oneof![vec(letter, 0..40).prop_map(String::from_iter), "[ -~]{0,80}"]
}

/// Bytes, of which some are UTF-8.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), text().prop_map(String::into_bytes)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unit),
        text().prop_map(Kind::Value),
        (any::<u8>(), text()).prop_map(|(number, text)| Kind::Tuple(number, text)),
        (text(), bytes()).prop_map(|(first, second)| Kind::Fields { first, second }),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(text(), inner, 0..5).prop_map(Value::from_iter),
        ]
    })
}

fn all() -> impl Strategy<Value = All> {
    let scalars = (any::<(i8, i16, i32, i64, u8, u16, u32, u64)>(), any::<(f32, f64)>());
    let texts = (text(), bytes(), bytes(), any::<(bool, char)>());
    let parts = (vec(kind(), 0..4), btree_map(text(), value(), 0..4), any::<Option<u64>>());
    let one = (scalars, texts, parts, prop::option::of(text())).prop_map(
        |((integers, floats), (text, parts, bytes, (flag, letter)), parts_of, first)| {
            let (kinds, map, second) = parts_of;
            All {
                integers,
                floats,
                flag,
                letter,
                pair: Pair(integers.4, text.clone()),
                text,
                parts: Parts(parts),
                bytes,
                nothing: (),
                maybe: None,
                unit: Unit,
                kinds,
                map,
                flat: Flat { first, second },
            }
        },
    );
    let one = one.boxed();
    (one.clone(), prop::option::of(one))
        .prop_map(|(outer, inner)| All { maybe: inner.map(Box::new), ..outer })
}

/// The text of `serde_json`, with an escape for each character that is invisible. All of these are
/// in strings.
fn expected(value: &impl Serialize) -> String {
    let mut expected = String::new();
    for letter in serde_json::to_string(value).expect("JSON").chars() {
        if is_seen(letter) {
            expected.push(letter);
        } else {
            let units = letter.encode_utf16(&mut [0; 2]).to_vec();
            expected.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    expected
}

proptest! {
    #[test]
    fn all_values_have_the_text_of_serde_json(value in all()) {
        let mut text = b"before".to_vec();
        append(&mut text, &value)?;
        let text = String::from_utf8(text).expect("UTF-8");
        prop_assert_eq!(text, format!("before{}", expected(&value)));
    }
}

#[test]
fn keys_that_are_no_strings_are_errors() {
    for map in [BTreeMap::from([(vec![1], 2)]), BTreeMap::from([(vec![], 2)])] {
        assert!(append(&mut Vec::new(), &map).is_err());
    }
}
