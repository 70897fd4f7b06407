//! The macro that turns a list of fields, or of tagged variants, into a layout.

/// Lists the byte layout of types of `feedpulse-core`, one line a type:
///
/// - `struct Name { field, … }`: its fields in this order. A field that the type has and the list
///   has not is a compile error.
/// - `newtype Name(Inner);`: a public tuple struct of one value.
/// - `enum Name { 0 = Unit, 1 = Tuple(a), 2 = Struct { field } }`: one tag byte, then the fields.
///   A tag is never given to another variant; a missing variant is a compile error.
///
/// A change to a list is a change of the layout: it raises [`LAYOUT_VERSION`](crate::LAYOUT_VERSION).
macro_rules! layout {
    () => {};
    (struct $type:ident { $($field:ident),* $(,)? } $($rest:tt)*) => {
        impl $crate::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::Wire::put($field, out);)*
            }

            fn take(from: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                Ok(Self {
                    $($field: from.field(concat!(stringify!($type), ".", stringify!($field)))?,)*
                })
            }
        }
        layout! { $($rest)* }
    };
    (newtype $type:ident($inner:ty); $($rest:tt)*) => {
        impl $crate::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::Wire::put(&self.0, out);
            }

            fn take(from: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                from.field::<$inner>(stringify!($type)).map(Self)
            }
        }
        layout! { $($rest)* }
    };
    (enum $type:ident { $(
        $tag:literal = $variant:ident
            $(( $($item:ident),* ))?
            $({ $($field:ident),* })?
    ),* $(,)? } $($rest:tt)*) => {
        impl $crate::Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {$(
                    Self::$variant $(( $($item),* ))? $({ $($field),* })? => {
                        out.push($tag);
                        $($($crate::Wire::put($item, out);)*)?
                        $($($crate::Wire::put($field, out);)*)?
                    }
                )*}
            }

            fn take(from: &mut $crate::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let offset = from.offset();
                let [tag] = from.take_array()?;
                match tag {
                    $($tag => Ok(Self::$variant
                        $(( $({
                            let $item = from.field(
                                concat!(stringify!($type), "::", stringify!($variant)))?;
                            $item
                        }),* ))?
                        $({ $($field: from.field(concat!(
                            stringify!($type), "::", stringify!($variant), ".", stringify!($field)
                        ))?),* })?
                    ),)*
                    _ => Err($crate::DecodeError {
                        what: stringify!($type),
                        offset,
                        fault: $crate::Fault::UnknownTag(tag.into()),
                    }),
                }
            }
        }
        layout! { $($rest)* }
    };
}

pub(crate) use layout;
