//! Change of element type.

use core::marker::PhantomData;

use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::Isa;

use super::Any;
use crate::{Op, RunCtx, StepCtx};

/// ONNX Cast: integers wrap, floats truncate towards zero and saturate (NaN gives 0), everything
/// but zero is true.
pub struct Cast<F>(PhantomData<F>);

#[derive(Clone, Copy)]
enum Value {
    Real(f32),
    Integer(i64),
    Unsigned(u64),
}

fn load(dtype: DType, bytes: &[u8]) -> Option<Value> {
    Some(match dtype {
        DType::F32 => Value::Real(f32::from_le_bytes(bytes.try_into().ok()?)),
        DType::I8 => Value::Integer(i8::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::U8 | DType::Bool => Value::Integer(u8::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I16 => Value::Integer(i16::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I32 => Value::Integer(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::I64 => Value::Integer(i64::from_le_bytes(bytes.try_into().ok()?)),
        DType::U16 => Value::Integer(u16::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::U32 => Value::Integer(u32::from_le_bytes(bytes.try_into().ok()?).into()),
        DType::U64 => Value::Unsigned(u64::from_le_bytes(bytes.try_into().ok()?)),
    })
}

/// The value in type `dtype`, its bytes at the front.
fn store(dtype: DType, value: Value) -> [u8; 8] {
    let wide: u64 = match (dtype, value) {
        (DType::F32, Value::Real(x)) => x.to_bits().into(),
        (DType::F32, Value::Integer(i)) => (i as f32).to_bits().into(),
        (DType::F32, Value::Unsigned(i)) => (i as f32).to_bits().into(),
        (DType::Bool, Value::Real(x)) => u64::from(x != 0.0),
        (DType::Bool, Value::Integer(i)) => u64::from(i != 0),
        (DType::Bool, Value::Unsigned(i)) => u64::from(i != 0),
        (_, Value::Integer(i)) => i as u64,
        (_, Value::Unsigned(i)) => i,
        (DType::I8, Value::Real(x)) => x as i8 as u64,
        (DType::U8, Value::Real(x)) => x as u8 as u64,
        (DType::I16, Value::Real(x)) => x as i16 as u64,
        (DType::I32, Value::Real(x)) => x as i32 as u64,
        (DType::I64, Value::Real(x)) => x as i64 as u64,
        (DType::U16, Value::Real(x)) => x as u16 as u64,
        (DType::U32, Value::Real(x)) => x as u32 as u64,
        (DType::U64, Value::Real(x)) => x as u64,
    };
    wide.to_le_bytes()
}

impl Op for Cast<Any> {
    const CODE: OpCode = OpCode::Cast;
    const FORMAT: Format = Format::Any;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.counts(1..=1, 1)?;
        ctx.flags(0)?;
        ctx.require(ctx.input(0)?.elements == ctx.output(0)?.elements)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let (from, to, bad) = (ctx.step.input(0)?.dtype, ctx.step.output(0)?.dtype, ctx.step.bad());
        let mut views = ctx.views()?;
        let (x, out) = (views.input::<u8>(0)?, views.output::<u8>(0)?);
        for (x, y) in x.chunks_exact(from.size()).zip(out.chunks_exact_mut(to.size())) {
            let stored = store(to, load(from, x).ok_or(bad)?);
            for (byte, stored) in y.iter_mut().zip(stored) {
                *byte = stored;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_as_c_does_and_saturates_floats() {
        let cast = |to, value| i64::from_le_bytes(store(to, value));
        assert_eq!(cast(DType::I64, Value::Real(f32::NAN)), 0);
        assert_eq!(cast(DType::I64, Value::Real(-2.9)), -2);
        assert_eq!(cast(DType::U8, Value::Real(300.0)), 255);
        assert_eq!(cast(DType::I64, Value::Integer(-1)), -1);
        assert_eq!([cast(DType::U16, Value::Real(-3.0)), cast(DType::U32, Value::Real(5e9))], [0, u32::MAX as i64]);
        assert_eq!(store(DType::F32, Value::Unsigned(u64::MAX)).get(..4), Some(&(u64::MAX as f32).to_le_bytes()[..]));
        assert_eq!(store(DType::I8, Value::Integer(200)).first(), Some(&200));
        assert_eq!(store(DType::Bool, Value::Real(f32::NAN)).first(), Some(&1));
        assert_eq!(store(DType::F32, Value::Integer(-3)).get(..4), Some(&(-3f32).to_le_bytes()[..]));
    }
}
