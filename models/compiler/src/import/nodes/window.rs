//! Windows of convolutions and pools: attributes, padding rules, output lengths.
use tract_onnx::pb::NodeProto;

use crate::graph::{Window, WindowNd};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// Window over one to three spatial axes, with pads before and after each.
#[derive(Clone, Debug)]
pub(crate) struct Spatial {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub dilation: Vec<usize>,
    pub before: Vec<usize>,
    pub after: Vec<usize>,
}

fn list(node: &NodeProto, name: &str, default: usize, len: usize) -> NodeResult<Vec<usize>> {
    let Some(v) = attrs::ints(node, name)? else { return Ok(vec![default; len]) };
    if v.len() != len {
        return bad(format!("{name} {v:?} has {} entries, expected {len}", v.len()));
    }
    v.iter()
        .map(|&x| match usize::try_from(x) {
            Ok(x) if x >= default && x <= 1 << 24 => Ok(x),
            _ => bad(format!("{name} {v:?} is out of range")),
        })
        .collect()
}

impl Spatial {
    /// Reads the attributes; pads are the explicit ones here.
    pub(crate) fn new(node: &NodeProto, kernel: &[usize]) -> NodeResult<Spatial> {
        let n = kernel.len();
        if n == 0 || n > 3 {
            return refuse(format!("{n} spatial axes"), "use one to three (fold others into batch or channels)");
        }
        if list(node, "kernel_shape", 1, n)? != kernel && attrs::has(node, "kernel_shape") {
            return bad(format!("kernel_shape differs from the weights' {kernel:?}"));
        }
        let pads = list(node, "pads", 0, 2 * n)?;
        let spatial = Spatial {
            kernel: kernel.to_vec(),
            stride: list(node, "strides", 1, n)?,
            dilation: list(node, "dilations", 1, n)?,
            before: pads[..n].to_vec(),
            after: pads[n..].to_vec(),
        };
        for i in 0..n {
            if (kernel[i] - 1).checked_mul(spatial.dilation[i]).is_none_or(|f| f > i32::MAX as usize) {
                return bad(format!("kernel {kernel:?} with dilation {:?} is too long", spatial.dilation));
            }
        }
        Ok(spatial)
    }

    /// Length of the kernel with its gaps along axis `i`.
    pub(crate) fn field(&self, i: usize) -> usize {
        (self.kernel[i] - 1) * self.dilation[i] + 1
    }

    /// Replaces the pads by what `auto_pad` asks for on an input of length `input`.
    pub(crate) fn auto_pad(&mut self, node: &NodeProto, input: &[usize]) -> NodeResult<bool> {
        let mode = attrs::string(node, "auto_pad", "NOTSET")?;
        match mode.as_str() {
            "NOTSET" | "" => return Ok(false),
            "VALID" => {
                self.before.fill(0);
                self.after.fill(0);
            }
            "SAME_UPPER" | "SAME_LOWER" => {
                for (i, &len) in input.iter().enumerate().take(self.kernel.len()) {
                    let out = len.div_ceil(self.stride[i]);
                    let total = (out.max(1) - 1) * self.stride[i] + self.field(i);
                    let total = total.saturating_sub(len);
                    let (less, more) = (total / 2, total - total / 2);
                    (self.before[i], self.after[i]) = if mode == "SAME_UPPER" { (less, more) } else { (more, less) };
                }
            }
            _ => return bad(format!("auto_pad `{mode}` is not defined")),
        }
        Ok(true)
    }

    /// Output lengths; with `ceil` the end pads grow so that they come out.
    pub(crate) fn output(&mut self, input: &[usize], ceil: bool) -> NodeResult<Vec<usize>> {
        let mut out = Vec::new();
        for (i, &len) in input.iter().enumerate().take(self.kernel.len()) {
            let (padded, field) = (len + self.before[i] + self.after[i], self.field(i));
            if padded < field {
                return bad(format!("a window of {field} on a padded input of {padded} along spatial axis {i}"));
            }
            let room = padded - field;
            let mut n = room / self.stride[i] + 1;
            // The last window must start inside the input or the left padding.
            if ceil && !room.is_multiple_of(self.stride[i]) && n * self.stride[i] < len + self.before[i] {
                n += 1;
                self.after[i] += (n - 1) * self.stride[i] - room;
            }
            out.push(n);
        }
        Ok(out)
    }

    /// The two-dimensional window, a missing first axis of length 1; `None` for three axes.
    pub(crate) fn window(&self) -> Option<Window> {
        let two = |v: &[usize], fill| match *v {
            [columns] => Some([fill, columns]),
            [rows, columns] => Some([rows, columns]),
            _ => None,
        };
        let (b, a) = (two(&self.before, 0)?, two(&self.after, 0)?);
        Some(Window {
            kernel: two(&self.kernel, 1)?,
            stride: two(&self.stride, 1)?,
            dilation: two(&self.dilation, 1)?,
            pads: [b[0], b[1], a[0], a[1]],
        })
    }

    /// The window over three axes, missing ones of length 1 in front.
    pub(crate) fn window_nd(&self) -> WindowNd {
        let three = |v: &[usize], fill| {
            let mut out = [fill; 3];
            for (slot, &n) in out.iter_mut().rev().zip(v.iter().rev()) {
                *slot = n;
            }
            out
        };
        WindowNd {
            kernel: three(&self.kernel, 1),
            stride: three(&self.stride, 1),
            dilation: three(&self.dilation, 1),
            pad: three(&self.before, 0),
        }
    }

    /// The part of the window over the axes `axes`.
    pub(crate) fn part(&self, axes: std::ops::Range<usize>) -> Spatial {
        let cut = |v: &[usize]| v[axes.clone()].to_vec();
        Spatial {
            kernel: cut(&self.kernel),
            stride: cut(&self.stride),
            dilation: cut(&self.dilation),
            before: cut(&self.before),
            after: cut(&self.after),
        }
    }
}

/// Inserts an axis of length 1 before the last one of a rank-3 shape.
pub(crate) fn two_d(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [n, c, l] => vec![n, c, 1, l],
        _ => shape.to_vec(),
    }
}

/// Inserts axes of length 1 in front of the spatial ones until there are three.
pub(crate) fn three_d(shape: &[usize]) -> Vec<usize> {
    let (outer, spatial) = shape.split_at(shape.len().min(2));
    [outer, &vec![1; 3usize.saturating_sub(spatial.len())], spatial].concat()
}

/// Compares an own result with tract's.
pub(crate) fn agree(found: &[usize], inferred: &[usize]) -> NodeResult<()> {
    if found == inferred {
        return Ok(());
    }
    bad(format!("its output shape is {found:?} by its attributes but {inferred:?} by shape inference"))
}
