//! Codes of the device's operators and of the formats they come in.

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$vmeta:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[repr($repr)]
        pub enum $name { $($(#[$vmeta])* $variant = $code,)* }

        impl $name {
            /// Every code, ascending.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            pub const fn from_code(code: $repr) -> Option<Self> {
                Some(match code { $($code => $name::$variant,)* _ => return None })
            }

            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)* }
            }
        }
    };
}

codes! {
    /// An operator. With a [`Format`] it selects an entry of the op table.
    OpCode: u16 {
        Conv2d = 1,
        DepthwiseConv2d = 2,
        Dense = 3,
        /// Product of two computed matrices.
        MatMul = 4,
        ConvTranspose2d = 5,
        /// Dense with low-rank branches.
        DenseLowRank = 7,
        /// Two convolutions in a row, the value between them never whole.
        ConvPair = 6,
        MaxPool2d = 10,
        AvgPool2d = 11,
        /// Integer addition and subtraction with rescale.
        Add = 12,
        /// Integer product with rescale.
        Mul = 13,
        Softmax = 14,
        /// 256-entry table over int8.
        Table = 15,
        /// Concatenation; int8 inputs may be rescaled.
        Concat = 16,
        /// f32 to int8 on a fixed grid.
        Quantize = 20,
        /// int8 to f32.
        Dequantize = 21,
        /// f32 to int8 and a scale, symmetric, per row.
        DynamicQuantize = 22,
        /// ONNX DynamicQuantizeLinear: f32 to uint8, scale and zero point.
        DynamicQuantizeLinear = 23,
        Cast = 24,
        /// uint8 to int8 and back: the top bit is flipped.
        FlipSign = 25,
        /// f32 to 4 bits, a scale a row and a step for each group.
        DynamicQuantize4 = 26,
        /// Stored 4-bit rows to int8.
        UnpackA4 = 27,
        Reshape = 30,
        Transpose = 31,
        Pad = 32,
        Slice = 33,
        Gather = 34,
        /// Repetition along axes of length 1.
        Expand = 35,
        /// Slices written to computed places of a copy (ONNX ScatterElements, ScatterND).
        Scatter = 36,
        /// Slices read from computed places (ONNX GatherElements, GatherND).
        GatherElements = 37,
        /// The largest or smallest along an axis, with their indices.
        TopK = 38,
        Unary = 40,
        Binary = 41,
        Reduce = 42,
        /// Normalization of the last axis, scaled and shifted.
        LayerNorm = 43,
        /// Normalization of groups of channels, scaled and shifted.
        GroupNorm = 44,
        /// Comparison of two tensors, element by element; gives booleans.
        Compare = 45,
        /// Elements of one of two tensors, as a boolean says.
        Select = 46,
        /// Position of the greatest or least element along an axis.
        ArgReduce = 47,
        /// Running sums or products along an axis.
        CumSum = 48,
        /// Weighted sums of a few cells along one axis (interpolation).
        Resample = 49,
        /// Long short-term memory in one direction.
        Lstm = 50,
        /// Gated recurrent unit in one direction.
        Gru = 51,
        /// Elman recurrent network in one direction.
        Rnn = 52,
        /// Convolution and transposed convolution over three axes, its weights an operand.
        ConvNd = 60,
        /// Maximum over a window of three axes, with its index.
        MaxPoolNd = 61,
        /// Interpolation at computed points.
        GridSample = 62,
        /// Trigonometric and hyperbolic functions and their inverses.
        Trig = 70,
        /// The same bits as another type of the same size.
        BitCast = 71,
    }
}

codes! {
    /// What a step computes on: the weight format of a layer, else the element type.
    Format: u8 {
        /// Moves bytes; any element type.
        Any = 0,
        F32 = 1,
        /// int8 activations, no weights.
        I8 = 2,
        /// Plain integers or booleans of the tensors' own type.
        Int = 3,
        /// int16 activations, no weights.
        I16 = 4,
        /// int8 activations, int8 weights.
        W8 = 16,
        /// int8 activations, 4-bit weights.
        W4 = 17,
        /// int8 activations, 3-bit weights.
        W3 = 18,
        /// int8 activations, 2-bit weights.
        W2 = 19,
        /// int8 activations, ternary weights of 2 bits.
        T2 = 20,
        /// f32 activations, weights in IEEE half.
        F16 = 21,
        /// f32 activations, int8 weights.
        F32W8 = 22,
        /// int16 activations, int8 weights.
        I16W8 = 23,
    }
}
