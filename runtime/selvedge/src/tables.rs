//! Op tables of a program's choice.

/// A table of the ops a program links: `ops![Conv2d<W8>, Dense<W8>, Softmax<I8>]`.
///
/// Gives `&'static [OpEntry]` for [`Session::with_ops`](crate::Session::with_ops). Names are
/// those of [`OpCode`](crate::OpCode) and [`Format`](crate::Format); `selvedge inspect` prints
/// the line a model needs.
///
/// ```
/// let table = selvedge::ops![Conv2d<W8>, MaxPool2d<I8>, Dense<W8>];
/// assert_eq!(table.len(), 3);
/// ```
#[macro_export]
macro_rules! ops {
    ($($op:ident<$format:ident>),* $(,)?) => {{
        const TABLE: &[$crate::OpEntry] = &[$($crate::OpEntry::of::<$crate::op::$op<$crate::op::$format>>()),*];
        TABLE
    }};
}
