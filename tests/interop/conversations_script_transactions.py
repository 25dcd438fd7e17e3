"""The conversations about transactions: what a producer asks of its coordinator, and what tools and brokers ask."""

from conversations_script_groups import (
    NOT_YET,
    beat,
    commit,
    coordinator,
    fetch_offsets,
    joined,
    leave,
    offsets_of,
    sync,
)
from conversations_script_nodes import create_on, led, to
from conversations_script_steps import ask, create, fetch, offsets, produce, unread

STAGE = "groups"
AGAIN = [14, 15, 16, 51]  # clients ask again
PREPARED = [*AGAIN, "PrepareCommit", "PrepareAbort"]
ME = "$producerId1"
UNREAD = (
    ("AddPartitionsToTxn", 6),
    ("AddOffsetsToTxn", 5),
    ("EndTxn", 6),
    ("TxnOffsetCommit", 6),
    ("WriteTxnMarkers", 0),
    ("WriteTxnMarkers", 3),
    ("DescribeProducers", 1),
    ("DescribeTransactions", 1),
    ("ListTransactions", 3),
)


def own_coordinator(name):
    return {"until_ready": ask("FindCoordinator", 4, keyType=1, coordinatorKeys=[name])}


def init(version, name, producer=-1, epoch=-1, timeout=60000, **where):
    asked = {"transactionalId": name, "transactionTimeoutMs": timeout, "producerId": producer, "producerEpoch": epoch}
    return ask("InitProducerId", version, **asked) | {"retry": AGAIN} | where


def begun(version, name):
    return [own_coordinator(name), init(version, name)]


def add(version, name, topics, producer=ME, epoch=0, verify=False, **where):
    """topics: {name: partitions}"""
    topics = [{"name": one, "partitions": list(of)} for one, of in topics.items()]
    if version < 4:
        asked = {
            "v3AndBelowTransactionalId": name,
            "v3AndBelowProducerId": producer,
            "v3AndBelowProducerEpoch": epoch,
            "v3AndBelowTopics": topics,
        }
        return ask("AddPartitionsToTxn", version, **asked) | where
    one = {"transactionalId": name, "producerId": producer, "producerEpoch": epoch, "verifyOnly": verify}
    return ask("AddPartitionsToTxn", version, transactions=[one | {"topics": topics}]) | where


def add_offsets(version, name, group, producer=ME, epoch=0, **where):
    asked = {"transactionalId": name, "producerId": producer, "producerEpoch": epoch, "groupId": group}
    return ask("AddOffsetsToTxn", version, **asked) | where


def commit_offsets(version, name, group, *wanted, producer=ME, epoch=0, metadata="", generation=-1, member="", **how):
    where = {"retry": how.pop("retry")} if "retry" in how else {}
    asked = {
        "transactionalId": name,
        "groupId": group,
        "producerId": producer,
        "producerEpoch": epoch,
        "generationId": generation,
        "memberId": member,
        "groupInstanceId": None,
        "topics": offsets_of(wanted, metadata),
        **how,
    }
    return ask("TxnOffsetCommit", version, **asked) | where


def end(version, name, committed=True, producer=ME, epoch=0, **where):
    asked = {"transactionalId": name, "producerId": producer, "producerEpoch": epoch, "committed": committed}
    return ask("EndTxn", version, **asked) | where


def described(*names, **where):
    return ask("DescribeTransactions", 0, transactionalIds=list(names)) | {"retry": PREPARED} | where


def producers(*topics):
    """topics: (name, partitions)"""
    return ask("DescribeProducers", 0, topics=[{"name": one, "partitionIndexes": list(of)} for one, of in topics])


def records(sequence, *values, producer=ME, epoch=0):
    """Of a transaction; made when the producer's id is known."""
    return f"@batch {producer} {epoch} {sequence} {' '.join(values)}"


def init_producer_ids(script):
    for v in range(6):
        name = f"init-{v}"
        script.add(
            STAGE,
            f"InitProducerId v{v} with a transactional id",
            own_coordinator(name),
            init(v, name, timeout=0),
            init(v, name, timeout=-1),
            init(v, name, timeout=900001),
            init(v, name),
            described(name),
            init(v, name, timeout=900000),
            described(name),
            *(
                [
                    init(v, name, ME, 1),
                    init(v, name, ME, 1),
                    init(v, name, ME, 0),
                    init(v, name, ME, 5),
                    init(v, name, 123456789, 0),
                    init(v, name, ME, -1),
                    init(v, f"{name}-new", ME, 3),
                ]
                if v >= 3
                else []
            ),
            described(name),
        )


def partitions(script):
    for v in range(6):
        name, topic = f"add-{v}", f"add-topic-{v}"
        script.add(
            STAGE,
            f"AddPartitionsToTxn v{v}",
            create(topic, 2),
            own_coordinator(name),
            add(v, name, {topic: [0]}, producer=5, retry=AGAIN),
            add(v, "", {topic: [0]}, producer=5),
            init(2, name),
            add(v, name, {topic: [0]}),
            add(v, name, {topic: [0, 1]}),
            add(v, name, {topic: [0, 7], "no-such-topic": [0]}),
            add(v, name, {}),
            add(v, name, {topic: [0]}, producer=123456789),
            add(v, name, {topic: [0]}, epoch=1),
            add(v, name, {topic: [0]}, epoch=-1),
            described(name),
            init(2, name),
            add(v, name, {topic: [0]}, retry=AGAIN),
            end(min(v, 4), name),
            add(v, name, {topic: [0]}, epoch=3, retry=AGAIN),
            described(name),
        )
    for v in (4, 5):
        name, topic = f"verify-{v}", f"verify-topic-{v}"
        script.add(
            STAGE,
            f"AddPartitionsToTxn v{v} that only asks",
            create(topic, 2),
            begun(4, name),
            add(v, name, {topic: [0]}, verify=True, retry=AGAIN),
            add(3, name, {topic: [0]}),
            add(v, name, {topic: [0, 1]}, verify=True),
            add(v, name, {topic: [0]}, verify=True, epoch=1),
            add(v, name, {topic: [0]}, verify=True, producer=123456789),
            add(v, f"{name}-none", {topic: [0]}, verify=True, retry=AGAIN),
        )


def ends(script):
    for v in range(6):
        name, topic = f"end-{v}", f"end-topic-{v}"
        late = 2 if v < 5 else 1
        script.add(
            STAGE,
            f"EndTxn v{v} that is refused",
            create(topic),
            own_coordinator(name),
            end(v, name, producer=5, retry=AGAIN),
            end(v, "", producer=5),
            init(2, name),
            end(v, name, producer=123456789),
            end(v, name, epoch=1),
            end(v, name, epoch=-1),
            *([end(v, name, committed) for committed in (True, False)] if v < 5 else [end(v, name, True)]),
            described(name),
        )
        script.add(
            STAGE,
            f"EndTxn v{v}",
            create(f"{topic}-b"),
            begun(2, f"{name}-b"),
            add(3, f"{name}-b", {f"{topic}-b": [0]}),
            end(v, f"{name}-b"),
            end(v, f"{name}-b", retry=AGAIN),
            end(v, f"{name}-b", False, retry=AGAIN),
            described(f"{name}-b"),
            producers((f"{topic}-b", [0])),
            *(
                [add(3, f"{name}-b", {f"{topic}-b": [0]}, retry=AGAIN), end(v, f"{name}-b", False)]
                if v < 5
                else [
                    end(v, f"{name}-b", True, epoch=1, retry=AGAIN),
                    end(v, f"{name}-b", False, epoch=1, retry=AGAIN),
                    end(v, f"{name}-b", False, epoch=1, retry=AGAIN),
                    end(v, f"{name}-b", False, epoch=0, retry=AGAIN),
                ]
            ),
            described(f"{name}-b"),
            offsets(5, f"{topic}-b", -1),
        )


def fences(script):
    for v in range(6):
        name, topic, new = f"fence-{v}", f"fence-topic-{v}", min(v, 5)
        script.add(
            STAGE,
            f"InitProducerId v{v} fences who was there before",
            create(topic),
            begun(new, name),
            add(min(v, 3), name, {topic: [0]}),
            produce(9, topic, records(0, "a", "b"), transactionalId=name),
            init(new, name),
            described(name),
            add(min(v, 3), name, {topic: [0]}),
            add_offsets(min(v, 4), name, "g"),
            end(v, name),
            end(v, name, False),
            produce(9, topic, records(2, "c"), transactionalId=name),
            offsets(5, topic, -1, isolationLevel=1),
            fetch(12, topic, 0, isolationLevel=1),
        )


def group_offsets(script):
    for v in range(6):
        name, group, topic = f"offsets-{v}", f"offsets-group-{v}", f"offsets-topic-{v}"
        entry, member = min(v, 4), "$verdictMember1"
        script.add(
            STAGE,
            f"TxnOffsetCommit v{v} and AddOffsetsToTxn v{entry}",
            create(topic, 2),
            coordinator(group),
            own_coordinator(name),
            add_offsets(entry, name, group, producer=5, retry=AGAIN),
            add_offsets(entry, "", group, producer=5),
            init(4, name),
            add_offsets(entry, name, ""),
            add_offsets(entry, name, group, producer=123456789),
            add_offsets(entry, name, group, epoch=1),
            add_offsets(entry, name, group),
            add_offsets(entry, name, group),
            commit_offsets(v, name, group, (topic, 0, 3), (topic, 1, 4), retry=AGAIN),
            commit_offsets(v, name, group, (topic, 7, 3), ("no-such-topic", 0, 1), (topic, 0, 5)),
            commit_offsets(v, name, group, (topic, 0, 3), metadata="m" * 4097),
            commit_offsets(v, name, group, (topic, 0, 6), metadata=None),
            commit_offsets(v, name, group),
            commit_offsets(v, name, "", (topic, 0, 3)),
            *(
                [
                    commit_offsets(v, name, group, (topic, 0, 3), member="nobody", generation=1),
                    commit_offsets(v, name, group, (topic, 0, 3), member="nobody"),
                    commit_offsets(v, name, group, (topic, 0, 3), generation=1),
                ]
                if v >= 3
                else []
            ),
            fetch_offsets(6, group, {topic: [0, 1]}),
            fetch_offsets(7, group, {topic: [0, 1]}, stable=True),
            fetch_offsets(7, group, None, stable=True),
            end(entry, name),
            fetch_offsets(7, group, {topic: [0, 1]}, stable=True, retry=[88]),
            add_offsets(entry, name, group, retry=AGAIN),
            commit_offsets(v, name, group, (topic, 0, 9), retry=AGAIN),
            end(entry, name, False),
            fetch_offsets(7, group, {topic: [0, 1]}, stable=True, retry=[88]),
            described(name),
        )
        if v < 3:
            continue
        script.add(
            STAGE,
            f"TxnOffsetCommit v{v} by a member of the group",
            coordinator(f"{group}-m"),
            begun(4, f"{name}-m"),
            joined(4, f"{group}-m", topics=(topic,)),
            sync(3, f"{group}-m", member, assignments=[(member, "mine")]),
            add_offsets(entry, f"{name}-m", f"{group}-m"),
            commit_offsets(v, f"{name}-m", f"{group}-m", (topic, 0, 3), member=member, generation=1, retry=AGAIN),
            commit_offsets(v, f"{name}-m", f"{group}-m", (topic, 0, 3), member=member, generation=2),
            commit_offsets(v, f"{name}-m", f"{group}-m", (topic, 0, 3), member="nobody", generation=1),
            commit_offsets(
                v, f"{name}-m", f"{group}-m", (topic, 0, 3), member=member, generation=1, groupInstanceId="i"
            ),
            commit_offsets(v, f"{name}-m", f"{group}-m", (topic, 0, 3)),
            end(entry, f"{name}-m"),
        )
    for v in (0, 3, 4, 5):
        name, group = f"offsets-alone-{v}", f"offsets-alone-group-{v}"
        script.add(
            STAGE,
            f"TxnOffsetCommit v{v} without its coordinator's knowledge",
            create(name),
            coordinator(group),
            begun(4, name),
            commit_offsets(v, name, group, (name, 0, 3), retry=AGAIN),
            commit_offsets(v, name, group, (name, 0, 3), epoch=1),
            described(name),
            end(5, name),
            fetch_offsets(7, group, {name: [0]}, stable=True, retry=[88]),
            described(name),
        )


def produced(script):
    for v in (3, 7, 9, 11, 12, 13):
        name, topic = f"produce-{v}", f"txn-produce-topic-{v}"
        script.add(
            STAGE,
            f"Produce v{v} in a transaction",
            create(topic, 2),
            begun(4, name),
            produce(v, topic, records(0, "early"), transactionalId=name),
            add(3, name, {topic: [0]}, retry=AGAIN),
            produce(v, topic, records(0, "a", "b"), transactionalId=name),
            produce(v, topic, records(0, "a", "b"), transactionalId=name),
            produce(v, topic, records(5, "c"), transactionalId=name),
            produce(v, topic, records(0, "c", epoch=1), transactionalId=name),
            produce(v, topic, records(0, "c"), partition=1, transactionalId=name),
            produce(v, topic, records(2, "c"), transactionalId=None),
            producers((topic, [0, 1])),
            offsets(5, topic, -1, isolationLevel=1),
            fetch(12, topic, 0, isolationLevel=1),
            end(4 if v < 12 else 5, name, False),
            described(name),
            producers((topic, [0])),
            offsets(5, topic, -1, isolationLevel=1),
            fetch(12, topic, 0, isolationLevel=1),
            fetch(12, topic, 0, isolationLevel=0),
        )


def tools(script):
    topic = "described-producers"
    script.add(
        STAGE,
        "DescribeProducers v0",
        create(topic, 2),
        producers((topic, [0, 1, 7]), ("no-such-topic", [0])),
        producers(),
        produce(9, topic, "@batch 777 3 0 a b c"),
        producers((topic, [0])),
    )
    script.add(
        STAGE,
        "DescribeTransactions v0",
        own_coordinator("nobody's"),
        described("nobody's"),
        described("nobody's", ""),
        described(),
    )
    for v in range(3):
        name, topic = f"list-{v}", f"list-topic-{v}"

        def listed(**how):
            how = {"producerIdFilters": [ME]} | how
            return ask("ListTransactions", v, **how) | {"retry": PREPARED}

        script.add(
            STAGE,
            f"ListTransactions v{v}",
            create(topic),
            begun(4, name),
            listed(),
            listed(stateFilters=["Empty"]),
            listed(stateFilters=["Ongoing"]),
            listed(stateFilters=["Ongoing", "empty", "Nothing"]),
            listed(producerIdFilters=[123456789]),
            add(3, name, {topic: [0]}),
            listed(),
            create(f"{topic}-b"),  # takes a while: the transaction is some ms old by then
            *([listed(durationFilter=0), listed(durationFilter=3600000), listed(durationFilter=-1)] if v >= 1 else []),
            *([listed(transactionalIdPattern=one) for one in ("list-.*", "list", "", "(")] if v >= 2 else []),
            end(4, name),
            listed(),
        )
        if v >= 2:
            script.add(
                STAGE,
                f"ListTransactions v{v} with expressions of more kinds",
                begun(4, f"{name}-more"),
                [listed(transactionalIdPattern=one) for one in (f"{name}-more|x", "[^a]+[a-z]", "list.{3,9}")],
            )


def markers(script):
    def marker(topic, *indexes, producer=4242, epoch=0, committed=True, coordinator_epoch=0, more=()):
        one = {
            "producerId": producer,
            "producerEpoch": epoch,
            "transactionResult": committed,
            "coordinatorEpoch": coordinator_epoch,
            "topics": [{"name": topic, "partitionIndexes": list(indexes)}, *more],
        }
        return ask("WriteTxnMarkers", 1, markers=[one])

    topic, name = "markers", "markers-id"
    script.add(
        STAGE,
        "WriteTxnMarkers v1",
        create(topic, 2),
        begun(4, name),
        add(3, name, {topic: [0]}),
        produce(9, topic, records(0, "a"), transactionalId=name),
        marker(topic, 0, producer=ME, epoch=0, committed=False),
        producers((topic, [0])),
        offsets(5, topic, -1, isolationLevel=1),
        marker(topic, 0, producer=ME, epoch=0, committed=False, coordinator_epoch=-1),
        marker(topic, 1, coordinator_epoch=7),
        marker(topic, 1, coordinator_epoch=6),
        marker(topic, 0, 7, more=[{"name": "no-such-topic", "partitionIndexes": [0]}]),
        ask("WriteTxnMarkers", 1, markers=[]),
        producers((topic, [0, 1])),
        fetch(12, topic, 0, partition=1),
    )
    script.add(
        STAGE,
        "WriteTxnMarkers v1 with an epoch or an id below zero",
        create("markers-below"),
        marker("markers-below", 0, epoch=-1),
        marker("markers-below", 0, producer=-1),
        offsets(5, "markers-below", -1),
    )


def moved(script):
    """Other brokers than the coordinator, and the one that takes its place."""
    topic, group, name, me = "moved", "moved-group", "moved-id", "$verdictMember1"
    asked = [ask("FindCoordinator", 4, keyType=kind, coordinatorKeys=[key]) for kind, key in ((0, group), (1, name))]
    elsewhere = [
        joined(3, group)[0] | {"retry": []},
        sync(3, group, me),
        beat(4, group, me),
        leave(4, group, me),
        commit(8, group, (topic, 0, 5)),
        fetch_offsets(5, group, {topic: [0]}),
        fetch_offsets(8, group, {topic: [0]}),
        ask("DescribeGroups", 5, groups=[group]),
        ask("DeleteGroups", 2, groupsNames=[group]),
        ask("OffsetDelete", 0, groupId=group, topics=[{"name": topic, "partitions": [{"partitionIndex": 0}]}]),
        ask("ListGroups", 4),
        init(4, name, retry=[]),
        add(3, name, {topic: [0]}),
        add(4, name, {topic: [0]}, verify=True),
        add_offsets(3, name, group),
        end(3, name),
        end(5, name),
        commit_offsets(3, name, group, (topic, 0, 5)),
        described(name, retry=[]),
        ask("ListTransactions", 1),
    ]
    script.add(
        "moving",
        "FindCoordinator of what another broker coordinates, before and after it has stopped",
        create_on("__consumer_offsets", 2, 1, cleanup_policy="compact"),
        create_on("__transaction_state", 2, 1, cleanup_policy="compact"),
        create_on(topic, 1, 3),
        [step | {"retry": NOT_YET} for step in asked],
        to(2, joined(3, group)[0]),
        to(2, sync(3, group, me, assignments=[(me, "mine")])),
        to(2, commit(8, group, (topic, 0, 5), member=me, generation=1)),
        to(2, init(4, name)),
        to(2, add(3, name, {topic: [0]})),
        produce(9, topic, records(0, "a", "b"), transactionalId=name),
        elsewhere,
        {"stop": 2},
        led("__consumer_offsets", 1, 1, at=[1, 3]),
        led("__transaction_state", 1, 1, at=[1, 3]),
        [step | {"retry": NOT_YET} for step in asked],
        beat(4, group, me, retry=NOT_YET),
        fetch_offsets(8, group, {topic: [0]}, retry=NOT_YET),
        ask("DescribeGroups", 5, groups=[group]) | {"retry": NOT_YET},
        described(name),
        end(3, name),
        described(name),
        fetch(12, topic, 0, isolationLevel=1),
        {"start": 2},
        led("__consumer_offsets", 1, 1, 2),
        to(2, beat(4, group, me)),
        leave(4, group, me),
    )


def transactions(script):
    moved(script)
    init_producer_ids(script)
    partitions(script)
    ends(script)
    fences(script)
    group_offsets(script)
    produced(script)
    tools(script)
    markers(script)
    unread(script, STAGE, UNREAD)
