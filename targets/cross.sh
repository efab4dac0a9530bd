#!/usr/bin/env bash
# The cross suite: tools, then every board of run.sh but the AArch64 CPUs (aarch64.sh) with the models
# that this machine has. Prints what each part took. SELVEDGE_BOARDS chooses boards.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
source "$here/boards.sh"
source "$here/toolchain.sh"
base=$(realpath -m "${CARGO_TARGET_DIR:-target}")

part() {
  local name=$1 start=$SECONDS; shift
  "$@"
  echo "cross: $name took $((SECONDS - start)) s"
}

check() {
  local models=${SELVEDGE_INPUTS:-$base/device-inputs} features=$feature warnings=(-D warnings)
  if ! has_library "$target"; then
    echo "NOT TESTED: $crate without warnings, as the distribution's clippy is of another version"
    warnings=()
  fi
  [ "$1" = riscv ] || features+=,defmt,regions
  (cd "$here/$1" && cargo fmt --check &&
    SELVEDGE_INPUTS=$models SELVEDGE_MODELS=digits CARGO_TARGET_DIR=$base/firmware \
      "$here/cross-cargo" "$target" clippy -q --locked --release ${features:+--features "$features"} -- "${warnings[@]}")
}

# Crates that no firmware here uses: they build for processors without a standard library all the same.
bare() {
  local target
  for target in thumbv6m-none-eabi thumbv7em-none-eabihf riscv32imc-unknown-none-elf; do
    CARGO_TARGET_DIR=$base/firmware "$here/cross-cargo" "$target" build -q --locked --release -p "selvedge-$1"
  done
}

part "tools" bash "$here/setup.sh"
# shellcheck disable=SC2086 # a list of words
part "boards" bash "$here/run.sh" --inputs ${SELVEDGE_BOARDS:-host ${BOARDS[*]}}
for board in an386 riscv; do
  describe "$board"
  part "lints of $crate" check "$crate"
done
part "denoising without an allocator" bare denoise
part "lints of the log decoder" bash -c "cd '$here/defmt-decode' && cargo fmt --check &&
  CARGO_TARGET_DIR='$base/defmt-decode' cargo clippy -q --locked -- -D warnings"
