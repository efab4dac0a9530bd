//! The tests a kernel of each family gets.

/// `families!(Family, Isa)`: one test for each function of the family.
macro_rules! families {
    (Conv2dW8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers:
            conv2d_equals_reference_on_all_tiles_up_to_9x33
            conv2d_equals_reference_on_8_to_17_pixels
            conv2d_equals_reference_on_windows_strides_dilations_pads_and_groups
            conv2d_equals_reference_on_300_channels
            conv2d_equals_reference_on_random_shapes
        }
    };
    (DepthwiseW8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers:
            depthwise_equals_reference_on_all_channels_up_to_33
            depthwise_equals_reference_on_wide_inputs_and_large_windows
            depthwise_equals_reference_on_random_shapes
        }
    };
    (DenseW8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers:
            dense_equals_reference_on_all_shapes_up_to_9x33x33
            dense_equals_reference_on_8_to_17_rows
            dense_equals_reference_on_long_rows
            dense_equals_reference_on_random_shapes
        }
    };
    (Conv2dW4, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W4, conv2d_equals_reference_on_all_tiles
            conv2d_equals_reference_on_windows_and_groups conv2d_equals_reference_on_random_shapes);
    };
    (DepthwiseW4, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W4, depthwise_equals_reference_on_channels_and_windows);
    };
    (DenseW4, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W4, dense_equals_reference_on_all_tiles
            dense_equals_reference_on_groups_and_tails dense_equals_reference_on_extremes
            dense_equals_reference_on_long_rows dense_equals_reference_on_random_shapes);
    };
    (Conv2dW3, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W3, conv2d_equals_reference_on_all_tiles
            conv2d_equals_reference_on_windows_and_groups conv2d_equals_reference_on_random_shapes);
    };
    (DepthwiseW3, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W3, depthwise_equals_reference_on_channels_and_windows);
    };
    (DenseW3, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W3, dense_equals_reference_on_all_tiles
            dense_equals_reference_on_groups_and_tails dense_equals_reference_on_extremes
            dense_equals_reference_on_long_rows dense_equals_reference_on_random_shapes);
    };
    (Conv2dW2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W2, conv2d_equals_reference_on_all_tiles
            conv2d_equals_reference_on_windows_and_groups conv2d_equals_reference_on_random_shapes);
    };
    (DepthwiseW2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W2, depthwise_equals_reference_on_channels_and_windows);
    };
    (DenseW2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::W2, dense_equals_reference_on_all_tiles
            dense_equals_reference_on_groups_and_tails dense_equals_reference_on_extremes
            dense_equals_reference_on_long_rows dense_equals_reference_on_random_shapes);
    };
    (Conv2dT2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::T2, conv2d_equals_reference_on_all_tiles
            conv2d_equals_reference_on_windows_and_groups conv2d_equals_reference_on_random_shapes);
    };
    (DepthwiseT2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::T2, depthwise_equals_reference_on_channels_and_windows);
    };
    (DenseT2, $isa:ty) => {
        $crate::testing::families!(low_bit $isa, $crate::T2, dense_equals_reference_on_all_tiles
            dense_equals_reference_on_groups_and_tails dense_equals_reference_on_extremes
            dense_equals_reference_on_long_rows dense_equals_reference_on_random_shapes);
    };
    (low_bit $isa:ty, $code:ty, $($test:ident)*) => {$(
        #[test]
        fn $test() {
            $crate::testing::with::<$isa>(stringify!($test), $crate::testing::low_bit::$test::<$isa, $code>);
        }
    )*};
    (stored $isa:ty, $element:ty, $module:ident: $($test:ident)*) => {$(
        #[test]
        fn $test() {
            $crate::testing::with::<$isa>(stringify!($test), $crate::testing::$module::$test::<$isa, $element>);
        }
    )*};
    (MaxPoolI8, $isa:ty) => {
        $crate::testing::tests! { $isa, pools:
            max_pool_equals_reference_on_all_channels_up_to_67
            max_pool_equals_reference_on_random_shapes
        }
    };
    (AvgPoolI8, $isa:ty) => {
        $crate::testing::tests! { $isa, pools:
            avg_pool_equals_reference_on_all_channels_up_to_67
            avg_pool_equals_reference_on_random_shapes
        }
    };
    (AddI8, $isa:ty) => {
        $crate::testing::tests! { $isa, elementwise: add_equals_reference_on_all_tails_of_64 }
    };
    (MulI8, $isa:ty) => {
        $crate::testing::tests! { $isa, elementwise: mul_equals_reference_on_all_tails_of_64 }
    };
    (RescaleI8, $isa:ty) => {
        $crate::testing::tests! { $isa, elementwise: rescale_equals_reference_on_all_tails_of_64 }
    };
    (TableI8, $isa:ty) => {
        $crate::testing::tests! { $isa, elementwise: table_equals_reference_on_all_tails_of_64 }
    };
    (SoftmaxI8, $isa:ty) => {
        $crate::testing::tests! { $isa, elementwise: softmax_equals_reference_on_all_rows_up_to_67 }
    };
    (QuantizeI8, $isa:ty) => {
        $crate::testing::tests! { $isa, quantizers:
            quantize_equals_reference_on_all_tails_of_64
            quantize_finds_nan_at_every_place_up_to_67
        }
    };
    (DequantizeI8, $isa:ty) => {
        $crate::testing::tests! { $isa, quantizers: dequantize_equals_reference_on_all_tails_of_64 }
    };
    (DynamicQuantizeI8, $isa:ty) => {
        $crate::testing::tests! { $isa, quantizers:
            dynamic_quantize_equals_reference_on_all_rows_up_to_67
            dynamic_quantize_refuses_nan_and_infinity_at_every_place_up_to_67
        }
    };
    (Conv2dF32, $isa:ty) => {
        $crate::testing::families!(stored $isa, f32, f32_conv:
            conv2d_equals_reference_on_small_shapes conv2d_equals_reference_across_blocks_of_k);
    };
    (Conv2dF32F16, $isa:ty) => {
        $crate::testing::families!(stored $isa, u16, f32_conv:
            conv2d_equals_reference_on_small_shapes conv2d_equals_reference_across_blocks_of_k);
    };
    (Conv2dF32W8, $isa:ty) => {
        $crate::testing::families!(stored $isa, i8, f32_conv:
            conv2d_equals_reference_on_small_shapes conv2d_equals_reference_across_blocks_of_k);
    };
    (DepthwiseF32, $isa:ty) => {
        $crate::testing::families!(stored $isa, f32, f32_conv:
            depthwise_equals_reference_on_small_shapes depthwise_equals_reference_across_blocks_of_k);
    };
    (DepthwiseF32F16, $isa:ty) => {
        $crate::testing::families!(stored $isa, u16, f32_conv:
            depthwise_equals_reference_on_small_shapes depthwise_equals_reference_across_blocks_of_k);
    };
    (DepthwiseF32W8, $isa:ty) => {
        $crate::testing::families!(stored $isa, i8, f32_conv:
            depthwise_equals_reference_on_small_shapes depthwise_equals_reference_across_blocks_of_k);
    };
    (ConvTranspose2dF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_conv:
            conv_transpose2d_equals_reference_on_small_shapes
            conv_transpose2d_equals_reference_across_blocks_of_k
        }
    };
    (DenseF32, $isa:ty) => {
        $crate::testing::families!(stored $isa, f32, f32_dense:
            dense_equals_reference_on_all_shapes_up_to_33 dense_equals_reference_across_blocks_of_k);
    };
    (DenseF32F16, $isa:ty) => {
        $crate::testing::families!(stored $isa, u16, f32_dense:
            dense_equals_reference_on_all_shapes_up_to_33 dense_equals_reference_across_blocks_of_k);
    };
    (DenseF32W8, $isa:ty) => {
        $crate::testing::families!(stored $isa, i8, f32_dense:
            dense_equals_reference_on_all_shapes_up_to_33 dense_equals_reference_across_blocks_of_k);
    };
    (MatmulF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_dense:
            matmul_equals_reference_on_all_shapes_up_to_33
            matmul_equals_reference_across_blocks_of_k
        }
    };
    (MaxPoolF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_conv: max_pool_equals_reference_on_random_windows }
    };
    (AvgPoolF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_conv: avg_pool_equals_reference_on_random_windows }
    };
    (UnaryF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_elementwise: unary_equals_reference_on_all_tails_of_32 }
    };
    (BinaryF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_elementwise: binary_equals_reference_on_all_tails_of_16 }
    };
    (SoftmaxF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_reduction: softmax_equals_reference_on_all_rows_up_to_33 }
    };
    (LayerNormF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_reduction: layer_norm_equals_reference_on_all_rows_up_to_33 }
    };
    (MatmulI8, $isa:ty) => {
        $crate::testing::tests! { $isa, matmul_i8:
            matmul_equals_reference_on_all_shapes_up_to_17
            matmul_equals_reference_on_long_rows_and_extreme_codes
        }
    };
    (Conv2dI16W8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16:
            conv2d_equals_reference_on_all_tiles
            conv2d_equals_reference_on_windows_and_groups
            conv2d_equals_reference_across_blocks_of_k
        }
    };
    (DepthwiseI16W8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16: depthwise_equals_reference_on_channels_and_windows }
    };
    (DenseI16W8, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16:
            dense_equals_reference_on_all_tiles
            dense_equals_reference_on_extremes_of_long_rows
        }
    };
    (AddI16, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16: add_equals_reference_on_all_tails_of_64 }
    };
    (QuantizeI16, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16:
            quantize_equals_reference_on_all_tails_of_64
            quantize_finds_nan_at_every_place_up_to_67
        }
    };
    (DequantizeI16, $isa:ty) => {
        $crate::testing::tests! { $isa, layers_i16: dequantize_equals_reference_on_every_code }
    };
    (ReduceF32, $isa:ty) => {
        $crate::testing::tests! { $isa, f32_reduction: reduce_equals_reference_on_all_tails_of_16 }
    };
}

/// `tests!(Isa, module: function…)`: a test for each generic function.
macro_rules! tests {
    ($isa:ty, $module:ident: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            $crate::testing::with::<$isa>(stringify!($name), $crate::testing::$module::$name::<$isa>);
        })*
    };
}

pub(crate) use {families, tests};
