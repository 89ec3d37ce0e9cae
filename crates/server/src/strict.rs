//! Bodies mean what JSON means: a list of its fields' values is no object, though serde's derived
//! readers would take it, and `3.0` is the whole number 3, though they would not. However deep in a
//! body it stands.
//!
//! A layer around a deserializer. It passes everything on, and around everything that is found
//! inside, so that one place keeps the rule for every type there is and will be.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

/// A deserializer, or something that meets one on the way.
pub(crate) struct Strict<T>(pub(crate) T);

/// A visitor that is told what was expected.
struct Watched<V> {
    visitor: V,
    expected: Expected,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Object,
    Whole,
    Other,
}

fn watched<V>(visitor: V) -> Watched<V> {
    Watched {
        visitor,
        expected: Expected::Other,
    }
}

/// From here on neighbours cannot be told apart: the next whole number is read as this one.
const EXACT: f64 = 9_007_199_254_740_992.0;

macro_rules! whole {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$name(Watched { visitor, expected: Expected::Whole })
        }
    )*};
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        fn $name<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$name($($argument,)* watched(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    whole! {
        deserialize_i8
        deserialize_i16
        deserialize_i32
        deserialize_i64
        deserialize_i128
        deserialize_u8
        deserialize_u16
        deserialize_u32
        deserialize_u64
        deserialize_u128
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Watched {
            visitor,
            expected: Expected::Object,
        };
        self.0.deserialize_struct(name, fields, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($name:ident: $kind:ty;)*) => {$(
        fn $name<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.visitor.$name(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    /// A whole number may be written as `3.0`: in JSON it is the same.
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        let exact = self.expected == Expected::Whole && value.fract() == 0.0;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and in range")]
        match exact && value.abs() < EXACT {
            true => self.visitor.visit_i64(value as i64),
            false => self.visitor.visit_f64(value),
        }
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.expected == Expected::Object {
            return Err(A::Error::invalid_type(Unexpected::Seq, &"an object"));
        }
        self.visitor.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Strict(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Strict(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Strict(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Strict<A> {
    type Error = A::Error;
    type Variant = Strict<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(Strict(seed))?;
        Ok((value, Strict(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, watched(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = Watched {
            visitor,
            expected: Expected::Object,
        };
        self.0.struct_variant(fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use scaivault_api::policy::PolicyTest;
    use scaivault_api::receiver::SubscriptionBody;
    use scaivault_api::rotation::RotationPolicyBody;
    use scaivault_api::secret::PutSecret;
    use scaivault_api::token::TokenBody;
    use serde::de::DeserializeOwned;

    use super::*;

    fn is_read<T: DeserializeOwned>(text: &str) -> bool {
        let mut json = serde_json::Deserializer::from_str(text);
        T::deserialize(Strict(&mut json)).is_ok()
    }

    #[test]
    fn a_list_is_no_object_wherever_it_stands() {
        assert!(!is_read::<TokenBody>(r#"["user","user:a",["admin"]]"#));
        assert!(!is_read::<PutSecret>("[{}]"));
        assert!(!is_read::<PutSecret>(r#"{"data":{},"options":[null]}"#));
        assert!(!is_read::<PutSecret>(r#"{"data":{},"metadata":[]}"#));
        let policy = |rest: &str| format!(r#"{{"name":"n","interval":"1d",{rest}}}"#);
        for rest in [
            r#""rules":[]"#,
            r#""calendar":[[["mon"],"22:00","04:00"]]"#,
            r#""calendar":{"windows":[[["mon"],"22:00","04:00"]]}"#,
        ] {
            assert!(!is_read::<RotationPolicyBody>(&policy(rest)), "{rest}");
        }
        let test = r#"{"identity_id":"user:a","path":"a","permission":"read","context":[]}"#;
        assert!(!is_read::<PolicyTest>(test));
    }

    #[test]
    fn what_is_written_as_meant_is_read_as_before() {
        assert!(is_read::<PutSecret>(
            r#"{"data":{"a":[1,{"b":[]}]},"metadata":{"tags":["x"],"mine":[1]},
                "options":{"cas":0,"notify_before":["7d"]}}"#
        ));
        assert!(is_read::<PutSecret>(
            r#"{"data":null,"options":{"notify_before":"7d,1d","generate_from":"x"}}"#
        ));
        assert!(is_read::<RotationPolicyBody>(
            r#"{"name":"n","rules":{"consumers":{"listed":["sa:a"]}},
                "calendar":{"windows":[{"from":"22:00","to":"04:00"}]}}"#
        ));
        assert!(is_read::<PutSecret>(
            r#"{"data":{},"options":{"cas":3.0,"max_versions":1e1}}"#
        ));
        for number in ["3.5", "-1.0", "1e300", "\"3\""] {
            let text = format!(r#"{{"data":{{}},"options":{{"cas":{number}}}}}"#);
            assert!(!is_read::<PutSecret>(&text), "{number}");
        }
        let huge = |number: &str| {
            let mut json = serde_json::Deserializer::from_str(number);
            <i64 as serde::Deserialize>::deserialize(Strict(&mut json)).ok()
        };
        let most = huge("9007199254740991e0");
        assert_eq!(most, Some(9_007_199_254_740_991));
        assert_eq!(
            huge("9007199254740993e0"),
            None,
            "is read as the one before"
        );
        assert!(is_read::<SubscriptionBody>(
            r#"{"name":"n","paths":["**"],"events":["a"],"delivery":{"type":"polling"}}"#
        ));
    }
}
