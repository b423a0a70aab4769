"""Prints the folders of Python's packages that have what a CUDA toolkit lacks of cuDNN and cuBLASLt, separated by ';'.

    python nvidia_roots.py TOOLKIT
"""
import glob
import os
import sys

WANTED = {"cudnn.h": "libcudnn.so*", "cublasLt.h": "libcublasLt.so*"}


def has(folder, header, library):
    return os.path.exists(f"{folder}/include/{header}") and any(
        glob.glob(f"{folder}/{lib}/{library}") for lib in ("lib", "lib64"))


def main():
    toolkit = sys.argv[1]
    candidates = [folder for path in sys.path for folder in sorted(glob.glob(f"{path}/nvidia/*"))]
    found = []
    for header, library in WANTED.items():
        if has(toolkit, header, library):
            continue
        found += [folder for folder in candidates if has(folder, header, library)][:1]
    print(";".join(dict.fromkeys(found)))


main()
