#!/usr/bin/env python3
"""What idempotence, transactions and groups cost: our broker against Apache Kafka 4.1 on this machine in one run.

    tests/bench/compare_guarantees.py [--build DIR] [--seconds S] [--only ours|kafka] [--rounds N] [--json FILE]

Each of the two, with the same properties, a controller and three brokers (RF 3, min.insync.replicas=2):
- idempotent: records of 100 B by kcat, acks=all, with enable.idempotence off and on by turns; records for each CPU
  second of all node processes;
- transactions: librdkafka's transactions of 100 records of 100 B for S seconds; transactions a second, and for each CPU
  second of all node processes;
- with one combined node: seconds until 1,000 groups of one member each, and one group of 1,000 members, are stable, by
  1,000 connections that speak the classic protocol (group.initial.rebalance.delay.ms=0).
A first, uncounted round warms each up. What the two need beside this: compare_kafka.py says.
"""

import asyncio
import collections
import contextlib
import os
import statistics
import struct
import sys
import tempfile
import time

import compare_kafka  # takes --build
from compare_kafka import Bench, confluent_kafka, live_cluster

MEMBERS = 1000
RECORDS = 100  # of a transaction
HEARTBEAT_S = 0.2
MEMBER_ID_REQUIRED, REBALANCE_IN_PROGRESS = 79, 27
RETRIABLE = (14, 15, 16)  # COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR


# ---- idempotence ----


def idempotent(bench, folder, count, rounds):
    lines = compare_kafka.make_lines(folder, 100, count)
    found = {"false": [], "true": []}
    for turn in range(rounds + 1):
        for enabled in sorted(found, reverse=turn % 2 == 1):
            topic = f"idempotent-{turn}-{enabled}"
            bench.create(topic, 3)
            os.sync()  # else one pays for writing back what the other left
            one = bench.produced(count, topic, lines, "-X", f"enable.idempotence={enabled}")
            if turn > 0:
                found[enabled].append(one["per_cpu_s"])
    plain, with_it = (statistics.median(found[enabled]) for enabled in ("false", "true"))
    return {
        "plain_per_cpu_s": plain,
        "idempotent_per_cpu_s": with_it,
        "all": found,
        "cost_percent": round((plain / with_it - 1) * 100, 1),
    }


# ---- transactions ----


def transactions(bench, seconds):
    bench.create("transactions", 3)
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bench.bootstrap, "transactional.id": "bench", "linger.ms": 0, "log_level": 0}
    )
    producer.init_transactions(60)

    def run(until):
        done = 0
        while time.monotonic() < until:
            producer.begin_transaction()
            for _ in range(RECORDS):
                producer.produce("transactions", b"x" * 100, partition=0)
            producer.commit_transaction(60)
            done += 1
        return done

    run(time.monotonic() + 5)
    cpu, begin = bench.cpu_s(), time.monotonic()
    done = run(begin + seconds)
    wall, used = time.monotonic() - begin, bench.cpu_s() - cpu
    return {"per_s": round(done / wall, 1), "per_cpu_s": round(done / used, 1)}


# ---- groups: JoinGroup 5, SyncGroup 3, Heartbeat 3 ----


def text(value):
    return struct.pack(">h", len(value)) + value


def blob(value):
    return struct.pack(">i", len(value)) + value


NO_INSTANCE = struct.pack(">h", -1)


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def number(self, form):
        (value,) = struct.unpack_from(form, self.body, self.at)
        self.at += struct.calcsize(form)
        return value

    def take(self, form):
        size = max(0, self.number(form))
        self.at += size
        return self.body[self.at - size : self.at]


class Member:
    def __init__(self, port, group):
        self.port, self.group, self.id, self.generation = port, group, b"", -1

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def call(self, api, version, body):
        self.writer.write(live_cluster.request(api, version, 7, body, b"bench"))
        (size,) = struct.unpack(">i", await self.reader.readexactly(4))
        answer = Reader(await self.reader.readexactly(size))
        answer.number(">i")  # correlation id
        answer.number(">i")  # throttle time
        return answer, answer.number(">h")

    async def join(self):
        """The members that a leader is told, of a round that went through to its end; None: once more."""
        body = text(self.group) + struct.pack(">ii", 45000, 60000) + text(self.id) + NO_INSTANCE + text(b"consumer")
        answer, error = await self.call(11, 5, body + struct.pack(">i", 1) + text(b"range") + blob(b"\0" * 16))
        self.generation = answer.number(">i")
        answer.take(">h")
        leader = answer.take(">h")
        self.id = answer.take(">h") or self.id
        if error in (MEMBER_ID_REQUIRED, REBALANCE_IN_PROGRESS):
            return None
        if error in RETRIABLE:
            await asyncio.sleep(0.05)
            return None
        assert error == 0, error
        others = []
        for _ in range(answer.number(">i")):
            others.append(answer.take(">h"))
            answer.take(">h")
            answer.take(">i")
        return others if leader == self.id else []

    async def sync(self, others):
        parts = b"".join(text(other) + blob(b"\0" * 32) for other in others)
        return await self.goes_on(14, struct.pack(">i", len(others)) + parts)

    async def stable(self):
        return await self.goes_on(12)

    async def goes_on(self, api, more=b""):
        """SyncGroup or Heartbeat: False if the group rebalances."""
        body = text(self.group) + struct.pack(">i", self.generation) + text(self.id) + NO_INSTANCE
        _, error = await self.call(api, 3, body + more)
        assert error in (0, REBALANCE_IN_PROGRESS), error
        return error == 0

    async def settle(self, together):
        """Until all members have synced in one generation; heartbeats tell of the rounds until then."""
        while True:
            others = await self.join()
            if others is None or not await self.sync(others):
                continue
            together.synced(self.generation)
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(together.whole.wait(), HEARTBEAT_S)
                    return
                if not await self.stable():
                    break


class Together:
    def __init__(self, members):
        self.members, self.generations, self.whole = members, collections.Counter(), asyncio.Event()

    def synced(self, generation):
        self.generations[generation] += 1
        if self.generations[generation] == self.members:
            self.whole.set()


async def settled(port, names):
    members = [Member(port, name) for name in names]
    groups = {name: Together(count) for name, count in collections.Counter(names).items()}
    await asyncio.gather(*(member.open() for member in members))
    begin = time.monotonic()
    await asyncio.gather(*(member.settle(groups[member.group]) for member in members))
    seconds = time.monotonic() - begin
    for member in members:
        member.writer.close()
    return seconds


def groups(bench, rounds):
    port = next(iter(bench.ports.values()))
    result = {"1000_groups_s": [], "group_of_1000_s": []}
    for turn in range(rounds + 1):
        for name, group_of in (
            ("1000_groups_s", lambda i: f"small-{turn}-{i}"),
            ("group_of_1000_s", lambda i: f"big-{turn}"),
        ):
            cpu = bench.cpu_s()
            seconds = asyncio.run(settled(port, [group_of(i).encode() for i in range(MEMBERS)]))
            if turn > 0:
                result[name].append((round(seconds, 3), round(bench.cpu_s() - cpu, 2)))
    return {name: {"wall_and_cpu": sorted(found)[len(found) // 2], "all": found} for name, found in result.items()}


def trial(node_type, seconds, rounds):
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        with Bench(node_type, 0, group_initial_rebalance_delay_ms=0, offsets_topic_replication_factor=1) as bench:
            warm = confluent_kafka.Consumer({"bootstrap.servers": bench.bootstrap, "group.id": "warm", "log_level": 0})
            live_cluster.until("a coordinator", lambda: coordinated(warm), 60)
            warm.close()
            result.update(groups(bench, rounds))
        with Bench(
            node_type,
            3,
            min_insync_replicas=2,
            default_replication_factor=3,
            transaction_state_log_replication_factor=3,
            transaction_state_log_min_isr=2,
        ) as bench:
            live_cluster.until("three brokers", lambda: compare_kafka.three_brokers(bench), 60)
            result["idempotent"] = idempotent(bench, folder, 1000000, rounds)
            result["transactions"] = transactions(bench, seconds)
    return result


def coordinated(consumer):
    try:
        consumer.committed([confluent_kafka.TopicPartition("none", 0)], timeout=5)
    except confluent_kafka.KafkaException:
        return False
    return True


def main():
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    seconds, rounds = float(arguments.get("--seconds", 15)), int(arguments.get("--rounds", 3))
    compare_kafka.compare(arguments, lambda node_type: trial(node_type, seconds, rounds))


if __name__ == "__main__":
    main()
