#!/usr/bin/env python3
"""Holds deploy/: the alert rules by promtool, and every metric that rules and dashboard name against the agent's own list.

Exits 77 (skipped) without promtool, after the checks that need none. Run as a test by ctest.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy/prometheus/aether.rules.yml"
RULES_TEST = ROOT / "deploy/prometheus/aether.rules_test.yml"
DASHBOARD = ROOT / "deploy/grafana/aether_gpus.json"
NAME = re.compile(r"\b(?:aether|DCGM)_[A-Za-z0-9_]+")


def main():
    written = set(NAME.findall((ROOT / "src/agent/metrics_text.cc").read_text()))
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [str(variable["query"]) for variable in dashboard["templating"]["list"]]
    rules = re.findall(r"expr:(.*?)\n\s+(?:for|labels):", RULES.read_text(), re.S)
    failed = False
    for origin, texts in (("dashboard", queries), ("rules", rules)):
        for text in texts:
            for name in sorted(set(NAME.findall(text)) - written):
                print(f"{origin}: {name} is not written by src/agent/metrics_text.cc")
                failed = True
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        print("dashboard: two panels have the same id")
        failed = True
    if failed:
        return 1
    if not shutil.which("promtool"):
        print("no promtool here (Debian package prometheus): the rules are not tried")
        return 77
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(RULES_TEST)]):
        if subprocess.run(["promtool", *command], stdout=subprocess.DEVNULL).returncode != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
