"""The conversations with coordinators of classic groups: members, generations, committed offsets."""

import struct

from batches import text
from conversations_script_steps import ask, create, unread

STAGE = "groups"
# Of the versions that a client speaks together: JoinGroup 0-9, the others up to their own highest.
HIGHEST = {"SyncGroup": 5, "Heartbeat": 4, "LeaveGroup": 5, "OffsetCommit": 9, "OffsetFetch": 9, "DescribeGroups": 6}
LOWEST = {"OffsetCommit": 2, "OffsetFetch": 1}
NOT_YET = [14, 15, 16]
UNREAD = (
    ("JoinGroup", 10),
    ("SyncGroup", 6),
    ("Heartbeat", 5),
    ("LeaveGroup", 6),
    ("OffsetCommit", 1),
    ("OffsetCommit", 10),
    ("OffsetFetch", 0),
    ("OffsetFetch", 10),
    ("OffsetDelete", 1),
    ("DeleteGroups", 3),
    ("DescribeGroups", 7),
    ("ListGroups", 6),
)


def beside(api, join):
    """The version of `api` that goes with this version of JoinGroup."""
    return max(LOWEST.get(api, 0), min(HIGHEST[api], join))


def strings(*values):
    return struct.pack(">i", len(values)) + b"".join(struct.pack(">h", len(one)) + one.encode() for one in values)


def subscription(*topics, data=None):
    """ConsumerProtocolSubscription version 0."""
    return text(struct.pack(">h", 0) + strings(*topics) + struct.pack(">i", -1) + (data or b""))


def coordinator(group):
    return {"until_ready": ask("FindCoordinator", 4, coordinatorKeys=[group])}


def join(version, group, member="", topics=("t",), names=("range",), instance=None, kind="consumer", **how):
    where = {key: how.pop(key) for key in ("as", "later", "retry") if key in how}
    protocols = [{"name": name, "metadata": how.pop("metadata", None) or subscription(*topics)} for name in names]
    asked = {
        "groupId": group,
        "sessionTimeoutMs": 30000,
        "rebalanceTimeoutMs": 60000,
        "memberId": member,
        "groupInstanceId": instance,
        "protocolType": kind,
        "protocols": protocols,
        **how,
    }
    return ask("JoinGroup", version, **asked) | where


def joined(version, group, name="$verdictMember1", **how):
    """From version 4 on a member first gets its id."""
    where = {"retry": NOT_YET} if "later" not in how else {}
    if version < 4 or how.get("instance"):
        return [join(version, group, **how, **where)]
    ids = {key: value for key, value in how.items() if key != "later"}
    return [join(version, group, retry=NOT_YET, **ids), join(version, group, name, **how, **where)]


def sync(version, group, member, generation=1, assignments=(), instance=None, kind="consumer", name="range", **where):
    return (
        ask(
            "SyncGroup",
            version,
            groupId=group,
            generationId=generation,
            memberId=member,
            groupInstanceId=instance,
            protocolType=kind,
            protocolName=name,
            assignments=[
                {"memberId": one, "assignment": text(given if isinstance(given, bytes) else given.encode())}
                for one, given in assignments
            ],
        )
        | where
    )


def beat(version, group, member, generation=1, instance=None, **where):
    return (
        ask("Heartbeat", version, groupId=group, generationId=generation, memberId=member, groupInstanceId=instance)
        | where
    )


def leave(version, group, *members, **where):
    """Members: ids, or (id, instance)."""
    named = [(one, None) if isinstance(one, str) else one for one in members]
    if version < 3:
        return ask("LeaveGroup", version, groupId=group, memberId=named[0][0]) | where
    return (
        ask(
            "LeaveGroup",
            version,
            groupId=group,
            members=[{"memberId": one, "groupInstanceId": instance, "reason": "enough"} for one, instance in named],
        )
        | where
    )


def offsets_of(offsets, metadata="", epoch=-1):
    by_topic = {}
    for topic, partition, offset in offsets:
        one = {
            "partitionIndex": partition,
            "committedOffset": offset,
            "committedLeaderEpoch": epoch,
            "committedMetadata": metadata,
        }
        by_topic.setdefault(topic, []).append(one)
    return [{"name": topic, "partitions": partitions} for topic, partitions in by_topic.items()]


def commit(version, group, *offsets, member="", generation=-1, instance=None, metadata="", epoch=-1, **where):
    """Offsets: (topic, partition, offset)."""
    topics = offsets_of(offsets, metadata, epoch)
    return (
        ask(
            "OffsetCommit",
            version,
            groupId=group,
            generationIdOrMemberEpoch=generation,
            memberId=member,
            groupInstanceId=instance,
            retentionTimeMs=-1,
            topics=topics,
        )
        | where
    )


def fetch_offsets(version, group, topics, member=None, epoch=-1, stable=False, **where):
    """topics: {name: partitions}, or None for all."""
    wanted = None if topics is None else [{"name": one, "partitionIndexes": of} for one, of in topics.items()]
    if version < 8:
        return ask("OffsetFetch", version, groupId=group, topics=wanted, requireStable=stable) | where
    groups = [{"groupId": group, "memberId": member, "memberEpoch": epoch, "topics": wanted}]
    return ask("OffsetFetch", version, groups=groups, requireStable=stable) | where


def described(version, *groups, operations=False, **where):
    return ask("DescribeGroups", version, groups=list(groups), includeAuthorizedOperations=operations) | where


def lives(script):
    """One member, from its first join to its leaving, in each version."""
    for v in range(10):
        group, topic, me = f"life-{v}", f"life-topic-{v}", "$verdictMember1"
        at = {api: beside(api, v) for api in HIGHEST}
        script.add(
            STAGE,
            f"JoinGroup v{v}: one member's life",
            create(topic, 2),
            coordinator(group),
            described(at["DescribeGroups"], group, retry=NOT_YET),
            joined(v, group, topics=(topic,)),
            described(at["DescribeGroups"], group, retry=["Dead"]),
            beat(at["Heartbeat"], group, me),
            sync(at["SyncGroup"], group, me, assignments=[(me, "mine")]),
            beat(at["Heartbeat"], group, me),
            described(at["DescribeGroups"], group, operations=True),
            fetch_offsets(at["OffsetFetch"], group, {topic: [0, 1]}),
            commit(
                at["OffsetCommit"], group, (topic, 0, 5), (topic, 1, 0), member=me, generation=1, metadata="a", epoch=0
            ),
            commit(at["OffsetCommit"], group, (topic, 1, 7), member=me, generation=1),
            fetch_offsets(at["OffsetFetch"], group, {topic: [1, 0, 2]}),
            *([fetch_offsets(at["OffsetFetch"], group, None)] if at["OffsetFetch"] >= 2 else []),
            join(v, group, me, topics=(topic,), names=("range", "roundrobin")),
            sync(at["SyncGroup"], group, me, 2, assignments=[(me, "again")]),
            join(v, group, me, topics=(topic,), names=("range", "roundrobin")),
            sync(at["SyncGroup"], group, me, 3, assignments=[]),
            described(at["DescribeGroups"], group),
            leave(at["LeaveGroup"], group, me),
            described(at["DescribeGroups"], group),
            beat(at["Heartbeat"], group, me, 3),
            fetch_offsets(at["OffsetFetch"], group, {topic: [0]}),
        )


def pairs(script):
    """Two members: whoever is there must join again when another comes or goes."""
    for v in (1, 4, 5, 6, 9):
        group, a, b = f"pair-{v}", "$verdictMember1", "$verdictMember2"
        at = {api: beside(api, v) for api in HIGHEST}
        second = joined(v, group, b, topics=("t", "u"), **{"as": "b", "later": True})
        script.add(
            STAGE,
            f"JoinGroup v{v} by a second member",
            coordinator(group),
            joined(v, group),
            sync(at["SyncGroup"], group, a, assignments=[(a, "all")]),
            second,
            beat(at["Heartbeat"], group, a, retry=[0]),
            described(at["DescribeGroups"], group),
            commit(at["OffsetCommit"], group, ("t", 0, 3), member=a, generation=1),
            sync(at["SyncGroup"], group, a, 1, assignments=[]),
            join(v, group, a),
            {"answer_to": "b"},
            *([sync(at["SyncGroup"], group, b, 2, **{"as": "b", "later": True})] if v >= 4 else []),
            sync(at["SyncGroup"], group, a, 2, assignments=[(a, "half"), *([(b, "the other")] if v >= 4 else [])]),
            *([{"answer_to": "b"}] if v >= 4 else []),
            beat(at["Heartbeat"], group, a, 2),
            described(at["DescribeGroups"], group),
            beat(at["Heartbeat"], group, a, 1),
            *([leave(at["LeaveGroup"], group, b)] if v >= 4 else []),
            *([beat(at["Heartbeat"], group, a, 2), join(v, group, a)] if v >= 4 else []),
            leave(at["LeaveGroup"], group, a),
        )


def statics(script):
    """Members with an instance id."""
    for v in (5, 7, 8, 9):
        group, at = f"static-{v}", {api: beside(api, v) for api in HIGHEST}
        at["SyncGroup"], at["Heartbeat"], at["LeaveGroup"] = (
            max(3, at["SyncGroup"]),
            max(3, at["Heartbeat"]),
            max(3, at["LeaveGroup"]),
        )
        first, second = "$iMember1", "$iMember2"
        script.add(
            STAGE,
            f"JoinGroup v{v} of a static member, which comes again",
            coordinator(group),
            join(v, group, instance="i", retry=NOT_YET),
            sync(at["SyncGroup"], group, first, assignments=[(first, "mine")], instance="i"),
            beat(at["Heartbeat"], group, first, instance="i"),
            beat(at["Heartbeat"], group, "another", instance="i"),
            beat(at["Heartbeat"], group, first, instance="j"),
            join(v, group, instance="i"),
            sync(at["SyncGroup"], group, second, assignments=[], instance="i"),
            beat(at["Heartbeat"], group, first, instance="i"),
            beat(at["Heartbeat"], group, second, instance="i"),
            join(v, group, first, instance="i"),
            sync(at["SyncGroup"], group, first, instance="i"),
            commit(max(7, at["OffsetCommit"]), group, ("t", 0, 3), member=first, generation=1, instance="i"),
            commit(max(7, at["OffsetCommit"]), group, ("t", 0, 3), member=second, generation=1, instance="i"),
            described(at["DescribeGroups"], group),
            leave(at["LeaveGroup"], group, (first, "i")),
            leave(at["LeaveGroup"], group, ("", "j"), ("nobody", None)),
            leave(at["LeaveGroup"], group, ("", "i")),
            described(at["DescribeGroups"], group),
        )


def join_errors(script):
    for v in (0, 3, 5, 9):
        group, at = f"join-errors-{v}", {api: beside(api, v) for api in HIGHEST}
        me = "$verdictMember1"
        script.add(
            STAGE,
            f"JoinGroup v{v} that is refused",
            coordinator(group),
            join(v, ""),
            join(v, group, sessionTimeoutMs=5999),
            join(v, group, sessionTimeoutMs=1800001),
            join(v, group, "nobody"),
            join(v, group, names=()),
            join(v, group, kind=""),
            joined(v, group),
            sync(at["SyncGroup"], group, me, assignments=[(me, "mine")]),
            join(v, group, "nobody"),
            join(v, group, kind="connect"),
            join(v, group, names=("sticky",)),
            join(v, group, me, names=("sticky",)),
            beat(at["Heartbeat"], group, me, 1),
        )


def member_errors(script):
    for v in range(6):
        group, me = f"member-errors-{v}", "$verdictMember1"
        at = {api: min(v, HIGHEST[api]) for api in HIGHEST}
        script.add(
            STAGE,
            f"SyncGroup v{v} and what goes with it, refused",
            coordinator(group),
            sync(at["SyncGroup"], "", me := "x"),
            sync(at["SyncGroup"], group, me),
            beat(at["Heartbeat"], "", me),
            beat(at["Heartbeat"], group, me),
            leave(at["LeaveGroup"], "", me),
            leave(at["LeaveGroup"], group, me),
            joined(3, group),
            [
                step
                for who, generation in (("x", 1), ("$verdictMember1", 0), ("$verdictMember1", 2), ("", 1))
                for step in (
                    sync(at["SyncGroup"], group, who, generation),
                    beat(at["Heartbeat"], group, who, generation),
                )
            ],
            *(
                [
                    sync(at["SyncGroup"], group, "$verdictMember1", 1, kind="connect"),
                    sync(at["SyncGroup"], group, "$verdictMember1", 1, name="sticky"),
                ]
                if v >= 5
                else []
            ),
            leave(at["LeaveGroup"], group, "x"),
            leave(at["LeaveGroup"], group, ""),
            *([leave(v, group, "x", "$verdictMember1", "")] if v >= 3 else []),
            *([leave(v, group)] if v >= 3 else []),
        )


def offset_commits(script):
    for v in range(2, 10):
        group, topic, me = f"commits-{v}", f"commits-topic-{v}", "$verdictMember1"
        fetched = fetch_offsets(min(v, 9), group, {topic: [0, 1]})
        script.add(
            STAGE,
            f"OffsetCommit v{v}",
            create(topic, 2),
            coordinator(group),
            commit(v, group, (topic, 0, 1), retry=NOT_YET),
            commit(v, "", (topic, 0, 1)),
            commit(v, group),
            commit(v, group, (topic, 0, 1), generation=1),
            commit(v, group, (topic, 0, 1), generation=0, member="nobody"),
            commit(v, group, (topic, 0, 1), member="nobody"),
            commit(v, f"{group}-none", (topic, 0, 1), generation=1, member="nobody"),
            commit(v, group, (topic, 2, 1), (topic, 0, 2)),
            commit(v, group, (f"none-{v}", 0, 1), (topic, 0, 3)),
            commit(v, group, (topic, 0, 4), metadata="m" * 4096),
            commit(v, group, (topic, 0, 5), metadata="m" * 4097),
            commit(v, group, (topic, 0, 6), metadata=None),
            commit(v, group, (topic, 0, -1)),
            commit(v, group, (topic, 1, -2)),
            fetched,
            joined(3, group, topics=(topic,)),
            commit(v, group, (topic, 0, 8)),
            commit(v, group, (topic, 0, 9), member=me, generation=1),
            sync(3, group, me, assignments=[(me, "mine")]),
            commit(v, group, (topic, 0, 8)),
            commit(v, group, (topic, 0, 10), member=me, generation=1),
            commit(v, group, (topic, 0, 11), member=me, generation=0),
            commit(v, group, (topic, 0, 11), member=me, generation=2),
            commit(v, group, (topic, 0, 11), member="nobody", generation=1),
            *([commit(v, group, (topic, 0, 11), member=me, generation=1, instance="i")] if v >= 7 else []),
            fetched,
        )


def offset_fetches(script):
    for v in range(1, 10):
        group, topic = f"fetches-{v}", f"fetches-topic-{v}"
        script.add(
            STAGE,
            f"OffsetFetch v{v}",
            create(topic, 3),
            coordinator(group),
            commit(6, group, (topic, 0, 1), (topic, 2, 3), metadata="m", epoch=0, retry=NOT_YET),
            fetch_offsets(v, group, {topic: [0, 1, 2, 7], f"none-{v}": [0]}),
            fetch_offsets(v, group, {}),
            *([fetch_offsets(v, group, None)] if v >= 2 else []),
            fetch_offsets(v, f"{group}-none", {topic: [0]}),
            *([fetch_offsets(v, f"{group}-none", None)] if v >= 2 else []),
            fetch_offsets(v, "", {topic: [0]}),
            *([fetch_offsets(v, group, {topic: [0]}, stable=True)] if v >= 7 else []),
            *(
                [
                    fetch_offsets(v, group, {topic: [0]}, member="nobody", epoch=0),
                    fetch_offsets(v, group, {topic: [0]}, member="nobody", epoch=-1),
                    fetch_offsets(v, group, {topic: [0]}, member="", epoch=5),
                ]
                if v >= 9
                else []
            ),
        )
    for v in (8, 9):
        group = f"fetches-{v}"
        groups = [
            {"groupId": one, "topics": None, "memberId": None, "memberEpoch": -1} for one in (group, f"{group}-none")
        ]
        script.add(
            STAGE, f"OffsetFetch v{v} of several groups", coordinator(group), ask("OffsetFetch", v, groups=groups)
        )
        script.add(STAGE, f"OffsetFetch v{v} of no group", ask("OffsetFetch", v, groups=[]))


def deletions(script):
    def delete_offsets(group, *topics):
        wanted = [{"name": one, "partitions": [{"partitionIndex": part} for part in parts]} for one, parts in topics]
        return ask("OffsetDelete", 0, groupId=group, topics=wanted)

    def delete(version, *groups):
        return ask("DeleteGroups", version, groupsNames=list(groups))

    group, topic, me = "deletes", "deletes-topic", "$verdictMember1"
    script.add(
        STAGE,
        "OffsetDelete v0",
        create(topic, 3),
        create("deletes-subscribed"),
        coordinator(group),
        delete_offsets(group, (topic, [0])),
        delete_offsets("", (topic, [0])),
        commit(6, group, (topic, 0, 1), (topic, 1, 2), ("deletes-subscribed", 0, 3), retry=NOT_YET),
        delete_offsets(group, (topic, [0, 2, 7]), ("no-such-topic", [0])),
        fetch_offsets(5, group, None),
        delete_offsets(group),
        joined(3, group, topics=("deletes-subscribed",)),
        sync(3, group, me, assignments=[(me, "mine")]),
        commit(6, group, (topic, 2, 1), member=me, generation=1),
        delete_offsets(group, (topic, [1]), ("deletes-subscribed", [0])),
        fetch_offsets(5, group, None),
        leave(2, group, me),
        delete_offsets(group, ("deletes-subscribed", [0]), (topic, [2])),
        fetch_offsets(5, group, None),
        described(4, group),
    )
    script.add(
        STAGE,
        "OffsetDelete v0 of a group that is no consumers'",
        coordinator("deletes-connect"),
        joined(3, "deletes-connect", kind="connect"),
        delete_offsets("deletes-connect", (topic, [0])),
    )
    for v in range(3):
        group = f"delete-{v}"
        script.add(
            STAGE,
            f"DeleteGroups v{v}",
            create(f"{group}-topic"),
            coordinator(group),
            commit(6, f"{group}-a", (f"{group}-topic", 0, 1), retry=NOT_YET),
            commit(6, "", (f"{group}-topic", 0, 1), retry=NOT_YET),
            joined(3, f"{group}-b"),
            delete(v, f"{group}-a", f"{group}-b", f"{group}-none", ""),
            delete(v),
            delete(v, f"{group}-a"),
            fetch_offsets(5, f"{group}-a", None),
            described(4, f"{group}-a", f"{group}-b"),
            leave(2, f"{group}-b", me),
            delete(v, f"{group}-b"),
            described(4, f"{group}-b"),
        )


def descriptions(script):
    for v in range(7):
        script.add(
            STAGE,
            f"DescribeGroups v{v}",
            coordinator("described"),
            described(v, "nobody's", retry=NOT_YET),
            described(v, "nobody's", ""),
            described(v),
            *([described(v, "nobody's", operations=True)] if v >= 3 else []),
        )
    lists = [
        step
        for v in range(6)
        for step in (
            ask("ListGroups", v),
            *([ask("ListGroups", v, statesFilter=[one]) for one in ("Empty", "stable", "Nothing")] if v >= 4 else []),
            *(
                [ask("ListGroups", v, typesFilter=[one]) for one in ("classic", "consumer", "nothing")]
                if v >= 5
                else []
            ),
            *([ask("ListGroups", v, statesFilter=["Empty", "Dead"], typesFilter=["Classic"])] if v >= 5 else []),
        )
    ]
    me = "$verdictMember1"
    script.add(
        "lists",
        "ListGroups in all versions",
        create("lists"),
        coordinator("a"),
        ask("ListGroups", 5) | {"retry": NOT_YET},
        joined(3, "a"),
        sync(3, "a", me, assignments=[(me, "mine")]),
        joined(3, "b", kind="connect"),
        commit(6, "c", ("lists", 0, 1)),
        joined(4, "d")[:1],
        described(4, "d", retry=["Dead"]),
        lists,
    )


def groups(script):
    lives(script)
    pairs(script)
    statics(script)
    join_errors(script)
    member_errors(script)
    offset_commits(script)
    offset_fetches(script)
    deletions(script)
    descriptions(script)
    unread(script, STAGE, UNREAD)
