#!/usr/bin/env bash
# usage: targets/device-inputs.sh FOLDER [--bless]
# Writes the models and inputs of the boards into FOLDER; with --bless also tests/digests.txt, with the
# reference kernels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(realpath -m "$1")
# An example of the workspace beside the program makes Cargo choose the features of `cargo test
# --workspace`: after the tests nothing is compiled again.
cargo build --locked -q --workspace --bin device_inputs --bin digests --example digits_for_c
"${CARGO_TARGET_DIR:-target}/debug/device_inputs" "$folder"
[ "${2:-}" != --bless ] || "${CARGO_TARGET_DIR:-target}/debug/digests" --bless
