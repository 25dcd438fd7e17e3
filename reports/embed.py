"""Writes a C++ source that holds files as text: embed.py OUTPUT FILE..."""
import pathlib
import sys


def main():
    output, files = pathlib.Path(sys.argv[1]), sorted(map(pathlib.Path, sys.argv[2:]), key=lambda path: path.name)
    lines = ['#include "reports/assets.h"', "", "namespace verdict::reports {", "",
             "std::string_view asset(std::string_view name) {"]
    for path in files:
        text = path.read_text()
        if ')asset"' in text:
            sys.exit(f"{path}: holds the end of a raw string")
        lines.append(f'  if (name == "{path.name}") return R"asset({text})asset";')
    lines += ["  return {};", "}", "", "}  // namespace verdict::reports", ""]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines))


main()
