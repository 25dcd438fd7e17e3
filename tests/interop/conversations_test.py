"""Plays the recorded conversations against our broker: the same frames get the answers that Apache Kafka gave.

python3 tests/interop/conversations_test.py --build build/release [--only PART_OF_A_NAME] [--program PROGRAM]
"""

import argparse
import json
import pathlib
import re
import sys
import tempfile

import conversations as c
from conversations_nodes import Nodes


def load():
    """Conversations and their stages' properties, in the order of the recording."""
    stages, found = {}, []
    for path in sorted(c.DATA.glob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            stages.update(content["stages"])
            found += content["conversations"]
    return stages, sorted(found, key=lambda one: "all topics" not in one["name"])


def known_differences():
    """Names in KNOWN_DIFFERENCES.md, each in backquotes at the start of its line."""
    path = c.DATA / "KNOWN_DIFFERENCES.md"
    return set(re.findall(r"^- `(.+?)`", path.read_text(), re.M)) if path.exists() else set()


def play(player, conversation):
    """What differs, a line each."""
    player.nodes.revive()
    player.start()
    for i, step in enumerate(conversation["steps"]):
        answer = player.step(step)
        found = list(c.differences(step.get("answer"), answer))
        if found:
            what = step.get("api", "") + (f" v{step['version']}" if "version" in step else "")
            return [f"step {i + 1} ({what}): {line}" for line in found]
    return []


def run_stage(program, codec, properties, chosen):
    def command(verb, path):
        if verb == "format":
            return [program, "storage", "format", "--cluster-id", c.CLUSTER_ID, "--config", path]
        return [program, "serve", path]

    with tempfile.TemporaryDirectory() as folder, Nodes(codec, folder, properties, command) as nodes:
        player = c.Player(codec, nodes)
        for conversation in chosen:
            try:
                yield conversation, play(player, conversation)
            except (c.Fault, KeyError, OSError) as fault:
                yield conversation, [f"{type(fault).__name__}: {fault}"]
            if ended := nodes.ended():
                print(ended)
                return
        player.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=c.ROOT / "build/release")
    parser.add_argument("--program")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    program = pathlib.Path(options.program or options.build / "verdict").resolve()
    if not program.exists():
        print(f"skipped: there is no {program}\n0 passed, 0 failed, 1 skipped")
        return 0
    stages, found = load()
    chosen = [one for one in found if options.only in one["name"]]
    codec = c.Codec(program)
    passed, skipped, known = 0, 0, known_differences()
    for stage, properties in stages.items():
        part = [one for one in chosen if one["stage"] == stage]
        for conversation, lines in run_stage(program, codec, properties, part) if part else ():
            if lines and conversation["name"] in known:
                skipped += 1
                print(f"skipped {conversation['name']}: a known difference")
                continue
            if conversation["name"] in known:
                lines = ["it agrees by now: take it out of KNOWN_DIFFERENCES.md"]
            passed += not lines
            if lines:
                print(f"FAIL {conversation['name']}\n" + "\n".join("  " + line for line in lines), flush=True)
    codec.close()
    failed = len(chosen) - passed - skipped  # those that were not played, too
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
