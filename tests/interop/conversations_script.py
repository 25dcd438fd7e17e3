"""What is asked in the recorded conversations: every reachable error and edge of each API that we serve."""

from batches import CONTROL, GZIP, LOG_APPEND_TIME, LZ4, SNAPPY, TIME, ZSTD, batch, raw, text
from conversations import KEYS
from conversations_script_admin import admin
from conversations_script_consumers import consumer_groups
from conversations_script_coordinators import coordinators
from conversations_script_groups import groups
from conversations_script_nodes import nodes
from conversations_script_reads import fetches, leader_epochs, list_offsets, sessions
from conversations_script_steps import ID, UNKNOWN_ID, Script, ask, create, fetch, frame, produce
from conversations_script_transactions import transactions


def api_versions(script):
    for v in (0, 3, 4):
        script.add(
            "default",
            f"ApiVersions v{v}",
            ask("ApiVersions", v, clientSoftwareName="verdict", clientSoftwareVersion="1.0"),
        )
    for v in (3, 4):
        for label, name, number in (
            ("no name", "", "1.0"),
            ("no version", "a", ""),
            ("a bad name", "a b!", "1"),
            ("a bad version", "a", "-1-"),
        ):
            script.add(
                "default",
                f"ApiVersions v{v} with {label}",
                ask("ApiVersions", v, clientSoftwareName=name, clientSoftwareVersion=number),
            )
    for v in (5, 127, 32767):
        script.add(
            "default",
            f"ApiVersions in the unknown version {v}",
            frame("ApiVersions", v, b"\2a\2b\0", 0),
            ask("ApiVersions", 3, clientSoftwareName="a", clientSoftwareVersion="b"),
        )
    script.add("default", "ApiVersions in version -1", frame("ApiVersions", -1, b"", 0))
    script.add("default", "ApiVersions without a client id", frame("ApiVersions", 0, b"", client=None))


def frames(script):
    for v in (0, 1, 2):
        empty = b"\xff\xff"[:0] + b"\0\1\0\0\x10\0" + b"\0\0\0\0"
        script.add("default", f"Produce in version {v}, which nobody reads", frame("Produce", v, empty))
    for api, v in (
        ("Produce", 14),
        ("Fetch", 3),
        ("Fetch", 19),
        ("ListOffsets", 0),
        ("ListOffsets", 12),
        ("Metadata", 14),
        ("CreateTopics", 1),
        ("CreateTopics", 8),
        ("DeleteTopics", 0),
        ("DeleteTopics", 7),
        ("OffsetForLeaderEpoch", 1),
        ("OffsetForLeaderEpoch", 5),
        ("DescribeConfigs", 0),
        ("DescribeConfigs", 5),
        ("DescribeCluster", 3),
        ("Metadata", -1),
    ):
        script.add("default", f"{api} in the unknown version {v}", frame(api, v, b"\0" * 8))
    script.add("default", "an unknown API", frame("Metadata", 0, b"", key=999))
    script.add("default", "a negative API key", frame("Metadata", 0, b"", key=-1))
    script.add("default", "a body cut off", frame("Metadata", 9, b"\2\0\0"))
    script.add("default", "an array longer than its frame", frame("Metadata", 1, b"\x7f\xff\xff\xff"))
    script.add("default", "a header cut off", {"frame": "0003", "api": "Metadata", "version": 0})
    script.add("default", "an empty frame", {"frame": "", "api": "Metadata", "version": 0})
    script.add("default", "bytes after a body", frame("ApiVersions", 0, b"tail"))


def metadata(script):
    for v in (0, 4, 13):
        topic = f"metadata-{v}"
        script.add(
            "default", f"Metadata v{v} of one topic", create(topic, 2), ask("Metadata", v, topics=[{"name": topic}])
        )
        script.add(
            "default",
            f"Metadata v{v} of known and unknown topics",
            create(f"{topic}-a"),
            ask(
                "Metadata",
                v,
                allowAutoTopicCreation=False,
                topics=[{"name": name} for name in (f"{topic}-a", "bad name", "")],
            ),
        )
        script.add(
            "default",
            f"Metadata v{v} of a bad name",
            ask("Metadata", v, topics=[{"name": "no/slash"}], allowAutoTopicCreation=True),
        )
        script.add(
            "default",
            f"Metadata v{v} creates a topic",
            ask("Metadata", v, topics=[{"name": f"auto-{v}"}], allowAutoTopicCreation=True),
            {"await": f"auto-{v}"},
            ask("Metadata", v, topics=[{"name": f"auto-{v}"}], allowAutoTopicCreation=True),
        )
        script.add(
            "strict",
            f"Metadata v{v} creates no topic",
            ask("Metadata", v, topics=[{"name": f"none-{v}"}], allowAutoTopicCreation=True),
        )
    for v in (4, 9, 13):
        script.add(
            "default",
            f"Metadata v{v} of an unknown topic",
            ask("Metadata", v, topics=[{"name": f"nobody-{v}"}], allowAutoTopicCreation=False),
        )
    for v in (1, 7, 13):
        script.add("default", f"Metadata v{v} of no topics", ask("Metadata", v, topics=[]))
        script.add(
            "default",
            f"Metadata v{v} of a topic named twice",
            create(f"twice-{v}"),
            ask("Metadata", v, topics=[{"name": f"twice-{v}"}] * 2),
        )
    for v in (8, 10, 13):
        script.add(
            "default",
            f"Metadata v{v} with allowed operations",
            create(f"allowed-{v}"),
            ask(
                "Metadata",
                v,
                topics=[{"name": f"allowed-{v}"}],
                includeTopicAuthorizedOperations=True,
                includeClusterAuthorizedOperations=True,
            ),
        )
    for v in (12, 13):
        script.add(
            "default",
            f"Metadata v{v} by topic id",
            create(f"by-id-{v}"),
            ask("Metadata", v, topics=[{"topicId": ID, "name": None}]),
        )
        script.add(
            "default",
            f"Metadata v{v} by an unknown topic id",
            ask("Metadata", v, topics=[{"topicId": UNKNOWN_ID, "name": None}]),
        )
    script.add("default", "Metadata v13 without name and id", ask("Metadata", 13, topics=[{"name": None}]))
    script.add(
        "default",
        "Metadata v10 with an id",
        create("id-in-10"),
        ask("Metadata", 10, topics=[{"topicId": ID, "name": "id-in-10"}]),
    )
    script.add(
        "default",
        "Metadata v12 by two ids, one unknown",
        create("by-ids-12"),
        ask("Metadata", 12, topics=[{"topicId": UNKNOWN_ID, "name": None}, {"topicId": ID, "name": None}]),
    )
    script.add(
        "default",
        "Metadata of a deleted topic",
        create("deleted-md"),
        ask("DeleteTopics", 3, topicNames=["deleted-md"], timeoutMs=9000),
        {"await_gone": "deleted-md"},
        ask("Metadata", 12, topics=[{"topicId": ID, "name": None}]),
    )
    script.add(
        "default",
        "Metadata of several topics keeps their order",
        create("z-order"),
        create("a-order"),
        create("m-order"),
        ask("Metadata", 9, topics=[{"name": name} for name in ("z-order", "nobody", "a-order", "m-order")]),
    )
    script.add(
        "default",
        "Metadata creates no colliding topic",
        create("col.lide"),
        ask("Metadata", 9, topics=[{"name": "col_lide"}], allowAutoTopicCreation=True),
        ask("Metadata", 9, topics=[{"name": "col_lide"}], allowAutoTopicCreation=False),
    )


def all_topics(script):
    """First of its stage: it names every topic."""
    script.add(
        "strict",
        "Metadata of all topics",
        create("first"),
        create("second", 3),
        create("third.one"),
        [ask("Metadata", v, topics=None) | {"sorted": True} for v in (1, 7, 13)],
        ask("Metadata", 0, topics=[]) | {"sorted": True},
    )
    script.add(
        "strict",
        "a topic by the broker's defaults",
        ask("CreateTopics", 7, topics=[{"name": "defaults", "numPartitions": -1, "replicationFactor": -1}]),
        {"await": "defaults"},
    )


BAD_BATCHES = {
    "a wrong checksum": lambda: batch("v", crc=12345),
    "no bytes": lambda: "",
    "two batches": lambda: text(raw([b"a"]) + raw([b"b"], base=1)),
    "a base offset": lambda: batch("v", base=5),
    "magic 1": lambda: batch("v", magic=1),
    "magic 3": lambda: batch("v", magic=3),
    "a count too high": lambda: batch("v", count=2),
    "a count too low": lambda: batch("v", "w", count=1, last_delta=0),
    "a last delta too high": lambda: batch("v", last_delta=4),
    "a negative count": lambda: batch("v", count=-1),
    "no records": lambda: batch(last_delta=0, count=0),
    "no records and delta -1": lambda: batch(last_delta=-1, count=0),
    "a control batch": lambda: batch("v", attributes=CONTROL),
    "a batch cut off": lambda: text(raw([b"value"])[:-3]),
    "a header cut off": lambda: text(raw([b"value"])[:30]),
    "a length too long": lambda: batch("v", length=1000),
    "a length too short": lambda: batch("v", length=10),
    "a negative length": lambda: batch("v", length=-5),
    "bytes after the batch": lambda: text(raw([b"v"]) + b"tail"),
    "offset deltas with a gap": lambda: batch("v", "w", deltas=[0, 2]),
    "an unknown codec": lambda: batch("v", attributes=5),
    "compressed data that is none": lambda: batch("v", codec=GZIP, payload=b"nonsense"),
    "a compressed gap": lambda: batch("v", "w", codec=GZIP, deltas=[0, 2]),
    "a compressed count too high": lambda: batch("v", "w", codec=GZIP, count=3, last_delta=2),
    "a compressed count too low": lambda: batch("v", "w", codec=GZIP, count=1, last_delta=0),
    "a batch that is too large": lambda: batch("x" * 600),
    "a compressed batch that is too large": lambda: batch("x" * 600, codec=LZ4),
    "a record from the future": lambda: batch("v", "w", time=4_000_000_000_000),
    "a compressed record from the future": lambda: batch("v", "w", time=4_000_000_000_000, codec=GZIP),
    "a partition leader epoch": lambda: batch("v", epoch=77),
    "a negative timestamp": lambda: batch("v", time=-1, max_time=-1),
    "a wrong largest timestamp": lambda: batch("v", "w", max_time=TIME + 5),
}
BATCH_VERSIONS = (3, 8, 13)


def produce_batches(script):
    for label, make in BAD_BATCHES.items():
        for v in (
            BATCH_VERSIONS
            if label in ("a wrong checksum", "two batches", "a record from the future", "a batch that is too large")
            else (13,)
        ):
            topic = f"bad-{label.replace(' ', '-')}-{v}"
            script.add(
                "default",
                f"Produce v{v} with {label}",
                create(topic, max_message_bytes="500"),
                produce(v, topic, make()),
                fetch(12, topic, 0),
            )
    for label, codec in (("gzip", GZIP), ("snappy", SNAPPY), ("lz4", LZ4), ("zstd", ZSTD)):
        for v in (3, 7, 13):
            topic = f"codec-{label}-{v}"
            script.add(
                "default",
                f"Produce v{v} with {label}",
                create(topic),
                produce(v, topic, batch("one", "two", codec=codec)),
                fetch(12, topic, 1),
            )
    script.add(
        "default",
        "Fetch v9 of zstd",
        create("zstd-9"),
        produce(9, "zstd-9", batch("one", codec=ZSTD)),
        fetch(9, "zstd-9", 0),
        fetch(10, "zstd-9", 0),
    )
    for v in BATCH_VERSIONS:
        topic = f"compact-{v}"
        script.add(
            "default",
            f"Produce v{v} without keys to a compacted topic",
            create(topic, cleanup_policy="compact"),
            produce(v, topic, batch("a", "b", keyed=False)),
            produce(v, topic, batch("a", "b", codec=GZIP, keyed=False)),
            produce(v, topic, batch("a", "b")),
            fetch(11, topic, 0),
        )
        topic = f"stamped-{v}"
        script.add(
            "default",
            f"Produce v{v} with the broker's clock",
            create(topic, message_timestamp_type="LogAppendTime"),
            produce(v, topic, batch("a", "b")),
            produce(v, topic, batch("a", "b", attributes=LOG_APPEND_TIME)),
            produce(v, topic, batch("a", codec=GZIP)),
            fetch(12, topic, 0),
        )
        topic = f"before-{v}"
        script.add(
            "default",
            f"Produce v{v} with old timestamps refused",
            create(topic, message_timestamp_before_max_ms="1000"),
            produce(v, topic, batch("a", "b")),
        )
    script.add(
        "default",
        "Produce with LogAppendTime to a topic of CreateTime",
        create("lat-ct"),
        produce(9, "lat-ct", batch("a", attributes=LOG_APPEND_TIME)),
        fetch(12, "lat-ct", 0),
    )


def produces(script):
    for v in BATCH_VERSIONS:
        topic = f"plain-{v}"
        script.add(
            "default",
            f"Produce v{v}, acks=all, 1, 0",
            create(topic, 2),
            produce(v, topic, batch("a")),
            produce(v, topic, batch("b", "c"), acks=1),
            produce(v, topic, batch("d"), acks=0, quiet=True),
            produce(v, topic, batch("e"), partition=1),
            produce(v, topic, batch("f")),
        )
        script.add(
            "default", f"Produce v{v} to an unknown topic", produce(v, f"unknown-{v}", batch("a"), topic_id=UNKNOWN_ID)
        )
        script.add(
            "default",
            f"Produce v{v} to an unknown partition",
            create(f"parts-{v}"),
            produce(v, f"parts-{v}", batch("a"), partition=1),
            produce(v, f"parts-{v}", batch("a"), partition=-1),
        )
        script.add(
            "default",
            f"Produce v{v} with impossible acks",
            create(f"acks-{v}"),
            produce(v, f"acks-{v}", batch("a"), acks=2),
            produce(v, f"acks-{v}", batch("a"), acks=-2),
        )
        script.add(
            "default",
            f"Produce v{v} with acks=0 and an error",
            create(f"silent-{v}"),
            produce(v, f"silent-{v}", batch("a", crc=1), acks=0, quiet=True),
            ask("ApiVersions", 0),
        )
        mixed = f"mixed-{v}"
        script.add(
            "default",
            f"Produce v{v} to good and bad partitions",
            create(mixed, 2),
            ask(
                "Produce",
                v,
                acks=-1,
                timeoutMs=5000,
                topicData=[
                    {
                        "name": mixed,
                        "topicId": ID,
                        "partitionData": [
                            {"index": 1, "records": batch("a")},
                            {"index": 0, "records": batch("b", crc=3)},
                            {"index": 7, "records": batch("c")},
                        ],
                    },
                    {
                        "name": f"unknown-{v}",
                        "topicId": UNKNOWN_ID,
                        "partitionData": [{"index": 0, "records": batch("a")}],
                    },
                ],
            ),
        )
    script.add(
        "default", "Produce v13 with the zero id", produce(13, "", batch("a"), topic_id="AAAAAAAAAAAAAAAAAAAAAA")
    )
    script.add(
        "default",
        "Produce v9 to a partition twice",
        create("dup"),
        ask(
            "Produce",
            9,
            acks=-1,
            timeoutMs=5000,
            topicData=[
                {
                    "name": "dup",
                    "partitionData": [{"index": 0, "records": batch("a")}, {"index": 0, "records": batch("b")}],
                }
            ],
        ),
        fetch(12, "dup", 0),
    )
    script.add("default", "Produce v9 of nothing", ask("Produce", 9, acks=-1, timeoutMs=5000, topicData=[]))
    script.add(
        "default",
        "Produce v9 of nothing, acks=0",
        ask("Produce", 9, True, acks=0, timeoutMs=5000, topicData=[]),
        ask("ApiVersions", 0),
    )
    for v in (9, 13):
        script.add(
            "default",
            f"Produce v{v} to a deleted topic",
            create(f"del-{v}"),
            ask("DeleteTopics", 3, topicNames=[f"del-{v}"], timeoutMs=9000),
            {"await_gone": f"del-{v}"},
            produce(v, f"del-{v}", batch("a")),
        )
    script.add(
        "default", "Produce v9 to a bad topic name", produce(9, "no/slash", batch("a")), produce(9, "", batch("a"))
    )


def conversations():
    script = Script()
    all_topics(script)
    for part in (
        api_versions,
        frames,
        metadata,
        produces,
        produce_batches,
        fetches,
        sessions,
        list_offsets,
        leader_epochs,
    ):
        part(script)
    admin(script, ask, create)
    coordinators(script)
    groups(script)
    consumer_groups(script)
    transactions(script)
    nodes(script)
    assert len({one["name"] for one in script.conversations}) == len(script.conversations)
    assert all(step.get("api", "Produce") in KEYS for one in script.conversations for step in one["steps"])
    return script.conversations
