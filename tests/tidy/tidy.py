#!/usr/bin/env python3
"""Style as a test. Prints `file:line: rule: message` for each finding; exit code 1 if there is one.

    tidy.py [FILE...]            all tracked and new files of the repository, or those named
    tidy.py --lower              lowers the ratchet to today's lengths (it never adds an entry)

A finding is excused, with its reason, by `// tidy: allow RULE: reason` on its line or the line above. Functions over 70
lines stand in ratchet.json with their length, which may only fall.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import cpp
import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATCHET = pathlib.Path(__file__).with_name("ratchet.json")
SUFFIXES = (".cpp", ".h", ".py", ".cmake", ".sh", ".properties", "CMakeLists.txt", "/run", "verdict")
# What conversations say is a table, written as one.
SKIPPED = ("tests/data/", "reports/vendor/", "tests/fuzz/corpus/", "tests/interop/conversations_script")


def repository_files():
    try:
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive
        listed = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
                  if path.parts[len(ROOT.parts)] not in ("build", "out", ".git")
                  and not path.parts[len(ROOT.parts)].startswith("verdict-data")]
    return sorted(name for name in listed
                  if name.endswith(SUFFIXES) and not name.startswith(SKIPPED) and (ROOT / name).is_file())


def ratchet_findings(ratchet, names):
    """Entries that are longer than their function is by now: the ratchet must fall with it."""
    lengths = {}
    for name in {key.rpartition(":")[0] for key in ratchet} & set(names):
        source = cpp.Source(name, (ROOT / name).read_text())
        for function, start, end in cpp.functions(source.without_preprocessor()):
            key = f"{name}:{function}"
            lengths[key] = max(lengths.get(key, 0), source.line_of(end) - source.line_of(start) + 1)
    for key, limit in ratchet.items():
        if lengths.get(key, 0) < limit:
            yield key, lengths.get(key, 0)


def main():
    parser = argparse.ArgumentParser(description="Style as a test")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--lower", action="store_true", help="lower the ratchet to today's lengths")
    options = parser.parse_args()
    ratchet = json.loads(RATCHET.read_text())
    everything = repository_files()
    if options.lower:
        for key, length in list(ratchet_findings(ratchet, everything)):
            if length > rules.FUNCTION_LIMIT:
                ratchet[key] = length
            else:
                del ratchet[key]
        RATCHET.write_text(json.dumps(ratchet, indent=2, sort_keys=True) + "\n")
        return 0
    names = everything
    if options.files:
        names = [str(pathlib.Path(name).resolve().relative_to(ROOT)) for name in options.files]
    count = 0
    for name in names:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = None
        found = [(1, "encoding", "not UTF-8")] if text is None else rules.check(name, text, ratchet)
        for line, rule, message in found:
            print(f"{name}:{line}: {rule}: {message}")
        count += len(found)
    if not options.files:
        for key, length in ratchet_findings(ratchet, everything):
            print(f"tests/tidy/ratchet.json:1: ratchet: {key} has {length} lines by now: run tidy.py --lower")
            count += 1
    print(f"{len(names)} files, {count} findings", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
