//! Layouts of the building blocks: numbers, text, options, sequences, maps, tuples.

use crate::Wire;
use crate::reader::{DecodeError, Fault, Reader, put_varint};
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Items that a sequence reserves room for before it has read any.
const RESERVE_MAX: usize = 256;

macro_rules! varints {
    ($($type:ident)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_varint(u64::from(*self), out);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let invalid = from.fail(Fault::Invalid);
                Self::try_from(from.varint()?).map_err(|_| invalid)
            }
        }
    )*};
}

varints! { u16 u32 u64 }

macro_rules! fixed {
    ($($type:ident)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.take_array().map(Self::from_le_bytes)
            }
        }
    )*};
}

fixed! { u8 i8 i32 i64 u128 f32 f64 }

impl Wire for usize {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(u64::try_from(*self).expect("usize has at most 64 bits"), out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        Self::try_from(from.varint()?).map_err(|_| invalid)
    }
}

impl Wire for NonZeroU32 {
    fn put(&self, out: &mut Vec<u8>) {
        self.get().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = from.fail(Fault::Invalid);
        Self::new(u32::take(from)?).ok_or(invalid)
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = |tag: u8| from.fail(Fault::UnknownTag(tag.into()));
        match from.clone().take_array()? {
            [0] => from.take_array::<1>().map(|_| false),
            [1] => from.take_array::<1>().map(|_| true),
            [tag] => Err(unknown(tag)),
        }
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = from.length()?;
        let not_text = from.fail(Fault::NotUtf8);
        let text = core::str::from_utf8(from.take_bytes(len)?).map_err(|_| not_text)?;
        Ok(text.to_owned())
    }
}

impl Wire for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_secs().put(out);
        self.subsec_nanos().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let secs = u64::take(from)?;
        let invalid = from.fail(Fault::Invalid);
        let nanos = u32::take(from)?;
        if nanos >= 1_000_000_000 {
            return Err(invalid);
        }
        Ok(Self::new(secs, nanos))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::take(from)?.then(|| T::take(from)).transpose()
    }
}

/// One byte, 0 for the error and 1 for the value, then what it is.
impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::take(from)? { T::take(from).map(Ok) } else { E::take(from).map(Err) }
    }
}

impl<T: Wire> Wire for Arc<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::take(from).map(Self::new)
    }
}

impl<T: Wire> Wire for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        T::put(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::take(from).map(Self::new)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = from.length()?;
        let mut items = Self::with_capacity(len.min(RESERVE_MAX));
        for _ in 0..len {
            items.push(T::take(from)?);
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for VecDeque<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::take(from).map(Self::from)
    }
}

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = T::take(from)?;
        }
        Ok(items)
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut map = Self::new();
        for _ in 0..from.length()? {
            let invalid = from.fail(Fault::Invalid);
            let key = K::take(from)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(invalid);
            }
            let value = V::take(from)?;
            map.insert(key, value);
        }
        Ok(map)
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        for item in self {
            item.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut set = Self::new();
        for _ in 0..from.length()? {
            let invalid = from.fail(Fault::Invalid);
            let item = T::take(from)?;
            if set.last().is_some_and(|last| *last >= item) {
                return Err(invalid);
            }
            set.insert(item);
        }
        Ok(set)
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Wire),*> Wire for ($($name,)*) {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$index.put(out);)*
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(($($name::take(from)?,)*))
            }
        }
    )*};
}

tuples! { (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) }
