"""The report of a failing run, in headless Chromium: it draws, its keys and its slider work, 100,000 details are not
too many, it prints, and it asks no network for anything.

    python3 tests/interop/report_test.py --build build/release
"""

import argparse
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
]
FAILING = ["back-to-back-elections", "--seeds", "1..20", "--fail-fast", "--set", 'defects=["no-truncation"]']
BIG = ["leader-crash-acks-all", "--seed", "1", "--set", "phases.run_ms=60000"]

# Without a screen --dump-dom shows no frames, so nothing would ever be drawn.
FRAMES = "<script>window.requestAnimationFrame = draw => setTimeout(draw, 0);</script>"

# What a person would do, and what stands there afterwards.
PROBE = """<script>
(async function () {
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)));
  const canvas = document.getElementById("diagram");
  const colours = () => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    return seen.size;
  };
  const picture = () => canvas.toDataURL();
  const press = key => document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const text = id => document.getElementById(id).textContent;
  const seen = {ready: document.documentElement.dataset.ready,
    requests: performance.getEntriesByType("resource").length};
  await frame(); await frame();
  seen.colours = colours();
  seen.when = text("when");
  seen.witnesses = document.querySelectorAll("#witnesses tbody tr").length;
  seen.matrix = [...document.querySelectorAll("#matrix tbody tr")]
    .map(row => [...row.cells].map(cell => cell.textContent));
  seen.states = document.querySelectorAll("#states tbody tr").length;
  seen.charts = document.querySelectorAll("#rate path, #latency path").length;
  seen.divergence = text("divergence");
  let last = picture();
  seen.moved = {};
  for (const key of ["ArrowLeft", "+", "-", "a", "0"]) {
    press(key); await frame(); await frame();
    seen.moved[key] = picture() !== last;
    last = picture();
  }
  const height = canvas.height;
  document.getElementById("own").click(); await frame(); await frame();
  seen.lanes = (canvas.height - height) / 46;
  document.getElementById("own").click(); await frame(); await frame();
  seen.back = picture() === last;
  seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  seen.named = document.querySelectorAll("#strips .cell.named").length;
  press("p"); await frame();
  seen.before = text("when");
  seen.readout = text("readout");
  const slider = document.getElementById("slider");
  slider.value = 1;
  slider.dispatchEvent(new Event("input"));
  await frame();
  seen.first = text("when");
  seen.steps = Number(slider.max);
  document.documentElement.dataset.probe = JSON.stringify(seen);
})();
</script>
"""


def bundle(program, out, arguments):
    done = subprocess.run(
        [program, "run", *arguments, "--out", out, "--format", "json"],
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    folders = [run["dir"] for run in json.loads(done.stdout)["runs"] if run["dir"]]
    if not folders:
        raise AssertionError(f"exit code {done.returncode}, no bundle: {done.stdout[:500]}{done.stderr[-500:]}")
    return pathlib.Path(folders[-1]), json.loads((pathlib.Path(folders[-1]) / "run.json").read_text())


def chromium(profile, *arguments):
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments],
        timeout=300,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def probe(folder, work, width=1400):
    page = work / f"{folder.name}-probe.html"
    text = (folder / "report.html").read_text()
    page.write_text(text.replace("<main>", FRAMES + "<main>").replace("</body>", PROBE + "</body>"))
    done = chromium(
        work / "profile",
        f"--window-size={width},1000",
        "--enable-logging=stderr",
        "--virtual-time-budget=60000",
        "--dump-dom",
        page.as_uri(),
    )
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    if not found:
        raise AssertionError(
            "the page's script did not come to its end:\n"
            + "\n".join(line for line in done.stderr.split("\n") if "CONSOLE" in line)[:3000]
        )
    return json.loads(html.unescape(found.group(1)))


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def seconds(text):
    return float(text.split()[0])


def failing_run(program, work):
    folder, run = bundle(program, work / "failing", FAILING)
    expect(run["outcome"] == "violation", f"the planted defect was not found: {run['outcome']}")
    text = (folder / "report.html").read_text()
    expect(
        html.unescape(re.search(r"<h1>(.*?)</h1>", text).group(1)) == run["sentence"], "the sentence is not the heading"
    )
    expect(f"verdict replay {folder}" in text, "the page does not say how to replay")
    order = [
        text.index(part)
        for part in (
            "<h1>",
            "<h2>Witnesses",
            "<h2>Replay",
            "<h2>Scenario",
            'id="diagram"',
            'id="matrix"',
            'id="states"',
            'id="rate"',
        )
    ]
    expect(order == sorted(order), "the parts do not stand in their order")
    seen = probe(folder, work)
    expect(seen["ready"] == "yes", "the page is not ready")
    expect(seen["requests"] == 0, f"{seen['requests']} requests to a network")
    expect(seen["colours"] > 20, f"the diagram shows {seen['colours']} colours: it is empty")
    expect(
        abs(seconds(seen["when"]) - run["violation_ns"] / 1e9) < 2e-6,
        f"it opens at {seen['when']}, not at the violation",
    )
    expect(seen["witnesses"] > 0, "no witnesses")
    replicas = [row for row in seen["matrix"] if row[0].startswith("broker")]
    expect(len(replicas) == 3, f"the replica matrix has {len(replicas)} replicas")
    expect(all(row[2].isdigit() and row[3].isdigit() for row in replicas), f"LEO and HW are not numbers: {replicas}")
    expect(seen["states"] >= 10, f"{seen['states']} states around the violation")
    expect("First divergent offset" in seen["divergence"], f"a log that was not truncated, and: {seen['divergence']}")
    expect(seen["charts"] == 5, f"{seen['charts']} curves, not 5")
    expect(all(seen["moved"].values()), f"keys that change nothing: {seen['moved']}")
    expect(seen["lanes"] >= 1 and seen["back"], f"the other lanes neither come nor go: {seen['lanes']}, {seen['back']}")
    expect(seen["named"] > 0, "the strips of batches do not show the sentence's offset")
    expect(seconds(seen["before"]) <= seconds(seen["when"]), "p did not go back")
    expect(seconds(seen["first"]) < seconds(seen["before"]), "the slider did not go to the first event")
    return folder


def narrow(work, folder):
    seen = probe(folder, work, width=800)
    expect(seen["ready"] == "yes" and seen["colours"] > 20, "the narrow page is not ready")
    expect(seen["wide"] <= 0, f"the page is {seen['wide']} pixels wider than its window")


def dark(work, folder):
    page = work / "failing-dark.html"
    page.write_text(
        (folder / "report.html")
        .read_text()
        .replace(
            "</body>",
            """<script>
      document.documentElement.dataset.paper = getComputedStyle(document.body).backgroundColor;</script></body>""",
        )
    )
    done = chromium(
        work / "profile",
        "--blink-settings=preferredColorScheme=0",
        "--virtual-time-budget=5000",
        "--dump-dom",
        page.as_uri(),
    )
    found = re.search(r'data-paper="rgb\((\d+), (\d+), (\d+)\)"', done.stdout)
    expect(found is not None, "no colour of the page")
    expect(max(map(int, found.groups())) < 80, f"the dark page has the paper {found.groups()}")


def prints(work, folder):
    pdf = work / "report.pdf"
    chromium(
        work / "profile", "--virtual-time-budget=10000", f"--print-to-pdf={pdf}", (folder / "report.html").as_uri()
    )
    expect(pdf.exists() and pdf.read_bytes()[:5] == b"%PDF-", "no PDF")
    expect(pdf.stat().st_size > 20_000, f"the PDF has {pdf.stat().st_size} bytes only")


def large(program, work):
    folder, _ = bundle(program, work / "large", BIG)
    text = (folder / "report.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    details = len(data["events"]) + len(data["messages"])
    expect(details >= 90_000, f"{details} details: the run is too small for this test")
    expect(data["all_events"] > len(data["events"]), "nothing was left out")
    began = time.monotonic()
    seen = probe(folder, work)
    expect(seen["ready"] == "yes" and seen["steps"] >= len(data["events"]), "the page is not ready")
    expect(all(seen["moved"].values()), f"keys that change nothing: {seen['moved']}")
    expect(time.monotonic() - began < 120, f"{time.monotonic() - began:.0f} s with {details} details")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    program = parser.parse_args().build.resolve() / "verdict"
    tests = ["failing_run", "narrow", "dark", "prints", "large"]
    if CHROMIUM is None or not program.exists():
        print(f"skipped: there is no {'chromium' if CHROMIUM is None else program}")
        print(f"0 passed, 0 failed, {len(tests)} skipped")
        return 0
    counts = [0, 0, 0]
    folder = None
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        for test in tests:
            try:
                if test == "failing_run":
                    folder = failing_run(program, work)
                elif test == "large":
                    large(program, work)
                elif folder is None:
                    counts[2] += 1
                    print(f"skipped: {test} needs the failing run's report")
                    continue
                else:
                    globals()[test](work, folder)
                counts[0] += 1
            except (AssertionError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
                counts[1] += 1
                print(f"FAIL {test}: {type(error).__name__}: {error}")
    print("{} passed, {} failed, {} skipped".format(*counts))
    return int(counts[1] != 0)


if __name__ == "__main__":
    sys.exit(main())
