#!/usr/bin/env bash
# Packs the libraries that a build with all its tests needs and that a GPU machine may lack: jansson, libpng, zlib,
# utf8proc, stb and Criterion with what it stands on, as headers and shared libraries. Run it on a Debian 12 (or older)
# machine that has the packages; the folder then serves any x86-64 Linux with at least that glibc. FOLDER.tar.gz is the
# same, half as large.
#
#   bench/gpu-bundle.sh FOLDER [--wheels] [--programs BUILD]
#       --wheels    also diffusers 0.33.1, for the comparison with its modules
#       --programs  also what was built in BUILD for the GPU's architecture, so that nothing is compiled where minutes
#                   cost: cmake -B BUILD -DCMAKE_BUILD_TYPE=Release -DUNCLIP_ONEDNN=OFF -DUNCLIP_CUDA=ON
#                         -DCMAKE_CUDA_ARCHITECTURES=90-real, targets as in bench/gpu.sh
#   cmake -DCMAKE_PREFIX_PATH=FOLDER ...       bench/gpu.sh does this and more by itself when told where the folder is
set -euo pipefail
folder=${1:?folder}
wheels= programs=
shift
while [ $# -gt 0 ]; do
    case $1 in
    --wheels) wheels=yes ;;
    --programs) programs=${2:?a build folder} && shift ;;
    *) echo "$1: there is no such option" >&2; exit 2 ;;
    esac
    shift
done
mkdir -p "$folder/include" "$folder/lib"
folder=$(realpath "$folder")
cc=${CC:-cc}

# The file that `#include <$1>` finds.
header_path() {
    local found
    found=$(printf '#include <%s>\n' "$1" | "$cc" -E -M -x c - | tr ' \\' '\n\n' | grep -m 1 "/$1\$") ||
        { echo "$1 is missing on this machine" >&2; return 1; }
    echo "$found"
}

copy_header() {
    mkdir -p "$(dirname "$folder/include/$1")"
    cp -L "$(header_path "$1")" "$folder/include/$1"
}

soname() { objdump -p "$1" | awk '/SONAME/ { print $2 }'; }

# A library under its SONAME; with a second argument also under the name that the linker looks for.
copy_library() {
    local name
    name=$(soname "$1")
    cp -L "$1" "$folder/lib/$name"
    [ -z "${2-}" ] || ln -sf "$name" "$folder/lib/lib$2.so"
}

# What a library needs, without what every glibc machine has.
dependencies() {
    ldd "$1" | awk '$3 ~ /^\// { print $3 }' |
        grep -Ev '/(libc|libm|libdl|librt|libpthread|libresolv|libgcc_s|libstdc\+\+)\.so' || true
}

for header in jansson.h jansson_config.h png.h pngconf.h pnglibconf.h zlib.h zconf.h utf8proc.h \
    stb/stb_image_write.h; do
    copy_header "$header"
done
cp -rL "$(dirname "$(header_path criterion/criterion.h)")" "$folder/include/"
for library in jansson png z utf8proc criterion; do
    path=$("$cc" -print-file-name="lib$library.so")
    [ -e "$path" ] || { echo "lib$library.so is missing on this machine" >&2; exit 1; }
    copy_library "$path" "$library"
    dependencies "$path" | while read -r needed; do copy_library "$needed"; done
done
if [ -n "$wheels" ]; then
    python3 -m pip download -q --no-deps --only-binary=:all: -d "$folder/wheels" diffusers==0.33.1
fi
if [ -n "$programs" ]; then
    mkdir -p "$folder/bin"
    cp "$programs"/bin/* "$folder/bin/"
    strip "$folder"/bin/*
    cp -P "$programs"/lib/libunclip.so* "$folder/lib/"
    sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$programs/CMakeCache.txt" >"$folder/source.txt"
fi
{ "$cc" --version | head -1; ldd --version | head -1; ls "$folder/lib"; } >"$folder/contents.txt"
tar -C "$(dirname "$folder")" -czf "$folder.tar.gz" "$(basename "$folder")"
du -sh "$folder" "$folder.tar.gz"
