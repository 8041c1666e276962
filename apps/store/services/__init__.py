"""What happens to plans, subscriptions, keys, reviews and follows."""

from apps.store.services.batches import end_batch, start_batch
from apps.store.services.bundles import take_bundle
from apps.store.services.changes import (
    CHANGE_REQUEST,
    RENEWABLE,
    change_plan,
    close_change,
    grant_change,
    renew_subscription,
    tell_of_ends,
)
from apps.store.services.copies import end_copy, reuse_at_site, settle_copies, update_copy
from apps.store.services.demands import (
    add_need,
    answer_demand,
    give_back,
    post_demand,
    take_demand,
    withdraw_demand,
)
from apps.store.services.following import (
    follow_capability,
    follow_team,
    tell_of_deprecation,
    tell_of_publication,
    tell_of_versions,
    unfollow_capability,
    unfollow_team,
)
from apps.store.services.keys import MOST_KEYS, OVERLAP, issue_key, revoke_key, rotate_key
from apps.store.services.plans import (
    create_plan,
    grants_at_once,
    publish_plan,
    set_trusted_teams,
    withdraw_plan,
)
from apps.store.services.retirement import retire_capability
from apps.store.services.reviews import answer_review, remove_review, write_review
from apps.store.services.subscriptions import (
    SUBSCRIPTION_REQUEST,
    cancel_subscription,
    check_still_on_offer,
    close_requested,
    expire_due,
    grant_requested,
    reject_requested,
    resume_subscription,
    subscribe,
    suspend_subscription,
)
from apps.store.services.trial import TRIAL_LIMITS, trial_grant, trial_limits

__all__ = [
    "CHANGE_REQUEST",
    "MOST_KEYS",
    "OVERLAP",
    "RENEWABLE",
    "SUBSCRIPTION_REQUEST",
    "TRIAL_LIMITS",
    "add_need",
    "answer_demand",
    "answer_review",
    "cancel_subscription",
    "change_plan",
    "check_still_on_offer",
    "close_change",
    "close_requested",
    "create_plan",
    "end_batch",
    "end_copy",
    "expire_due",
    "follow_capability",
    "follow_team",
    "give_back",
    "grant_change",
    "grant_requested",
    "grants_at_once",
    "issue_key",
    "post_demand",
    "publish_plan",
    "reject_requested",
    "remove_review",
    "renew_subscription",
    "resume_subscription",
    "retire_capability",
    "reuse_at_site",
    "revoke_key",
    "rotate_key",
    "set_trusted_teams",
    "settle_copies",
    "start_batch",
    "subscribe",
    "suspend_subscription",
    "take_bundle",
    "take_demand",
    "tell_of_deprecation",
    "tell_of_ends",
    "tell_of_publication",
    "tell_of_versions",
    "trial_grant",
    "trial_limits",
    "unfollow_capability",
    "unfollow_team",
    "update_copy",
    "withdraw_demand",
    "withdraw_plan",
    "write_review",
]
