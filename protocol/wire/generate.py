#!/usr/bin/env python3
"""messages/*.json -> C++: structs (a header for each API or record family), descriptor tables, and
straight codecs of the hot ones.

usage: generate.py MESSAGES_DIR OUTPUT_DIR        prints the .cpp files that it wrote, one a line

A file whose text hasn't changed is left untouched, so that nothing is rebuilt for it; one that is no longer generated
is removed. Python's standard library only."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
from generator import headers, model, straight, tables  # noqa: E402

TABLE_UNITS = 6


def main():
    messages = model.load(sys.argv[1])
    folder = Path(sys.argv[2])
    files = headers.headers(messages)
    files |= straight.straight(messages)
    files |= tables.tables(messages, straight.names(messages), TABLE_UNITS)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for name, text in sorted(files.items()):
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    print("\n".join(str(folder / name) for name in sorted(files) if name.endswith(".cpp")))


if __name__ == "__main__":
    main()
