#!/usr/bin/env bash
# usage: targets/run.sh [--bin digest|count|table|clock|errors|log|infer]… [--models NAME,NAME…] [--bless] [BOARD…]
# Builds the firmware for each board, runs it in QEMU and prints what it prints:
#   digest  outputs of every step, compared with tests/digests.txt
#   count   instructions of set-up, steps and whole runs
#   table   a row a model: instructions, set-up, flash of code and model, arena, stack
#   clock   the counter notices a clock that is not the expected one (Cortex-M)
#   errors  each documented error code, and a sound model after it
#   log     a stepped run, logged with defmt and decoded here (Cortex-M)
#   infer   the class of the first input
# Without --bin: digest and count's totals on every board, the others on the Cortex-M4.
# Board m0 is the Cortex-M0 build on the machine of an385: QEMU's own M0 has 16 KiB of RAM. Board
# host is this machine: the digests on each of its instruction sets.
# Models and inputs are written where they are missing (SELVEDGE_INPUTS names another folder);
# --inputs writes them again, --bless also tests/digests.txt, with the reference kernels.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
base=$(realpath -m "${CARGO_TARGET_DIR:-target}")
SELVEDGE_INPUTS=$(realpath -m "${SELVEDGE_INPUTS:-$base/device-inputs}")
export SELVEDGE_INPUTS
source "$here/boards.sh"

bins=() boards=() models= inputs= bless=
[ -f "$SELVEDGE_INPUTS/models.txt" ] || inputs=1
while (($#)); do
  case $1 in
    --bin) bins+=("$2"); shift 2 ;;
    --models) models=$2; shift 2 ;;
    --inputs) inputs=1; shift ;;
    --bless) inputs=1 bless=1; shift ;;
    -h | --help) sed -n "2,/^set/{/^#/p}" "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) sed -n '2,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    *) boards+=("$1"); shift ;;
  esac
done
((${#boards[@]})) || boards=(host "${BOARDS[@]}")
[ -z "$inputs" ] || cargo run --locked -q -p selvedge-tests --bin device_inputs -- "$SELVEDGE_INPUTS"
[ -z "$bless" ] || cargo run --locked -q -p selvedge-tests --bin digests -- --bless

# compare WHO: the digests printed are those of the file, all inputs of each model.
compare() {
  local lines models
  lines=$(cat)
  if ! diff <(echo "$lines") <(grep -Fx "$lines" tests/digests.txt) >&2; then
    echo "$1: these digests are not in tests/digests.txt" >&2
    exit 1
  fi
  models=$(cut -d ' ' -f 1 <<<"$lines" | uniq)
  if (($(wc -l <<<"$lines") != 8 * $(wc -w <<<"$models"))); then
    echo "$1: digests are missing" >&2
    exit 1
  fi
  echo "$1: the outputs of every step equal tests/digests.txt for 8 inputs each of" $models
}

# Models that the board has room for. The build refuses the others and says why; so does this.
fitting() {
  if [ "$board" != microbit ] || [ -n "$models" ]; then
    echo "$models"
    return
  fi
  local refused
  refused=$(build digest "" 2>&1 | sed -n 's/^error: .*: \(.* does not fit .*\)/\1/p' || true)
  echo "$refused" >&2
  grep -Fvxf <(cut -d ' ' -f 1 <<<"$refused") "$SELVEDGE_INPUTS/models.txt" | paste -sd,
}

# Bytes of flash that are neither model nor input: what a program with this one model links.
code_flash() {
  local image=$1 model=$2 total=0 size
  for size in $(readelf -SW "$image" | sed 's/^ *\[ *[0-9]*\]//' | awk '$2 == "PROGBITS" && $7 ~ /A/ { print $5 }'); do
    total=$((total + 16#$size))
  done
  echo $((total - $(stat -c %s "$SELVEDGE_INPUTS/$model.slvg") - $(stat -c %s "$SELVEDGE_INPUTS/$model.inputs") / 8))
}

# Digests on the instruction sets of this machine; one that its CPU lacks is an error.
host() {
  local isa isas=(reference portable) start=$SECONDS
  case $(uname -m) in
    x86_64) isas+=(avx2) ;;
    aarch64 | arm64) isas+=(neon) ;;
  esac
  echo "== host: digest"
  cargo build --locked -q --release -p selvedge-firmware --features std --bin digest_folder
  for isa in "${isas[@]}"; do
    SELVEDGE_ISA=$isa "$base/release/digest_folder" "$SELVEDGE_INPUTS" | compare "host, $isa"
  done
  echo "== host: digest took $((SECONDS - start)) s"
}

table() {
  local name setup run arena artifact stack code macs image deepest=0
  printf '%-11s %10s %7s %8s %6s %8s %7s %6s\n' \
    "$board" run per-MAC set-up code model arena stack
  while read -r _ name _ setup _ run _ arena _ artifact _ stack; do
    code=-
    if [ "${1:-}" = code ]; then
      image=$(build infer "$name")
      no_allocator "$image"
      code=$(code_flash "$image" "$name")
    fi
    macs=$(cat "$SELVEDGE_INPUTS/$name.macs")
    printf '%-11s %10d %7s %8d %6s %8d %7d %6d\n' "$name" "$run" \
      "$(awk "BEGIN { printf \"%.2f\", $run / $macs }")" "$setup" "$code" "$artifact" "$arena" "$stack"
    deepest=$((stack > deepest ? stack : deepest))
  done < <(grep '^model ')
  echo "$board: deepest stack $deepest bytes"
}

# No allocator is linked.
no_allocator() {
  if readelf -sW "$1" | grep -E ' (__rust_alloc|__rg_alloc|__rdl_alloc|malloc|calloc|realloc|_sbrk)'; then
    echo "$1 links an allocator" >&2
    exit 1
  fi
}

# A clock of two nanoseconds an instruction: the firmware refuses to count.
wrong_clock() {
  local image said
  image=$(build count "$chosen")
  if said=$(SELVEDGE_ICOUNT=1 emulate "$image" 2>&1) || ! grep -q 'the counter is off' <<<"$said"; then
    echo "$board: a wrong clock is not noticed: $said" >&2
    exit 1
  fi
  echo "$board: with a clock twice as slow: $said"
}

log() {
  local image
  image=$(build log "$chosen")
  (cd "$here/defmt-decode" && CARGO_TARGET_DIR=$base/defmt-decode cargo build --locked -q)
  emulate "$image" | "$base/defmt-decode/debug/selvedge-defmt-decode" "$image"
}

part() {
  local bin=$1 start=$SECONDS
  describe "$board"
  echo "== $board: $bin"
  case $bin in
    digest) emulate "$(build digest "$chosen")" | compare "$board" ;;
    count) emulate "$(build count "$chosen")" ;;
    totals) emulate "$(build count "$chosen")" | table ;;
    table) emulate "$(build count "$chosen")" | table code ;;
    clock) wrong_clock ;;
    log) log ;;
    errors) emulate "$(build errors digits)" ;;
    infer) emulate "$(build infer "$chosen")" ;;
    *) echo "no binary $bin" >&2; exit 2 ;;
  esac
  echo "== $board: $bin took $((SECONDS - start)) s"
}

for board in "${boards[@]}"; do
  if [ "$board" = host ]; then host; continue; fi
  describe "$board"
  chosen=$(fitting)
  if ((${#bins[@]})); then
    for bin in "${bins[@]}"; do part "$bin"; done
  elif [ "$board" = an386 ]; then
    for bin in digest table clock errors log; do part "$bin"; done
  else
    for bin in digest totals; do part "$bin"; done
  fi
done
