"""The conversations about fetching, sessions, offsets and leader epochs."""

from batches import GZIP, TIME, batch
from conversations_script_steps import ID, UNKNOWN_ID, ask, create, end_of_epoch, fetch, fill, offsets, produce


def fetches(script):
    for v in (4, 11, 12, 18):
        topic = f"fetch-{v}"
        script.add(
            "default",
            f"Fetch v{v}",
            create(topic),
            fill(topic, 3, 2),
            fetch(v, topic, 0),
            fetch(v, topic, 1),
            fetch(v, topic, 4),
            fetch(v, topic, 5),
            fetch(v, topic, 5, wait=60, min_bytes=1),
            fetch(v, topic, 0, isolationLevel=1),
        )
        script.add(
            "default",
            f"Fetch v{v} out of range",
            create(f"range-{v}"),
            fill(f"range-{v}", 2),
            fetch(v, f"range-{v}", 3),
            fetch(v, f"range-{v}", -1),
            fetch(v, f"range-{v}", 9000000000),
        )
        script.add("default", f"Fetch v{v} of an unknown topic", fetch(v, "unknown-f", 0, topic_id=UNKNOWN_ID))
        script.add(
            "default",
            f"Fetch v{v} of an unknown partition",
            create(f"fp-{v}"),
            fetch(v, f"fp-{v}", 0, partition=3),
            fetch(v, f"fp-{v}", 0, partition=-1),
        )
        script.add(
            "default",
            f"Fetch v{v} with small limits",
            create(f"small-{v}"),
            fill(f"small-{v}", 3, 3, 3),
            fetch(v, f"small-{v}", 0, max_bytes=1),
            fetch(v, f"small-{v}", 0, max_bytes=200),
            fetch(v, f"small-{v}", 0, size=1),
            fetch(v, f"small-{v}", 1, size=200),
            fetch(v, f"small-{v}", 0, size=0),
            fetch(v, f"small-{v}", 0, max_bytes=0),
        )
        two = [{"partition": p, "fetchOffset": 0, "partitionMaxBytes": 1 << 20} for p in (1, 0)]
        script.add(
            "default",
            f"Fetch v{v} of two partitions",
            create(f"two-{v}", 2),
            fill(f"two-{v}", 2),
            produce(9, f"two-{v}", batch("x"), partition=1),
            ask(
                "Fetch", v, maxWaitMs=0, maxBytes=1000, topics=[{"topic": f"two-{v}", "topicId": ID, "partitions": two}]
            ),
            ask("Fetch", v, maxWaitMs=0, maxBytes=10, topics=[{"topic": f"two-{v}", "topicId": ID, "partitions": two}]),
        )
        script.add("default", f"Fetch v{v} of nothing", ask("Fetch", v, maxWaitMs=0, maxBytes=1000, topics=[]))
    for v in (9, 12, 18):
        topic = f"epochs-{v}"
        script.add(
            "default",
            f"Fetch v{v} with leader epochs",
            create(topic),
            fill(topic, 2),
            fetch(v, topic, 0, epoch=0),
            fetch(v, topic, 0, epoch=1),
            fetch(v, topic, 9, epoch=3),
        )
    for v in (12, 18):
        topic = f"diverging-{v}"
        script.add(
            "default",
            f"Fetch v{v} with a last fetched epoch",
            create(topic),
            fill(topic, 2),
            fetch(v, topic, 1, fetched=0),
            fetch(v, topic, 2, fetched=0),
            fetch(v, topic, 2, fetched=4),
            fetch(v, topic, 9, fetched=0),
            fetch(v, topic, 9, fetched=4),
        )
        script.add(
            "default",
            f"Fetch v{v} of a deleted topic",
            create(f"gone-{v}"),
            ask("DeleteTopics", 3, topicNames=[f"gone-{v}"], timeoutMs=9000),
            {"await_gone": f"gone-{v}"},
            fetch(v, f"gone-{v}", 0),
        )
    script.add("default", "Fetch v13 by the zero id", fetch(13, "", 0, topic_id="AAAAAAAAAAAAAAAAAAAAAA"))
    script.add(
        "default",
        "Fetch v13 of known and unknown ids",
        create("known-13"),
        ask(
            "Fetch",
            13,
            maxWaitMs=0,
            maxBytes=1000,
            topics=[
                {"topicId": UNKNOWN_ID, "partitions": [{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 100}]},
                {"topicId": ID, "partitions": [{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 100}]},
            ],
        ),
    )
    for v in (11, 15, 18):
        topic, replica = f"replica-{v}", {"replicaId": 7, "replicaState": {"replicaId": 7, "replicaEpoch": 1}}
        script.add(
            "default",
            f"Fetch v{v} by a broker that is no replica",
            create(topic),
            fill(topic, 1),
            fetch(v, topic, 0, epoch=0, **replica),
        )
    script.add(
        "default", "Fetch v11 from a rack", create("rack"), fill("rack", 1), fetch(11, "rack", 0, rackId="there")
    )


def sessions(script):
    for v in (7, 12, 13, 18):
        topic = f"session-{v}"
        script.add(
            "default",
            f"Fetch v{v} in a session",
            create(topic, 2),
            fill(topic, 2),
            ask(
                "Fetch",
                v,
                maxWaitMs=0,
                maxBytes=9000,
                sessionEpoch=0,
                topics=[
                    {
                        "topic": topic,
                        "topicId": ID,
                        "partitions": [{"partition": p, "fetchOffset": 0, "partitionMaxBytes": 9000} for p in (0, 1)],
                    }
                ],
            ),
            incremental(v, 1),
            incremental(v, 2, topic, {"partition": 0, "fetchOffset": 2, "partitionMaxBytes": 9000}),
            produce(9, topic, batch("new"), partition=1),
            incremental(v, 3),
            incremental(v, 4, topic, {"partition": 1, "fetchOffset": 9, "partitionMaxBytes": 9000}),
            incremental(v, 5, forgotten=[{"topic": topic, "topicId": ID, "partitions": [1]}]),
            incremental(v, 5),
            incremental(v, 9),
            incremental(v, 6),
            incremental(v, -1),
            incremental(v, 7),
        )
        script.add(
            "default",
            f"Fetch v{v} in an unknown session",
            ask("Fetch", v, maxBytes=100, sessionId=12345, sessionEpoch=3, topics=[]),
        )
        script.add(
            "default",
            f"Fetch v{v} renews a session",
            create(f"renew-{v}"),
            fetch(v, f"renew-{v}", 0, sessionEpoch=0),
            incremental(v, 1),
            fetch(v, f"renew-{v}", 0, sessionId="$sessionId1", sessionEpoch=0),
            incremental(v, 1),
            incremental(v, 1, session="$sessionId2"),
        )
    for v in (12, 13):
        script.add(
            "default",
            f"Fetch v{v} in a session of an unknown topic",
            fetch(v, "unknown-s", 0, topic_id=UNKNOWN_ID, sessionEpoch=0),
            incremental(v, 1),
        )
    script.add(
        "default",
        "Fetch in a session epoch below -1",
        create("negative-epoch"),
        fetch(12, "negative-epoch", 0, sessionEpoch=-2),
    )
    script.add(
        "default", "Fetch in a session with an id and epoch 0", fetch(12, "nobody-s", 0, sessionId=99, sessionEpoch=0)
    )


def incremental(version, epoch, topic=None, partition=None, forgotten=(), session="$sessionId1"):
    topics = [{"topic": topic, "topicId": ID, "partitions": [partition]}] if topic else []
    return ask(
        "Fetch",
        version,
        maxWaitMs=0,
        maxBytes=9000,
        sessionId=session,
        sessionEpoch=epoch,
        topics=topics,
        forgottenTopicsData=list(forgotten),
    )


def list_offsets(script):
    for v in (1, 6, 10):
        topic = f"list-{v}"
        script.add(
            "default",
            f"ListOffsets v{v}",
            create(topic),
            offsets(v, topic, -1, -2, 0, TIME),
            fill(topic, 3, 2),
            offsets(v, topic, -1, -2, 0, TIME, TIME + 5, TIME + 10, TIME + 20, TIME + 21, TIME + 1010, TIME + 1011),
        )
        script.add(
            "default",
            f"ListOffsets v{v} of unknown places",
            create(f"places-{v}"),
            offsets(v, f"places-{v}", -1, partition=4),
            offsets(v, "unknown-l", -1, 0),
            offsets(v, f"places-{v}", -1, partition=-1),
        )
        script.add(
            "default",
            f"ListOffsets v{v} of a partition twice",
            create(f"again-{v}", 2),
            ask(
                "ListOffsets",
                v,
                replicaId=-1,
                topics=[
                    {"name": f"again-{v}", "partitions": [{"partitionIndex": p, "timestamp": -1} for p in (0, 1, 0)]}
                ],
            ),
        )
        script.add(
            "default",
            f"ListOffsets v{v} by special timestamps",
            create(f"special-{v}"),
            fill(f"special-{v}", 2),
            offsets(v, f"special-{v}", -3, -4, -5, -6, -7, -100),
        )
        script.add("default", f"ListOffsets v{v} of nothing", ask("ListOffsets", v, replicaId=-1, topics=[]))
        script.add(
            "default",
            f"ListOffsets v{v} from replicas",
            create(f"from-{v}"),
            fill(f"from-{v}", 2),
            offsets(v, f"from-{v}", -1, -2, replica=-2),
            offsets(v, f"from-{v}", -1, replica=5),
            offsets(v, f"from-{v}", -1, replica=1),
        )
    for v in (2, 6, 10):
        script.add(
            "default",
            f"ListOffsets v{v} of committed records",
            create(f"committed-{v}"),
            fill(f"committed-{v}", 2),
            offsets(v, f"committed-{v}", -1, -2, TIME + 1, isolationLevel=1),
        )
    for v in (4, 6, 10):
        script.add(
            "default",
            f"ListOffsets v{v} with leader epochs",
            create(f"le-{v}"),
            fill(f"le-{v}", 1),
            offsets(v, f"le-{v}", -1, TIME, epoch=0),
            offsets(v, f"le-{v}", -1, -2, TIME, epoch=2),
        )
    for v in (7, 8, 9):
        script.add(
            "default",
            f"ListOffsets v{v} of the largest timestamp",
            create(f"largest-{v}"),
            offsets(v, f"largest-{v}", -3, -4, -5),
            produce(9, f"largest-{v}", batch("late", time=TIME + 500)),
            fill(f"largest-{v}", 2),
            offsets(v, f"largest-{v}", -3, -4, -5),
        )
    script.add(
        "default",
        "ListOffsets in compressed batches",
        create("list-gzip"),
        fill("list-gzip", 3, 2, codec=GZIP),
        offsets(10, "list-gzip", TIME + 5, TIME + 20, TIME + 1001, TIME + 5000, -3),
    )
    script.add(
        "default",
        "ListOffsets with the broker's clock",
        create("list-stamped", message_timestamp_type="LogAppendTime"),
        produce(9, "list-stamped", batch("a", "b")),
        offsets(10, "list-stamped", -1, 4_000_000_000_000),
    )


def leader_epochs(script):
    for v in (2, 3, 4):
        topic = f"epoch-{v}"
        script.add(
            "default",
            f"OffsetForLeaderEpoch v{v}",
            create(topic),
            end_of_epoch(v, topic, 0),
            fill(topic, 2),
            end_of_epoch(v, topic, 0),
            end_of_epoch(v, topic, 5),
            end_of_epoch(v, topic, -1),
            end_of_epoch(v, topic, -5),
        )
        script.add(
            "default",
            f"OffsetForLeaderEpoch v{v} with a current epoch",
            create(f"current-{v}"),
            fill(f"current-{v}", 1),
            end_of_epoch(v, f"current-{v}", 0, current=0),
            end_of_epoch(v, f"current-{v}", 0, current=1),
        )
        script.add(
            "default",
            f"OffsetForLeaderEpoch v{v} of unknown places",
            create(f"op-{v}"),
            end_of_epoch(v, f"op-{v}", 0, partition=2),
            end_of_epoch(v, "unknown-o", 0),
            end_of_epoch(v, f"op-{v}", 0, partition=-1),
        )
        script.add(
            "default",
            f"OffsetForLeaderEpoch v{v} of several",
            create(f"os-{v}", 3),
            ask(
                "OffsetForLeaderEpoch",
                v,
                replicaId=-1,
                topics=[
                    {
                        "topic": f"os-{v}",
                        "partitions": [{"partition": p, "leaderEpoch": e} for p, e in ((2, 0), (0, 3), (1, -1))],
                    },
                    {"topic": "unknown-o", "partitions": [{"partition": 0, "leaderEpoch": 0}]},
                ],
            ),
            ask("OffsetForLeaderEpoch", v, topics=[]),
        )
    for v in (3, 4):
        script.add(
            "default",
            f"OffsetForLeaderEpoch v{v} by a broker",
            create(f"ob-{v}"),
            end_of_epoch(v, f"ob-{v}", 0, replica=7),
        )
