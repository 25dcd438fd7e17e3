"""Steps of conversations, and the script that collects them."""

from batches import TIME, batch
from conversations import request_header

ID = "$topicId1"
UNKNOWN_ID = "Nz7dJfJuR1mKPxCnMGJ5vA"


def ask(api, version, quiet=False, **request):
    step = {"api": api, "version": version, "request": request}
    return step | {"quiet": True} if quiet else step


def create(topic, partitions=1, **configs):
    named = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
    return [
        ask(
            "CreateTopics",
            4,
            timeoutMs=30000,
            topics=[{"name": topic, "numPartitions": partitions, "replicationFactor": 1, "configs": named}],
        ),
        {"await": topic},
        {"id_of": topic},
    ]


def produce(version, topic, records, partition=0, acks=-1, quiet=False, topic_id=ID, **more):
    return ask(
        "Produce",
        version,
        quiet,
        acks=acks,
        timeoutMs=5000,
        topicData=[{"name": topic, "topicId": topic_id, "partitionData": [{"index": partition, "records": records}]}],
        **more,
    )


def fill(topic, *sizes, **how):
    """Batches of so many records each."""
    return [
        produce(9, topic, batch(*[f"v{i}" for i in range(size)], time=TIME + 1000 * n, **how))
        for n, size in enumerate(sizes)
    ]


def fetch(
    version,
    topic,
    offset,
    partition=0,
    topic_id=ID,
    wait=0,
    max_bytes=1 << 20,
    size=1 << 20,
    min_bytes=0,
    epoch=-1,
    fetched=-1,
    **more,
):
    return ask(
        "Fetch",
        version,
        maxWaitMs=wait,
        minBytes=min_bytes,
        maxBytes=size,
        topics=[
            {
                "topic": topic,
                "topicId": topic_id,
                "partitions": [
                    {
                        "partition": partition,
                        "fetchOffset": offset,
                        "currentLeaderEpoch": epoch,
                        "lastFetchedEpoch": fetched,
                        "partitionMaxBytes": max_bytes,
                    }
                ],
            }
        ],
        **more,
    )


def offsets(version, topic, *timestamps, partition=0, epoch=-1, replica=-1, **more):
    """One request a timestamp: a partition may be named once."""
    return [
        ask(
            "ListOffsets",
            version,
            replicaId=replica,
            topics=[
                {
                    "name": topic,
                    "partitions": [{"partitionIndex": partition, "timestamp": at, "currentLeaderEpoch": epoch}],
                }
            ],
            **more,
        )
        for at in timestamps
    ]


def end_of_epoch(version, topic, epoch, partition=0, current=-1, replica=-1):
    return ask(
        "OffsetForLeaderEpoch",
        version,
        replicaId=replica,
        topics=[
            {
                "topic": topic,
                "partitions": [{"partition": partition, "currentLeaderEpoch": current, "leaderEpoch": epoch}],
            }
        ],
    )


def frame(api, version, body, answer_version=None, client="verdict", key=None):
    step = {"frame": (request_header(api, version, 7, client, key) + body).hex(), "api": api, "version": version}
    return step if answer_version is None else step | {"answer_version": answer_version}


def unread(script, stage, versions):
    for api, version in versions:
        script.add(stage, f"{api} in version {version}, which nobody reads", frame(api, version, bytes(40)))


class Script:
    def __init__(self):
        self.conversations = []

    def add(self, stage, name, *steps):
        flat = [step for part in steps for step in (part if isinstance(part, list) else [part])]
        self.conversations.append({"name": name, "stage": stage, "steps": flat})
