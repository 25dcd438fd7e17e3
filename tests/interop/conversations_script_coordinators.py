"""The conversations about coordinators, producer ids and features. The stage's internal topics have few partitions."""

from batches import batch
from conversations_script_steps import ask, create, frame, produce

STAGE = "coordinators"


def ready(api, version, **request):
    return {"until_ready": ask(api, version, **request)}


def described(topic, version=4):
    resource = {"resourceType": 2, "resourceName": topic, "configurationKeys": None}
    return ask("DescribeConfigs", version, includeSynonyms=False, resources=[resource])


def find_coordinator(script):
    for kind, (name, topic) in enumerate((("a group", "__consumer_offsets"), ("a transaction", "__transaction_state"))):
        keys = ["g", "", "console-consumer-1", "polygenelubricants", "\u00e9\U0001f600"]
        asked = {"keyType": kind, "coordinatorKeys": keys}
        script.add(
            STAGE,
            f"FindCoordinator v4 of {name}: first there is none",
            ask("FindCoordinator", 4, **asked),
            ready("FindCoordinator", 4, **asked),
            ask("FindCoordinator", 4, **asked),
            described(topic),
        )
        for v in (1, 2, 3):
            script.add(STAGE, f"FindCoordinator v{v} of {name}", ask("FindCoordinator", v, keyType=kind, key="g"))
        for v in (5, 6):
            script.add(STAGE, f"FindCoordinator v{v} of {name}", ask("FindCoordinator", v, **asked))
        script.add(STAGE, f"FindCoordinator v4 of {name}: none", ask("FindCoordinator", 4, keyType=kind))
    script.add(STAGE, "FindCoordinator v0", ask("FindCoordinator", 0, key="g"))
    for kind in (2, 3, -1):
        for v in (1, 3):
            script.add(STAGE, f"FindCoordinator v{v} of kind {kind}", ask("FindCoordinator", v, keyType=kind, key="g"))
        for v in (4, 5, 6):
            script.add(
                STAGE,
                f"FindCoordinator v{v} of kind {kind}",
                ask("FindCoordinator", v, keyType=kind, coordinatorKeys=["g", "h"]),
            )
    script.add(STAGE, "FindCoordinator in version 7, which nobody reads", frame("FindCoordinator", 7, b"\0\1\1\0"))


def init_producer_id(script):
    for v in range(6):
        script.add(
            STAGE,
            f"InitProducerId v{v} without a transactional id",
            ready("InitProducerId", v, transactionalId=None, transactionTimeoutMs=1000),
            ask("InitProducerId", v, transactionalId=None, transactionTimeoutMs=1000),
            ask("InitProducerId", v, transactionalId=None, transactionTimeoutMs=-1),
        )
    for v in (3, 4, 5):
        for label, producer, epoch in (("an id of its own", 5, 3), ("an id alone", 5, -1), ("an epoch alone", -1, 3)):
            script.add(
                STAGE,
                f"InitProducerId v{v} with {label}",
                ask("InitProducerId", v, transactionalId=None, producerId=producer, producerEpoch=epoch),
            )
    for v in (0, 2, 5):
        script.add(
            STAGE,
            f"InitProducerId v{v} with an empty transactional id",
            ask("InitProducerId", v, transactionalId="", transactionTimeoutMs=1000),
        )
    script.add(
        STAGE,
        "InitProducerId in version 6, which nobody reads",
        frame("InitProducerId", 6, b"\0\0\0\0\0" + b"\xff" * 10 + b"\0\0\0"),
    )


def internal_topics(script):
    offsets = "__consumer_offsets"
    for v in (9, 12):
        script.add(
            STAGE,
            f"Metadata v{v} of a share group's topic, which nobody makes by itself",
            ask("Metadata", v, topics=[{"name": "__share_group_state"}], allowAutoTopicCreation=False),
        )
    script.add(
        STAGE,
        "Metadata v12 of the offsets topic",
        ready("FindCoordinator", 4, coordinatorKeys=["g"]),
        {"id_of": offsets},
        ask("Metadata", 12, topics=[{"name": offsets}]),
    )
    for v in (3, 9, 13):
        script.add(
            STAGE,
            f"Produce v{v} to the offsets topic",
            {"id_of": offsets},
            produce(v, offsets, batch("a")),
            produce(v, offsets, batch("a"), partition=77),
        )
    script.add(
        STAGE,
        "Metadata v9 makes the transactions topic again",
        ready("FindCoordinator", 4, keyType=1, coordinatorKeys=["t"]),
        ask("DeleteTopics", 3, topicNames=["__transaction_state"], timeoutMs=9000),
        {"await_gone": "__transaction_state"},
        ask("Metadata", 9, topics=[{"name": "__transaction_state"}], allowAutoTopicCreation=True),
        {"await": "__transaction_state"},
        ask("Metadata", 9, topics=[{"name": "__transaction_state"}]),
        described("__transaction_state"),
    )
    script.add(
        STAGE,
        "Produce v9 without a key to a compacted topic",
        create("compacted", cleanup_policy="compact"),
        produce(9, "compacted", batch("a")),
    )


def update_features(script):
    def update(version, *updates, validate_only=False):
        kind = "allowDowngrade" if version == 0 else "upgradeType"
        more = {"validateOnly": validate_only} if version > 0 else {}
        updates = [{"feature": name, "maxVersionLevel": level, kind: how} for name, level, how in updates]
        return ask("UpdateFeatures", version, timeoutMs=30000, featureUpdates=updates, **more)

    features = ask("ApiVersions", 4, clientSoftwareName="a", clientSoftwareVersion="b")
    up, safe, unsafe = 1, 2, 3
    for v in (1, 2):
        script.add(
            STAGE,
            f"UpdateFeatures v{v} down and up",
            update(v, ("transaction.version", 1, safe)),
            update(v, ("transaction.version", 0, unsafe)),
            update(v, ("transaction.version", 1, up)),
            {"await_feature": "transaction.version", "level": 1},
            update(v, ("transaction.version", 2, up), ("group.version", 1, up)),
            {"await_feature": "transaction.version", "level": 2},
            features,
        )
        for label, updates in {
            "a level too high": [("transaction.version", 3, up)],
            "a level too low": [("metadata.version", 6, safe)],
            "a negative level": [("group.version", -1, up)],
            "an unknown feature": [("no.such.feature", 1, up)],
            "an unknown feature that is off": [("no.such.feature", 0, up)],
            "a downgrade that it doesn't name": [("group.version", 0, up)],
            "an upgrade that it calls a downgrade": [("group.version", 0, safe), ("group.version", 1, safe)],
            "no type": [("group.version", 1, 0)],
            "a type that nobody knows": [("group.version", 1, 4)],
            "metadata.version 22": [("metadata.version", 22, safe)],
            "metadata.version 22, unsafe": [("metadata.version", 22, unsafe)],
            "one good and one bad": [("group.version", 0, safe), ("transaction.version", 3, up)],
            "nothing": [],
            "the level that there is": [("group.version", 1, up)],
        }.items():
            script.add(STAGE, f"UpdateFeatures v{v} with {label}", update(v, *updates), features)
        script.add(
            STAGE,
            f"UpdateFeatures v{v}, only validated",
            update(v, ("metadata.version", 23, safe), ("group.version", 0, safe), validate_only=True),
            features,
        )
    script.add(
        STAGE,
        "UpdateFeatures v0",
        update(0, ("transaction.version", 1, True)),
        update(0, ("transaction.version", 2, False)),
        features,
    )


def coordinators(script):
    find_coordinator(script)
    internal_topics(script)
    init_producer_id(script)
    update_features(script)
