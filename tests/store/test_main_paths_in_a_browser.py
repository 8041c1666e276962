"""Ways that several people go together, or that one goes in Chinese, clicked from the first page to the last."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from apps.accounts.models import Membership, Team, User
from apps.gateway.models import Grant
from apps.requests.models import Decision
from apps.store.models import Subscription
from tests.ui.test_bell import browse  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_who_is_asked_decides_on_the_page_of_notifications(browse, digits, standard, cy, ole, ada):  # noqa: F811
    def errand(page_of):
        asking = page_of("cy", f"/store/digits/subscribe/?plan={standard.pk}")
        asking.fill("textarea[name=use_case]", "Meters are read at night.")
        asking.get_by_role("button", name="Ask for it").click()
        asking.wait_for_url("**/subscriptions/*/")
        assert asking.get_by_role("button", name="Make a key").count() == 0

        deciding = page_of("ole", "/notifications/")
        row = deciding.locator(".bell-row", has_text="Digits")
        row.get_by_role("button", name="Approve").click()
        deciding.wait_for_url("**/notifications/")
        expect(row.first).to_contain_text("Granted")
        expect(row.get_by_role("button", name="Approve")).to_have_count(0)

        asking.reload()
        asking.get_by_role("button", name="Make a key").click()
        expect(asking.locator(".fresh-key code").first).to_have_text(re.compile("^atk_"))

    browse(errand)

    subscription = Subscription.objects.get()
    assert (subscription.status, subscription.use_case) == ("granted", "Meters are read at night.")
    assert [(said.user, said.approve) for said in Decision.objects.all()] == [(ole, True)]
    assert Grant.objects.get().kind == "subscription"


def test_an_administrator_makes_a_team_and_asks_somebody_in_and_takes_the_role_away(browse, root):  # noqa: F811
    def errand(page_of):
        ruling = page_of("root", "/teams/")
        ruling.fill("#id_name", "Field lab")
        ruling.fill("#id_slug", "field-lab")
        ruling.select_option("#id_site", index=1)
        ruling.get_by_role("button", name="Make the team").click()
        ruling.wait_for_url("**/teams/field-lab/")
        ruling.get_by_role("link", name="Invite").click()
        ruling.fill("#id_email", "nia@example.org")
        ruling.get_by_label("Developer").check()
        ruling.get_by_role("button", name="Send the invitation").click()
        link = ruling.locator(".note-good code").inner_text()
        expect(ruling.locator("tbody tr", has_text="nia@example.org")).to_contain_text("Open")

        invited = ruling.context.browser.new_context(base_url=ruling.url).new_page()
        invited.goto(link[link.index("/invitations/") :])
        expect(invited.locator("main")).to_contain_text("invites you into the team Field lab")
        invited.fill("#id_username", "nia")
        invited.fill("#id_full_name", "Nia Noor")
        invited.fill("#id_password", "a-long-secret-9")
        invited.get_by_role("button", name="Make my account").click()
        invited.goto("/teams/field-lab/")
        expect(invited.locator("main")).to_contain_text("Developer")

        ruling.goto("/teams/field-lab/")
        ruling.locator("tr", has_text="nia").get_by_role("button", name="Take away").click()
        ruling.locator("dialog[open]").get_by_role("button", name="Take away").click()
        expect(ruling.locator("main")).to_contain_text("Nobody is in this team yet")
        ruling.goto("/invitations/")
        expect(ruling.locator("tbody tr", has_text="nia@example.org")).to_contain_text("Accepted")

    browse(errand)

    assert User.objects.get(username="nia").email == "nia@example.org"
    assert not Membership.objects.filter(team=Team.objects.get(slug="field-lab")).exists()


def test_from_the_search_to_a_key_in_chinese(browse, free, cy, compiled_messages):  # noqa: F811
    said = []

    def errand(page_of):
        page = page_of("cy", "/store/")
        page.get_by_role("button", name="Language").click()
        page.get_by_role("button", name="简体中文").locator("visible=true").click()
        expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
        said.append(page.locator("h1").inner_text())
        page.wait_for_load_state("load")  # from then on keys are listened to
        page.keyboard.press("/")
        expect(page.locator("#find")).to_be_focused()
        page.keyboard.type("Digits")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search/**")
        said.append(page.locator("h1").inner_text())
        page.locator("#main .hit", has_text="Digits").click()
        page.wait_for_url("**/store/digits/")
        page.locator("#main").get_by_role("link", name="订阅").first.click()
        page.wait_for_url("**/subscribe/**")
        page.locator("#main").get_by_role("button", name="订阅").click()
        page.wait_for_url("**/subscriptions/*/")
        page.get_by_role("button", name="创建密钥").click()
        said.append(page.locator(".fresh-key h2").inner_text())
        expect(page.locator(".fresh-key code").first).to_have_text(re.compile("^atk_"))

    browse(errand)

    assert Subscription.objects.get().status == "granted"
    assert User.objects.get(username="cy").language == "zh-hans"
    assert [bool(re.search("[\u4e00-\u9fff]", words)) for words in said] == [True, True, True], said
