"""Writes a C++ source that holds the scenario library: embed.py OUTPUT FILE.json..."""
import json
import pathlib
import sys


def main():
    output, files = sys.argv[1], sorted(map(pathlib.Path, sys.argv[2:]), key=lambda path: path.stem)
    lines = ['#include "scenarios/catalogue.h"', "", "namespace verdict::scenarios {", ""]
    lines.append(f"extern const std::size_t kLibrarySize = {len(files)};")
    lines.append("extern const LibraryEntry kLibrary[] = {")
    for path in files:
        text = path.read_text()
        json.loads(text)
        lines.append(f'    {{"{path.stem}", R"json({text})json"}},')
    if not files:
        lines.append("    {},")
    lines += ["};", "", "}  // namespace verdict::scenarios", ""]
    pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(output).write_text("\n".join(lines))


main()
