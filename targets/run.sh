#!/usr/bin/env bash
# usage: targets/run.sh [--bin digest|count|table|panic_free|clock|certify|errors|kernels|layers|log|infer|paris|regions|stream]… [--models NAME,NAME…] [--bless] [BOARD…]
# Builds the firmware for each board, runs it in QEMU and prints what it prints:
#   digest  outputs of every step, compared with tests/digests.txt
#   count   instructions of set-up, steps and whole runs
#   table   a row a model: instructions, set-up, flash of code and model, arena, stack; a figure
#           past targets/limits.txt is an error
#   clock   the counter notices a clock that is not the expected one (Cortex-M)
#   certify certificates of three digits: the records are those made on this machine
#   errors  each documented error code, and a sound model after it
#   kernels every int8 kernel of the core's instruction set against its reference (Cortex-M)
#   layers  instructions of single layers with weights of 8 bits and of fewer
#   log     a stepped run, logged with defmt and decoded here (Cortex-M)
#   paris   estimates of the particle smoother: the bits are those of this machine
#   stream  instructions of a frame of each model that keeps state, where the board has room for it;
#           --models of streams.txt beside the inputs (an386, an547)
#   infer   the class of the first input
#   regions a model from a fast and a slow memory, with split and with staged weights (an386, an547)
#   panic_free  links, for each int8 model, a program in which no panic is reachable
# Without --bin: digest and count's totals on every board, kernels and regions on the M4 and the M55,
# certify on m0, the M4 and riscv, paris on the M4, panic_free on m0, an386, an547 and riscv, the others on the M4.
# Board m0 is the Cortex-M0 build on the machine of an385: QEMU's own M0 has 16 KiB of RAM. Board
# host is this machine, board aarch64 its emulated CPUs with NEON only, with sdot, with smmla: digests
# on each of their instruction sets. The digests of all boards are counted again at the end.
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
source "$here/digests.sh"
source "$here/toolchain.sh"

bins=() boards=() models= inputs= bless=
[ -f "$SELVEDGE_INPUTS/models.txt" ] && [ -f "$SELVEDGE_INPUTS/regions.txt" ] && [ -f "$SELVEDGE_INPUTS/streams.txt" ] || inputs=1
while (($#)); do
  case $1 in
    --bin) bins+=("$2"); shift 2 ;;
    --models) models=$2; shift 2 ;;
    --inputs) inputs=1; shift ;;
    --bless) inputs=1 bless=--bless; shift ;;
    -h | --help) sed -n "2,/^set/{/^#/p}" "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) sed -n '2,/^set/{/^#/p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    *) boards+=("$1"); shift ;;
  esac
done
((${#boards[@]})) || boards=(host aarch64 "${BOARDS[@]}")
[ "${boards[*]}" = host ] || bash "$here/setup.sh"
[ -z "$inputs" ] || bash "$here/device-inputs.sh" "$SELVEDGE_INPUTS" $bless

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

# within NAME FIGURE VALUE LIMIT SEEN: neither past the limit nor 3 % past what was seen; `-` is none.
within() {
  local name=$1 figure=$2 value=$3 limit=$4 seen=$5
  if [ "$value" != - ] && [ "$limit" != - ] && ((value > limit)); then
    echo "$board, $name: $figure is $value, the limit $limit" >&2
    return 1
  fi
  if [ "$value" != - ] && [ "$seen" != - ] && ((value > seen + seen * 3 / 100)); then
    echo "$board, $name: $figure is $value, more than 3 % past the $seen of targets/limits.txt" >&2
    return 1
  fi
}

# The firmware is built with the compiler of targets/limits.txt: others give other figures.
compiler_of_limits() {
  has_library "$target" && [[ "$(rustc --version)" == "$(sed -n 's/^compiler //p' "$here/limits.txt")".* ]]
}

# kept NAME RUN SET-UP CODE STACK: all figures are.
kept() {
  local name=$1 value=("${@:2}") figure=(run set-up code stack) limit seen i kept=0
  read -ra limit < <(awk -v b="$board" -v n="$name" '$1 == "limit" && $2 == b && $3 == n' "$here/limits.txt") || limit=()
  seen=()
  if compiler_of_limits; then
    read -ra seen < <(awk -v b="$board" -v n="$name" '$1 == "seen" && $2 == b && $3 == n' "$here/limits.txt") || seen=()
  fi
  for i in 0 1 2 3; do
    within "$name" "${figure[i]}" "${value[i]}" "${limit[i + 3]:--}" "${seen[i + 3]:--}" || kept=1
  done
  return "$kept"
}

aarch64() {
  local cpu isas start=$SECONDS digest_folder
  echo "== aarch64: digest"
  digest_folder=$(aarch64_build build -q -p selvedge-firmware --features std --bin digest_folder)
  for cpu in cortex-a72 neoverse-n1; do
    isas=$(aarch64_isas "$cpu")
    aarch64_digests "$digest_folder" "$cpu" "${isas##* }"
  done
  read -ra isas <<<"$(aarch64_isas max)"
  aarch64_digests "$digest_folder" max "${isas[@]}"
  echo "== aarch64: digest took $((SECONDS - start)) s"
}

table() {
  local name setup run arena artifact stack code macs image deepest=0 kept=0
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
    kept "$name" "$run" "$setup" "$code" "$stack" || kept=1
  done < <(grep '^model ')
  echo "$board: deepest stack $deepest bytes"
  return "$kept"
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

# Links and runs, for each model, the program that cannot be linked if it can panic.
panic_free() {
  local names name image
  IFS=, read -ra names <<<"${chosen:-$(paste -sd, "$SELVEDGE_INPUTS/models.txt")}"
  for name in "${names[@]}"; do
    if grep -qE '(Conv2d|ConvTranspose2d|Dense|MatMul|Pool2d|Softmax|Unary|Binary|Reduce)<F32>' "$SELVEDGE_INPUTS/$name.ops"; then
      echo "$board: $name is left out: its f32 kernels index their slices"
      continue
    fi
    echo "$board: linking $name" # an undefined symbol is a panic that can be reached
    image=$(build panic_free "$name")
    emulate "$image"
    echo "$board: no panic is reachable with $name"
  done
}

# One model from every layout of memory; the digests of each are those of the file.
regions() {
  local image said layout
  image=$(build regions "$(cat "$SELVEDGE_INPUTS/regions.txt")")
  said=$(emulate "$image")
  for layout in one regions split staged; do
    sed -n "s/^$layout //p" <<<"$said" | compare "$board, $layout"
  done
  grep '^total ' <<<"$said"
}

# The records of certificates made here and there are the same bytes.
certificates() {
  local said here_said
  cargo build --locked -q --release -p selvedge-firmware --features std,certify --bin certify_folder
  here_said=$("$base/release/certify_folder" "$SELVEDGE_INPUTS")
  said=$(emulate "$(build certify digits)")
  if [ "$(grep '^certify ' <<<"$said")" != "$here_said" ]; then
    printf '%s: other certificates than here:\n%s\nhere:\n%s\n' "$board" "$said" "$here_said" >&2
    exit 1
  fi
  echo "$said"
}

# The estimates of the particle smoother here and there are the same bits.
particles() {
  local said here_said
  cargo build --locked -q --release -p selvedge-firmware --features std,denoise --bin paris_here
  here_said=$("$base/release/paris_here" | grep '^paris ')
  said=$(emulate "$(build paris digits)")
  if [ "$(grep '^paris ' <<<"$said")" != "$here_said" ]; then
    printf '%s: other estimates than here:\n%s\nhere:\n%s\n' "$board" "$said" "$here_said" >&2
    exit 1
  fi
  sed -n '/^paris mean/,$p' <<<"$said"
}

# A frame of each model that keeps state, in an image of its own; what has no room is named with its bytes.
streams() {
  local names name image
  IFS=, read -ra names <<<"${chosen:-$(paste -sd, "$SELVEDGE_INPUTS/streams.txt")}"
  for name in "${names[@]}"; do
    if image=$(build stream "$name" 2>&1); then
      emulate "$(tail -n 1 <<<"$image")"
    elif ! grep -o "$name does not fit .*" <<<"$image"; then
      echo "$image" >&2
      exit 1
    fi
  done
}

# Runs a program with the models chosen: in one image, where flash is scarce in one each.
emulated() {
  local names name image
  IFS=, read -ra names <<<"$chosen"
  [ "$board" = microbit ] || names=("$chosen")
  for name in "${names[@]}"; do
    image=$(build "$1" "$name")
    emulate "$image"
  done
}

part() {
  local bin=$1 start=$SECONDS
  describe "$board"
  echo "== $board: $bin"
  case $bin in
    digest) emulated digest | compare "$board" ;;
    count) emulated count ;;
    totals) emulated count | table ;;
    table) emulate "$(build count "$chosen")" | table code ;;
    clock) wrong_clock ;;
    log) log ;;
    certify) certificates ;;
    paris) particles ;;
    errors) emulate "$(build errors digits)" ;;
    layers) emulate "$(build layers digits)" ;;
    kernels) emulate "$(build kernels digits)" ;;
    infer) emulate "$(build infer "$chosen")" ;;
    panic_free) panic_free ;;
    regions) regions ;;
    stream) streams ;;
    *) echo "no binary $bin" >&2; exit 2 ;;
  esac
  echo "== $board: $bin took $((SECONDS - start)) s"
}

for board in "${boards[@]}"; do
  if [ "$board" = host ] || [ "$board" = aarch64 ]; then "$board"; continue; fi
  describe "$board"
  chosen=$(fitting)
  if ((${#bins[@]})); then
    for bin in "${bins[@]}"; do part "$bin"; done
  elif [ "$board" = an386 ]; then
    for bin in digest table clock errors certify paris kernels log regions panic_free; do part "$bin"; done
  elif [ "$board" = an547 ]; then
    for bin in digest totals kernels regions panic_free; do part "$bin"; done
  elif [ "$board" = m0 ] || [ "$board" = riscv ]; then
    for bin in digest totals certify panic_free; do part "$bin"; done
  else
    for bin in digest totals; do part "$bin"; done
  fi
done
