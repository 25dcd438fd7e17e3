#!/usr/bin/env python3
"""Tests of the style test: for each rule a snippet that it must name and a close relative that it must pass."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import cpp  # noqa: E402
import rules  # noqa: E402
import symbols  # noqa: E402

LATER = "TO" + "DO"

# rule: [(path, bad, good), ...]
CASES = {
    "include-arrow": [
        ("storage/log.cpp", '#include "protocol/types.h"', '#include "runtime/time.h"'),
        ("runtime/task.cpp", '#include "storage/log.h"', '#include "runtime/op.h"'),
        ("protocol/wire/frame.cpp", '#include "storage/batch.h"', '#include "protocol/wire/gen/produce.h"'),
        ("protocol/replication/leader.cpp", '#include "protocol/controller/image.h"', '#include "protocol/types.h"'),
        ("protocol/client/producer.cpp", '#include "protocol/broker/server.h"', '#include "protocol/wire/framing.h"'),
        ("protocol/types.cpp", '#include "protocol/client/rpc.h"', '#include "storage/types.h"'),
        ("sim/disk.cpp", '#include "checker/ledger.h"', '#include "protocol/broker/server.h"'),
        ("checker/truth.cpp", '#include "sim/disk.h"', '#include "protocol/events.h"'),
        ("checker/truth.cpp", '#include "storage/log.h"', '#include "protocol/types.h"'),
        ("scenarios/run.cpp", '#include "reports/html.h"', '#include "sim/cluster.h"'),
        ("reports/html.cpp", '#include "cli/options.h"', '#include "scenarios/run.h"'),
        ("reports/html.cpp", '#include "runtime/asio/runtime.h"', '#include "checker/verdict.h"'),
        ("protocol/broker/server.cpp", '#include "sim/cluster.h"', '#include "protocol/replication/leader.h"'),
    ],
    "include-path": [("storage/log.cpp", '#include "log.h"', '#include "storage/log.h"')],
    "boost": [("cli/serve.cpp", "#include <boost/asio.hpp>", "#include <vector>"),
              ("runtime/op.cpp", "#include <boost/system.hpp>", "#include <system_error>")],
    "system-header": [
        ("storage/file.cpp", "#include <unistd.h>", "#include <cstdint>"),
        ("sim/network.cpp", "#include <sys/socket.h>", "#include <map>"),
        ("protocol/broker/pool.cpp", "#include <thread>", "#include <tuple>"),
        ("sim/draws.cpp", "#include <random>", "#include <array>"),
        ("storage/log.cpp", "#include <fstream>", "#include <string>"),
    ],
    "header": [("storage/log.cpp", "#include <format>", "#include <fmt/format.h>"),
               ("reports/text.cpp", "#include <iostream>", "#include <string>"),
               ("storage/log.cpp", "#include <cassert>", '#include "runtime/assert.h"')],
    "heavy-header": [("scenarios/format.h", "#pragma once\n#include <nlohmann/json.hpp>",
                      "#pragma once\n#include <nlohmann/json_fwd.hpp>"),
                     ("storage/log.h", "#pragma once\n#include <fmt/format.h>", "#pragma once\n#include <string>")],
    "banned": [
        ("storage/log.cpp", "auto t = std::chrono::steady_clock::now();", "auto t = runtime.now();"),
        ("storage/log.cpp", "auto t = std::time(nullptr);", "auto t = status.time();"),
        ("sim/loop.cpp", "std::thread worker(run);", "scope.spawn(run());"),
        ("sim/loop.cpp", "std::mutex lock_;", "Signal lock_;"),
        ("sim/loop.cpp", "sleep(1);", "runtime.sleep(1);"),
        ("scenarios/draw.cpp", "std::random_device seed;", "KeyedRandom random(seed);"),
        ("scenarios/draw.cpp", "std::uniform_int_distribution<int> d(1, 6);", "auto d = random.below(6);"),
        ("scenarios/draw.cpp", "int x = rand();", "int x = strand();"),
        ("protocol/broker/config.cpp", 'auto home = std::getenv("HOME");', "auto home = options.home;"),
        ("protocol/broker/config.cpp", "auto id = getpid();", "auto id = get_pidgin();"),
        ("checker/truth.h", "#pragma once\nstd::unordered_map<int, int> seen_;",
         "#pragma once\nstd::map<int, int> seen_;"),
        ("reports/text.cpp", 'auto s = std::format("{}", 1);', 'auto s = fmt::format("{}", 1);'),
        ("reports/text.cpp", "std::cout << text;", "out << text;"),
        ("sim/cluster.h", "#pragma once\nstd::map<Node*, int> order_;",
         "#pragma once\nstd::map<NodeId, Node*> order_;"),
        ("sim/cluster.h", "#pragma once\nstd::set<const sim::Node*> order_;", "#pragma once\nstd::set<NodeId> order_;"),
        ("sim/latency.cpp", "auto tail = std::pow(base, x);", "auto tail = power_table(x);"),
        ("storage/log.cpp", "assert(open_);", "static_assert(sizeof(int) == 4); VERDICT_ASSERT(open_);"),
    ],
    "one-draw": [
        ("sim/draws.cpp", "f(random.next(), random.next());", "f(random.next(), 1);"),
        ("sim/draws.cpp", "g(1, mix(r.below(3)), h(r.one_in(2)));", "Pair p{r.next(), r.next()};"),
        ("sim/draws.cpp", "f(runtime.random(p, 1), runtime.random(p, 2));", "f(nested(r.next()), list.next_of(2));"),
    ],
    "coroutine-parameter": [
        ("protocol/broker/a.h", "#pragma once\nTask<void> serve(const std::string& name);",
         "#pragma once\nTask<void> serve(std::string name);"),
        ("protocol/broker/a.h", "#pragma once\nTask<std::expected<int, Error>> get(std::string_view name);",
         "#pragma once\nTask<std::expected<int, Error>> get(Stream& stream, std::string name);"),
        ("protocol/broker/a.cpp", "Task<int> A::read(std::span<std::byte> into) { co_return 1; }",
         "Task<int> A::read(const std::string& a) { return inner(encode(a)); }"),
        ("protocol/broker/a.cpp", "Task<void> A::take(Frame&& frame) { co_await x; }",
         "Task<void> A::take(Frame frame, Runtime& runtime, Log* log) { co_await x; }"),
        ("sim/a.cpp", "auto f = [](const Batch& b) -> Task<void> { co_return; };",
         "auto f = [](const Batch& b) { return b.size(); };"),
    ],
    "coroutine-lambda": [
        ("sim/a.cpp", "scope.spawn([this, x]() -> Task<void> { co_await x; }());",
         "scope.spawn([](Node* node, int x) -> Task<void> { co_await node->wait(x); }(this, x));"),
        ("sim/a.cpp", "auto f = [&] { co_return; };", "auto f = [&] { return a[1]; };"),
        ("sim/a.cpp", "auto f = [&](int a) mutable { if (a) { co_return; } };",
         "auto f = [&](int a) { use([](int b) -> Task<void> { co_return; }(a)); };"),
    ],
    "one-await": [
        ("sim/a.cpp", "Task<int> f() { co_return co_await a() + co_await b(); }",
         "Task<int> f() { const int x = co_await a(); co_return x; }"),
        ("sim/a.cpp", "Task<void> f() { use(co_await a(), co_await b()); }",
         "Task<void> f() { if (co_await a()) co_await b(); }"),
    ],
    "throw": [("storage/log.cpp", 'throw std::runtime_error("bad");', "return std::unexpected(error);")],
    "document": [("storage/log.cpp", "// see NOWHERE.md", "// see README.md")],
    "constant": [("storage/log.cpp", "static int kCalls = 0;", "static const std::vector<int> kAll = make();"),
                 ("storage/log.cpp", "thread_local std::vector<int> kScratch;", "static constexpr int kSize{4};"),
                 ("storage/log.cpp", "inline std::size_t kTotal{0};", "inline int f() { return kSize == 1; }")],
    "pragma-once": [("storage/log.h", "int f();", "#pragma once\nint f();")],
    "using-namespace": [("storage/log.h", "#pragma once\nusing namespace std;", "#pragma once\nusing std::string;")],
    "trailing-space": [("storage/log.cpp", "int a; ", "int a;")],
    "tab": [("storage/log.cpp", "\tint a;", "  int a;")],
    "line-length": [("storage/log.cpp", "//" + "x" * 119, "//" + "x" * 118)],
    "promise": [("storage/log.cpp", f"// {LATER}: later", "// the rest is KIP-903's")],
    "file-length": [("storage/log.cpp", "int a;\n" * 801, "int a;\n" * 799)],
    "function-length": [
        ("storage/log.cpp", "int f() {\n" + "  g();\n" * 70 + "}", "int f() {\n" + "  g();\n" * 68 + "}"),
        ("storage/log.cpp", "A::A(int a) : a_(a), b_{2} {\n" + "  g();\n" * 70 + "}",
         "namespace a {\nclass B {\n" + "  int f() { return 1; }\n" * 80 + "};\n}"),
        ("storage/log.cpp", "void f(int (*g)(int)) {\n  if (a) {\n" + "  g();\n" * 80 + "  }\n}",
         "constexpr int table[] = {\n" + "  1,\n" * 80 + "};"),
        ("tests/unit/storage/a.cpp", "TEST(Log, grows) {\n" + "  g();\n" * 70 + "}",
         "const std::map<int, int> kTable = {\n" + "  {1, f(2)},\n" * 80 + "};"),
    ],
}


def names(path, text, ratchet=None):
    return {rule for _, rule, _ in rules.check(path, text + "\n", ratchet)}


class Rules(unittest.TestCase):
    def test_each_rule_names_the_bad_and_passes_the_good(self):
        for rule, cases in CASES.items():
            for path, bad, good in cases:
                with self.subTest(rule=rule, bad=bad[:80]):
                    self.assertEqual(names(path, bad), {rule})
                with self.subTest(rule=rule, good=good[:80]):
                    self.assertEqual(names(path, good), set())

    def test_every_rule_has_a_case(self):
        source = pathlib.Path(rules.__file__).read_text()
        stated = set(re.findall(r'yield \(?[\w.() +\[\]]+,\s+"([a-z-]+)"', source))
        self.assertEqual(stated, set(CASES) | {"last-line"})

    def test_last_line(self):
        self.assertEqual({rule for _, rule, _ in rules.check("storage/log.cpp", "int a;")}, {"last-line"})

    def test_comments_and_literals_are_not_code(self):
        for text in ("// std::thread is banned", "/* rand() */", 'auto s = "std::mutex co_await co_await";',
                     'auto s = R"x(std::thread\n rand() )x";', "char c = '\"'; int n = 1'000; // rand()"):
            with self.subTest(text):
                self.assertEqual(names("storage/log.cpp", text), set())
        self.assertEqual(names("storage/log.cpp", "char c = '\"'; std::mutex m; char d = '\"';"), {"banned"})

    def test_places_that_may(self):
        clock = "auto t = std::chrono::steady_clock::now();"
        for path in ("runtime/asio/clock.cpp", "cli/main.cpp", "tests/unit/runtime/clock.cpp"):
            self.assertEqual(names(path, clock), set())
        self.assertEqual(names("runtime/asio/net.cpp", "#include <boost/asio.hpp>"), set())
        self.assertEqual(names("runtime/asiopath.cpp", "#include <boost/asio.hpp>"), {"boost"})

    def test_an_excuse_needs_its_rule_and_a_reason(self):
        line = "std::unordered_map<int, int> m;  // tidy: allow "
        self.assertEqual(names("sim/a.cpp", line + "banned: never iterated"), set())
        self.assertEqual(names("sim/a.cpp", line + "banned:"), {"banned"})
        self.assertEqual(names("sim/a.cpp", line + "boost: wrong rule"), {"banned"})

    def test_ratchet_admits_what_it_lists_and_no_more(self):
        text = "int f() {\n" + "  g();\n" * 78 + "}"
        self.assertEqual(names("storage/log.cpp", text, {"storage/log.cpp:f": 80}), set())
        self.assertEqual(names("storage/log.cpp", text, {"storage/log.cpp:f": 79}), {"function-length"})
        self.assertEqual(names("storage/log.cpp", text, {"storage/other.cpp:f": 80}), {"function-length"})

    def test_functions_are_found_once_with_their_names(self):
        code = cpp.blank("""
namespace a {
struct S : B { int x = f(); int g() const { return [] { return 1; }(); } };
enum class E { one, two };
template <class T> requires std::integral<T>
S::S(int a) : B(a), x_{a}, y_(b) { go(); }
bool operator==(const S&, const S&) { return true; }
void h() noexcept { for (;;) { } }
}
""")
        self.assertEqual([name for name, _, _ in cpp.functions(code)], ["g", "S", "operator==", "h"])


@unittest.skipUnless(shutil.which("nm") and shutil.which("clang++-19") and shutil.which("ar"), "no compiler here")
class Symbols(unittest.TestCase):
    def found(self, text):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder)
            (base / "a.cpp").write_text(text)
            archive = base / "libverdict_storage.a"
            subprocess.run(["clang++-19", "-std=c++23", "-O1", "-c", "a.cpp", "-o", "a.o"], cwd=base, check=True)
            subprocess.run(["ar", "rc", archive.name, "a.o"], cwd=base, check=True)
            return {rule for _, _, rule, _ in symbols.findings([archive])}

    def test_a_clean_object_passes(self):
        self.assertEqual(self.found("""
#include <map>
#include <string>
const char* const kNames[] = {"a", "b"};
struct V { virtual ~V() = default; virtual int f() { return 1; } };
int g(std::map<std::string, int>& m) { V v; return m["clock_gettime"] + v.f() + (int)sizeof kNames; }
"""), set())

    def test_what_reaches_outside_is_named(self):
        self.assertEqual(self.found("#include <chrono>\nlong f() { return "
                                    "std::chrono::steady_clock::now().time_since_epoch().count(); }\n"), {"clock"})
        self.assertEqual(self.found("#include <sys/socket.h>\nint f() { return socket(1, 2, 3); }\n"), {"socket"})
        self.assertEqual(self.found("#include <pthread.h>\nint f(pthread_t* t, void* (*g)(void*)) "
                                    "{ return pthread_create(t, nullptr, g, nullptr); }\n"), {"thread"})
        self.assertEqual(self.found("#include <cstdlib>\nint f() { return rand(); }\n"), {"random"})
        self.assertEqual(self.found("#include <cstdlib>\nchar* f() { return getenv(\"A\"); }\n"), {"process"})
        self.assertEqual(self.found("#include <cmath>\ndouble f(double x) { return std::pow(x, x); }\n"), {"libm"})

    def test_a_constant_table_filled_at_first_use_passes(self):
        self.assertEqual(self.found("#include <vector>\nint f() { static const std::vector<int> kAll(3, 1); "
                                    "return kAll[0]; }\n"), set())

    def test_global_state_is_named(self):
        self.assertEqual(self.found("int counter;\nint f() { return ++counter; }\n"), {"global-state"})
        self.assertEqual(self.found("int f() { static int calls = 7; return ++calls; }\n"), {"global-state"})
        self.assertEqual(self.found("thread_local int t;\nint f() { return ++t; }\n"), {"global-state"})


if __name__ == "__main__":
    unittest.main()
