//! Recurrent layers in one direction.

/// The cell of a recurrent layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Gates i, o, f, c.
    Lstm,
    /// Gates z, r, h.
    Gru,
    Rnn,
}

impl CellKind {
    /// Rows of weights for each hidden value.
    pub fn gates(self) -> usize {
        match self {
            CellKind::Lstm => 4,
            CellKind::Gru => 3,
            CellKind::Rnn => 1,
        }
    }
}

/// Activations of ONNX's recurrent operators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    Relu,
    Tanh,
    Sigmoid,
    Affine { alpha: f32, beta: f32 },
    LeakyRelu { alpha: f32 },
    ThresholdedRelu { alpha: f32 },
    ScaledTanh { alpha: f32, beta: f32 },
    HardSigmoid { alpha: f32, beta: f32 },
    Elu { alpha: f32 },
    Softsign,
    Softplus,
}

/// A recurrent layer. Inputs: x `[steps, batch, input]`, constant weights `[gates·hidden, input]`, recurrent weights
/// `[gates·hidden, hidden]`, bias `[gates·hidden]` (the sum of both of ONNX), recurrent bias of a linear
/// GRU's h `[hidden]`, peepholes `[3·hidden]`, then states before the first step h, c `[batch, hidden]` and
/// lengths of the sequences i32 `[batch]`. Outputs: h after each step `[steps, batch, hidden]` (with
/// `sequence`), h after the last, c after the last (LSTM).
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    pub cell: CellKind,
    pub hidden: usize,
    pub reverse: bool,
    /// f, g, h of ONNX; those that the cell has not are [`Activation::Tanh`].
    pub activations: [Activation; 3],
    pub clip: Option<f32>,
    /// LSTM: f = 1 − i.
    pub input_forget: bool,
    /// GRU: the reset gate scales the product with the recurrent weights.
    pub linear_before_reset: bool,
    pub sequence: bool,
    /// How h and c are stored where the layer runs in int8.
    pub int8: Option<Int8Cell>,
    /// Input 1 holds everything from the weights to the peepholes in one computed value `[n]`, the
    /// others are left out.
    pub live: Option<LiveWeights>,
}

/// Grids inside of an int8 layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Int8Cell {
    /// Of h, whose zero point is 0.
    pub scale: f32,
    /// Fraction bits of c, an i16.
    pub cell_bits: u32,
}

/// What is behind the bias of weights that are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveWeights {
    pub recurrent_bias: bool,
    pub peepholes: bool,
}

impl Recurrent {
    pub const WEIGHTS: usize = 1;
    pub const RECURRENT: usize = 2;
    pub const BIAS: usize = 3;
    pub const RECURRENT_BIAS: usize = 4;
    pub const PEEPHOLES: usize = 5;
    pub const STATE_H: usize = 6;
    pub const STATE_C: usize = 7;
    pub const LENGTHS: usize = 8;
}
