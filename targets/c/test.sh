#!/usr/bin/env bash
# Builds the static library, links C and C++ programs with it and runs them: on this host, and on a
# Cortex-M4F in QEMU. What cannot be tested for want of a tool is said aloud.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR=$target_dir
out=$target_dir/c-check
mkdir -p "$out"

have() { command -v "$1" >/dev/null 2>&1; }
untested() { echo "NOT TESTED: $*"; }
warnings=(-Wall -Wextra -Werror -pedantic -O1 -g)
sources=(common.c digits.c)

# library DESTINATION OPS [cargo arguments]: the static library with these ops.
library() {
  local destination=$1 ops=$2; shift 2
  echo "c: building $(basename "$destination")"
  SELVEDGE_OPS=$ops "$@"
}

# program NAME COMMAND …: runs a program; it must print what the Rust façade computed.
program() {
  local name=$1; shift
  "$@" > "$out/$name.txt" || { cat "$out/$name.txt" >&2; echo "$name: failed" >&2; exit 1; }
  diff "$out/expected.txt" "$out/$name.txt" || { echo "$name: output differs from the Rust façade's" >&2; exit 1; }
  echo "c: $name: $(wc -l < "$out/$name.txt") lines equal to the Rust façade's, every bad input gave its status"
}


# The whole workspace, so that dependencies have the features they have in the other tests.
cargo build --quiet --locked --workspace --example digits_for_c
"$target_dir/debug/examples/digits_for_c" "$out"
ops=$(cat "$out/digits.ops")
build=(rustc --quiet --locked -p selvedge-c --crate-type staticlib --profile staticlib)
freestanding=(--no-default-features --features panic-handler)
# Every op but those that compute in f32.
int8='Conv2d<W8>,DepthwiseConv2d<W8>,Dense<W8>,Add<I8>,Mul<I8>,MaxPool2d<I8>,AvgPool2d<I8>,Table<I8>,Softmax<I8>,Concat<I8>'
int8+=',Quantize<F32>,Dequantize<I8>,DynamicQuantize<F32>,DynamicQuantizeLinear<F32>,FlipSign<Any>,Cast<Any>,Reshape<Any>'
int8+=',Transpose<Any>,Concat<Any>,Pad<Any>,Slice<Any>,Gather<Any>'

host_programs() {
  local libraries=() compiler language name
  library "$out/libhost.a" "" cargo "${build[@]}"
  cp "$target_dir/staticlib/libselvedge_c.a" "$out/libhost.a"
  library "$out/libfree.a" "$ops" cargo "${build[@]}" "${freestanding[@]}"
  cp "$target_dir/staticlib/libselvedge_c.a" "$out/libfree.a"
  library "$out/libless.a" "Quantize<F32>" cargo "${build[@]}" "${freestanding[@]}"
  cp "$target_dir/staticlib/libselvedge_c.a" "$out/libless.a"
  # What Rust's standard library asks for on Linux; the freestanding library asks for nothing.
  [ "$(uname -s)" != Linux ] || libraries=(-lpthread -ldl -lm)

  for compiler in "${CC:-cc}" "${CXX:-c++}"; do
    have "$compiler" || { untested "host programs with $compiler: not installed"; continue; }
    language=(-std=c99)
    [ "$compiler" != "${CXX:-c++}" ] || language=(-x c++ -std=c++11)
    name=host-$(basename "$compiler")
    compile() { "$compiler" "${language[@]}" "${warnings[@]}" -I "$here/include" -I "$out" "$@"; }
    local programs=("${sources[@]/#/$here/check/}" "$here/check/host.c")
    compile "${programs[@]}" -x none "$out/libhost.a" "${libraries[@]}" -o "$out/$name"
    program "$name" "$out/$name"
    compile "${programs[@]}" -x none "$out/libfree.a" -o "$out/$name-freestanding"
    program "$name-freestanding" "$out/$name-freestanding"
    compile -DNOT_LINKED "${programs[@]}" -x none "$out/libless.a" -o "$out/$name-not-linked"
    "$out/$name-not-linked"
    if compile -fsanitize=address,undefined "${programs[@]}" -x none "$out/libhost.a" "${libraries[@]}" \
        -o "$out/$name-asan" 2>"$out/asan.log"; then
      program "$name-asan" "$out/$name-asan"
    else
      untested "$compiler with the address sanitizer: see $out/asan.log"
    fi
    if have valgrind; then
      program "$name-valgrind" valgrind --quiet --error-exitcode=1 --leak-check=full "$out/$name-freestanding"
    else
      untested "$name under valgrind: not installed"
    fi
  done
}

# no_allocator ELF: nothing that allocates is linked.
no_allocator() {
  local names
  names=$(arm-none-eabi-nm "$1" 2>/dev/null)
  if grep -E ' (malloc|calloc|realloc|free|_?sbrk|__rust_alloc.*|__rdl_.*|__rg_.*)$' <<< "$names"; then
    echo "$1: an allocator is linked" >&2; exit 1
  fi
  echo "c: $(basename "$1"): no allocator is linked"
}

# no_panic ELF: the linker has found no way to the panic handler, which ends in selvedge_panic.
no_panic() {
  local names
  names=$(arm-none-eabi-nm "$1")
  if grep -E ' selvedge_panic$|core9panicking|rust_begin_unwind|panic_(fmt|bounds_check|nounwind)|[a-z]_failed' <<< "$names"; then
    echo "$1: a panic can be reached" >&2; exit 1
  fi
  echo "c: $(basename "$1"): no panic can be reached"
}

firmware() {
  local target=thumbv7em-none-eabihf second=()
  local machine=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
  local link=(-nostdlib -T "$here/check/an386.ld" -Wl,--gc-sections -Wl,-z,noexecstack)
  local tool
  for tool in arm-none-eabi-gcc qemu-system-arm; do
    have "$tool" || { untested "the Cortex-M4F firmware: $tool is not installed"; return; }
  done
  library "$out/libm4.a" "$ops" "$here/../cross-cargo" $target "${build[@]}" "${freestanding[@]}"
  cp "$target_dir/$target/staticlib/libselvedge_c.a" "$out/libm4.a"
  library "$out/libm4-less.a" "Quantize<F32>" "$here/../cross-cargo" $target "${build[@]}" "${freestanding[@]}"
  cp "$target_dir/$target/staticlib/libselvedge_c.a" "$out/libm4-less.a"
  library "$out/libm4-int8.a" "$int8" "$here/../cross-cargo" $target "${build[@]}" "${freestanding[@]}"
  cp "$target_dir/$target/staticlib/libselvedge_c.a" "$out/libm4-int8.a"
  if rustc --edition 2024 -O -C panic=abort --crate-type staticlib --target $target "$here/check/second_library.rs" \
      -o "$out/libsecond.a" 2>"$out/second.log"; then
    second=("$out/libsecond.a")
  else
    untested "two Rust libraries in one firmware: see $out/second.log"
  fi
  compile() {
    arm-none-eabi-gcc "${machine[@]}" -std=c99 "${warnings[@]}" -ffreestanding -ffunction-sections -fdata-sections -I "$here/include" -I "$out" \
      "${sources[@]/#/$here/check/}" "$here/check/firmware.c" "$@"
  }
  emulate() {
    timeout 60 qemu-system-arm -M mps2-an386 -display none -monitor none -serial none -icount shift=0 \
      -chardev stdio,id=text -semihosting-config enable=on,target=native,chardev=text -kernel "$1"
  }
  compile "$out/libm4.a" "${link[@]}" -o "$out/m4.elf"
  compile -DNOT_LINKED "$out/libm4-less.a" "${link[@]}" -o "$out/m4-less.elf"
  no_allocator "$out/m4.elf"
  no_allocator "$out/m4-less.elf"
  compile "$out/libm4-int8.a" "${link[@]}" -o "$out/m4-int8.elf"
  no_panic "$out/m4-int8.elf"
  no_panic "$out/m4.elf"
  no_panic "$out/m4-less.elf"
  arm-none-eabi-size "$out/m4.elf" "$out/m4-less.elf"
  program m4 emulate "$out/m4.elf"
  if ((${#second[@]})); then
    compile -DSECOND_LIBRARY "${second[@]}" "$out/libm4.a" "${link[@]}" -o "$out/m4-second.elf"
    program m4-second emulate "$out/m4-second.elf"
  fi
  emulate "$out/m4-less.elf"
}

host_programs
firmware
echo "c: done"
