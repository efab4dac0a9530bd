//! Oracle: the Rust façade.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

use fixture::{Fixture, inspect, name};
use selvedge::AlignedBuf;
use selvedge_c::*;
use selvedge_zoo::digits;

mod fixture;
mod support;

#[test]
fn classes_and_output_bytes_equal_the_facade_on_64_images() {
    for artifact in [support::artifact(), support::artifact_i8()] {
        let mut fixture = Fixture::of(artifact.clone());
        assert_eq!(fixture.init(), Status::OK);
        for (i, (class, bytes)) in support::expected(&artifact, 64).into_iter().enumerate() {
            assert_eq!(fixture.write(&digits::test_set().image(i)), Status::OK);
            assert_eq!(fixture.run(), Status::OK);
            let mut found = u32::MAX;
            // SAFETY: the fixture holds the memory.
            assert_eq!(unsafe { selvedge_argmax(fixture.session(), 0, &mut found) }, Status::OK);
            assert_eq!((found, fixture.output()), (class, Ok(bytes)), "image {i}");
        }
    }
}

#[test]
fn int8_copies_are_the_quantized_input_and_the_output_bytes() {
    let mut fixture = Fixture::of(support::artifact_i8());
    assert_eq!(fixture.init(), Status::OK);
    let info = fixture.input_info();
    assert_eq!((info.dtype, info.quantized, info.bytes), (2, 1, 64));
    let image = digits::test_set().image(7);
    let quantize = |x: f32| ((x / info.scale).round_ties_even() + info.zero_point as f32).clamp(-128.0, 127.0) as i8;
    let input = image.map(quantize);
    let mut output = [0i8; digits::CLASSES];
    // SAFETY: the arrays are what their lengths say.
    unsafe {
        assert_eq!(selvedge_write_i8(fixture.session(), 0, input.as_ptr(), input.len()), Status::OK);
        assert_eq!(fixture.run(), Status::OK);
        assert_eq!(selvedge_read_i8(fixture.session(), 0, output.as_mut_ptr(), output.len()), Status::OK);
        assert_eq!(selvedge_read_i8(fixture.session(), 0, output.as_mut_ptr(), 9), Status::WRONG_LENGTH);
    }
    assert_eq!(fixture.write(&image), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert_eq!(fixture.output(), Ok(output.map(|q| q as u8).to_vec()));
}

#[test]
fn a_stepped_run_gives_the_bytes_of_a_whole_one_for_budgets_1_to_4() {
    let mut fixture = Fixture::ready();
    let (_, expected) = support::expected(&support::artifact(), 1).remove(0);
    for budget in 1..=4 {
        assert_eq!(fixture.write(&digits::test_set().image(0)), Status::OK);
        let mut progress = SelvedgeProgress { done: 0, next_step: 0, steps: 0 };
        let mut calls = 0;
        while progress.done == 0 {
            // SAFETY: the fixture holds the memory.
            assert_eq!(unsafe { selvedge_run_steps(fixture.session(), budget, &mut progress) }, Status::OK);
            calls += 1;
            assert_eq!(progress.next_step, progress.steps.min(calls * budget));
            if progress.done == 0 {
                assert_eq!(fixture.output(), Err(Status::BUSY));
                assert_eq!(fixture.run(), Status::BUSY);
                assert_eq!(fixture.write(&[0.0; 64]), Status::BUSY);
                assert_eq!(fixture.error().step, progress.next_step as i32);
            }
        }
        assert_eq!(fixture.output(), Ok(expected.clone()), "budget {budget}");
    }
}

#[test]
fn a_reset_frees_inputs_and_leaves_no_outputs() {
    let mut fixture = Fixture::ready();
    assert_eq!(fixture.write(&[0.5; 64]), Status::OK);
    let mut progress = SelvedgeProgress { done: 1, next_step: 9, steps: 0 };
    // SAFETY: the fixture holds the memory.
    assert_eq!(unsafe { selvedge_run_steps(fixture.session(), 0, &mut progress) }, Status::OK);
    assert_eq!((progress.done, progress.next_step), (0, 0));
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_reset(fixture.session()) }, Status::OK);
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.write(&[0.5; 64]), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert!(fixture.output().is_ok());
}

#[test]
fn outputs_hold_from_a_run_to_the_next_write() {
    let mut fixture = Fixture::ready();
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.run(), Status::NOT_WRITTEN);
    assert_eq!(fixture.write(&[0.0; 64]), Status::OK);
    assert_eq!(fixture.run(), Status::OK);
    assert!(fixture.output().is_ok());
    assert_eq!(fixture.run(), Status::NOT_WRITTEN, "the run has used the input up");
    assert!(fixture.output().is_ok());
    assert_eq!(fixture.write(&[0.0; 64]), Status::OK);
    assert_eq!(fixture.output(), Err(Status::NOT_RUN));
    assert_eq!(fixture.error(), SelvedgeError { status: Status::NOT_RUN, step: -1, op: 0, format: 0, detail: 0 });
}

#[test]
fn memory_of_tensors_is_that_of_the_copies() {
    let mut fixture = Fixture::ready();
    let (mut data, mut bytes) = (null_mut::<c_void>(), 0);
    let image = digits::test_set().image(3);
    assert_eq!(fixture.write(&image), Status::OK);
    // SAFETY: the fixture holds the memory.
    assert_eq!(unsafe { selvedge_input_data(fixture.session(), 0, &mut data, &mut bytes) }, Status::OK);
    assert_eq!(bytes, fixture.input_info().bytes as usize);
    assert_eq!(fixture.run(), Status::OK);
    let (mut read, mut length) = (null::<c_void>(), 0);
    // SAFETY: as above.
    assert_eq!(unsafe { selvedge_output_data(fixture.session(), 0, &mut read, &mut length) }, Status::OK);
    // SAFETY: the library gave pointer and length.
    let found = unsafe { std::slice::from_raw_parts(read.cast::<u8>(), length) }.to_vec();
    assert_eq!(fixture.output(), Ok(found));
}

#[test]
fn real_values_are_those_of_the_output_grid() {
    for artifact in [support::artifact(), support::artifact_i8()] {
        let mut fixture = Fixture::of(artifact);
        assert_eq!(fixture.init(), Status::OK);
        assert_eq!(fixture.write(&digits::test_set().image(5)), Status::OK);
        assert_eq!(fixture.run(), Status::OK);
        let info = fixture.output_info();
        let mut values = [0.0; digits::CLASSES];
        // SAFETY: the fixture holds the memory.
        assert_eq!(unsafe { selvedge_read_f32(fixture.session(), 0, values.as_mut_ptr(), values.len()) }, Status::OK);
        assert_eq!((info.elements, info.rank, &info.dims[..2]), (10, 2, &[1, 10][..]));
        let bytes = fixture.output().expect("read");
        let expected: Vec<f32> = if info.quantized == 1 {
            bytes.iter().map(|q| (i32::from(*q as i8) - info.zero_point) as f32 * info.scale).collect()
        } else {
            bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        assert_eq!(values.to_vec(), expected);
    }
}

#[test]
fn artifact_info_is_that_of_the_file_and_damage_fails_the_digest() {
    let mut artifact = support::artifact();
    let info = inspect(&artifact);
    assert_eq!((info.version_major, info.total_bytes as usize, info.alignment), (1, artifact.len(), 16));
    assert_eq!((info.inputs, info.outputs), (1, 1));
    let verify = |bytes: &[u8]| {
        // SAFETY: the slice is what its length says.
        unsafe { selvedge_artifact_verify(bytes.as_ptr().cast(), bytes.len()) }
    };
    assert_eq!(verify(&artifact), Status::OK);
    let last = artifact.len() - 1;
    artifact[last] ^= 1;
    assert_eq!(verify(&artifact), Status::DIGEST_MISMATCH);
}

#[test]
fn an_artifact_may_be_longer_than_it_says() {
    let mut fixture = Fixture::new();
    let mut flash = fixture.artifact.to_vec();
    flash.resize(flash.len() + 4096, 0xff);
    fixture.artifact = AlignedBuf::from(&flash[..]);
    assert_eq!(fixture.init(), Status::OK);
}

#[test]
fn names_are_text() {
    assert_eq!(name(Status::OK), "SELVEDGE_OK");
    assert_eq!(name(Status::BAD_SESSION), "SELVEDGE_BAD_SESSION");
    assert_eq!(name(Status(9999)), "SELVEDGE_UNKNOWN_STATUS");
    // SAFETY: constants that end in NUL.
    let (version, dtype) = unsafe { (CStr::from_ptr(selvedge_version()), CStr::from_ptr(selvedge_dtype_name(2))) };
    assert_eq!((version.to_str(), dtype.to_str()), (Ok(env!("CARGO_PKG_VERSION")), Ok("i8")));
    let mut text = [b'x'; 48];
    let mut op = |op, format, bytes| {
        // SAFETY: the array is longer than any length used here.
        let status = unsafe { selvedge_op_name(op, format, text.as_mut_ptr().cast(), bytes) };
        let text = CStr::from_bytes_until_nul(&text).map_or("", |t| t.to_str().expect("ASCII"));
        (status, text.to_string())
    };
    assert_eq!(op(1, 16, 10), (Status::WRONG_LENGTH, String::new()));
    assert_eq!(op(1, 16, 11), (Status::OK, "Conv2d<W8>".into()));
    assert_eq!(op(999, 16, 48), (Status::OK, "?<W8>".into()));
    assert_eq!(selvedge_abi_version(), ABI_VERSION);
}
