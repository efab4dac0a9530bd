//! Int8 layers for cores without vectors: sums in single registers, in blocks that fit them.
//!
//! Functions are compiled once and called, so that a program holds each loop once; weights,
//! scratch and results are those of the other forms of the same kernels.

pub mod conv2d_w8;
pub mod dense_w8;
pub mod depthwise_w8;
mod divide;
mod dot;
#[cfg(selvedge_thumb2)]
mod dot_thumb2;
mod epilogue;
mod gather;
pub mod pool_i8;
pub mod softmax_i8;

#[cfg(test)]
#[allow(non_snake_case)]
mod tests {
    use crate::args::*;
    use crate::isa::{IsaI8, IsaI16};
    use crate::portable::delegate::{portable_i8, portable_low};
    use crate::select::IsaKind;
    use crate::testing::{Testable, families};

    /// The layers of this module, tested whatever the target is.
    #[derive(Clone, Copy, Debug)]
    struct Scalar;

    impl Testable for Scalar {
        fn detect() -> Option<Self> {
            Some(Scalar)
        }
    }

    impl IsaI16 for Scalar {}

    #[rustfmt::skip]
    impl IsaI8 for Scalar {
        const KIND: IsaKind = IsaKind::Portable;

        fn conv2d_w8(self, x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]) {
            super::conv2d_w8::conv2d(x, w, s, pad_value, output, scratch);
        }

        fn depthwise_w8(self, x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: Output<'_>, _: &mut [u8]) {
            super::depthwise_w8::depthwise(x, w, s, pad_value, output);
        }

        fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
            super::dense_w8::dense(x, w, rows, k, n, output);
        }

        fn avg_pool_i8(self, x: &[i8], s: &ConvShape, args: &AverageI8, out: &mut [i8]) {
            super::pool_i8::avg_pool(x, s, args, out);
        }

        fn softmax_i8(self, x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8]) {
            super::softmax_i8::softmax(x, row, args, out);
        }

        portable_low!(conv2d_low dense_low);
        portable_i8!(max_pool_i8 add_i8 add_in_place_i8 mul_i8 rescale_i8 table_i8 table_in_place_i8
            quantize_i8 dequantize_i8 dynamic_quantize_i8);
    }

    mod conv2d_w8__scalar {
        super::families!(Conv2dW8, super::Scalar);
    }
    mod depthwise_w8__scalar {
        super::families!(DepthwiseW8, super::Scalar);
    }
    mod avg_pool_i8__scalar {
        super::families!(AvgPoolI8, super::Scalar);
    }
    mod softmax_i8__scalar {
        super::families!(SoftmaxI8, super::Scalar);
    }
    mod dense_w8__scalar {
        super::families!(DenseW8, super::Scalar);
    }
}
