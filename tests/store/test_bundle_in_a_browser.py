"""The bundle of a real version, opened from a folder in a browser that has no network."""

import io
import json
import zipfile

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.browser]


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory):
    """What `dev` downloads of the sample, unpacked."""
    path = tmp_path_factory.mktemp("bundle")
    stack.manage("key", "consumer", "digits")  # waits for the sample
    answer = stack.logged_in("dev").get("/store/digits/versions/1.0.0/bundle.zip")
    assert answer.status_code == 200, answer.text[:500]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(path)
    return path


@pytest.fixture
def opened(chromium, folder):
    """The page of the folder; whatever it asks the network for fails."""
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto((folder / "index.html").as_uri())
    yield page
    context.close()


def test_it_runs_offline_and_passes_the_shipped_cases(opened, folder):
    opened.wait_for_selector("body[data-state=passed]", timeout=30_000)
    cases = json.loads((folder / "cases.json").read_text())
    assert opened.locator("#cases tr[data-passed=true]").count() == len(cases) > 0
    assert opened.locator("#unchanged").text_content() == "✓"
    assert {url.split(":")[0] for url in opened.asked} <= {"file", "data", "blob"}

    opened.click("#ask button")
    opened.wait_for_selector("#answer:not([hidden])")
    told = {each["name"]: each for each in json.loads(opened.text_content("#answer"))["outputs"]}
    for expected in cases[0]["expected"]:
        assert told[expected["name"]]["data"] == pytest.approx(expected["data"], abs=cases[0]["tolerance"])


def test_a_changed_model_is_not_run(chromium, folder):
    script = folder / "page/model.js"
    whole = script.read_text()
    script.write_text(whole.replace('"', '"AAAA', 1))
    try:
        page = chromium.new_page()
        page.goto((folder / "index.html").as_uri())
        page.wait_for_selector("body[data-state=changed]", timeout=30_000)
        assert page.locator("#cases tr").count() == 0
        page.close()
    finally:
        script.write_text(whole)
