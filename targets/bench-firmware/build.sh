#!/usr/bin/env bash
# usage: build.sh [BOARD …]   (default: every board)
# Builds the bench firmware with the model in SELVEDGE_MODEL, else with the digit classifier of the
# zoo, and prints flash and RAM of each. The emulated board is also run where QEMU is installed, and
# fails where a digest differs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
boards=("$@")
[ ${#boards[@]} -gt 0 ] || boards=(mps2 nrf52840 stm32f411 stm32h743 rp2040)
bash ../setup.sh

if [ -z "${SELVEDGE_MODEL:-}" ]; then
  inputs=${SELVEDGE_INPUTS:-${CARGO_TARGET_DIR:-$here/../../target}/device-inputs}
  if [ ! -f "$inputs/digits.slvg" ]; then
    bash ../device-inputs.sh "$inputs"
  fi
  SELVEDGE_MODEL=$inputs/digits.slvg
fi
SELVEDGE_MODEL=$(realpath "$SELVEDGE_MODEL")
export SELVEDGE_MODEL
# Where `cargo BOARD` in this folder looks, unless another folder is named.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/bench-firmware}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/target}

for board in "${boards[@]}"; do
  target=$(sed -n 's/^target = "\(.*\)"$/\1/p' "boards/$board.toml")
  began=$SECONDS
  ../cross-cargo "$target" build --release --locked --features "$board"
  elf=$CARGO_TARGET_DIR/$target/release/selvedge-bench-firmware
  cp "$elf" "$CARGO_TARGET_DIR/$board.elf"
  size "$CARGO_TARGET_DIR/$board.elf" |
    awk -v board="$board" -v s=$((SECONDS - began)) 'NR == 2 { print board ": flash", $1 + $2, "bytes, RAM without stack", $2 + $3, "bytes, built in", s, "s" }'
done

if [[ " ${boards[*]} " = *" mps2 "* ]]; then
  if command -v qemu-system-arm >/dev/null; then
    timeout 300 ../cross-cargo thumbv7em-none-eabihf run -q --release --locked --features mps2 --config boards/mps2.toml
  else
    echo "NOT TESTED: qemu-system-arm is not installed, the emulated board was not run"
  fi
fi
