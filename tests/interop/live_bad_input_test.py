"""What a running node does with garbage: on its sockets, in its properties, in its data directory.

A bad frame costs its own connection and one log line; a bad start ends with one line that names the file or key, and
exit
code 64; damaged files are cut back to what is whole, with a warning. Nothing acknowledged is lost by any of it.
"""

import os
import pathlib
import random
import re
import shutil
import socket
import struct
import tempfile
import unittest

import live_cluster
from live_cluster import receive, request

USAGE = 64
LIMIT = 1 << 20


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def batch(value):
    record = b"\x00\x00\x00\x01" + bytes([2 * len(value)]) + value + b"\x00"
    body = struct.pack(">hiqqqhii", 0, 0, 1000, 1000, -1, -1, -1, 1) + bytes([2 * len(record)]) + record
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, crc32c(body)) + body


def produce(topic, records, acks=-1):
    """The body of Produce v3 to partition 0."""
    return (
        struct.pack(">hhiih", -1, acks, 5000, 1, len(topic)) + topic + struct.pack(">iii", 1, 0, len(records)) + records
    )


def produce_answer(frame):
    """(correlation, error, base offset) of an answer to produce() for a topic with a name of five letters."""
    (correlation,) = struct.unpack(">i", frame[:4])
    error, base = struct.unpack(">hq", frame[4 + 4 + 2 + 5 + 4 + 4 :][:10])
    return correlation, error, base


def list_end(port, topic):
    """The end offset of partition 0 by ListOffsets v1, or None while the topic is not served."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        body = struct.pack(">iih", -1, 1, len(topic)) + topic + struct.pack(">iiq", 1, 0, -1)
        connection.sendall(request(2, 1, 1, body))
        answer = receive(connection)
    error, _, offset = struct.unpack(">hqq", answer[4 + 4 + 2 + len(topic) + 4 + 4 :][:18])
    return offset if error == 0 else None


class Sockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(live_cluster.Cluster(0, socket_request_max_bytes=LIMIT))
        cls.node = cls.cluster.nodes[100]
        cls.port = cls.cluster.ports[100]
        with socket.create_connection(
            ("127.0.0.1", cls.port), timeout=10
        ) as connection:  # the topic is made at first use
            connection.sendall(request(3, 4, 1, struct.pack(">ih", 1, 5) + b"frame" + b"\x01"))
            receive(connection)
        live_cluster.until("the topic is there", lambda: list_end(cls.port, b"frame") == 0)

    def setUp(self):
        self.good = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.addCleanup(self.good.close)
        self.sent = 0

    def open(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.addCleanup(connection.close)
        return connection

    def assert_served(self):
        self.sent += 1
        end = list_end(self.port, b"frame")
        self.good.sendall(request(0, 3, self.sent, produce(b"frame", batch(b"value"))))
        self.assertEqual(produce_answer(receive(self.good)), (self.sent, 0, end))

    def assert_closed(self, data, says):
        """The bytes end their connection, with one line in the log; the good connection goes on."""
        self.assert_served()
        before = self.node.log()
        connection = self.open()
        connection.sendall(data)
        self.assertIsNone(receive(connection))
        self.assert_served()
        lines = self.node.log()[len(before) :].strip().split("\n")
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], "WARN .*" + says)

    def test_oversized_frame(self):
        self.assert_closed(struct.pack(">i", LIMIT + 1), f"a frame of {LIMIT + 1} bytes.*socket.request.max.bytes")
        self.assert_closed(struct.pack(">i", 0x7FFFFFFF), "socket.request.max.bytes")
        self.assert_closed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "socket.request.max.bytes")

    def test_negative_frame(self):
        self.assert_closed(struct.pack(">i", -1), "a frame of -1 bytes")

    def test_empty_frame(self):
        self.assert_closed(struct.pack(">i", 0), "closing the connection")

    def test_malformed_body(self):
        self.assert_closed(request(0, 3, 1, b"\xff\xff\x00"), r"malformed request \(api 0, version 3\)")
        self.assert_closed(request(3, 4, 1, b"\x7f\xff\xff\xff"), r"malformed request \(api 3, version 4\)")

    def test_unknown_api(self):
        self.assert_closed(request(12345, 0, 1), "api 12345")

    def test_unknown_version(self):
        self.assert_closed(request(3, 99, 1, b"\x00"), "api 3, version 99")

    def test_api_that_is_not_served(self):
        self.assert_closed(request(29, 1, 1, struct.pack(">bhbhhbb", 2, -1, 3, -1, -1, 1, 1)), "api 29")

    def test_unknown_version_of_api_versions_gets_version_0(self):
        connection = self.open()
        connection.sendall(request(18, 77, 5, b"\x00"))
        answer = receive(connection)
        self.assertEqual(struct.unpack(">ih", answer[:6]), (5, 35))
        keys = {
            struct.unpack(">h", answer[10 + 6 * i : 12 + 6 * i])[0] for i in range(struct.unpack(">i", answer[6:10])[0])
        }
        self.assertIn(18, keys)

    def test_truncated_frame(self):
        self.assert_served()
        before = self.node.log()
        connection = self.open()
        connection.sendall(request(0, 3, 1, produce(b"frame", batch(b"never")))[:-5])
        connection.shutdown(socket.SHUT_WR)
        self.assertIsNone(receive(connection))
        self.assert_served()
        self.assertEqual(len(re.findall("ended within a frame", self.node.log()[len(before) :])), 1)

    def test_corrupt_batch(self):
        end = list_end(self.port, b"frame")
        bad = bytearray(batch(b"value"))
        bad[-3] ^= 1
        self.good.sendall(request(0, 3, 9, produce(b"frame", bytes(bad))))
        correlation, error, base = produce_answer(receive(self.good))
        self.assertEqual((correlation, error, base), (9, 2, -1))  # CORRUPT_MESSAGE
        self.assertEqual(list_end(self.port, b"frame"), end)
        self.assert_served()

    def test_mutations(self):
        """Changed, cut and repeated frames in thousands: the node lives and serves."""
        chance = random.Random(20261122)
        frames = [
            request(0, 3, 1, produce(b"frame", batch(b"value"), acks=chance.choice([-1, 0, 1]))),
            request(18, 0, 2),
            request(3, 4, 3, struct.pack(">ih", 1, 5) + b"frame" + b"\x00"),
            request(
                1,
                4,
                4,
                struct.pack(">iiiibiH", -1, 10, 1, LIMIT, 0, 1, 5) + b"frame" + struct.pack(">iiqi", 1, 0, 0, LIMIT),
            ),
        ]
        for _ in range(1500):
            data = bytearray(b"".join(chance.choice(frames) for _ in range(chance.randint(1, 3))))
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            try:
                connection.sendall(data[: chance.randint(1, len(data))])
            except OSError:
                pass
            connection.close()
        self.assertTrue(self.node.running())
        live_cluster.until("it serves", lambda: list_end(self.port, b"frame") is not None)
        self.good.sendall(request(0, 3, 77, produce(b"frame", batch(b"value"))))
        self.assertEqual(produce_answer(receive(self.good))[:2], (77, 0))


class Start(unittest.TestCase):
    """Each bad start: one line, exit code 64."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="verdict-bad-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.port, self.controller_port = live_cluster.free_ports(2)
        self.node = live_cluster.Node(
            self.folder / "node",
            {
                "process.roles": "broker,controller",
                "node.id": 1,
                "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
                "controller.listener.names": "CONTROLLER",
                "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            },
        )

    def assert_refused(self, says, *arguments):
        done = live_cluster.run_program(*(arguments or ("serve", self.node.path)), cwd=self.folder, timeout=20)
        said = (done.stdout + done.stderr).strip().split("\n")
        self.assertEqual((done.returncode, len(said)), (USAGE, 1), said)
        self.assertRegex(said[0], says)

    def test_no_properties_file(self):
        self.assert_refused("nowhere.properties: No such file", "serve", "nowhere.properties")

    def test_bad_value(self):
        self.node.properties["num.partitions"] = "many"
        self.node.write()
        self.assert_refused(r"server.properties:\d+: .*many.*num.partitions.*allowed")

    def test_unknown_key(self):
        self.node.properties["listenrs"] = "x"
        self.node.write()
        self.assert_refused(r"server.properties:\d+: .*listenrs=x.*allowed")

    def test_bad_override(self):
        self.assert_refused("--override log.dirs: must be key=value", "serve", self.node.path, "--override", "log.dirs")

    def test_bad_log_level(self):
        self.assert_refused("--log-level loud.*allowed", "serve", self.node.path, "--log-level", "loud")

    def test_several_voters(self):
        self.node.format()
        self.node.properties["controller.quorum.voters"] += ",2@127.0.0.1:1"
        self.node.write()
        self.assert_refused("controller.quorum.voters")

    def test_not_formatted(self):
        self.assert_refused("ERROR log directory .*data is not formatted")
        self.assertFalse(self.node.data.exists())

    def test_formatted_for_another_node(self):
        self.node.format()
        meta = self.node.data / "meta.properties"
        meta.write_text(meta.read_text().replace("node.id=1", "node.id=2"))
        self.assert_refused("ERROR log directory .* belongs to node 2 .*this is node 1")

    def test_formatted_for_another_cluster(self):
        self.node.format()
        self.assert_refused(
            "formatted already", "storage", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c", self.node.path
        )

    def test_half_written_meta(self):
        self.node.format()
        meta = self.node.data / "meta.properties"
        whole = meta.read_bytes()
        for content, says in (
            (b"", "version"),
            (b"version=1\nnode.id=1\n", "cluster.id is missing"),
            (b"\x00\xff" * 4, "is not key=value"),
            (whole.replace(b"node.id=1", b"node.id=zz"), "node.id.*zz"),
        ):
            meta.write_bytes(content)
            self.assert_refused("ERROR .*meta.properties: .*" + says)

    def test_directory_is_a_file(self):
        self.node.data.write_text("no folder")
        self.assert_refused("ERROR .*data")

    def test_directory_in_use(self):
        self.node.format()
        self.node.start()
        self.addCleanup(lambda: self.node.process and self.node.kill())
        live_cluster.until("it answers", lambda: live_cluster.api_versions(self.port))
        ports = live_cluster.free_ports(2)
        self.assert_refused(
            "ERROR .*data: is locked",
            "serve",
            self.node.path,
            "--override",
            f"listeners=PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}",
        )
        self.assertIsNotNone(live_cluster.api_versions(self.port))

    def test_port_in_use(self):
        self.node.format()
        for port in (self.port, self.controller_port):
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", port))
                taken.listen()
                # What started before the broker's listener may have spoken; the last line says why it ended.
                done = live_cluster.run_program("serve", self.node.path)
                said = (done.stdout + done.stderr).strip().split("\n")
                self.assertEqual(done.returncode, USAGE)
                self.assertRegex(said[-1], f"ERROR can't listen on 127.0.0.1:{port}.*Address already in use")
                self.assertEqual(len([line for line in said if "ERROR" in line]), 1)


class DamagedFiles(unittest.TestCase):
    COUNT = 300

    def setUp(self):
        self.cluster = self.enterContext(live_cluster.Cluster(0))
        self.node = self.cluster.nodes[100]
        self.port = self.cluster.ports[100]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request(3, 4, 1, struct.pack(">ih", 1, 5) + b"frame" + b"\x01"))
            receive(connection)
            live_cluster.until("the topic is there", lambda: list_end(self.port, b"frame") == 0)
            for i in range(self.COUNT):
                connection.sendall(request(0, 3, i, produce(b"frame", batch(b"value %05d" % i))))
                self.assertEqual(produce_answer(receive(connection)), (i, 0, i))
        self.log = self.node.data / "frame-0" / "00000000000000000000.log"
        self.size = len(batch(b"value 00000"))

    def restart(self):
        before = self.node.log()
        self.node.start()
        self.cluster.wait_serving(100)
        live_cluster.until("the partition is served", lambda: list_end(self.port, b"frame") is not None)
        return self.node.log()[len(before) :]

    def read_values(self):
        values = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(
                request(
                    1,
                    4,
                    4,
                    struct.pack(">iiiibiH", -1, 10, 1, LIMIT, 0, 1, 5)
                    + b"frame"
                    + struct.pack(">iiqi", 1, 0, 0, LIMIT),
                )
            )
            values = re.findall(rb"value \d{5}", receive(connection))
        return values

    def test_killed(self):
        self.node.kill()
        self.assertNotRegex(self.restart(), "WARN .*frame-0")
        self.assertEqual(self.read_values(), [b"value %05d" % i for i in range(self.COUNT)])

    def test_torn_tail(self):
        self.node.kill()
        with open(self.log, "ab") as log:
            log.write(batch(b"value 99999")[:40])
        self.assertRegex(self.restart(), r"WARN .*frame-0.*\b40\b")
        self.assertEqual(self.read_values(), [b"value %05d" % i for i in range(self.COUNT)])
        self.assertEqual(self.log.stat().st_size, self.COUNT * self.size)

    def test_flipped_bit(self):
        self.node.kill()
        with open(self.log, "r+b") as log:
            log.seek(100 * self.size + self.size - 4)
            byte = log.read(1)
            log.seek(-1, os.SEEK_CUR)
            log.write(bytes([byte[0] ^ 1]))
        self.assertRegex(self.restart(), rf"WARN .*frame-0.*\b{(self.COUNT - 100) * self.size}\b")
        self.assertEqual(self.read_values(), [b"value %05d" % i for i in range(100)])

    def test_lost_indexes(self):
        self.node.kill()
        for suffix in (".index", ".timeindex"):
            self.log.with_suffix(suffix).unlink(missing_ok=True)
        for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
            (self.node.data / name).write_bytes(b"\x00garbage\n\xff")
        self.restart()
        self.assertEqual(self.read_values(), [b"value %05d" % i for i in range(self.COUNT)])

    def test_orderly_stop(self):
        self.assertEqual(self.node.stop(), 0)
        self.assertTrue((self.node.data / ".kafka_cleanshutdown").exists())
        self.assertNotIn("WARN", self.restart())
        self.assertEqual(self.read_values(), [b"value %05d" % i for i in range(self.COUNT)])


if __name__ == "__main__":
    live_cluster.main()
