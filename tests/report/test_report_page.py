"""The page in a real browser: no error, no request, filters, sorting, keyboard, accessibility."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from mmbench.report.build import make_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"),
]
AXE = "axe-core@4"


@pytest.fixture(scope="module")
def browser():
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_window_size(1280, 900)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The source of axe-core, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    done = subprocess.run([npm, "pack", AXE], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"axe-core cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as package:
        return package.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def page(made_up, tmp_path_factory):
    return make_report(made_up, tmp_path_factory.mktemp("page") / "report").page


@pytest.fixture
def opened(browser, page):
    browser.get("about:blank")
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def rows(browser, table="#main-table"):
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].filter(r => !r.hidden)"
        ".map(r => [...r.cells].filter(c => !c.hidden).map(c => c.textContent.trim()))",
        table,
    )


def choose(browser, field, value):
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("css selector", f"#filters select[name={field}]")).select_by_value(value)
    # The browser may tell the page of the choice a moment after it has told the driver.
    browser.execute_async_script("setTimeout(arguments[0], 50)")


def test_no_error_and_no_request(opened, page):
    assert [entry for entry in opened.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}] == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    # Pictures within the page are data: addresses; nothing else is asked for.
    assert {url for url in asked if not url.startswith("data:")} <= {page.as_uri(), "about:blank"}


def test_hostile_names_run_nothing(browser, hostile, tmp_path):
    made = make_report(hostile, tmp_path / "report")
    browser.get_log("browser")
    browser.get(made.page.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert len(rows(browser)) == 5
    assert "<script>alert('row')</script>" in {row[0] for row in rows(browser)}
    assert browser.find_element("id", "scatter").text


def test_filters_hide_rows_and_columns_everywhere(opened):
    everything = rows(opened)
    assert len(everything) == 6
    choose(opened, "method", "stronger")
    assert {row[0] for row in rows(opened)} == {"stronger"}
    assert {name for row in rows(opened, "#pairs-table") for name in row[3:5]} >= {"stronger"}
    assert all("stronger" in row[3:5] for row in rows(opened, "#pairs-table"))
    choose(opened, "method", "")
    choose(opened, "budget", "10/10")
    assert {row[1] for row in rows(opened)} == {"10"}
    choose(opened, "budget", "")
    choose(opened, "task", "segmentation")
    assert len(rows(opened)[0]) < len(everything[0])
    assert {row[2] for row in rows(opened, "#all-table")} == {"adult_pa", "county"}
    choose(opened, "domain", "county")
    assert {row[2] for row in rows(opened, "#all-table")} == {"county"}
    opened.find_element("css selector", "#filters button[type=reset]").click()
    opened.execute_async_script("setTimeout(arguments[0], 50)")
    assert rows(opened) == everything


def test_a_filtered_view_can_be_sent(opened, page):
    from selenium.webdriver.support.ui import WebDriverWait

    choose(opened, "method", "stronger")
    # The driver learns of a new address a moment after the page has set it.
    address = opened.execute_script("return location.href")
    opened.get("about:blank")
    opened.get(address)
    # The driver may come back while the page is still being read.
    WebDriverWait(opened, 20).until(lambda browser: {row[0] for row in rows(browser)} == {"stronger"})


def test_any_column_sorts_both_ways(opened):
    buttons = opened.find_elements("css selector", "#main-table tr.heads button.sort")
    for place in range(len(buttons)):
        opened.execute_script("arguments[0].click()", buttons[place])
        up = keys(opened, place)
        assert up == sorted(up), place
        opened.execute_script("arguments[0].click()", buttons[place])
        assert keys(opened, place) == sorted(up, reverse=True), place
    sorted_by = opened.find_elements("css selector", "#main-table th[aria-sort]")
    assert [head.get_attribute("aria-sort") for head in sorted_by] == ["descending"]


def keys(browser, place):
    return browser.execute_script(
        "return [...document.querySelectorAll('#main-table tbody tr')].map(r => r.cells[arguments[0]])"
        ".map(c => c.dataset.v === undefined ? c.textContent.trim() : Number(c.dataset.v))",
        place,
    )


def test_a_number_leads_to_its_cells_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    link = opened.find_element("css selector", "#main-table tbody td a")
    link.send_keys(Keys.ENTER)
    opened.execute_async_script("setTimeout(arguments[0], 100)")
    focus = opened.switch_to.active_element
    assert focus.tag_name == "summary"
    assert "4 runs" in focus.text
    shown = focus.find_element("xpath", "..").find_elements("css selector", "tbody tr")
    assert len(shown) == 4
    assert all(row.is_displayed() for row in shown)


def test_two_methods_case_by_case(opened):
    from selenium.webdriver.support.ui import Select

    picture = opened.find_element("css selector", "#scatter svg")
    assert len(picture.find_elements("css selector", "circle")) == 40
    before = picture.get_attribute("aria-label")
    Select(opened.find_element("id", "scatter-x")).select_by_index(0)
    assert opened.find_element("css selector", "#scatter svg").get_attribute("aria-label") != before


def test_every_figure_has_a_text_alternative(opened):
    figures = opened.find_elements("css selector", "#figures figure svg[role=img]")
    assert len(figures) >= 6
    for figure in figures:
        ids = figure.get_attribute("aria-labelledby").split()
        texts = [
            opened.execute_script("return document.getElementById(arguments[0]).textContent", i) for i in ids
        ]
        assert all(len(text) > 10 for text in texts)


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_never_wider_than_the_window(opened, width):
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    overflow = opened.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert overflow <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(opened, axe, scheme):
    opened.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    opened.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    opened.execute_script(axe)
    opened.set_script_timeout(120)
    found = opened.execute_async_script(
        "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
        "v => [v.impact, v.id, v.nodes.length, v.nodes[0].html])))"
    )
    assert [entry for entry in found if entry[0] in {"serious", "critical"}] == []


def test_it_prints(opened, tmp_path):
    import base64

    data = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"]
    assert base64.b64decode(data).startswith(b"%PDF")


def test_without_javascript_every_number_is_there(page):
    text = Path(page).read_text(encoding="utf-8")
    assert text.count("<tr data-method=") > 50
    assert (
        "<noscript" in text or 'id="filters" class="toolbar" aria-label="Filter every table" hidden' in text
    )
    assert os.path.getsize(page) < 3_000_000
