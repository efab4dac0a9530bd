#!/usr/bin/env bash
# usage: targets/aarch64.sh [cortex-a72|neoverse-n1|max]…
# Builds the tests of the runtime for AArch64 Linux once and runs them in QEMU on a CPU with NEON
# only, one with sdot, one with sdot and smmla: none skips an instruction set its CPU has. Then
# whole models on each instruction set: the outputs of every step are those of tests/digests.txt, and
# certificates: the records are those made here.
# Models and inputs are written where they are missing (SELVEDGE_INPUTS names another folder).
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
SELVEDGE_INPUTS=${SELVEDGE_INPUTS:-${CARGO_TARGET_DIR:-$PWD/target}/device-inputs}
source "$here/digests.sh"
bash "$here/setup.sh"

cpus=("$@")
((${#cpus[@]})) || cpus=(cortex-a72 neoverse-n1 max)

start=$SECONDS
mapfile -t tests < <(aarch64_build test --no-run --features selvedge/std -p selvedge-core -p selvedge-kernels -p selvedge-exec -p selvedge)
digest_folder=$(aarch64_build build -p selvedge-firmware --features std --bin digest_folder)
certify_folder=$(aarch64_build build -p selvedge-firmware --features std,certify --bin certify_folder)
[ -f "$SELVEDGE_INPUTS/models.txt" ] || bash "$here/device-inputs.sh" "$SELVEDGE_INPUTS"
certified=$(cargo run --locked -q --release -p selvedge-firmware --features std,certify --bin certify_folder -- "$SELVEDGE_INPUTS")
((${#tests[@]} >= 10)) || { echo "tests are missing: ${tests[*]}" >&2; exit 1; }
echo "== built in $((SECONDS - start)) s"

# On the second CPU and later: of the kernels' tests those of the instruction set it adds, of the
# whole models those it adds.
first=1
for cpu in "${cpus[@]}"; do
  start=$SECONDS
  isas=$(aarch64_isas "$cpu")
  added=${isas##* }
  for test in "${tests[@]}"; do
    only=()
    case $(basename "$test") in selvedge_kernels-*) ((first)) || only=("__${added//-/_}" required_isas) ;; esac
    echo "== $cpu: $(basename "$test") ${only[*]}"
    (cd runtime/exec && SELVEDGE_REQUIRE_ISA=${isas// /,} aarch64_emulate "$cpu" "$test" "${only[@]}" --quiet)
  done
  # shellcheck disable=SC2086 # a list of words
  ((first)) && set -- reference portable $isas || set -- "$added"
  aarch64_digests "$digest_folder" "$cpu" "$@"
  diff <(aarch64_emulate "$cpu" "$certify_folder" "$SELVEDGE_INPUTS") - <<<"$certified"
  echo "== $cpu: certificates of the digits have the records made here"
  first=0
  echo "== $cpu took $((SECONDS - start)) s"
done
