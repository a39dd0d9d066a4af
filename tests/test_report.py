"""The views of a run directory: status, report, long tables; of whole, partial and broken ones."""

import csv
import json
import os
import re
import threading
import time
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner

import stablesde as ssd
from stablesde import _locks, check
from stablesde._status import RUN_LOCK, duration, status
from stablesde.cli import main, prepared
from stablesde.report import report
from stablesde.studies import summary_rows, tidy_rows, write_csv
from stablesde.studies._runner import run_cells

matplotlib.use("Agg")

WIDTHS = (10.0, 30.0, 100.0, 300.0)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def rates(label="a <case> & 'more'"):
    rng = np.random.default_rng(0)
    errors = np.asarray(WIDTHS) ** -0.5 * np.exp(0.05 * rng.normal(size=(12, 4)))
    study = ssd.RateStudy(
        name="propagation_of_chaos",
        config={"model": "<script>alert(1)</script>", "noise": "N", "alpha": 1.5, "key": [0, 1],
                "dtype": "float32"},
        axes=(ssd.studies.Axis("width", WIDTHS, -0.5),), errors={"sup": 2 * errors, "mean": errors},
        rate_measure="mean", rate_statistic="mean", rate_axis="width",
        bounds={"paper": 9 * np.asarray(WIDTHS) ** -0.5}, notes=("a <b>note</b>",),
    )  # fmt: skip
    return check.Outcome(check.Job("propagation-of-chaos", label, None, "width"), study)


def tails():
    study = ssd.TailStudy(
        config={"alpha": 1.5, "num_columns": 1000, "t1": 1.0}, top=np.geomspace(100, 1, 64),
        num_columns=1000, alpha=1.5, tail_constant=1.0, k=5, estimate=1.5, lower=1.4, upper=1.6,
    )  # fmt: skip
    return check.Outcome(check.Job("tails", "a tail", None, "norm"), study)


@pytest.fixture
def finished(tmp_path):
    """A directory as `check` leaves it, without the computation."""
    out = tmp_path / "run"
    outcomes = [rates(), tails()]
    plan = []
    for outcome in outcomes:
        name = check.file_name(outcome.job)
        folder = out / "cells" / name
        cells = [(f"replicas-{i:05d}", lambda: {"sup": np.ones(2)}) for i in range(3)]
        run_cells(outcome.study.name, {"alpha": 1.5}, cells, folder)
        ssd.plotting.plot(outcome.study, out / "figures" / f"{name}.png")
        plan.append({"name": name, "study": outcome.job.group, "label": outcome.job.label})
    (out / "run.json").write_text('{"size": "quick", "seed": 3}')
    (out / "progress.json").write_text(json.dumps({"runs": plan, "training": False}))
    record = check.results(check.QUICK, 3, outcomes, None)
    (out / "results.json").write_text(json.dumps(record))
    return out


class Page(HTMLParser):
    """What a browser would see: elements, attributes and the text."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.sources, self.words, self.open = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def test_status_of_a_finished_run(finished):
    done = run("status", finished)
    assert done.exit_code == 0, done.output
    assert "6 of 6 cells: all are finished" in done.output
    assert "propagation of chaos, a <case>" in done.output
    found = json.loads(run("status", finished, "--json").stdout)
    assert [row["state"] for row in found["studies"]] == ["finished"] * 2
    assert found["run"] == {"size": "quick", "seed": 3}
    assert found["problems"] == []
    assert found["at_work"] is None


def test_status_beside_a_run(tmp_path):
    """Cells done, the one being computed and by whom, and the time left from those done."""
    going, go_on = threading.Event(), threading.Event()

    def cell(i):
        if i == 3:
            going.set()
            assert go_on.wait(20)
        return {"sup": np.ones(2)}

    cells = [(f"replicas-{i:05d}", lambda i=i: cell(i)) for i in range(8)]
    worker = threading.Thread(target=run_cells, args=("study", {}, cells, tmp_path))
    worker.start()
    assert going.wait(20)
    folder = tmp_path / "study"
    for i in range(3):
        when = time.time() - 60 + 10 * i
        os.utime(folder / f"replicas-{i:05d}.json", (when, when))
    try:
        (row,) = status(tmp_path)["studies"]
        text = run("status", tmp_path).output
    finally:
        go_on.set()
        worker.join()
    assert (row["cells_done"], row["cells_total"], row["state"]) == (3, 8, "running")
    (running,) = row["running"]
    assert (running["cell"], running["pid"]) == ("replicas-00003", os.getpid())
    assert row["seconds_left"] == pytest.approx(50, rel=1e-3)
    assert f"process {os.getpid()} on " in text
    assert "about 50 s left" in text
    assert status(tmp_path)["studies"][0]["state"] == "finished"
    assert status(folder)["studies"][0]["name"] == "study"


def test_status_of_a_partial_run(finished):
    cells = sorted(finished.glob("cells/tails-*/tails/replicas-*"))
    cells[0].unlink()
    (finished / "results.json").unlink()
    (finished / "cells" / "tails-a-tail" / "tails" / ".replicas-00000.lock").write_text("{}")
    found = status(finished)
    rows = {row["study"]: row for row in found["studies"]}
    assert rows["tails"]["state"] == "stopped"
    assert rows["tails"]["running"] == []  # the lock is of a process that died
    assert "results.json is not there yet" in run("status", finished).output


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("results.json", "{", "results.json is unreadable"),
        ("results.json", "[]", "no JSON object"),
        ("results.json", '{"studies": 3}', "is no record"),
        ("run.json", "\x00", "run.json is unreadable"),
        ("cells/tails-a-tail/tails/replicas-00001.json", '{"sup": [', "replicas-00001.json is"),
        ("cells/tails-a-tail/tails/progress.json", "?", "progress.json is unreadable"),
    ],
)
def test_damage_is_told(finished, name, content, told):
    (finished / name).write_text(content)
    done = run("status", finished)
    assert done.exit_code == 0
    assert "PROBLEM" in done.output
    assert told in done.output
    page = run("report", finished)
    assert page.exit_code == 0
    assert told in Page((finished / "report.html").read_text()).text


@pytest.mark.parametrize("command", ["status", "report"])
@pytest.mark.parametrize("kind", ["absent", "empty", "file", "foreign", "recording"])
def test_a_directory_that_is_no_run_is_told(tmp_path, command, kind):
    path = tmp_path / kind
    if kind == "file":
        path.write_text("x")
    elif kind != "absent":
        path.mkdir()
    if kind == "foreign":
        (path / "data").mkdir()
        (path / "data" / "config.json").write_text("{}")
    if kind == "recording":
        (path / "config.json").write_text('{"model": "m"}')
        (path / "part-00000.npz").write_bytes(b"")
    done = run(command, path)
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1
    assert str(path) in done.output


def test_the_report_is_whole_and_needs_nothing_else(finished):
    done = run("report", finished)
    assert done.exit_code == 0, done.output
    source = (finished / "report.html").read_text()
    page = Page(source)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.sources) == 2  # two figures
    assert all(s.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
               for s in page.sources)  # fmt: skip
    assert not re.search(r"url\(|@import", source)
    for part in (
        "a <case> & 'more'", "<script>alert(1)</script>", "a <b>note</b>", "bound holds", "float32",
        "stablesde check propagation-of-chaos tails --quick --seed 3", ssd.__version__,
        "Hill's estimate", "numpy",
    ):  # fmt: skip
        assert part in page.text
    assert "not complete" not in page.text


def test_a_partial_report_says_what_is_missing(finished):
    (finished / "results.json").unlink()
    next(finished.glob("cells/tails-*/tails/replicas-*")).unlink()
    plan = json.loads((finished / "progress.json").read_text())
    plan["runs"].append({"name": "compressibility-x", "study": "compressibility", "label": "x"})
    (finished / "progress.json").write_text(json.dumps(plan))
    text = Page(report(finished)).text
    assert "This run is not complete." in text
    assert "There is no results.json yet" in text
    assert "tails-a-tail: 2 of 3 cells, stopped." in text
    assert "compressibility-x: not started." in text


def test_a_report_without_some_parts(finished):
    record = json.loads((finished / "results.json").read_text())
    record["studies"]["tails"]["runs"][0]["config"] = None
    del record["studies"]["propagation_of_chaos"]["runs"][0]["exponents"]
    (finished / "results.json").write_text(json.dumps(record))
    for path in (finished / "figures").iterdir():
        path.unlink()
    text = Page(report(finished)).text
    assert "unreadable" in text
    assert "No figure" in text


def test_the_record_of_one_study_has_a_report(tmp_path):
    study = rates().study
    study.to_json(tmp_path / "results.json")
    page = Page(report(tmp_path))
    assert len(page.sources) == 1
    assert study.verdict in page.text


def test_long_tables(finished, tmp_path):
    record = json.loads((finished / "results.json").read_text())
    rows = tidy_rows(record)
    chaos = rates().study
    assert len(rows) == 2 * 4 * 12 + len(record["studies"]["tails"]["cells"])
    assert set(map(tuple, rows)) == {ssd.studies._tidy.TIDY_COLUMNS}
    of_mean = [r["value"] for r in rows if r["measure"] == "mean" and r["width"] == 100.0]
    assert of_mean == chaos.errors["mean"][:, 2].tolist()
    assert tidy_rows(chaos.to_dict())[0]["case"] is None
    summary = summary_rows(record)
    assert len(summary) == 8 + len(record["studies"]["tails"]["cells"])
    assert {r["replicas"] for r in summary} == {12, None}
    (point,) = [r for r in summary if r["measure"] == "sup" and r["width"] == 100.0]
    assert point["paper_bound"] == pytest.approx(0.9)
    assert point["mean"] == pytest.approx(chaos.errors["sup"][:, 2].mean())
    write_csv(tmp_path / "a.csv", rows)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        back = list(csv.DictReader(file))
    assert [float(r["value"]) for r in back] == [r["value"] for r in rows]
    assert back[0]["case"] == "a <case> & 'more'"
    write_csv(tmp_path / "empty.csv", [])
    assert (tmp_path / "empty.csv").read_text().startswith("study,case,")


@pytest.mark.parametrize("record", [[], {"studies": {"x": 1}}, {"name": "x"}, {"studies": []}])
def test_tables_of_no_record(record):
    for rows in (tidy_rows, summary_rows):
        with pytest.raises(ValueError, match="record"):
            rows(record)


def test_pandas_reads_the_tables(finished, tmp_path):
    pandas = pytest.importorskip("pandas")
    record = json.loads((finished / "results.json").read_text())
    write_csv(tmp_path / "a.csv", tidy_rows(record))
    frame = pandas.read_csv(tmp_path / "a.csv")
    means = frame[frame.measure == "mean"].groupby("width").value.mean()
    np.testing.assert_allclose(means, rates().study.errors["mean"].mean(0))


def test_a_fresh_run_is_refused_beside_a_live_one(tmp_path):
    config = {"size": "quick", "seed": 0}
    with prepared(tmp_path, config, ("tails",), resume=False, overwrite=False):
        assert status_of_lock(tmp_path) == os.getpid()
        refused = run("check", "tails", "--quick", "--out", tmp_path)
        assert refused.exit_code == 2
        assert f"process {os.getpid()} is at work in" in refused.output
        assert "--resume" in refused.output
        # Another one may share the work; the lock is held until both are done.
        with prepared(tmp_path, config, ("tails",), resume=True, overwrite=False):
            pass
        assert status_of_lock(tmp_path) == os.getpid()
        with (
            pytest.raises(ValueError, match="holds a run with"),
            prepared(tmp_path, config | {"seed": 1}, (), resume=True, overwrite=True),
        ):
            pass
    assert _locks.holder(tmp_path / RUN_LOCK) is None
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def status_of_lock(folder):
    return _locks.holder(folder / RUN_LOCK)["pid"]


def test_durations():
    assert [duration(s) for s in (0.4, 59.4, 61, 3600, 7500)] == [
        "0 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 05 min",
    ]  # fmt: skip
