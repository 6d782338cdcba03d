"""The charts: bars for a comparison, throughput and latency for a run. Only this module knows matplotlib."""

from pathlib import Path
from typing import Any

from benchmarks.figures import CELLS, Curves, Figures
from benchmarks.results import Result


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.fonttype"] = "none"  # text in an SVG stays text: it can be searched, read out and copied
    from matplotlib import pyplot

    return pyplot


def draw_run(path: Path, result: Result) -> None:
    """Draw the throughput in each second, and the distribution of the latencies."""
    pyplot = _pyplot()
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    seconds = sorted(result.by_second)[:-1] or sorted(result.by_second)  # the last second may be incomplete
    left.plot([second + 1 for second in seconds], [result.by_second[second] for second in seconds], marker=".")
    left.set(xlabel="second", ylabel="messages a second", ylim=(0, None))
    latencies = sorted(result.latencies)
    total = result.latencies.total()
    seen, parts = 0, []
    for latency in latencies:
        seen += result.latencies[latency]
        parts.append(100 * seen / total)
    right.plot([latency * 1000 for latency in latencies], parts)
    right.set(xlabel="latency, ms", ylabel="answers within it, %", xscale="log", ylim=(0, 100))
    right.grid(visible=True, alpha=0.3)
    figure.savefig(path)


def draw_comparison(path: Path, figures: Figures) -> None:
    """Draw the messages a second of each server, with one panel for each kind of work."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for panel, cell in zip(panels.flat, CELLS, strict=True):
        names = list(figures)[::-1]
        rates = [figures[name][cell].rate for name in names]
        colors = ["tab:orange" if name.startswith("Porter") else "tab:blue" for name in names]
        panel.barh(names, rates, color=colors)
        panel.set_title(cell)
        panel.ticklabel_format(axis="x", style="plain")
        panel.tick_params(axis="both", labelsize=8)
        panel.locator_params(axis="x", nbins=4)
    figure.supxlabel("messages a second, medians")
    figure.savefig(path)


def draw_curves(path: Path, curves: Curves) -> None:
    """Draw the median (left) and the 99th percentile (right) of each server's latency, against the load."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained", sharey=True)
    for panel, percent in zip(panels, ("p50", "p99"), strict=True):
        for name, points in curves.items():
            rates = [point.rate for point in points]
            panel.plot(rates, [getattr(point, percent) for point in points], marker=".", label=name)
        panel.set(title=percent, xlabel="messages a second", yscale="log")
        panel.ticklabel_format(axis="x", style="plain")
        panel.grid(visible=True, alpha=0.3, which="both")
    panels[0].set_ylabel("latency, ms")
    panels[0].legend(fontsize=8)
    figure.savefig(path)


def draw_failover(path: Path, curves: dict[str, dict[str, list[int]]]) -> None:
    """Draw how many clients are back at the end of each second, with one panel for each server."""
    pyplot = _pyplot()
    figure, panels = pyplot.subplots(2, 2, figsize=(11, 7), layout="constrained")
    for panel, (name, policies) in zip(panels.flat, curves.items(), strict=True):
        for policy, back in policies.items():
            panel.plot(range(len(back)), back, label=policy)
        panel.set_title(name)
        panel.grid(visible=True, alpha=0.3)
    panels.flat[0].legend(fontsize=8)
    figure.supxlabel("seconds after the loss")
    figure.supylabel("clients that are back")
    figure.savefig(path)
