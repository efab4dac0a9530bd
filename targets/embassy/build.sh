#!/usr/bin/env bash
# usage: build.sh
# Builds the example for the nRF52840-DK and for an emulated board, and runs it there where QEMU is
# installed: it fails unless both runs give the same output and the other task had its turns.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
bash ../setup.sh

inputs=${SELVEDGE_INPUTS:-${CARGO_TARGET_DIR:-$here/../../target}/device-inputs}
if [ ! -f "$inputs/digits.slvg" ]; then
  bash ../device-inputs.sh "$inputs"
fi
SELVEDGE_MODEL=$(realpath "$inputs/digits.slvg")
export SELVEDGE_MODEL
# Where `cargo BOARD` in this folder looks, unless another folder is named.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/embassy}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}

../cross-cargo thumbv7em-none-eabihf build --release --locked --features nrf52840
../cross-cargo thumbv7em-none-eabihf build --release --locked --features mps2
if command -v qemu-system-arm >/dev/null; then
  timeout 60 ../cross-cargo thumbv7em-none-eabihf run -q --release --locked --features mps2 --config boards/mps2.toml
else
  echo "NOT TESTED: qemu-system-arm is not installed, the example was not run"
fi
