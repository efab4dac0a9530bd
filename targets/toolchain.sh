# Where a target's standard library comes from. Sourced.

# has_library TARGET: rustup has installed it. SELVEDGE_NO_RUSTUP_TARGETS=1 says no for all, so that
# the way without rustup can be tested on any machine.
has_library() {
  [ -z "${SELVEDGE_NO_RUSTUP_TARGETS:-}" ] &&
    compgen -G "$(rustc --print target-libdir --target "$1" 2>/dev/null)/libcore-*.rlib" >/dev/null
}
