"""The rules (ARCHITECTURE.md: arrows; CONTRIBUTING.md: style), each a function of a Source that yields findings."""

import pathlib
import re

import cpp

# Which folders a folder may include, besides its own. tests/ and examples/ may include everything.
PROTOCOL = ("runtime", "storage", "protocol/wire", "protocol")
NODE = PROTOCOL + ("protocol/replication", "protocol/quorum", "protocol/controller", "protocol/group",
                   "protocol/transaction", "protocol/client", "protocol/broker")
ARROWS = {
    "runtime": (),
    "runtime/asio": ("runtime",),
    "storage": ("runtime",),
    "protocol/wire": ("runtime",),
    "protocol": ("runtime", "storage", "protocol/wire"),
    "protocol/replication": PROTOCOL,
    "protocol/quorum": PROTOCOL,
    "protocol/controller": PROTOCOL + ("protocol/quorum",),
    "protocol/group": PROTOCOL,
    "protocol/transaction": PROTOCOL,
    "protocol/client": PROTOCOL,
    "protocol/broker": NODE,
    "sim": NODE,
    "checker": ("runtime",),
    "scenarios": NODE + ("sim", "checker"),
    "search": NODE + ("sim", "checker", "scenarios"),
    "reports": NODE + ("sim", "checker", "scenarios"),
    "cli": NODE + ("sim", "checker", "scenarios", "search", "reports", "runtime/asio"),
}
EXTRA_FILES = {"checker": ("protocol/events.h", "protocol/types.h", "storage/types.h")}
FREE = ("tests", "examples")
REAL = ("runtime/asio", "cli", "tests", "examples")  # may touch the real machine
CORE = ("runtime", "storage", "protocol", "sim", "checker")

OS_HEADERS = re.compile(r"(sys|netinet|arpa|net|linux)/|"
                        r"(unistd|fcntl|poll|pthread|dirent|signal|time|spawn|netdb|dlfcn)\.h$|"
                        r"(thread|mutex|shared_mutex|condition_variable|future|semaphore|barrier|latch|stop_token|"
                        r"csignal|ctime|random)$")

# (pattern, where it is allowed, what to use)
BANNED = [
    (r"\b(system_clock|steady_clock|high_resolution_clock|utc_clock)\b", REAL, "Runtime::now() or wall_now()"),
    (r"\b(clock_gettime|gettimeofday|clock_nanosleep|nanosleep|usleep)\b|\bstd::time\s*\(|(?<![\w.>:])sleep\s*\(", REAL,
     "Runtime::now(), wall_now() or sleep_until()"),
    (r"\bstd::(thread|jthread|mutex|shared_mutex|recursive_mutex|condition_variable|async|promise|future|this_thread|"
     r"lock_guard|unique_lock|scoped_lock|counting_semaphore|binary_semaphore|barrier|latch)\b|\bpthread_\w+", REAL,
     "one event loop: Scope::spawn and Signal"),
    (r"\brandom_device\b|\bmt19937(_64)?\b|\bstd::\w+_distribution\b|\bdefault_random_engine\b",
     ("runtime/asio", "tests"), "Runtime::random() or KeyedRandom, scale_to()"),
    (r"(?<![\w.>:])s?rand(om)?_?r?\s*\(\s*\)|\bstd::s?rand\b|(?<![\w.>])srand\s*\(", ("tests",),
     "Runtime::random() or KeyedRandom"),
    (r"\b(secure_)?getenv\b|\bgetpid\b|\bgethostname\b|\bgetuid\b|\bgetrandom\b", REAL, "a value that cli passes in"),
    (r"\bstd::unordered_(multi)?(map|set)\b", ("runtime/lookup_map.h", "tests"),
     "a sorted vector, std::map, or the lookup-only map of runtime/"),
    (r"\bstd::(format|print|println|vformat|format_to)\b", (), "fmt (libstdc++ 12 has no std::format)"),
    (r"\bstd::(cout|cerr|clog|cin)\b", ("cli", "tests", "examples"), "Runtime::log, or text handed to the caller"),
    (r"\bstd::(map|set|multimap|multiset|less|greater|hash)<\s*(const\s+)?[\w:]+(<[\w:, ]*>)?(\s+const)?\s*\*", (),
     "an id as key: addresses differ from run to run"),
    (r"\bstd::(pow|exp2?|expm1|log1p|log10|log2|log|sqrt|cbrt|sin|cos|tan|atan2?|hypot|l?l?round|floor|ceil|fmod)\s*\(",
     ("reports", "cli", "tests", "runtime/asio"), "integers and tables: libm picks other code on another CPU"),
    (r"(?<![\w:])assert\s*\(", (), "VERDICT_ASSERT, which is always on"),
]
BANNED = [(re.compile(pattern), allowed, instead) for pattern, allowed, instead in BANNED]

HEAVY = re.compile(r"(nlohmann/json\.hpp|regex|iostream|fmt/.*)$")
# Objects that outlive every coroutine of their node: the seam's, and a node's scratch memory.
SEAM = {"Decompressor", "FileCache",
        "Runtime", "Stream", "File", "Disk", "Network", "Listener", "Scope", "Signal", "Op", "FileLock"}
CO = re.compile(r"\bco_(await|return|yield)\b")
DRAW = re.compile(r"\b(random|draw\w*)\s*\(|(\.|->)(next|below|one_in|between|chance)\s*\(")

LINE_LIMIT, FILE_LIMIT, FUNCTION_LIMIT = 120, 800, 70


def within(path, folders):
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def module_of(path):
    folder = path.rpartition("/")[0]
    while folder and folder not in ARROWS and folder not in FREE:
        folder = folder.rpartition("/")[0]
    return folder


def includes(source):
    for number, code in enumerate(source.code_lines, 1):
        if re.match(r"\s*#\s*include\b", code):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', source.lines[number - 1])
            if match:
                yield number, match.group(1) == "<", match.group(2)


def include_arrows(source):
    module = module_of(source.path)
    for number, system, name in includes(source):
        if system:
            if name.startswith("boost/") and not within(source.path, ("runtime/asio",)):
                yield number, "boost", f"<{name}> outside runtime/asio: use the seam (runtime/runtime.h)"
            elif OS_HEADERS.match(name) and not within(source.path, REAL):
                yield number, "system-header", f"<{name}> outside runtime/asio: use the seam (runtime/runtime.h)"
            elif name in ("fstream", "filesystem") and within(source.path, CORE) and not within(source.path, REAL):
                yield number, "system-header", f"<{name}> in a core library: use Runtime::disk()"
            elif name == "format" or (name in ("iostream", "cassert") and not within(source.path, ("cli", "tests"))):
                instead = {"format": "use fmt", "iostream": "return text, or Runtime::log",
                           "cassert": 'use "runtime/assert.h"'}[name]
                yield number, "header", f"<{name}>: {instead}"
            if source.path.endswith(".h") and HEAVY.match(name) and not within(source.path, REAL):
                yield number, "heavy-header", f"<{name}> costs every file that includes this: move it to a .cpp"
            continue
        target = module_of(name)
        if not target:
            yield number, "include-path", f'"{name}": name it from the root of the repository'
        elif module in ARROWS and target != module and target not in ARROWS[module]:
            if name not in EXTRA_FILES.get(module, ()):
                yield number, "include-arrow", f'{module} may not include "{name}" (ARCHITECTURE.md, arrows)'


def banned_calls(source):
    for number, line in enumerate(source.code_lines, 1):
        if line.lstrip().startswith("#"):
            continue
        for pattern, allowed, instead in BANNED:
            if not within(source.path, allowed) and (match := pattern.search(line)):
                yield number, "banned", f"{match.group().strip()}: use {instead}"


def one_draw(source):
    """Arguments are evaluated in any order, so two draws in one list make a run depend on the compiler."""
    code = source.code
    for match in re.finditer(r"[\w>]\s*\(", code):
        opening = match.end() - 1
        word = re.search(r"(\w+)\s*$", code[max(0, opening - 40):opening])
        if word and word.group(1) in cpp.CONTROL:
            continue
        end = cpp.closing(code, opening)
        inside = code[opening + 1:end]
        if len(DRAW.findall(inside)) < 2:
            continue
        if sum(1 for part in cpp.split_arguments(inside) if DRAW.search(part)) > 1:
            yield source.line_of(opening), "one-draw", "two random draws in one argument list: name the first before"


def check_parameters(source, position, parameters):
    for parameter in cpp.split_arguments(parameters):
        bare = re.sub(r"\b(const|volatile)\b", " ", parameter).strip()
        outside = re.sub(r"<.*>", "", bare)
        base = re.match(r"(?:\w+::)*(\w+)", outside)
        base = base.group(1) if base else ""
        if "&" in outside and not ("&&" not in outside and base in SEAM):
            yield source.line_of(position), "coroutine-parameter", f"`{bare}`: a coroutine takes parameters by value"
        elif "&" not in outside and "*" not in outside and re.search(r"(^|_)(span|string_view)$|(View|Span)$", base):
            yield source.line_of(position), "coroutine-parameter", f"`{bare}`: a view may dangle over a co_await"


def coroutine_shapes(source):
    code = source.without_preprocessor()
    for match in re.finditer(r"\bTask\s*<", code):
        end = cpp.closing_angle(code, match.end() - 1)
        name = re.match(r"\s+((?:\w+::)*\w+)\s*\(", code[end + 1:]) if end > 0 else None
        if name:
            opening = end + name.end()
            close = cpp.closing(code, opening)
            body = re.match(r"\s*(?:const|noexcept|override|final|\s)*\{", code[close + 1:])
            if body:
                brace = close + body.end()
                if not CO.search(code[brace:cpp.closing(code, brace)]):
                    continue  # hands on another's task: no frame keeps its parameters
            yield from check_parameters(source, match.start(), code[opening + 1:close])
    found = cpp.lambdas(code)
    for start, captures, parameters, tail, body, end in found:
        inside = code[body:end]
        for other in found:
            if body < other[4] and other[5] < end:
                inside = inside[:other[4] - body] + " " * (other[5] - other[4]) + inside[other[5] - body:]
        if not CO.search(inside):
            continue
        if captures:
            yield (source.line_of(start), "coroutine-lambda",
                   f"a coroutine lambda that captures [{captures}]: the captures die with the lambda; pass parameters")
        yield from check_parameters(source, start, parameters)
    for position, text in cpp.statements(code):
        awaits = [found.start() for found in re.finditer(r"\bco_await\b", text)]
        if len(awaits) > 1:
            yield source.line_of(position + awaits[1]), "one-await", "two co_awaits in one statement: name the first"


def exceptions(source):
    if not within(source.path, CORE) or within(source.path, REAL):
        return
    for number, line in enumerate(source.code_lines, 1):
        if re.search(r"\bthrow\b", line):
            yield number, "throw", "an exception in a core library: std::expected, or VERDICT_ASSERT for a bug"


def constants(source):
    """symbols.py takes a static kName for a constant, so it must be one."""
    for number, line in enumerate(source.code_lines, 1):
        if re.search(r"\b(static|thread_local|inline)\b(?!.*\bconst(expr)?\b)[^;={(]*\bk[A-Z]\w*\s*[;={]", line):
            yield number, "constant", "a kName that is not const: state belongs to a node"


def headers(source):
    if not source.path.endswith(".h"):
        return
    if "#pragma once" not in source.text:
        yield 1, "pragma-once", "a header without #pragma once"
    for number, line in enumerate(source.code_lines, 1):
        if re.match(r"using\s+namespace\b", line):
            yield number, "using-namespace", "using namespace at the top of a header"


def lengths(source, ratchet):
    count = len(source.lines) - 1
    if count > FILE_LIMIT:
        yield 1, "file-length", f"{count} lines, more than {FILE_LIMIT}: split it"
    if not source.path.endswith((".cpp", ".h")):
        return
    for name, start, end in cpp.functions(source.without_preprocessor()):
        size = source.line_of(end) - source.line_of(start) + 1
        key = f"{source.path}:{name}"
        if size > FUNCTION_LIMIT and size > ratchet.get(key, FUNCTION_LIMIT):
            limit = ratchet.get(key, FUNCTION_LIMIT)
            yield source.line_of(start), "function-length", f"{name} has {size} lines, more than {limit}: split it"


PROMISE = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")


def text_basics(source):
    code = source.path.endswith((".cpp", ".h", ".py", ".cmake", "CMakeLists.txt")) or "." not in source.path
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield number, "trailing-space", "space at the end of the line"
        if "\t" in line:
            yield number, "tab", "a tab: two spaces a level in C++, four in Python and shell"
        if code and len(line) > LINE_LIMIT:
            yield number, "line-length", f"{len(line)} characters, more than {LINE_LIMIT}"
        if code and (match := PROMISE.search(line)):
            yield number, "promise", f"{match.group()}: do it, or open an issue"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "last-line", "no line break at the end of the file"


ROOT = pathlib.Path(__file__).resolve().parents[2]


def documents(source):
    """A comment that sends the reader to a document which is not there."""
    for number, line in enumerate(source.lines, 1):
        for name in re.findall(r"\b[A-Z]{2,}\.md\b", line):
            if not (ROOT / name).exists() and not (ROOT / "docs" / name).exists():
                yield number, "document", f"{name} is neither at the root nor in docs/"


CPP_RULES = [include_arrows, banned_calls, one_draw, coroutine_shapes, exceptions, constants, headers, documents]
ALLOW = re.compile(r"(?://|#)\s*tidy: allow ([\w-]+): (\S.*)")


def allowed_at(source, number, rule):
    """`// tidy: allow RULE: reason` on the line or the one above it."""
    for line in source.lines[max(0, number - 2):number]:
        match = ALLOW.search(line)
        if match and match.group(1) == rule:
            return True
    return False


def check(path, text, ratchet=None):
    """All findings of one file, as (line, rule, message), in order."""
    source = cpp.Source(path, text)
    found = list(text_basics(source)) + list(lengths(source, ratchet or {}))
    if path.endswith((".cpp", ".h")):
        for rule in CPP_RULES:
            found += rule(source)
    return sorted({finding for finding in found if not allowed_at(source, finding[0], finding[1])})
