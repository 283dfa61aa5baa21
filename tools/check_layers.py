#!/usr/bin/env python3
"""Holds the layers: every #include of a module = DEPS of its aether_module() = the table in ARCHITECTURE.md.

Prints each breach with file and line, and exits 1 when there is one. Run as a test by ctest.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
# The core may not know time, threads, locks or I/O.
PURE = {"cluster", "scheduler", "anomaly", "model", "queueing"}
PURE_FORBIDDEN = re.compile(
    r"(system_clock|steady_clock|high_resolution_clock)::now|\btime\(|\brand\(|std::(thread|mutex|atomic|async)\b"
    r"|\bgetenv\(|#include <(thread|mutex|atomic|fstream|iostream|condition_variable|filesystem)>")
# Third-party headers that a public header may show.
PUBLIC_THIRD_PARTY = {"fmt/format.h", "tl/expected.hpp", "nlohmann/json_fwd.hpp"}
CLI_PARSER_IN_HEADERS = {"client", "apps"}


def modules():
    """name -> (folder, deps, public headers) from the CMakeLists files."""
    found = {}
    for cmake in SRC.rglob("CMakeLists.txt"):
        text = re.sub(r"#.*", "", cmake.read_text())
        for call in re.finditer(r"aether_module\((.*?)\)", text, re.S):
            words = call.group(1).split()
            name, deps, headers, key = words[0], [], set(), None
            for word in words[1:]:
                if word.isupper() and word in {"HEADERS", "SOURCES", "DEPS", "EXTERNAL", "TESTS", "TEST_DEPS", "BENCHES",
                                                "FUZZ", "FUZZ_CORPUS"}:
                    key = word
                elif key == "DEPS":
                    deps.append(word)
                elif key == "HEADERS":
                    headers.add(cmake.parent / word)
            found[name] = (cmake.parent, set(deps), headers)
    return found


def architecture_table():
    """module -> allowed modules, from the table under 'Allowed arrows' in ARCHITECTURE.md."""
    allowed = {}
    in_table = False
    for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines():
        if line.startswith("## "):
            in_table = line.strip() == "## Allowed arrows"
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if in_table and line.startswith("|") and len(cells) >= 2 and not cells[0].startswith(("module", "-")):
            for name in cells[0].replace("`", "").split(","):
                allowed[name.strip()] = {d.strip() for d in cells[1].replace("`", "").split(",") if d.strip()}
    return allowed


def module_of(path, folders):
    for folder in [path.parent, *path.parent.parents]:
        if folder in folders:
            return folders[folder]
    return None


def check_includes(found, folders, breaches):
    for path in sorted(SRC.rglob("*.h")) + sorted(SRC.rglob("*.cc")):
        name = module_of(path, folders)
        if name is None or name.startswith("apps"):
            continue
        is_test = path.name.endswith(("_test.cc", "_bench.cc", "_test.h", "_fuzz.cc")) or "test_" in path.name
        allowed = found[name][1] | {name, "base"}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"{path.relative_to(ROOT)}:{number}"
            if name.split("_")[0] in PURE and not is_test and PURE_FORBIDDEN.search(line):
                breaches.append(f"{where}: the core may not use this: {line.strip()}")
            include = re.match(r'#include "([^"]+)"', line)
            if include:
                target = module_of(SRC / include.group(1), folders)
                if target and target not in allowed and not is_test:
                    breaches.append(f"{where}: {name} includes {include.group(1)} of {target}, which its DEPS do not name")
            third = re.match(r"#include <([a-z0-9_+]+/[^>]+|nats\.h|sqlite3\.h|libpq-fe\.h|xgboost[^>]*)>", line)
            if third and path in found[name][2]:
                header = third.group(1)
                if header.startswith(("sys/", "netinet/", "arpa/", "linux/")) or header in PUBLIC_THIRD_PARTY:
                    continue
                if header.startswith("CLI/") and name in CLI_PARSER_IN_HEADERS:
                    continue
                breaches.append(f"{where}: third-party header <{header}> in a public header")


def check_table(found, breaches):
    allowed = architecture_table()
    for name, (folder, deps, _) in sorted(found.items()):
        key = name if name in allowed else None
        if key is None:
            breaches.append(f"{folder.relative_to(ROOT)}/CMakeLists.txt: {name} is not in the table of ARCHITECTURE.md")
            continue
        if "all" in allowed[key]:
            continue
        for dep in sorted(deps - allowed[key]):
            breaches.append(f"{folder.relative_to(ROOT)}/CMakeLists.txt: {name} depends on {dep}, the table does not allow it")
    for name in sorted(set(allowed) - set(found) - {"apps"}):
        breaches.append(f"ARCHITECTURE.md: the table names {name}, which no aether_module() builds")


def main():
    found = modules()
    folders = {folder: name for name, (folder, _, _) in found.items()}
    breaches = []
    check_includes(found, folders, breaches)
    check_table(found, breaches)
    for breach in breaches:
        print(breach)
    print(f"{len(found)} modules, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
