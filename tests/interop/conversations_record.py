"""Records tests/data/interop: plays the script against Apache Kafka and keeps what it answers.

python3 tests/interop/conversations_record.py --program build/release/verdict [--only PART_OF_A_NAME] [--stage STAGE]
"""

import argparse
import json
import pathlib
import tempfile
import time

import conversations as c
from conversations_nodes import Nodes
from conversations_script import conversations

HERE = pathlib.Path(__file__).resolve().parent
# What coordinators need where there is one broker only.
ONE_BROKER = {
    "offsets.topic.num.partitions": "5",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
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
    "coordinators": {"log.retention.ms": "-1", **ONE_BROKER},
    **dict.fromkeys(
        ("groups", "lists", "consumers", "consumers-listed", "consumers-down"),
        {"log.retention.ms": "-1", "group.initial.rebalance.delay.ms": "0", **ONE_BROKER},
    ),
    "consumers-off": {
        "log.retention.ms": "-1",
        "group.initial.rebalance.delay.ms": "0",
        "group.coordinator.rebalance.protocols": "classic",
        **ONE_BROKER,
    },
    **dict.fromkeys(
        ("moving", "moving-consumers"),
        {
            "log.retention.ms": "-1",
            "@brokers": "3",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.min.isr": "1",
        },
    ),
    "cluster": {"log.retention.ms": "-1", "@brokers": "3"},
}


def record(player, conversation):
    """The conversation with its answers."""
    player.nodes.revive()
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
    with tempfile.TemporaryDirectory() as folder, Nodes(
        codec, folder, STAGES[stage], lambda verb, path: [HERE / "kafka.sh", verb, path]
    ) as nodes:
        player = c.Player(codec, nodes)
        for conversation in chosen:
            try:
                yield record(player, conversation)
            except (c.Fault, KeyError, OSError) as fault:
                print(f"not recorded: {conversation['name']}: {type(fault).__name__} {fault}")
        player.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--stage", choices=STAGES)
    options = parser.parse_args()
    codec = c.Codec(options.program)
    chosen = [one for one in conversations() if options.only in one["name"] and options.stage in (None, one["stage"])]
    c.DATA.mkdir(parents=True, exist_ok=True)
    by_file = {}
    for path in sorted(c.DATA.glob("*.json")):
        content = json.loads(path.read_text())
        if (options.only or options.stage) and isinstance(content, dict):
            by_file[path.stem] = {one["name"]: one for one in content["conversations"]}
    begun = time.monotonic()
    for stage in STAGES:
        part = [one for one in chosen if one["stage"] == stage]
        for done in run_stage(codec, stage, part) if part else ():
            api = done["steps"][-1].get("api") or done["name"].split()[0]
            first = done["name"].split()[0]
            file = (
                stage
                if "@brokers" in STAGES[stage]
                else (
                    first
                    if first in c.KEYS
                    else "frames" if "frame" in done["steps"][0] else "CreateTopics" if first == "a" else api
                )
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
