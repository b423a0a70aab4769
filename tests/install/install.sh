#!/usr/bin/env bash
# What others get: the library is installed into a fresh prefix, a program is built against it through pkg-config and
# another through CMake, both draw, and the installed command line finds the installed model.
# Usage: install.sh BUILD_DIR SOURCE_DIR CC [CFLAGS...]
set -u
build=${1:?build directory}
source=${2:?source directory}
cc=${3:-cc}
cflags=("${@:4}")
export OMP_WAIT_POLICY=passive # other tests may want the processor too
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
verdict() { # status, what
    if [ "$1" -eq 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $2"; fi
}
is_png() { [ "$(head -c 8 "$1" 2>/dev/null | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ]; }

cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1
verdict $? "cmake --install: $(tail -3 "$work/log")"
headers=$(cd "$work/prefix/include" && find . -type f)
[ "$headers" = ./unclip.h ]
verdict $? "one header is installed, not: $headers"

PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name unclip.pc)")
export PKG_CONFIG_PATH
libraries=$work/prefix/$(cd "$work/prefix" && dirname "$(find . -name 'libunclip.so')")
# shellcheck disable=SC2046
"$cc" "${cflags[@]}" -std=c11 -Wall -Wextra -Werror "$source/host/examples/hello.c" -o "$work/hello" \
    $(pkg-config --cflags --libs unclip)
verdict $? "hello.c through pkg-config"
model=$work/prefix/share/unclip-cuda/solids
LD_LIBRARY_PATH=$libraries "$work/hello" "$model" "a red cube" "$work/hello.png" && is_png "$work/hello.png"
verdict $? "hello draws"

# shellcheck disable=SC2046
"$cc" "${cflags[@]}" -std=c11 -Wall -Wextra -Werror "$source/host/examples/interp.c" -o "$work/interp" \
    $(pkg-config --cflags --libs unclip)
verdict $? "interp.c through pkg-config"
goldens=$source/tests/goldens
(mkdir "$work/frames" && cd "$work/frames" && LD_LIBRARY_PATH=$libraries "$work/interp" "$goldens/models/tiny-a" \
    "$goldens/images/palette.png" "$goldens/images/wide-rgb.png" >/dev/null) && is_png "$work/frames/frame-7.png"
verdict $? "interp draws 8 frames"

mkdir "$work/consumer"
cp "$source/host/examples/hello.c" "$work/consumer"
cat >"$work/consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.22)
project(consumer C)
find_package(unclip 0.1 REQUIRED)
add_executable(hello hello.c)
target_link_libraries(hello PRIVATE unclip::unclip)
END
cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="${cflags[*]}" >"$work/log" 2>&1 && cmake --build "$work/consumer/build" >>"$work/log" 2>&1
verdict $? "a CMake project that uses the package: $(tail -5 "$work/log")"
"$work/consumer/build/hello" "$model" "a red cube" "$work/consumer.png" && cmp -s "$work/hello.png" "$work/consumer.png"
verdict $? "the CMake project draws the same picture"

(cd "$work" && unset UNCLIP_MODEL && prefix/bin/unclip-cuda -q -p "a red cube" -s 7 --size 64 -o cli.png >/dev/null)
verdict $? "the installed program finds the installed model"
[ -f "$work/prefix/share/man/man1/unclip-cuda.1" ]
verdict $? "the manual page is installed"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
