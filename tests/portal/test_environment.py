"""The settings from outside: defaults, overrides, and what a wrong value says."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portal.environment import ROOT, WrongSetting, read


def settings(tmp_path, **variables):
    return read({"ATRIUM_DATA_DIR": str(tmp_path), **variables})


def test_an_empty_environment_gives_one_instance_on_loopback(tmp_path):
    found = settings(tmp_path)

    assert (found.bind, found.web_port, found.live_port, found.gateway_port) == (
        "127.0.0.1",
        8000,
        8001,
        8080,
    )
    assert found.web_url == "http://portal.localhost:8000"
    assert found.samples
    assert found.embedded_database


def test_a_machine_for_jobs_alone_makes_no_samples_unless_it_is_told_to(tmp_path):
    assert not settings(tmp_path).jobs_only
    found = settings(tmp_path, ATRIUM_JOBS_ONLY="1")
    assert (found.jobs_only, found.samples) == (True, False)
    assert settings(tmp_path, ATRIUM_JOBS_ONLY="1", ATRIUM_SAMPLES="1").samples


def test_secrets_are_made_once_and_closed_to_others(tmp_path):
    first, second = settings(tmp_path), settings(tmp_path)

    assert first == second
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert first.secret_key not in repr(first)


def test_two_instances_have_different_secrets(tmp_path):
    assert settings(tmp_path / "a").secret_key != settings(tmp_path / "b").secret_key


def test_a_deep_data_folder_gets_a_short_run_folder(tmp_path):
    deep = tmp_path / ("x" * 80)

    found = read({"ATRIUM_DATA_DIR": str(deep)})

    assert len(bytes(found.run_dir)) <= 50
    assert found.run_dir == read({"ATRIUM_DATA_DIR": str(deep)}).run_dir
    assert found.run_dir != settings(tmp_path / ("y" * 80)).run_dir


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATRIUM_WEB_PORT", "eighty"),
        ("ATRIUM_WEB_PORT", "70000"),
        ("ATRIUM_WEB_PORT", "-1"),
        ("ATRIUM_LIVE_PORT", "8000"),
        ("ATRIUM_BIND", "everywhere"),
        ("ATRIUM_BIND", "0.0.0.0"),
        ("ATRIUM_SAMPLES", "yes"),
        ("ATRIUM_SAMPLE_CAPABILITIES", "digits,letters"),
        ("ATRIUM_EMAIL_URL", "imap://mail.example.org"),
        ("ATRIUM_EMAIL_FROM", "nobody"),
        ("ATRIUM_WEB_URL", "portal.example.org"),
        ("ATRIUM_WEB_URL", "http://portal.example.org/atrium"),
        ("ATRIUM_ENCRYPTION_KEY", "short"),
        ("ATRIUM_WEB_THREADS", "0"),
        ("ATRIUM_GATEWAY_FSYNC", "always"),
        ("ATRIUM_GATEWAY_BODY_MB", "0"),
        ("ATRIUM_RUN_DIR", "/" + "r" * 60),
        ("DATABASE_URL", "mysql://somewhere/atrium"),
        ("DATABASE_URL", "postgresql://somewhere:port/atrium"),
        ("REDIS_URL", "memcached://somewhere"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(tmp_path, name, value):
    with pytest.raises(WrongSetting) as refused:
        settings(tmp_path, **{name: value})

    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_address_of_the_database_does_not_repeat_its_password(tmp_path):
    with pytest.raises(WrongSetting) as refused:
        settings(tmp_path, DATABASE_URL="mysql://me:hunter2@somewhere/atrium")

    assert "hunter2" not in str(refused.value)


def test_an_external_database_and_broker_replace_the_embedded_ones(tmp_path):
    found = settings(
        tmp_path,
        DATABASE_URL="postgresql://me:p%40ss@db.example.org:6432/portal",
        REDIS_URL="redis://cache:6379/2",
    )

    assert not found.embedded_database
    assert not found.embedded_redis
    assert found.database["PASSWORD"] == "p@ss"
    assert found.database["PORT"] == "6432"
    assert found.broker_url == "redis://cache:6379/2"


def test_the_network_may_be_served_without_sample_accounts(tmp_path):
    assert settings(tmp_path, ATRIUM_BIND="0.0.0.0", ATRIUM_SAMPLES="0").bind == "0.0.0.0"


def test_a_damaged_secrets_file_is_named(tmp_path):
    (tmp_path / "secrets.json").write_text("{")

    with pytest.raises(WrongSetting, match=r"secrets\.json is damaged"):
        settings(tmp_path)


def test_the_run_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    found = settings(tmp_path)
    monkeypatch.setattr("os.getuid", lambda: 4711)

    with pytest.raises(WrongSetting, match="ATRIUM_RUN_DIR"):
        found.make_directories()

    assert Path(found.run_dir).exists()


def test_portals_side_by_side_keep_their_people_logged_in():
    """Browsers send a cookie to every port of a host."""
    told = (
        "import django; django.setup(); from django.conf import settings as s; print(s.SESSION_COOKIE_NAME)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", told],
            env={**os.environ, "ATRIUM_WEB_PORT": port, "DJANGO_SETTINGS_MODULE": "portal.settings"},
            capture_output=True, text=True, check=True, cwd=ROOT,
        ).stdout.strip()
        for port in ("8000", "8100")
    }  # fmt: skip
    assert names == {"atrium_session", "atrium_session_8100"}


@pytest.mark.parametrize("name", ["ATRIUM_WEBPORT", "ATRIUM_WEB_PROT", "ATRIUM_WEB_PORTT"])
def test_a_misspelt_setting_is_named(tmp_path, name):
    with pytest.raises(WrongSetting, match=f"{name} is no setting; write ATRIUM_WEB_PORT"):
        read({"ATRIUM_DATA_DIR": str(tmp_path), name: "8005"})


def test_an_address_that_is_none_is_told_with_an_example(tmp_path):
    with pytest.raises(WrongSetting, match="REDIS_URL is no address; write it like redis://"):
        read({"ATRIUM_DATA_DIR": str(tmp_path), "REDIS_URL": "foo"})
