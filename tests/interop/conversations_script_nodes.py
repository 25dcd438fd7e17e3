"""What only a cluster answers: brokers that don't lead, epochs that are over, replicas that are missing."""

from batches import batch
from conversations_script_steps import ask, end_of_epoch, fetch, offsets, produce

EVERYWHERE = [1, 2, 3]


def create_on(topic, *replicas, partitions=1, **configs):
    """Each partition is led by the first."""
    named = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
    assigned = [{"partitionIndex": i, "brokerIds": list(replicas)} for i in range(partitions)]
    wanted = [{"name": topic, "numPartitions": -1, "replicationFactor": -1, "assignments": assigned, "configs": named}]
    return [
        ask("CreateTopics", 4, timeoutMs=30000, topics=wanted),
        led(topic, replicas[0], *replicas),
        {"id_of": topic},
    ]


def led(topic, leader, *isr, at=EVERYWHERE):
    return {"await_leader": topic, "leader": leader, "isr": sorted(isr), "at": at}


def to(broker, step):
    return step | {"to": broker}


def other_leaders(script):
    for v in (9, 10, 13):
        topic = f"produce-follower-{v}"
        script.add(
            "cluster",
            f"Produce v{v} to a follower",
            create_on(topic, 2, 1),
            produce(v, topic, batch("v")),
            to(2, produce(v, topic, batch("v"))),
        )
    for v in (10, 13):
        topic = f"produce-elsewhere-{v}"
        script.add(
            "cluster",
            f"Produce v{v} to a broker without the replica",
            create_on(topic, 3, 2),
            produce(v, topic, batch("v")),
        )
    for v in (4, 12, 16, 18):
        topic = f"fetch-elsewhere-{v}"
        script.add(
            "cluster",
            f"Fetch v{v} from a broker without the replica",
            create_on(topic, 3, 2),
            fetch(v, topic, 0),
            to(3, fetch(v, topic, 0)),
        )
    for v in (4, 10):
        topic = f"fetch-follower-{v}"
        script.add("cluster", f"Fetch v{v} from a follower", create_on(topic, 2, 1), fetch(v, topic, 0))
    for v in (11, 18):
        topic = f"fetch-follower-{v}"
        script.add(
            "cluster",
            f"Fetch v{v} from a follower, which may serve consumers",
            create_on(topic, 2, 1),
            fetch(v, topic, 0),
        )
    for v in (1, 4, 10):
        topic = f"offsets-follower-{v}"
        script.add("cluster", f"ListOffsets v{v} of a follower", create_on(topic, 2, 1), offsets(v, topic, -1))
    for v in (2, 4):
        topic = f"epochs-follower-{v}"
        script.add(
            "cluster", f"OffsetForLeaderEpoch v{v} of a follower", create_on(topic, 2, 1), end_of_epoch(v, topic, 0)
        )


def old_epochs(script):
    """The leader stops, and its follower leads in epoch 1."""
    topic = "fenced"
    script.add(
        "cluster",
        "Leader epochs after the leader has stopped",
        create_on(topic, 2, 1),
        to(2, produce(13, topic, batch("a", "b"))),
        {"stop": 2},
        led(topic, 1, 1, at=[1, 3]),
        [fetch(v, topic, 0, epoch=epoch) for v in (9, 12, 16, 18) for epoch in (0, 2)],
        [fetch(v, topic, 2, epoch=1, fetched=fetched) for v in (12, 18) for fetched in (0, 1)],
        [step for v in (4, 10) for epoch in (0, 1, 2) for step in offsets(v, topic, -1, epoch=epoch)],
        [end_of_epoch(v, topic, 0, current=epoch) for v in (2, 4) for epoch in (0, 1, 2)],
        [end_of_epoch(4, topic, epoch, current=1) for epoch in (1, 2)],
        produce(13, topic, batch("c")),
        [to(3, produce(v, topic, batch("d"))) for v in (10, 13)],
        to(3, fetch(18, topic, 0)),
        {"start": 2},
        led(topic, 1, 1, 2),
        to(2, produce(13, topic, batch("d"))),
        fetch(12, topic, 0, epoch=1),
    )


def too_few_replicas(script):
    topic = "few"
    script.add(
        "cluster",
        "Produce with too few replicas in sync",
        create_on(topic, 1, 2, min_insync_replicas="2"),
        produce(13, topic, batch("a")),
        {"stop": 2},
        led(topic, 1, 1, at=[1, 3]),
        [produce(v, topic, batch("b")) for v in (3, 8, 13)],
        produce(13, topic, batch("c"), acks=1),
        fetch(12, topic, 0),
        fetch(12, topic, 1),
        {"start": 2},
        led(topic, 1, 1, 2),
        produce(13, topic, batch("d")),
        fetch(12, topic, 0),
    )


def nodes(script):
    other_leaders(script)
    old_epochs(script)
    too_few_replicas(script)
