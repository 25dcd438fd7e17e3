"""Records tests/data/interop: plays the script against Apache Kafka and keeps what it answers.

python3 tests/interop/conversations_record.py --program build/release/verdict [--only PART_OF_A_NAME]
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import conversations as c
from conversations_script import conversations

HERE = pathlib.Path(__file__).resolve().parent
# Records carry timestamps of 2023: nothing may expire.
STAGES = {
    "default": {"log.retention.ms": "-1"},
    "strict": {
        "log.retention.ms": "-1",
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "false",
        "num.partitions": "3",
        "message.max.bytes": "2000000",
        "log.retention.hours": "48",
    },
}


def record(player, conversation):
    """The conversation with its answers."""
    player.start()
    steps = []
    for step in conversation["steps"]:
        kept = dict(step)
        if "request" in kept:
            kept["request"] = player.shapes.fill(kept["api"], kept["version"], kept["request"])
        answer = player.step(kept)
        if answer is not None:
            kept["answer"] = answer
        steps.append(kept)
    return {"name": conversation["name"], "stage": conversation["stage"], "steps": steps}


def run_stage(codec, stage, chosen):
    with tempfile.TemporaryDirectory() as folder:
        port, controller_port = c.free_port(), c.free_port()
        properties = c.write_properties(
            folder, port, controller_port, {"offsets.topic.replication.factor": "1", **STAGES[stage]}
        )
        subprocess.run([HERE / "kafka.sh", "format", properties], check=True, stdout=subprocess.DEVNULL)
        with open(pathlib.Path(folder) / "log", "w") as log:
            kafka = subprocess.Popen(
                [HERE / "kafka.sh", "start", properties], stdout=log, stderr=log, start_new_session=True
            )
        try:
            c.wait_until_up(codec, port, kafka, 120)
            player = c.Player(codec, port, controller_port, folder)
            for conversation in chosen:
                try:
                    yield record(player, conversation)
                except (c.Fault, KeyError, OSError) as fault:
                    print(f"not recorded: {conversation['name']}: {type(fault).__name__} {fault}")
            player.end()
        finally:
            os.killpg(kafka.pid, signal.SIGTERM)
            try:
                kafka.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(kafka.pid, signal.SIGKILL)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    codec = c.Codec(options.program)
    chosen = [one for one in conversations() if options.only in one["name"]]
    c.DATA.mkdir(parents=True, exist_ok=True)
    by_file = {}
    for path in sorted(c.DATA.glob("*.json")):
        content = json.loads(path.read_text())
        if options.only and isinstance(content, dict):
            by_file[path.stem] = {one["name"]: one for one in content["conversations"]}
    begun = time.monotonic()
    for stage in STAGES:
        part = [one for one in chosen if one["stage"] == stage]
        for done in run_stage(codec, stage, part) if part else ():
            api = done["steps"][-1].get("api") or done["name"].split()[0]
            first = done["name"].split()[0]
            file = (
                first
                if first in c.KEYS
                else "frames" if "frame" in done["steps"][0] else "CreateTopics" if first == "a" else api
            )
            by_file.setdefault(file, {})[done["name"]] = done
    order = {one["name"]: i for i, one in enumerate(conversations())}
    for file, kept in by_file.items():
        kept = sorted((one for name, one in kept.items() if name in order), key=lambda one: order[one["name"]])
        lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in kept)
        head = json.dumps({"kafka": "4.1.0", "stages": {one["stage"]: STAGES[one["stage"]] for one in kept}})[:-1]
        (c.DATA / f"{file}.json").write_text(f'{head}, "conversations": [\n{lines}\n]}}\n')
    print(f"{sum(map(len, by_file.values()))} conversations, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
