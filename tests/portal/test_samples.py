"""The sample people: complete, repeatable, and marked as what they are."""

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import Membership, User
from portal.samples.people import PASSWORD, PEOPLE, make_people


@pytest.mark.django_db
def test_sample_people_are_made_once_and_can_log_in(client):
    make_people()
    people = make_people()

    assert set(people) == {each.username for each in PEOPLE}
    assert Membership.objects.count() == len(PEOPLE)
    assert client.login(username="consumer", password=PASSWORD)


@pytest.mark.django_db
def test_a_sample_person_whose_password_was_changed_keeps_it():
    dev = make_people()["dev"]
    dev.set_password("another-long-word")
    dev.save()

    make_people()

    assert User.objects.get(username="dev").check_password("another-long-word")


@pytest.mark.django_db
def test_a_portal_on_the_network_refuses_active_sample_people():
    make_people()
    with pytest.raises(CommandError, match="consumer"):
        call_command("prepare", "refuse-samples")

    User.objects.update(is_active=False)
    call_command("prepare", "refuse-samples")
