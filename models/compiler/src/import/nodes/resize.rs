//! Resize and Upsample: one axis at a time, by a table of taps made here.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::resize_taps::{Axis, Coordinates, Filter, Rounding, table};
use super::window::agree;
use crate::graph::{Binary, Constant, DType, Op, Taps, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// What becomes of every axis.
pub(super) struct Plan {
    pub shape: Vec<usize>,
    axes: Vec<Axis>,
    filter: Filter,
    coordinates: Coordinates,
    exclude_outside: bool,
    extrapolation: f32,
}

/// Numbers of an f32 input; `None` where it is left out or empty.
fn floats(b: &mut Builder, node: &NodeProto, i: usize) -> NodeResult<Option<Vec<f64>>> {
    let Some(id) = b.input(node, i)? else { return Ok(None) };
    if b.value(id).elements() == 0 {
        return Ok(None);
    }
    match b.value(id).f32s() {
        Some(v) => Ok(Some(v.iter().map(|&x| x.into()).collect())),
        None => refuse(
            format!("its input `{}` is computed at run time", b.value(id).name),
            "make scales, sizes and roi constants",
        ),
    }
}

impl Plan {
    pub(super) fn of(b: &mut Builder, node: &NodeProto) -> NodeResult<Plan> {
        let x = b.required(node, 0)?;
        let shape = b.shape(x);
        let rank = shape.len();
        // Operator set 10 and Upsample: scales alone, asymmetric, rounded down.
        let old = node.op_type == "Upsample" || b.opset < 11;
        let mode = attrs::string(node, "mode", "nearest")?;
        let named = |name: &str, default: &str| attrs::string(node, name, default);
        let nearest = named("nearest_mode", if old { "floor" } else { "round_prefer_floor" })?;
        let coordinates =
            match named("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?.as_str() {
                "half_pixel" => Coordinates::HalfPixel,
                "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
                "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
                "align_corners" => Coordinates::AlignCorners,
                "asymmetric" => Coordinates::Asymmetric,
                "tf_crop_and_resize" => Coordinates::CropAndResize,
                "tf_half_pixel_for_nn" => Coordinates::HalfPixelForNearest,
                other => return bad(format!("coordinate_transformation_mode `{other}` is not defined")),
            };
        let antialias = attrs::flag(node, "antialias", false)?;
        let filter = match mode.as_str() {
            "nearest" => Filter::Nearest(match nearest.as_str() {
                "round_prefer_floor" => Rounding::PreferFloor,
                "round_prefer_ceil" => Rounding::PreferCeil,
                "floor" => Rounding::Floor,
                "ceil" => Rounding::Ceil,
                other => return bad(format!("nearest_mode `{other}` is not defined")),
            }),
            "linear" | "bilinear" | "trilinear" => Filter::Linear { antialias },
            "cubic" => Filter::Cubic { a: attrs::float(node, "cubic_coeff_a", -0.75)?.into(), antialias },
            other => return bad(format!("mode `{other}` is not defined")),
        };
        let axes = match attrs::ints(node, "axes")? {
            Some(list) => list.iter().map(|&a| attrs::axis(a, rank)).collect::<NodeResult<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        let (roi, scales, sizes) = if old {
            let attribute = attrs::floats(node, "scales")?.map(|v| v.iter().map(|&x| x.into()).collect());
            (None, floats(b, node, 1)?.or(attribute), None)
        } else {
            let sizes = match b.input(node, 3)? {
                Some(id) if b.value(id).elements() > 0 => b.ints(node, 3)?,
                _ => None,
            };
            let crop = coordinates == Coordinates::CropAndResize;
            (if crop { floats(b, node, 1)? } else { None }, floats(b, node, 2)?, sizes)
        };
        let n = axes.len();
        if roi.as_ref().is_some_and(|roi| roi.len() != 2 * n) || shape.contains(&0) {
            return bad(format!("roi {roi:?} for {n} axes of {shape:?}"));
        }
        let lengths = lengths(node, &axes, &shape, scales, sizes)?;
        let mut plan = Plan {
            axes: shape.iter().map(|&len| Axis { input: len, output: len, scale: 1.0, start: 0.0, end: 1.0 }).collect(),
            shape,
            filter,
            coordinates,
            exclude_outside: attrs::flag(node, "exclude_outside", false)?,
            extrapolation: attrs::float(node, "extrapolation_value", 0.0)?,
        };
        for (i, (&axis, (scale, length))) in axes.iter().zip(lengths).enumerate() {
            let (start, end) = roi.as_ref().map_or((0.0, 1.0), |roi| (roi[i], roi[i + n]));
            plan.axes[axis] = Axis { input: plan.shape[axis], output: length, scale, start, end };
            plan.shape[axis] = length;
        }
        Ok(plan)
    }
}

/// Scale and length of each resized axis.
fn lengths(
    node: &NodeProto,
    axes: &[usize],
    shape: &[usize],
    scales: Option<Vec<f64>>,
    sizes: Option<Vec<i64>>,
) -> NodeResult<Vec<(f64, usize)>> {
    let length = |v: f64| if (1.0..1e9).contains(&v) { Ok(v as usize) } else { bad(format!("an axis of length {v}")) };
    match (scales, sizes) {
        (_, Some(sizes)) if sizes.len() == axes.len() => {
            let own = |i: usize| sizes[i] as f64 / shape[axes[i]] as f64;
            let all = (0..axes.len()).map(own);
            let shared = match attrs::string(node, "keep_aspect_ratio_policy", "stretch")?.as_str() {
                "stretch" => None,
                "not_larger" => Some(all.fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(all.fold(0.0, f64::max)),
                other => return bad(format!("keep_aspect_ratio_policy `{other}` is not defined")),
            };
            let one = |i: usize| match shared {
                None => Ok((own(i), length(sizes[i] as f64)?)),
                Some(scale) => Ok((scale, length((scale * shape[axes[i]] as f64 + 0.5).floor())?)),
            };
            (0..axes.len()).map(one).collect()
        }
        (Some(scales), None) if scales.len() == axes.len() => {
            scales.iter().zip(axes).map(|(&s, &axis)| Ok((s, length((s * shape[axis] as f64).floor())?))).collect()
        }
        (scales, sizes) => bad(format!("scales {scales:?} and sizes {sizes:?} for {} axes", axes.len())),
    }
}

pub(super) fn resize(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let (mut x, y) = (b.required(node, 0)?, b.output(node, 0)?);
    let plan = Plan::of(b, node)?;
    agree(&plan.shape, &b.shape(y))?;
    for a in plan.axes.iter().filter(|a| a.input != a.output || a.scale != 1.0) {
        super::rearrange::indices_fit(a.input.saturating_add(a.output))?;
    }
    let tables: Vec<(usize, Taps, bool)> = (plan.axes.iter().enumerate())
        .map(|(axis, a)| (axis, table(a, plan.filter, plan.coordinates, plan.exclude_outside)))
        .filter(|(axis, (taps, outside))| *outside || !is_identity(taps, plan.axes[*axis].input))
        .map(|(axis, (taps, outside))| (axis, taps, outside))
        .collect();
    let outside = tables.iter().any(|(_, _, outside)| *outside);
    let moves = matches!(plan.filter, Filter::Nearest(_)) && !outside;
    if !moves && b.value(x).dtype != DType::F32 {
        return refuse(
            format!("interpolation of {:?} tensors", b.value(x).dtype),
            "cast to f32 in front, or resize with mode `nearest`",
        );
    }
    // Cells outside have the value v: x − v is interpolated, with zero for them, and v added.
    let shift = if outside && plan.extrapolation != 0.0 { Some(plan.extrapolation) } else { None };
    if let Some(v) = shift {
        x = shifted(b, node, x, Binary::Sub, v, None)?;
    }
    let count = tables.len();
    for (i, (axis, taps, _)) in tables.into_iter().enumerate() {
        let mut shape = b.shape(x);
        shape[axis] = plan.axes[axis].output;
        let last = i + 1 == count && shift.is_none();
        let out = if last { y } else { b.like(x, shape)? };
        if moves {
            let list = taps.indices.iter().map(|&i| i.into()).collect();
            let at = b.constant("resize_indices", vec![taps.indices.len()], Constant::I64(list));
            b.emit(node, Op::Gather { axis }, vec![Some(x), Some(at)], out)?;
        } else {
            b.emit(node, Op::Resample { axis, taps }, vec![Some(x)], out)?;
        }
        x = out;
    }
    match shift {
        Some(v) => shifted(b, node, x, Binary::Add, v, Some(y)).map(drop),
        None if count == 0 => b.emit(node, Op::Reshape, vec![Some(x)], y),
        None => Ok(()),
    }
}

fn is_identity(taps: &Taps, len: usize) -> bool {
    taps.count == 1 && taps.indices.iter().copied().eq(0..len as u32) && taps.weights.iter().all(|&w| w == 1.0)
}

/// `x` plus or minus a number.
fn shifted(
    b: &mut Builder,
    node: &NodeProto,
    x: ValueId,
    kind: Binary,
    v: f32,
    y: Option<ValueId>,
) -> NodeResult<ValueId> {
    let out = match y {
        Some(y) => y,
        None => b.temp("resized", DType::F32, b.shape(x))?,
    };
    let v = b.constant("extrapolation", vec![], Constant::F32(vec![v]));
    b.emit(node, Op::Binary { kind, clamp: None }, vec![Some(x), Some(v)], out)?;
    Ok(out)
}
