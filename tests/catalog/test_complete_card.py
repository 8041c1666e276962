"""A card tells which sections of a model card it still lacks."""

import pytest

from apps.catalog import cards
from tests.factories import make_capability

WHOLE = """---
license: apache-2.0
---
# Digits

## What it does
Reads a handwritten digit from 8 by 8 pixels.

## Intended use
Forms in the back office; never cheques.

## Training data
1,797 digits that ship with scikit-learn.

## Evaluation
Accuracy 0.97 on 360 rows.

## Limitations
Fails on letters, on colours, and on more than one digit.

## Contact
The network AI team answers questions.
"""


def test_a_whole_card_lacks_nothing_in_english_or_chinese():
    assert cards.missing_sections(WHOLE) == []
    chinese = (
        "## 用途\n识别手写数字图片的内容一二三\n"
        "## 适用范围\n办公室表单录入，不用于支票\n"
        "## 训练数据\n来自公开数据集的一千多张图片\n"
    )
    assert cards.missing_sections(chinese) == ["Quality", "Limits and risks", "Contact"]


def test_the_empty_template_lacks_all_of_it():
    assert len(cards.missing_sections(cards.template())) == 6
    assert len(cards.missing_sections("")) == 6


@pytest.mark.django_db
def test_the_page_and_the_api_name_what_is_missing(client, radio, ada):
    make_capability(radio, ada, "digits", card=WHOLE.split("## Contact", maxsplit=1)[0])
    client.force_login(ada)

    assert "says nothing yet about: Contact" in client.get("/catalog/digits/").content.decode()
    assert client.get("/api/v1/capabilities/digits/").json()["card_missing"] == ["Contact"]
