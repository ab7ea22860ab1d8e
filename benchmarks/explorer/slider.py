"""``python -m benchmarks.explorer.slider``: how long it takes from a slider of the explorer page to the screen."""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tyro
from playwright.sync_api import Page, ViewportSize, sync_playwright

from benchmarks.harness.client import Request, ask
from benchmarks.harness.process import ROOT, Process
from benchmarks.harness.servers import matcaps
from benchmarks.tables import short, table

NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZE: ViewportSize = {"width": 1280, "height": 860}
MODELS = Request("/models")
KERNEL_S = 60.0  # in which the service compiles its kernels and compares them with onnxruntime
WARM_MOVES = 5
STEPS = {
    "the change of the picture": "began asked",
    "the request until its first byte": "asked first",
    "the rest of the answer": "first last",
    "reading and drawing it": "last drawn",
    "layout and paint": "drawn painted",
    "**together**": "began painted",
}
# The page sets data-state to `live` when it has drawn the answer to a slider, and to `ready` with those of all layers.
MOVE = """async ([id, value]) => {
  const root = document.documentElement;
  const reached = (state) => new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (root.dataset.state !== state) return;
      observer.disconnect();
      resolve(performance.now());
    }).observe(root, { attributeFilter: ['data-state'] });
  });
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(performance.now());
    port2.postMessage(0);
  }));
  performance.clearResourceTimings();
  const [live, ready] = [reached('live'), reached('ready')];
  const slider = document.getElementById(id);
  const began = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event('input'));
  const drawn = await live;
  const times = { began, drawn, painted: await painted() };
  const [entry] = performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/infer'));
  Object.assign(times, { asked: entry.startTime, first: entry.responseStart, last: entry.responseEnd });
  times.network = entry.serverTiming.find(({ name }) => name === 'inference').duration;
  await ready;
  return { ...times, rest: await painted() };
}"""


def moves(page: Page, slider: str, count: int) -> list[dict[str, float]]:
    """Milliseconds of the page's clock at each step, for moves of a slider that come one after the other."""
    low, high, step = (float(page.locator(f"#{slider}").get_attribute(name) or 0) for name in ("min", "max", "step"))
    steps = round((high - low) / step)
    values = [low + step * (7 * number % steps) for number in range(1, count + 1)]
    found = [page.evaluate(MOVE, [slider, f"{value:.2f}"]) for value in values]
    return found


def report(found: list[dict[str, float]]) -> str:
    """A table of medians and quartiles."""
    rows = []
    for name, ends in STEPS.items():
        start, end = ends.split()
        rows.append(_row(name, [times[end] - times[start] for times in found]))
    rows.append(_row("in the network", [times["network"] for times in found]))
    rows.append(_row("all layers, after the slider has rested", [times["rest"] - times["began"] for times in found]))
    return table(["from a slider to the screen", "ms", "quartiles"], rows, numbers=1)


def _row(name: str, values: list[float]) -> tuple[str, str, str]:
    low, median, high = statistics.quantiles(values, n=4)
    return name, short(median), f"{short(low)} to {short(high)}"


@contextmanager
def service(model: str) -> Iterator[Process]:
    """The service with one model of the repository, once its C++ kernels route, if they do within a minute."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / model).symlink_to(ROOT / "model_repository" / model)
        with matcaps(f"--default-model={model}").launch(Path(folder)) as process:
            process.wait_until_ready()
            until = time.monotonic() + KERNEL_S
            while backend(process) == "onnxruntime" and time.monotonic() < until:
                time.sleep(0.5)
            yield process


def backend(process: Process) -> str:
    """What runs the service's only model."""
    (model,) = ask(process.port, MODELS).json["models"]
    name: str = model["backend"]["name"]
    return name


def main(model: str = "smallnorb", slider: str = "turn", count: int = 40) -> None:
    """Move a slider again and again, each time after the last answer is shown.

    Args:
        model: of the repository
        slider: id of its element in the page
        count: moves
    """
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        sys.exit(f"python -m benchmarks.explorer.slider: needs Chromium, found none of {', '.join(NAMES)}")
    with service(model) as process, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--disable-dev-shm-usage"])
        page = browser.new_page(base_url=process.url(""), viewport=SIZE)
        page.goto("/")
        page.locator("html[data-state=ready]").wait_for(state="attached")
        moves(page, slider, WARM_MOVES)
        print(report(moves(page, slider, count)))
        print(f"\n{model}, {count} moves of {slider}, by {backend(process)}")


if __name__ == "__main__":
    tyro.cli(main)
