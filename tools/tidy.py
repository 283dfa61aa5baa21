#!/usr/bin/env python3
"""Tidiness as a test: dead files, forgotten marks, stray words, scripts that are not executable.

Looks at what git tracks (or, without git, at everything outside build/). Exits 1 when something is found.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MARKS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
# Addresses of package registries never enter the repository, also not in lock files.
REGISTRY = re.compile("|".join(["registry" + r"\.", "npm" + "js", "pypi" + r"\.", "crates" + r"\.io", "deb" + r"\.debian"]))
TEXT = {".cc", ".h", ".py", ".sh", ".md", ".cmake", ".txt", ".ts", ".tsx", ".mjs", ".css", ".sql", ".yaml", ".yml", ".json", ""}
MAX_SOURCE_LINES = 520


def tracked():
    try:
        out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        return [ROOT / name for name in out.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        skip = {"build", "node_modules", ".git", ".next", "out"}
        return [p for p in ROOT.rglob("*") if p.is_file() and not skip & set(p.relative_to(ROOT).parts)]


def named_in_cmake(path):
    for folder in [path.parent, *path.parent.parents]:
        cmake = folder / "CMakeLists.txt"
        if cmake.exists() and path.name in cmake.read_text():
            return True
        if folder == ROOT:
            break
    return False


def findings():
    for path in tracked():
        relative = path.relative_to(ROOT)
        if not path.exists() or path.suffix not in TEXT:
            continue
        if relative.parts[:2] == ("fuzz", "corpus"):  # inputs, byte for byte
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if relative.as_posix() != "tools/tidy.py":
            for number, line in enumerate(text.splitlines(), 1):
                if path.suffix != ".json" and MARKS.search(line):
                    yield f"{relative}:{number}: a mark that was left behind: {line.strip()[:80]}"
                if REGISTRY.search(line):
                    yield f"{relative}:{number}: address of a package registry"
        if path.suffix == ".cc" and relative.parts[0] == "src" and not named_in_cmake(path):
            yield f"{relative}: no CMakeLists.txt names it"
        if path.suffix in {".cc", ".h"} and relative.parts[0] == "src":
            lines = text.count("\n")
            if lines > MAX_SOURCE_LINES and "_test" not in path.name:
                yield f"{relative}: {lines} lines, more than {MAX_SOURCE_LINES}; split it"
            if path.suffix == ".h" and not text.startswith("#pragma once"):
                yield f"{relative}: does not start with #pragma once"
        if text.startswith("#!") and path.suffix in {".sh", ".py"} and not path.stat().st_mode & 0o100:
            yield f"{relative}: not executable"
        if not text.endswith("\n") and text and path.suffix not in {".json"}:
            yield f"{relative}: no newline at the end"


def main():
    found = list(findings())
    for line in found:
        print(line)
    print(f"{len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
