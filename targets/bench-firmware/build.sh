#!/usr/bin/env bash
# usage: build.sh [BOARD …]   (default: every board)
# Builds the bench firmware with the model in SELVEDGE_MODEL, else with the digit classifier of the
# zoo, and prints flash and RAM of each; the emulated board is also run where QEMU is installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here"
boards=("$@")
[ ${#boards[@]} -gt 0 ] || boards=(mps2 nrf52840 stm32f411 stm32h743 rp2040)
bash ../setup.sh

if [ -z "${SELVEDGE_MODEL:-}" ]; then
  made=$(mktemp -d)
  trap 'rm -rf "$made"' EXIT
  (cd ../.. && cargo run --release --locked -q -p selvedge-cli -- demo --keep "$made" >/dev/null)
  # An unchanged file keeps its time, so that nothing is built again.
  cmp -s "$made/digits_int8.slvg" digits.slvg || cp "$made/digits_int8.slvg" digits.slvg
  export SELVEDGE_MODEL=$here/digits.slvg
fi
export CARGO_TARGET_DIR=${SELVEDGE_FIRMWARE_TARGET_DIR:-$here/target}

for board in "${boards[@]}"; do
  target=$(sed -n 's/^target = "\(.*\)"$/\1/p' "boards/$board.toml")
  began=$SECONDS
  ../cross-cargo "$target" build --release --locked --features "$board"
  elf=$CARGO_TARGET_DIR/$target/release/selvedge-bench-firmware
  cp "$elf" "$CARGO_TARGET_DIR/$board.elf"
  size "$CARGO_TARGET_DIR/$board.elf" |
    awk -v board="$board" -v s=$((SECONDS - began)) 'NR == 2 { print board ": flash", $1 + $2, "bytes, RAM without stack", $2 + $3, "bytes, built in", s, "s" }'
done

emulate() {
  qemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel "$1"
}
if [[ " ${boards[*]} " = *" mps2 "* ]]; then
  if command -v qemu-system-arm >/dev/null; then
    timeout 300 bash -c "$(declare -f emulate); emulate '$CARGO_TARGET_DIR/mps2.elf'"
  else
    echo "NOT TESTED: qemu-system-arm is not installed, the emulated board was not run"
  fi
fi
