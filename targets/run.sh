#!/usr/bin/env bash
# usage: targets/run.sh [--bin digest|count] [--models NAME,NAME…] [BOARD…]
# Builds the firmware for each board, runs it in QEMU and prints what it prints. Without --bin:
# digest, compared with tests/digests.txt, then count. Without boards: all of them.
# m0 is the Cortex-M0 build on the machine of an385; nothing else of QEMU's M0 has the memory.
# The inputs are written once; SELVEDGE_INPUTS names another folder, --inputs writes them again.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
base=${CARGO_TARGET_DIR:-$PWD/target}
export SELVEDGE_INPUTS=${SELVEDGE_INPUTS:-$base/device-inputs}
bins=() boards=() models=
while (($#)); do
  case $1 in
    --bin) bins+=("$2"); shift 2 ;;
    --models) models=$2; shift 2 ;;
    --inputs) rm -rf "$SELVEDGE_INPUTS"; shift ;;
    -*) sed -n 2,6p "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    *) boards+=("$1"); shift ;;
  esac
done
((${#bins[@]})) || bins=(digest count)
((${#boards[@]})) || boards=(m0 microbit an385 an386 an500 an505 an547 riscv)
if [ ! -f "$SELVEDGE_INPUTS/models.txt" ]; then
  cargo run --locked -q -p selvedge-tests --bin device_inputs -- "$SELVEDGE_INPUTS"
fi

# Sets target, machine, feature, cpu of a board.
describe() {
  feature=$1 cpu= crate=cortex-m
  case $1 in
    m0)       target=thumbv6m-none-eabi        machine=mps2-an385 feature=an385 ;;
    microbit) target=thumbv6m-none-eabi        machine=microbit ;;
    an385)    target=thumbv7m-none-eabi        machine=mps2-an385 ;;
    an386)    target=thumbv7em-none-eabihf     machine=mps2-an386 ;;
    an500)    target=thumbv7em-none-eabihf     machine=mps2-an500 ;;
    an505)    target=thumbv8m.main-none-eabihf machine=mps2-an505 cpu=cortex-m33 ;;
    an547)    target=thumbv8m.main-none-eabihf machine=mps3-an547 cpu=cortex-m55 ;;
    riscv)    target=riscv32imc-unknown-none-elf machine=virt feature= crate=riscv ;;
    *) echo "no board $1: m0 microbit an385 an386 an500 an505 an547 riscv" >&2; exit 2 ;;
  esac
}

# Builds one binary for the board described; prints the path of the image.
build() {
  local dir=$base/firmware${cpu:+/$cpu}
  (
    cd "$here/$crate"
    export CARGO_TARGET_DIR=$dir SELVEDGE_MODELS=$models
    [ -z "$cpu" ] || export RUSTFLAGS="-C target-cpu=$cpu"
    "$here/cross-cargo" "$target" build --locked -q --release ${feature:+--features "$feature"} --bin "$1" >&2
  )
  echo "$dir/$target/release/$1"
}

emulate() {
  local emulator=qemu-system-arm
  [ "$crate" = cortex-m ] || emulator="qemu-system-riscv32 -bios none"
  timeout "${SELVEDGE_QEMU_TIMEOUT:-120}" $emulator -M "$machine" -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -icount shift=0 -kernel "$1"
}

# The digests printed are those of the file, all inputs of each model.
compare() {
  local lines models
  lines=$(cat)
  if ! diff <(echo "$lines") <(grep -Fx "$lines" tests/digests.txt) >&2; then
    echo "$board: these digests are not in tests/digests.txt" >&2
    exit 1
  fi
  models=$(cut -d ' ' -f 1 <<<"$lines" | uniq)
  if (($(wc -l <<<"$lines") != 8 * $(wc -w <<<"$models"))); then
    echo "$board: digests are missing" >&2
    exit 1
  fi
  echo "$board: the outputs of every step equal tests/digests.txt for 8 inputs each of" $models
}

for board in "${boards[@]}"; do
  describe "$board"
  for bin in "${bins[@]}"; do
    start=$SECONDS
    chosen=$models
    if [ "$board" = microbit ] && [ -z "$models" ]; then
      # What does not fit is refused with the byte counts; go on with the rest.
      refused=$(build "$bin" 2>&1 | sed -n 's/^error: .*: \(.* does not fit .*\)/\1/p' || true)
      echo "$refused"
      models=$(grep -Fvxf <(cut -d ' ' -f 1 <<<"$refused") "$SELVEDGE_INPUTS/models.txt" | paste -sd,)
    fi
    image=$(build "$bin")
    echo "== $board: $bin"
    if [ "$bin" = digest ]; then emulate "$image" | compare; else emulate "$image"; fi
    echo "== $board: $bin took $((SECONDS - start)) s"
    models=$chosen
  done
done
