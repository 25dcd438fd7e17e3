"""The conversations with coordinators of consumer groups (KIP-848): members, epochs, assignments, migration."""

import struct

from conversations_script_groups import (
    NOT_YET,
    beat,
    commit,
    coordinator,
    described,
    fetch_offsets,
    join,
    leave,
    sync,
)
from conversations_script_nodes import create_on, led, to
from conversations_script_steps import UNKNOWN_ID, ask, create, unread

STAGE = "consumers"
ID = "$topicId1"
OFF = "consumers-off"


def heartbeat(version, group, member, epoch=0, topics=None, owned=None, timeout=-1, **more):
    """Topics: names; owned: {topic id: partitions}. A member that joins says all of itself."""
    where = {key: more.pop(key) for key in ("as", "later", "retry", "until") if key in more}
    asked = {"groupId": group, "memberId": member, "memberEpoch": epoch, "rebalanceTimeoutMs": timeout}
    asked["subscribedTopicNames"] = topics
    if owned is not None:
        asked["topicPartitions"] = [{"topicId": topic, "partitions": list(of)} for topic, of in owned.items()]
    return ask("ConsumerGroupHeartbeat", version, **asked, **more) | where


def enter(version, group, member, topics, **more):
    if "regex" in more:
        more["subscribedTopicRegex"] = more.pop("regex")
    return heartbeat(version, group, member, 0, topics, {}, 60000, retry=NOT_YET, **more)


def consumers(version, *groups, operations=False, **where):
    return ask("ConsumerGroupDescribe", version, groupIds=list(groups), includeAuthorizedOperations=operations) | where


def listed(*types):
    return ask("ListGroups", 5, typesFilter=list(types))


def lives(script):
    for v in (0, 1):
        group, topic = f"consumer-life-{v}", f"consumer-life-topic-{v}"
        script.add(
            STAGE,
            f"ConsumerGroupHeartbeat v{v}: one member's life",
            create(topic, 3),
            coordinator(group),
            consumers(v, group, retry=NOT_YET),
            enter(v, group, "m", [topic]),
            consumers(v, group, operations=True),
            described(5, group),
            described(6, group),
            heartbeat(v, group, "m", 1),
            heartbeat(v, group, "m", 1, [topic], {ID: [0, 1, 2]}, 60000),
            heartbeat(v, group, "m", 1, [topic, f"{topic}-none"], {ID: [0, 1, 2]}),
            heartbeat(v, group, "m", 1, None, {ID: [0, 1, 2]}),
            heartbeat(v, group, "m", 1, None, {ID: [0, 1, 2, 3]}),
            heartbeat(v, group, "m", 1),
            heartbeat(v, group, "m", 2, serverAssignor="range"),
            heartbeat(v, group, "m", 2, rackId="r"),
            heartbeat(v, group, "m", 2, []),
            heartbeat(v, group, "m", 2, None, {}),
            heartbeat(v, group, "m", 3),
            consumers(v, group),
            heartbeat(v, group, "m", 0, [topic], {}, 60000),
            heartbeat(v, group, "m", -1),
            heartbeat(v, group, "m", -1),
            consumers(v, group),
            ask("DeleteGroups", 2, groupsNames=[group]),
            consumers(v, group),
            heartbeat(v, group, "m", 2),
            heartbeat(v, group, "m", -1),
        )


def pairs(script):
    for v in (0, 1):
        group, topic = f"consumer-pair-{v}", f"consumer-pair-topic-{v}"
        script.add(
            STAGE,
            f"ConsumerGroupHeartbeat v{v} of several members",
            create(topic, 4),
            coordinator(group),
            enter(v, group, "a", [topic]),
            enter(v, group, "b", [topic]),
            consumers(v, group),
            heartbeat(v, group, "a", 1),
            heartbeat(v, group, "b", 2),
            heartbeat(v, group, "a", 1, None, {ID: [0, 1, 2, 3]}),
            consumers(v, group),
            ask("ConsumerGroupHeartbeat", v, groupId=group, memberId="a", memberEpoch=1, topicPartitions=[]),
            heartbeat(v, group, "b", 2),
            consumers(v, group),
            enter(v, group, "c", [topic]),
            heartbeat(v, group, "a", 2, None, {}),
            heartbeat(v, group, "b", 2, None, {}),
            heartbeat(v, group, "c", 3),
            heartbeat(v, group, "a", 3),
            heartbeat(v, group, "b", 3),
            consumers(v, group),
            heartbeat(v, group, "b", -1),
            consumers(v, group),
            heartbeat(v, group, "a", 3),
            heartbeat(v, group, "c", 3),
            consumers(v, group),
        )


def ranges(script):
    group, first, second = "consumer-range", "consumer-range-1", "consumer-range-2"
    members = [enter(1, group, name, [first, second], serverAssignor="range") for name in ("z", "y", "x")]
    mixed = "consumer-mixed"
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v1 with the range assignor",
        create(first, 4),
        create(second, 7),
        coordinator(group),
        members,
        enter(1, group, "s", [first, second], instanceId="i"),
        consumers(1, group),
    )
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v1 of members with different topics",
        create(f"{mixed}-1", 5),
        create(f"{mixed}-2", 6),
        coordinator(mixed),
        enter(1, mixed, "a", [f"{mixed}-1"]),
        enter(1, mixed, "b", [f"{mixed}-2"]),
        enter(1, mixed, "c", [f"{mixed}-1", f"{mixed}-2"]),
        consumers(1, mixed),
        heartbeat(1, mixed, "b", 2, [f"{mixed}-1"]),
        consumers(1, mixed),
    )


def statics(script):
    for v in (0, 1):
        group, topic = f"consumer-static-{v}", f"consumer-static-topic-{v}"
        mine = {"instanceId": "i"}
        script.add(
            STAGE,
            f"ConsumerGroupHeartbeat v{v} of a static member",
            create(topic, 2),
            coordinator(group),
            enter(v, group, "a", [topic], **mine),
            enter(v, group, "b", [topic], **mine),
            heartbeat(v, group, "b", 1, **mine),
            heartbeat(v, group, "a", 1, instanceId="j"),
            heartbeat(v, group, "b", -2, **mine),
            heartbeat(v, group, "a", -2, instanceId="j"),
            heartbeat(v, group, "a", -2, **mine),
            consumers(v, group),
            enter(v, group, "b", [topic], **mine),
            heartbeat(v, group, "a", 1, **mine),
            consumers(v, group),
            heartbeat(v, group, "b", -1, **mine),
            consumers(v, group),
        )


def refused(script):
    for v in (0, 1):
        group, topic = f"consumer-refused-{v}", f"consumer-refused-topic-{v}"
        whole = {"topics": [topic], "owned": {}, "timeout": 60000}
        script.add(
            STAGE,
            f"ConsumerGroupHeartbeat v{v} that is refused",
            coordinator(group),
            enter(v, "", "m", [topic]),
            enter(v, " ", "m", [topic]),
            heartbeat(v, group, " ", 0, **whole),
            heartbeat(v, group, "", 1),
            heartbeat(v, group, "", -1),
            heartbeat(v, group, "m", 0, **whole, instanceId=""),
            heartbeat(v, group, "m", 0, **whole, rackId=""),
            heartbeat(v, group, "m", 0, [topic], {}),
            heartbeat(v, group, "m", 0, [topic], None, 60000),
            heartbeat(v, group, "m", 0, [topic], {UNKNOWN_ID: [0]}, 60000),
            heartbeat(v, group, "m", 0, None, {}, 60000),
            heartbeat(v, group, "m", -2),
            heartbeat(v, group, "m", -3),
            heartbeat(v, group, "m", 0, **whole, serverAssignor="sticky"),
            heartbeat(v, group, "m", 0, **whole, serverAssignor=""),
            heartbeat(v, group, "m", 1),
            heartbeat(v, group, "m", -1),
            consumers(v, group, ""),
            consumers(v),
            enter(v, group, "m", [f"{topic}-none"]),
            heartbeat(v, group, "m", 2),
            heartbeat(v, group, "n", 1),
            heartbeat(v, group, "n", -1),
            heartbeat(v, group, "m", 1, None, {UNKNOWN_ID: [0]}),
            consumers(v, group),
        )
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v0 of a member without an id",
        coordinator("consumer-drawn"),
        enter(0, "consumer-drawn", "", []),
        heartbeat(0, "consumer-drawn", "$drawnMember1", 1),
        heartbeat(1, "consumer-drawn", "", 0, [], {}, 60000),
        consumers(0, "consumer-drawn"),
    )


def regexes(script):
    group, topic = "consumer-regex", "consumer-regex-topic"
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v1 with a regular expression",
        create(f"{topic}-1", 2),
        create(f"{topic}-2", 1),
        create(f"not-{topic}", 1),
        coordinator(group),
        enter(1, group, "a", None, regex="consumer("),
        [
            heartbeat(1, group, "a", 0, None, {}, 60000, subscribedTopicRegex=bad)
            for bad in (
                *("a)", "[a", "*a", "a**", "\\8", "(?P<n", "[z-a]", "a{2,1}", "a{1001}", "x\\"),
                *("(?=a)", "(?i", "[[:word", "[[:nothing:]]", "\\pX"),
            )
        ],
        consumers(1, group),
        enter(1, group, "a", None, regex=f"{topic}-.*"),
        consumers(1, group, retry=["Stable"]),
        heartbeat(1, group, "a", 1),
        consumers(1, group),
        # Of one topic: with both, their drawn ids say which partitions a member keeps.
        enter(1, group, "b", None, regex=f"{topic}-1"),
        consumers(1, group),
        heartbeat(1, group, "a", 2, None, {}),
        heartbeat(1, group, "b", 3),
        heartbeat(1, group, "b", 3, [f"not-{topic}"], {}, subscribedTopicRegex=""),
        consumers(1, group),
        heartbeat(1, group, "a", -1),
        heartbeat(1, group, "b", 4),
        consumers(1, group),
    )


def offsets(script):
    group, topic = "consumer-offsets", "consumer-offsets-topic"
    script.add(
        STAGE,
        "OffsetCommit and OffsetFetch v9 in a consumer group",
        create(topic, 2),
        coordinator(group),
        commit(9, group, (topic, 0, 1), retry=NOT_YET),
        enter(1, group, "m", [topic]),
        fetch_offsets(9, group, {topic: [0, 1]}, member="m", epoch=1),
        fetch_offsets(9, group, {topic: [0]}, member="m", epoch=0),
        fetch_offsets(9, group, {topic: [0]}, member="m", epoch=2),
        fetch_offsets(9, group, None, member="m", epoch=2),
        fetch_offsets(9, group, {topic: [0]}, member="n", epoch=1),
        fetch_offsets(9, group, {topic: [0]}, member="", epoch=1),
        fetch_offsets(9, group, {topic: [0]}, epoch=1),
        fetch_offsets(8, group, {topic: [0]}),
        commit(9, group, (topic, 0, 2), member="m", generation=1),
        commit(9, group, (topic, 0, 3), member="m", generation=0),
        commit(9, group, (topic, 0, 3), member="m", generation=2),
        commit(9, group, (topic, 0, 3), member="n", generation=1),
        commit(9, group, (topic, 0, 3), member="m", generation=-1),
        commit(9, group, (topic, 0, 3)),
        commit(8, group, (topic, 0, 3), member="m", generation=1),
        commit(8, group, (topic, 0, 3)),
        fetch_offsets(9, group, None),
        ask(
            "OffsetDelete",
            0,
            groupId=group,
            topics=[{"name": topic, "partitions": [{"partitionIndex": 0}]}],
        ),
        ask("DeleteGroups", 2, groupsNames=[group]),
        heartbeat(1, group, "m", -1),
        commit(9, group, (topic, 1, 5)),
        commit(9, group, (topic, 1, 5), generation=0, member="m"),
        fetch_offsets(9, group, None),
        ask("DeleteGroups", 2, groupsNames=[group]),
        fetch_offsets(9, group, None),
    )


def types(script):
    topic, me = "consumer-types-topic", "$verdictMember1"
    script.add(
        "consumers-listed",
        "ListGroups v5 of groups of both types",
        create(topic, 2),
        coordinator("a"),
        enter(1, "a", "m", [topic]),
        enter(1, "b", "m", [topic]),
        heartbeat(1, "b", "m", -1),
        enter(1, "c", "m", [topic]),
        enter(1, "c", "n", [topic]),
        join(3, "d", topics=(topic,)),
        sync(3, "d", me, assignments=[(me, "")]),
        commit(6, "e", (topic, 0, 1)),
        listed(),
        listed("consumer"),
        listed("CONSUMER", "classic"),
        listed("share"),
        [ask("ListGroups", 5, statesFilter=[one]) for one in ("stable", "Reconciling", "assigning", "empty")],
        ask("ListGroups", 4, statesFilter=["Stable"]),
        ask("ListGroups", 3),
        described(6, "a", "d"),
        consumers(1, "a", "d", "e", "nobody's"),
        heartbeat(1, "d", "m", 1),
        heartbeat(1, "e", "m", -1),
    )


def assigned(*topics):
    """ConsumerProtocolAssignment version 0."""
    body = struct.pack(">hi", 0, len(topics))
    for name, partitions in topics:
        body += struct.pack(">h", len(name)) + name.encode() + struct.pack(">i", len(partitions))
        body += b"".join(struct.pack(">i", one) for one in partitions)
    return body + struct.pack(">i", -1)


def migrations(script):
    me = "$verdictMember1"
    group, topic = "migrated", "migrated-topic"
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v1 to a classic group, which becomes a consumer group, and back",
        create(topic, 2),
        coordinator(group),
        join(5, group, topics=(topic,), retry=NOT_YET),
        join(5, group, me, topics=(topic,)),
        sync(3, group, me, assignments=[(me, assigned((topic, [0, 1])))]),
        commit(7, group, (topic, 0, 4), member=me, generation=1),
        enter(1, group, "n", [topic]),
        consumers(1, group),
        beat(3, group, me),
        sync(3, group, me),
        commit(7, group, (topic, 0, 5), member=me, generation=1),
        commit(7, group, (topic, 0, 5), member=me, generation=2),
        join(5, group, me, topics=(topic,)),
        sync(5, group, me, 2),
        sync(5, group, me, 2, name="sticky"),
        sync(3, group, me, 3),
        beat(3, group, me, 2),
        beat(3, group, "n", 2),
        heartbeat(1, group, "n", 2),
        consumers(1, group),
        fetch_offsets(9, group, {topic: [0]}, member=me, epoch=1),
        join(9, group, kind="connect"),
        join(9, group, names=("sticky",)),
        leave(3, group, "x"),
        heartbeat(1, group, "n", -1),
        described(6, group),
        beat(3, group, me, 2),
        join(5, group, me, topics=(topic,)),
        sync(3, group, me, 3, assignments=[(me, assigned((topic, [0, 1])))]),
        described(6, group),
        leave(3, group, me),
    )
    for label, how in {
        "of no consumers": {"kind": "connect"},
        "whose metadata nobody can read": {"metadata": "AAA="},
    }.items():
        name = "upgrade-" + label.replace(" ", "-")
        script.add(
            STAGE,
            f"ConsumerGroupHeartbeat v1 to a classic group {label}",
            coordinator(name),
            join(3, name, retry=NOT_YET, **how),
            described(6, name, retry=["Dead"]),
            enter(1, name, "n", ["t"]),
        )
    name = "emptied"
    script.add(
        STAGE,
        "ConsumerGroupHeartbeat v1 to empty groups that change their type",
        create(f"{name}-topic", 1),
        coordinator(name),
        commit(6, name, (f"{name}-topic", 0, 1), retry=NOT_YET),
        enter(1, name, "n", [f"{name}-topic"]),
        heartbeat(1, name, "n", -1),
        sync(3, name, "n", 1),
        beat(3, name, "n", 1),
        leave(3, name, "n"),
        join(3, name, topics=(f"{name}-topic",)),
        fetch_offsets(9, name, None),
        leave(2, name, me),
        enter(1, name, "n", [f"{name}-topic"]),
        fetch_offsets(9, name, None),
    )


def switched_off(script):
    features = ask("ApiVersions", 4, clientSoftwareName="a", clientSoftwareVersion="b")
    script.add(
        OFF,
        "ConsumerGroupHeartbeat where group.coordinator.rebalance.protocols has no consumer",
        features,
        coordinator("g"),
        heartbeat(0, "g", "m", 0, ["t"], {}, 60000),
        heartbeat(1, "", "m", 0, ["t"], {}, 60000),
        consumers(0, "g", ""),
        consumers(1),
        join(3, "g", retry=NOT_YET),
    )
    down = ask(
        "UpdateFeatures",
        1,
        timeoutMs=30000,
        featureUpdates=[{"feature": "group.version", "maxVersionLevel": 0, "upgradeType": 2}],
    )
    script.add(
        "consumers-down",
        "ConsumerGroupHeartbeat with group.version 0",
        coordinator("g"),
        enter(1, "g", "m", ["t"]),
        down,
        heartbeat(1, "g", "m", 1, retry=[0]),
        consumers(1, "g"),
        features,
        join(3, "h", retry=NOT_YET),
        ask("ListGroups", 5),
    )


def moved(script):
    """The coordinator stops: the next one loads what it knew."""
    group, topic = "consumer-moved", "consumer-moved-topic"
    asked = ask("FindCoordinator", 4, coordinatorKeys=[group]) | {"retry": NOT_YET}
    mine, here = {"instanceId": "i"}, "$topicId2"
    script.add(
        "moving-consumers",
        "ConsumerGroupHeartbeat before and after the coordinator has stopped",
        create_on("__consumer_offsets", 2, 1, cleanup_policy="compact"),
        create_on(topic, 1, 3, partitions=4),
        asked,
        to(2, enter(1, group, "a", [topic])),
        to(2, enter(1, group, "b", [topic])),
        to(2, enter(1, group, "s", [topic], **mine)),
        to(2, heartbeat(1, group, "a", 1, None, {here: [0, 1, 2, 3]})),
        to(2, heartbeat(1, group, "s", -2, **mine)),
        to(2, commit(9, group, (topic, 0, 5), member="b", generation=2)),
        to(2, consumers(1, group)),
        heartbeat(1, group, "a", 1),
        consumers(1, group),
        {"stop": 2},
        led("__consumer_offsets", 1, 1, at=[1, 3]),
        asked,
        consumers(1, group, retry=NOT_YET),
        fetch_offsets(9, group, {topic: [0]}, member="b", epoch=2),
        heartbeat(1, group, "a", 1, None, {here: [0, 1, 2, 3]}),
        heartbeat(1, group, "b", 2),
        heartbeat(1, group, "a", 1, None, {}),
        heartbeat(1, group, "b", 2),
        enter(1, group, "t", [topic], **mine),
        consumers(1, group),
        {"start": 2},
        led("__consumer_offsets", 1, 1, 2),
        heartbeat(1, group, "b", -1),
        heartbeat(1, group, "a", 3),
    )


def consumer_groups(script):
    moved(script)
    lives(script)
    pairs(script)
    ranges(script)
    statics(script)
    refused(script)
    regexes(script)
    offsets(script)
    types(script)
    migrations(script)
    switched_off(script)
    unread(script, STAGE, (("ConsumerGroupHeartbeat", 2), ("ConsumerGroupDescribe", 2)))
