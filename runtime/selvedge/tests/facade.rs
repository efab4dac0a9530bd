//! The macros of the façade, on artifacts made by hand. `empty.slvg`: one int8 input of two
//! elements that is also the output, no step. `split.slvg` and `split.weights`: two elements
//! through a table that gives −1 − q; input in a first region of 16 bytes, output and the staged
//! table in the second.
use selvedge::{AlignedBuf, Arena, Artifact, ErrorKind, Session, StagedSession, ops};

selvedge::model!(
    /// An artifact without steps.
    pub mod empty = "empty.slvg"
);

#[test]
fn model_embeds_aligned_bytes_and_the_arena_size() {
    assert_eq!(empty::BYTES.as_ptr() as usize % 64, 0);
    assert_eq!(empty::BYTES, include_bytes!("empty.slvg"));
    let mut arena = Arena::<{ empty::ARENA_BYTES }>::new();
    let model = Artifact::parse(empty::BYTES).unwrap();
    model.verify_digest().unwrap();
    assert_eq!(model.arena_bytes(), empty::ARENA_BYTES);
    let mut session = Session::with_ops(model, &mut arena, ops![]).unwrap();
    session.input(0).unwrap().copy_from_i8(&[3, -4]).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [3, -4]);
    assert_eq!(session.output(0).unwrap().argmax(), 0);
}

selvedge::model!(mod built = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/empty.slvg"));

#[test]
fn model_takes_a_path_known_when_the_crate_is_built() {
    assert_eq!((built::BYTES, built::ARENA_BYTES), (empty::BYTES, empty::ARENA_BYTES));
}

selvedge::model!(mod split = "split.slvg", #[unsafe(link_section = ".external")] weights = "split.weights");
selvedge::model!(mod head = "split.slvg", weights = elsewhere);

#[test]
fn model_embeds_a_split_artifact_for_two_regions() {
    assert_eq!(
        (split::REGION_BYTES, split::ARENA_BYTES, empty::REGION_BYTES),
        ([16, 272], 288, [empty::ARENA_BYTES, 0])
    );
    assert_eq!((split::WEIGHTS.as_ptr() as usize % 64, split::HEAD.as_ptr() as usize % 64), (0, 0));
    let mut fast = Arena::<{ split::REGION_BYTES[0] }>::new();
    let mut slow = Arena::<{ split::REGION_BYTES[1] }>::new();
    let model = Artifact::parse_split(split::HEAD, split::WEIGHTS).unwrap();
    model.verify_digest().unwrap();
    let mut session = Session::with_regions(model, [&mut fast, &mut slow], ops![Table<I8>]).unwrap();
    session.input(0).unwrap().copy_from_i8(&[3, -4]).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [-4, 3]);
}

#[test]
fn model_embeds_a_head_whose_weights_are_read_step_by_step() {
    let mut fast = Arena::<{ head::REGION_BYTES[0] }>::new();
    let mut slow = Arena::<{ head::REGION_BYTES[1] }>::new();
    let model = Artifact::parse_head(head::HEAD).unwrap();
    let mut session = StagedSession::new(model, [&mut fast, &mut slow], ops![Table<I8>], split::WEIGHTS).unwrap();
    session.verify_digest().unwrap();
    session.input(0).unwrap().copy_from_i8(&[3, -4]).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [-4, 3]);
    assert_eq!(Artifact::parse(head::HEAD).unwrap_err().kind(), ErrorKind::Truncated);
}

#[test]
fn an_arena_is_a_constant() {
    static ARENA: std::sync::Mutex<Arena<32>> = std::sync::Mutex::new(Arena::new());
    let arena = &mut *ARENA.lock().unwrap();
    assert_eq!((arena.as_mut_slice().len(), arena.as_ptr() as usize % 64), (32, 0));
}

#[test]
fn tables_hold_what_is_named_in_any_order_and_format() {
    let table = ops![
        Conv2d<W8>,
        Conv2d<F32>,
        DepthwiseConv2d<W8>,
        DepthwiseConv2d<F32>,
        Dense<W8>,
        Dense<F32>,
        MatMul<F32>,
        ConvTranspose2d<F32>,
        MaxPool2d<I8>,
        MaxPool2d<F32>,
        AvgPool2d<I8>,
        AvgPool2d<F32>,
        Add<I8>,
        Mul<I8>,
        Softmax<I8>,
        Softmax<F32>,
        Table<I8>,
        Concat<I8>,
        Concat<Any>,
        Quantize<F32>,
        Dequantize<I8>,
        DynamicQuantize<F32>,
        DynamicQuantizeLinear<F32>,
        Cast<Any>,
        FlipSign<Any>,
        Reshape<Any>,
        Transpose<Any>,
        Pad<Any>,
        Slice<Any>,
        Gather<Any>,
        Unary<F32>,
        Binary<F32>,
        Reduce<F32>,
        ConvPair<W8>,
        GroupNorm<I8>,
        GroupNorm<F32>,
        Expand<Any>,
        Scatter<Any>,
        GatherElements<Any>,
        TopK<Any>,
        Resample<F32>,
        ConvNd<F32>,
        MaxPoolNd<Any>,
        GridSample<F32>,
        Conv2d<F16>,
        DepthwiseConv2d<F16>,
        Dense<F16>,
        Conv2d<F32W8>,
        DepthwiseConv2d<F32W8>,
        Dense<F32W8>,
        Conv2d<I16W8>,
        DepthwiseConv2d<I16W8>,
        Dense<I16W8>,
        Add<I16>,
        Quantize<I16>,
        Dequantize<I16>,
        Lstm<F32>,
        Gru<F32>,
        Rnn<F32>,
        Lstm<W8>,
        Gru<W8>,
        Conv2d<W4>,
        DepthwiseConv2d<W4>,
        Dense<W4>,
        Conv2d<W3>,
        DepthwiseConv2d<W3>,
        Dense<W3>,
        Conv2d<W2>,
        DepthwiseConv2d<W2>,
        Dense<W2>,
        Conv2d<T2>,
        DepthwiseConv2d<T2>,
        Dense<T2>,
        DenseLowRank<W8>,
        DenseLowRank<W4>,
        DenseLowRank<W3>,
        DenseLowRank<W2>,
        DenseLowRank<T2>,
        DynamicQuantize4<F32>,
        UnpackA4<I8>,
        LayerNorm<F32>,
        MatMul<I8>,
        Gather<W8>,
        Unary<Int>,
        Binary<Int>,
        Reduce<Int>,
        Compare<F32>,
        Compare<Int>,
        Select<Any>,
        ArgReduce<F32>,
        ArgReduce<Int>,
        CumSum<F32>,
        CumSum<Int>,
        Trig<F32>,
        BitCast<Any>,
    ];
    assert_eq!(table.len(), selvedge::op::ALL.len());
    let all = |t: &[selvedge::OpEntry]| {
        let mut codes: Vec<_> = t.iter().map(|e| (e.code as u16, e.format as u8)).collect();
        codes.sort_unstable();
        codes
    };
    assert_eq!(all(table), all(selvedge::op::ALL));
}

#[test]
fn bytes_from_a_file_are_aligned_first() {
    let file = [&[0u8][..], empty::BYTES].concat();
    let copy = AlignedBuf::from(&file[1..]);
    let model = Artifact::parse(&copy).unwrap();
    let mut arena = AlignedBuf::zeroed(model.arena_bytes());
    assert!(Session::new(model, &mut arena).is_ok());
    assert_eq!(Session::new(model, &mut arena[..8]).unwrap_err().kind(), ErrorKind::ArenaTooSmall);
}
