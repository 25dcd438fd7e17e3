"""The conversations about topics, configs and the cluster."""

UNKNOWN_ID = "Nz7dJfJuR1mKPxCnMGJ5vA"


def topic(name, partitions=1, factor=1, assignments=(), configs=()):
    return {
        "name": name,
        "numPartitions": partitions,
        "replicationFactor": factor,
        "assignments": [{"partitionIndex": index, "brokerIds": ids} for index, ids in assignments],
        "configs": [{"name": key, "value": value} for key, value in configs],
    }


def bad_topics(v):
    """What a creation is refused for; `v` keeps names apart."""
    manual = {"partitions": -1, "factor": -1}
    return {
        "the empty name": topic(""),
        "a dot": topic("."),
        "two dots": topic(".."),
        "a slash": topic("a/b"),
        "a name of 250": topic("n" * 250),
        "letters beyond ASCII": topic("naïve"),
        "no partitions": topic(f"c0-{v}", 0),
        "partitions -2": topic(f"c1-{v}", -2),
        "no replicas": topic(f"c2-{v}", 1, 0),
        "replicas -2": topic(f"c3-{v}", 1, -2),
        "more replicas than brokers": topic(f"c4-{v}", 1, 3),
        "too many partitions": topic(f"c5-{v}", 10001),
        "the metadata topic": topic("__cluster_metadata"),
        "an unknown config": topic(f"c6-{v}", configs=[("no.such.config", "1")]),
        "a config of null": topic(f"c7-{v}", configs=[("retention.ms", None)]),
        "a number too low": topic(f"c8-{v}", configs=[("retention.ms", "-5")]),
        "a number that is none": topic(f"c9-{v}", configs=[("retention.ms", "soon")]),
        "a number too large": topic(f"c10-{v}", configs=[("max.message.bytes", "99999999999")]),
        "a bad boolean": topic(f"c11-{v}", configs=[("preallocate", "perhaps")]),
        "a bad choice": topic(f"c12-{v}", configs=[("compression.type", "rar")]),
        "a bad list": topic(f"c13-{v}", configs=[("cleanup.policy", "delete,keep")]),
        "a small segment": topic(f"c14-{v}", configs=[("segment.bytes", "10")]),
        "a bad timestamp type": topic(f"c15-{v}", configs=[("message.timestamp.type", "Never")]),
        "no minimum in sync": topic(f"c16-{v}", configs=[("min.insync.replicas", "0")]),
        "an empty list": topic(f"c17-{v}", configs=[("cleanup.policy", "")]),
        "an empty number": topic(f"c18-{v}", configs=[("retention.bytes", "")]),
        "an assignment and a count": topic(f"m0-{v}", 1, -1, [(0, [1])]),
        "an assignment and a factor": topic(f"m1-{v}", -1, 1, [(0, [1])]),
        "an unknown broker": topic(f"m2-{v}", assignments=[(0, [9])], **manual),
        "a broker twice": topic(f"m3-{v}", assignments=[(0, [1, 1])], **manual),
        "an empty assignment": topic(f"m4-{v}", assignments=[(0, [])], **manual),
        "partitions that don't start at 0": topic(f"m5-{v}", assignments=[(1, [1])], **manual),
        "a gap in partitions": topic(f"m6-{v}", assignments=[(0, [1]), (2, [1])], **manual),
        "a negative broker": topic(f"m7-{v}", assignments=[(0, [-1])], **manual),
    }


def create_topics(script, ask, create):
    for v in (2, 5, 7):

        def made(*topics, v=v, **more):
            return ask("CreateTopics", v, topics=list(topics), timeoutMs=20000, **more)

        name = f"create-{v}"
        script.add("default", f"CreateTopics v{v}", made(topic(name, 3)), {"await": name}, made(topic(name, 3)))
        script.add("default", f"CreateTopics v{v} by the defaults", made(topic(f"{name}-d", -1, -1)))
        script.add(
            "default",
            f"CreateTopics v{v} by hand",
            made(topic(f"{name}-m", -1, -1, [(0, [1]), (1, [1])])),
            {"await": f"{name}-m"},
            ask("Metadata", 9, topics=[{"name": f"{name}-m"}]),
        )
        script.add(
            "default",
            f"CreateTopics v{v} by hand, last partition first",
            made(topic(f"{name}-r", -1, -1, [(1, [1]), (0, [1])])),
        )
        script.add(
            "default",
            f"CreateTopics v{v} with configs",
            made(
                topic(
                    f"{name}-c",
                    configs=[
                        ("retention.ms", "1000000"),
                        ("cleanup.policy", "compact,delete"),
                        ("compression.type", "lz4"),
                        ("min.insync.replicas", "1"),
                    ],
                )
            ),
        )
        script.add(
            "default",
            f"CreateTopics v{v} only validates",
            made(topic(f"{name}-v", 2), topic("a/b"), validateOnly=True),
            ask("Metadata", 9, topics=[{"name": f"{name}-v"}]),
        )
        script.add(
            "default",
            f"CreateTopics v{v} named twice",
            made(topic(f"{name}-t"), topic(f"{name}-o"), topic(f"{name}-t")),
        )
        script.add(
            "default",
            f"CreateTopics v{v} that collides",
            made(topic(f"co.l{v}")),
            {"await": f"co.l{v}"},
            made(topic(f"co_l{v}")),
        )
        script.add(
            "default", f"CreateTopics v{v} that collide with each other", made(topic(f"in.1-{v}"), topic(f"in_1-{v}"))
        )
        script.add(
            "default",
            f"CreateTopics v{v} of good and bad",
            made(topic(f"{name}-g"), topic(f"{name}-b", 0), topic(f"{name}-h")),
        )
        script.add("default", f"CreateTopics v{v} of nothing", made())
        script.add("default", f"CreateTopics v{v} of a name of 249", made(topic(f"{v}" * 249)))
        script.add(
            "default",
            f"CreateTopics v{v} with a timeout of 0",
            ask("CreateTopics", v, topics=[topic(f"{name}-now")], timeoutMs=0) | {"quiet": False},
        )
    for label, bad in bad_topics(7).items():
        script.add(
            "default", f"CreateTopics v7 refused: {label}", ask("CreateTopics", 7, topics=[bad], timeoutMs=20000)
        )
    for v in (2, 5):
        for label, bad in bad_topics(v).items():
            if label in (
                "no partitions",
                "more replicas than brokers",
                "an unknown config",
                "a broker twice",
                "a slash",
            ):
                script.add(
                    "default",
                    f"CreateTopics v{v} refused: {label}",
                    ask("CreateTopics", v, topics=[bad], timeoutMs=20000),
                )
    manual = topic("inconsistent", -1, -1, [(0, [1]), (1, [1, 2])])
    script.add(
        "default",
        "CreateTopics v7 refused: replicas that differ in number",
        ask("CreateTopics", 7, topics=[manual], timeoutMs=20000),
    )
    script.add(
        "default",
        "CreateTopics v7 refused: a partition twice",
        ask("CreateTopics", 7, topics=[topic("again", -1, -1, [(0, [1]), (0, [1])])], timeoutMs=20000),
    )
    script.add(
        "default",
        "CreateTopics v7 with a config twice",
        ask(
            "CreateTopics",
            7,
            timeoutMs=20000,
            topics=[topic("config-twice", configs=[("retention.ms", "1"), ("retention.ms", "2")])],
        ),
    )


def delete_topics(script, ask, create):
    for v in (1, 4, 6):

        def gone(*names, v=v):
            named = {"topicNames": list(names)} if v < 6 else {"topics": [{"name": name} for name in names]}
            return ask("DeleteTopics", v, timeoutMs=20000, **named)

        name = f"delete-{v}"
        script.add("default", f"DeleteTopics v{v}", create(name, 2), gone(name), {"await_gone": name}, gone(name))
        script.add(
            "default",
            f"DeleteTopics v{v} of known and unknown",
            create(f"{name}-k"),
            gone("nobody-d", f"{name}-k", "a/b", ""),
        )
        script.add(
            "default",
            f"DeleteTopics v{v} named twice",
            create(f"{name}-t"),
            gone(f"{name}-t", f"{name}-t"),
            gone("nobody-d", "nobody-d"),
        )
        script.add("default", f"DeleteTopics v{v} of nothing", gone())
        script.add(
            "strict",
            f"DeleteTopics v{v} disabled",
            create(f"{name}-s"),
            gone(f"{name}-s"),
            gone("nobody-d"),
            ask("Metadata", 9, topics=[{"name": f"{name}-s"}]),
        )
    script.add(
        "strict",
        "DeleteTopics v2 and v3 disabled",
        ask("DeleteTopics", 2, topicNames=["first"], timeoutMs=9000),
        ask("DeleteTopics", 3, topicNames=["first"], timeoutMs=9000),
    )

    def by(*topics):
        return ask("DeleteTopics", 6, timeoutMs=20000, topics=list(topics))

    script.add(
        "default",
        "DeleteTopics v6 by id",
        create("delete-id"),
        by({"topicId": "$topicId1"}),
        {"await_gone": "delete-id"},
        by({"topicId": "$topicId1"}),
    )
    script.add("default", "DeleteTopics v6 by an unknown id", by({"topicId": UNKNOWN_ID}))
    script.add(
        "default",
        "DeleteTopics v6 by name and id",
        create("delete-both"),
        by({"name": "delete-both", "topicId": "$topicId1"}),
    )
    script.add("default", "DeleteTopics v6 by neither", by({"name": None}))
    script.add(
        "default",
        "DeleteTopics v6 by name, and by id",
        create("delete-two"),
        by({"name": "delete-two"}, {"topicId": "$topicId1"}),
    )
    script.add(
        "default",
        "DeleteTopics v6 by id twice",
        create("delete-ids"),
        by({"topicId": "$topicId1"}, {"topicId": "$topicId1"}),
    )
    script.add("default", "DeleteTopics v6 by unknown ids twice", by({"topicId": UNKNOWN_ID}, {"topicId": UNKNOWN_ID}))


def cluster(script, ask, create):
    for v in (0, 1, 2):
        script.add(
            "default",
            f"DescribeCluster v{v}",
            ask("DescribeCluster", v),
            ask("DescribeCluster", v, includeClusterAuthorizedOperations=True),
        )
    for v in (1, 2):
        script.add("default", f"DescribeCluster v{v} of controllers", ask("DescribeCluster", v, endpointType=2))
        script.add(
            "default",
            f"DescribeCluster v{v} of an unknown kind",
            ask("DescribeCluster", v, endpointType=9),
            ask("DescribeCluster", v, endpointType=0),
        )
    script.add(
        "default", "DescribeCluster v2 with fenced brokers", ask("DescribeCluster", 2, includeFencedBrokers=True)
    )


def configs(script, ask, create):
    for v in (1, 3, 4):

        def of(*resources, v=v, **more):
            return ask(
                "DescribeConfigs",
                v,
                resources=[
                    {"resourceType": kind, "resourceName": name, "configurationKeys": keys}
                    for kind, name, keys in resources
                ],
                **more,
            )

        name = f"configs-{v}"
        script.add(
            "default",
            f"DescribeConfigs v{v} of a topic",
            create(name),
            of((2, name, None)),
            of((2, name, None), includeSynonyms=True),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of a topic with its own",
            create(f"{name}-o", retention_ms="5000000", cleanup_policy="compact"),
            of((2, f"{name}-o", None), includeSynonyms=True),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of some keys",
            create(f"{name}-k"),
            of((2, f"{name}-k", ["retention.ms", "nonsense", "segment.bytes"])),
            of((2, f"{name}-k", [])),
            of((2, f"{name}-k", ["nonsense"])),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of unknown topics",
            of((2, "nobody-c", None)),
            of((2, "a/b", None)),
            of((2, "", None)),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of the broker",
            of((4, "1", None)),
            of((4, "1", None), includeSynonyms=True),
            of((4, "1", ["log.retention.ms", "node.id", "num.partitions"]), includeSynonyms=True),
        )
        script.add(
            "default", f"DescribeConfigs v{v} of all brokers", of((4, "", None)), of((4, "", ["num.partitions"]))
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of other brokers",
            of((4, "2", None)),
            of((4, "one", None)),
            of((4, "-1", None)),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of unknown kinds",
            of((0, "a", None)),
            of((3, "a", None)),
            of((99, "a", None)),
        )
        script.add(
            "default",
            f"DescribeConfigs v{v} of several",
            create(f"{name}-s"),
            of((2, f"{name}-s", ["retention.ms"]), (4, "1", ["node.id"])),
            of((2, f"{name}-s", ["retention.ms"]), (2, f"{name}-s", ["retention.bytes"])),
            of(),
        )
    for v in (3, 4):
        script.add(
            "default",
            f"DescribeConfigs v{v} with documentation",
            create(f"docs-{v}"),
            ask(
                "DescribeConfigs",
                v,
                includeDocumentation=True,
                resources=[{"resourceType": 2, "resourceName": f"docs-{v}", "configurationKeys": ["retention.ms"]}],
            ),
        )
    script.add(
        "strict",
        "DescribeConfigs v4 of a broker with its own",
        ask(
            "DescribeConfigs",
            4,
            includeSynonyms=True,
            resources=[
                {
                    "resourceType": 4,
                    "resourceName": "1",
                    "configurationKeys": ["num.partitions", "message.max.bytes", "log.retention.hours"],
                }
            ],
        ),
    )
    script.add(
        "strict",
        "DescribeConfigs v4 of a topic by the broker's own",
        create("inherits"),
        ask(
            "DescribeConfigs",
            4,
            includeSynonyms=True,
            resources=[{"resourceType": 2, "resourceName": "inherits", "configurationKeys": None}],
        ),
    )


def admin(script, ask, create):
    for part in (create_topics, delete_topics, cluster, configs):
        part(script, ask, create)
