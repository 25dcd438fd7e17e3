#!/usr/bin/env python3
"""What the object code says: the core libraries reach for no clock, thread, socket, environment or libm, and keep no
mutable state outside nodes. Prints `library:member: rule: symbol`; exit code 1 if there is a finding.

    symbols.py BUILD_DIR
"""

import pathlib
import re
import subprocess
import sys

# Everything below cli but runtime/asio; reports may use libm (scales of diagrams).
PURE = re.compile(r"libverdict_(?!runtime_asio)(runtime|storage|protocol\w*|sim|checker|scenarios|search|reports)\.a$")
MATHS = re.compile(r"libverdict_(?!reports)")

OUTSIDE = {
    "clock": r"clock_gettime|clock_nanosleep|gettimeofday|nanosleep|usleep|sleep|time|"
             r"_ZNSt6chrono3_V21[0-9]\w+_clock3nowEv",
    "thread": r"pthread_create|pthread_mutex_\w+|pthread_cond_\w+|_ZNSt6thread\w*|_ZNSt18condition_variable\w*|"
              r"thrd_create",
    "socket": r"socket|socketpair|connect|bind|listen|accept4?|send|sendto|sendmsg|recv|recvfrom|recvmsg|getaddrinfo|"
              r"poll|epoll_\w+|select",
    "random": r"rand|rand_r|srand|random|srandom|arc4random|getrandom|getentropy|_ZNSt13random_device\w*",
    "process": r"getenv|secure_getenv|getpid|gethostname|getuid|fork|execv\w*|kill|signal|sigaction",
}
OUTSIDE = {rule: re.compile(rf"({pattern})$") for rule, pattern in OUTSIDE.items()}
LIBM = re.compile(r"(exp2?|expm1|log|log2|log10|log1p|pow|sin|cos|tan|atan2?|cbrt|hypot|sqrt|fmod|lround|llround)f?l?$")

# Sections of data that code may change. `.data.rel.ro` is constant once loaded.
MUTABLE = re.compile(r"\.(t?bss|t?data)(?!\.rel\.ro)(\.|$)")
# A constant table that is filled at its first use; tidy.py sees to it that a static kName is const.
CONSTANT = re.compile(r"(^|::)k[A-Z]\w*(\[abi:cxx11\])?$")
# Not state that a run could see, each with its reason.
STATE_ALLOWED = {
    ("libverdict_runtime.a", "verdict::(anonymous namespace)::pool"): "free coroutine frames: memory, not state",
}
# RapidCheck's own, from its headers: what draws scenarios, before a simulation begins.
RAPIDCHECK = re.compile(r"(guard variable for )?rc::detail::ImplicitParam<.*>::m_stack$|std::__ioinit$")
COMPILER_MADE = re.compile(r"(__tls_guard|__sancov|__asan|__odr_asan|DW\.ref\.|TLS init function|guard variable for "
                           r"verdict::\(anonymous namespace\)::pool|__odr)")


def undefined(archive):
    """(member, symbol) of each undefined symbol."""
    listed = subprocess.run(["nm", "-A", "-u", "--no-demangle", archive], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        place, _, symbol = line.rpartition(" ")
        yield place.split(":")[1], symbol.split("@")[0]


def mutable(archive):
    """(member, demangled symbol) of each object in a section that can be written."""
    listed = subprocess.run(["nm", "--defined-only", "--format=sysv", "--demangle", archive],
                            capture_output=True, text=True, check=True)
    member = "?"
    for line in listed.stdout.splitlines():
        heading = re.match(r"Symbols from .*\[(.*)\]:$", line)
        if heading:
            member = heading.group(1)
            continue
        fields = line.split("|")
        if len(fields) >= 7 and MUTABLE.match(fields[-1].strip()):
            name = "|".join(fields[:-6]).strip()
            if name and not COMPILER_MADE.search(name) and not CONSTANT.search(name):
                yield member, name


def findings(archives):
    for archive in archives:
        for member, symbol in undefined(archive):
            for rule, pattern in OUTSIDE.items():
                if pattern.match(symbol):
                    yield archive.name, member, rule, symbol
            if MATHS.match(archive.name) and LIBM.match(symbol):
                yield archive.name, member, "libm", symbol
        for member, name in mutable(archive):
            drawing = archive.name == "libverdict_search.a" and RAPIDCHECK.match(name)
            if (archive.name, name) not in STATE_ALLOWED and not drawing:
                yield archive.name, member, "global-state", name


def main():
    build = pathlib.Path(sys.argv[1])
    archives = sorted(path for path in build.glob("libverdict_*.a") if PURE.search(path.name))
    if not archives:
        print(f"{build}: no libraries there", file=sys.stderr)
        return 2
    found = list(findings(archives))
    for archive, member, rule, symbol in found:
        print(f"{archive}:{member}: {rule}: {symbol}")
    print(f"{len(archives)} libraries, {len(found)} findings", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
