"""Pages in chromium: filters, sorting, thresholds, dark mode, the viewer; no console error, and no request."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cancernet_cli.engine.report.run import report
from tests.prediction_tables import OURS, write_predictions

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
pytestmark = pytest.mark.browser

WORDS = pa.dictionary(pa.int32(), pa.string())
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
INTERACTIVE_S = 2.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield opened
    opened.quit()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of the fixture that allows no connection at all: the driver listens on this machine."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rows, 20 of them with a picture; some flagged, one failed; names with markup."""
    folder = tmp_path_factory.mktemp("page")
    names = [f"<i>'{i}'.png" for i in range(200)]
    for i, name in enumerate(names[:20]):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 10 * i, np.uint8))
    status = ["failed" if i == 7 else "ok" for i in range(200)]
    table = write_predictions(
        folder / "preds.parquet",
        metadata=OURS,
        images=200,
        path=names,
        status=pa.array(status).cast(WORDS),
        flags=pa.array(["blurred" if i % 10 == 0 else "" for i in range(200)]).cast(WORDS),
    )
    return report(table, resamples=100, workers=0).out


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def run(browser: Any, script: str, *values: Any) -> Any:
    return browser.execute_script(script, *values)


def choose(browser: Any, field: str, value: str) -> None:
    """Set a field as a person does: the event bubbles."""
    run(
        browser,
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}))",
        field,
        value,
    )


def click(browser: Any, selector: str, number: int = 0) -> None:
    """A click where the sticky navigation may cover the element."""
    run(browser, "document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, number)


def text(browser: Any, field: str) -> str:
    return str(run(browser, "return document.getElementById(arguments[0]).textContent", field))


def matching(browser: Any) -> int:
    return int(text(browser, "shown").split()[0].replace(",", ""))


def test_filters_and_sorting(opened: Any) -> None:
    assert matching(opened) == 200
    choose(opened, "f-flag", "blurred")
    assert matching(opened) == 20
    choose(opened, "f-flag", "")
    choose(opened, "f-status", "failed")
    assert matching(opened) == 1
    click(opened, "#filters button[type=reset]")
    time.sleep(0.1)
    assert matching(opened) == 200
    choose(opened, "f-result", "wrong")
    wrong = matching(opened)
    assert 0 < wrong < 200
    choose(opened, "sort", "high")
    shown = run(opened, "return [...document.querySelectorAll('.bar i')].map(e => parseFloat(e.style.width))")
    assert shown == sorted(shown, reverse=True)
    assert opened.find_elements("css selector", "#cards i:not(.bar i)") == []  # the names are text
    choose(opened, "f-text", "<i>'")
    assert matching(opened) == wrong


def test_the_threshold_explorer(opened: Any) -> None:
    def cells() -> list[int]:
        return [int(text(opened, f"m-{name}").replace(",", "")) for name in ("tp", "fp", "fn", "tn")]

    at_own = cells()
    assert sum(at_own) == 199
    assert text(opened, "threshold-value") == "0.400"
    choose(opened, "threshold", "0")
    assert cells()[2:] == [0, 0]
    assert "1.000" in text(opened, "threshold-figures")
    choose(opened, "threshold", "1000")
    assert cells()[:2] == [0, 0]
    click(opened, "input[name=unit]", 1)
    assert sum(cells()) == 16
    click(opened, "input[name=unit]", 0)
    click(opened, "#threshold-reset")
    assert cells() == at_own


def test_the_viewer_and_the_keyboard(opened: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    choose(opened, "sort", "path")
    run(opened, "document.querySelector('.card').focus()")
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert opened.switch_to.active_element.get_attribute("data-place") == "1"
    opened.switch_to.active_element.send_keys(Keys.ENTER)
    assert run(opened, "return document.getElementById('viewer').open")
    assert text(opened, "viewer-place") == "2 of 200"
    opened.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert text(opened, "viewer-title") == "<i>'2'.png"
    assert run(opened, "return document.querySelector('#viewer-picture img').complete")
    opened.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not run(opened, "return document.getElementById('viewer').open")
    assert opened.switch_to.active_element.get_attribute("data-place") == "2"


def test_dark_mode_and_narrow_screens(opened: Any) -> None:
    color = "return getComputedStyle(document.body).backgroundColor"
    before = run(opened, color)
    click(opened, "#theme")
    assert run(opened, color) != before
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    wide = run(opened, "return document.documentElement.scrollWidth")
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 400


def test_every_control_has_a_name_and_every_picture_a_text(opened: Any) -> None:
    nameless = run(
        opened,
        "return [...document.querySelectorAll('input, select, button')].filter(e => !(e.labels?.length ||"
        " e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.outerHTML)",
    )
    assert nameless == []
    assert run(opened, "return [...document.images].every(e => e.alt)")
    ids = run(opened, "return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_no_console_error_and_no_request(opened: Any) -> None:
    run(opened, "document.querySelector('.card').click(); document.getElementById('viewer-next').click()")
    assert [entry for entry in opened.get_log("browser") if entry["level"] == "SEVERE"] == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in sent if not url.startswith(("file:", "data:"))] == []


def test_a_page_of_a_long_table_is_interactive_soon(browser: Any, tmp_path: Path) -> None:
    table = write_predictions(tmp_path / "preds.parquet", metadata=OURS, images=100_000, row_group_size=4096)
    page = report(table, resamples=100, pictures=0).out
    started = time.monotonic()
    browser.get(page.as_uri())
    assert matching(browser) == 2_000
    assert time.monotonic() - started < INTERACTIVE_S
