"""What a page does a program can do, too: each page with its REST counterpart, or the reason why it has none.

A page that nobody listed here fails. `GET a, POST b` names the addresses of REST by their names in the URL conf.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

WRITING = {"POST", "PUT", "PATCH", "DELETE"}

COUNTERPARTS = {
    # What waits, what was told, and finding things.
    "home": "GET api-request-list, GET api-notification-list",
    "search": "GET api-search",
    "requests:inbox": "GET api-request-list",
    "requests:export": "GET api-request-export",
    "requests:detail": "GET api-request-detail, GET api-request-comments",
    "requests:decide": "POST api-request-decide",
    "requests:withdraw": "POST api-request-withdraw",
    "requests:comment": "POST api-request-comments",
    "requests:deputies": "GET api-deputy-list, POST api-deputy-list",
    "requests:end-deputy": "DELETE api-deputy-detail",
    "requests:notifications": "GET api-notification-list",
    "requests:bell": "GET api-notification-list",
    "requests:mark_read": "POST api-notification-read",
    "requests:open_notification": "POST api-notification-read-one",
    "requests:mail": "GET api-me-mail, PATCH api-me-mail",
    "requests:webhooks": "GET api-webhook-list, POST api-webhook-list",
    "requests:webhook": "GET api-webhook-detail, GET api-webhook-deliveries",
    "requests:webhook-action": "PATCH api-webhook-detail, DELETE api-webhook-detail, POST api-webhook-ping",
    "requests:webhook-redeliver": "POST api-webhook-redeliver",
    # People, teams, sites.
    "accounts:language": "PATCH api-me",
    "accounts:theme": "PATCH api-me",
    "accounts:profile": "GET api-me, PATCH api-me",
    "accounts:password": "POST api-me-password",
    "accounts:tokens": "GET api-token-list, POST api-token-list",
    "accounts:revoke_token": "DELETE api-token-detail",
    "accounts:teams": "GET api-team-list, POST api-team-list",
    "accounts:team": "GET api-team-detail, GET api-team-members, POST api-team-members",
    "accounts:remove_member": "DELETE api-team-remove-member",
    "accounts:change_team": "PATCH api-team-detail",
    "accounts:archive_team": "PATCH api-team-detail",
    "accounts:sites": "GET api-site-list, POST api-site-list",
    "accounts:site": "GET api-site-detail, PATCH api-site-detail",
    "accounts:archive_site": "PATCH api-site-detail",
    "accounts:invitations": "GET api-invitation-list, POST api-invitation-list",
    "accounts:send_invitation_again": "POST api-invitation-again",
    "accounts:revoke_invitation": "DELETE api-invitation-detail",
    "accounts:people": "GET api-person-list, POST api-person-list",
    "accounts:set_active": "PATCH api-person-detail",
    "accounts:audit": "GET api-audit, POST api-audit-verify",
    "accounts:export_audit": "GET api-audit-export",
    # Jobs, machines, the sandboxes' network.
    "jobs:data": "GET api-dataset-list",
    "jobs:list": "GET api-job-list",
    "jobs:new": "POST api-job-list",
    "jobs:detail": "GET api-job-detail, GET api-job-attempts",
    "jobs:state": "GET api-job-detail",
    "jobs:usage": "GET api-job-usage",
    "jobs:cancel": "POST api-job-cancel",
    "jobs:retry": "POST api-job-retry",
    "jobs:log": "GET api-job-log",
    "jobs:output": "GET api-job-outputs",
    "jobs:nodes": "GET api-node-list",
    "jobs:drain": "POST api-node-drain",
    "jobs:resume": "POST api-node-resume",
    "jobs:labels": "PATCH api-node-detail",
    "jobs:remove_node": "DELETE api-node-detail",
    "jobs:machine": "GET api-machine",
    "jobs:network": "GET api-allowed-host-list, GET api-network-use-list, POST api-allowed-host-list",
    "jobs:set_host_enabled": "PATCH api-allowed-host-detail",
    "jobs:remove_host": "DELETE api-allowed-host-detail",
    # The store.
    "store:list": "GET api-store-list, GET api-store-facets",
    "store:capability": "GET api-store-detail, GET api-store-similar",
    "store:try": "GET api-try-try-out, POST api-try-try-out",
    "store:batch": "GET api-store-batches, POST api-store-batches",
    "store:batch-template": "GET api-store-openapi",  # its columns are the inputs described there
    "store:batch-stop": "POST api-store-stop-batch",
    "store:batch-answers": "GET api-store-answers",
    "store:why": "POST api-try-why",
    "store:feedback": "POST api-try-feedback",
    "store:api": "GET api-store-openapi",
    "store:openapi": "GET api-store-openapi",
    "store:versions": "GET api-version-list",
    "store:bundle": "GET api-store-bundle",
    "store:quality": "GET api-store-quality",
    "store:reviews": "GET api-store-reviews, PUT api-store-reviews",
    "store:review-action": "DELETE api-store-reviews, POST api-store-answer-review",
    "store:follow": "PUT api-store-follow",
    "store:reuse": "POST api-store-copies",
    "store:copy-action": "POST api-store-one-copy, DELETE api-store-one-copy",
    "store:usage": "GET api-store-usage, GET api-store-callers",
    "store:usage-csv": "GET api-store-usage",
    "store:callers-csv": "GET api-store-callers",
    "store:retire": "POST api-store-retire",
    "store:subscribe": "GET api-plan-list, POST api-subscription-list",
    "store:plans": "GET api-plan-list, POST api-plan-list",
    "store:plans-trusted": "PUT api-store-trusted-teams",
    "store:teams": "GET api-team-list",
    "store:plan-edit": "PATCH api-plan-detail, DELETE api-plan-detail",
    "store:plan-move": (
        "POST api-plan-publish, POST api-plan-withdraw, POST api-plan-successor, POST api-plan-move"
    ),
    "store:test": "GET api-saved-case-list, GET api-saved-case-results",
    "store:test-save": "POST api-saved-case-list",
    "store:test-run": "POST api-saved-case-run",
    "store:test-ship": "POST api-saved-case-ship",
    "store:test-remove": "DELETE api-saved-case-detail",
    "store:demands": "GET api-demand-list, POST api-demand-list",
    "store:demand": "GET api-demand-detail",
    "store:demand-action": "POST api-demand-act",
    "store:subscriptions": "GET api-subscription-list",
    "store:subscription": "GET api-subscription-detail, GET api-subscription-keys, GET api-subscription-usage",
    "store:subscription-what-if": "GET api-subscription-what-if",
    "store:subscription-csv": "GET api-subscription-usage",
    "store:key-issue": "POST api-subscription-keys",
    "store:key-rotate": "POST api-subscription-rotate-key",
    "store:key-revoke": "POST api-subscription-revoke-key",
    "store:subscription-change": "POST api-subscription-change",
    "store:subscription-suspend": "POST api-subscription-suspend",
    "store:subscription-resume": "POST api-subscription-resume",
    "store:subscription-cancel": "POST api-subscription-cancel",
    # Data sets.
    "datasets:list": "GET api-dataset-list",
    "datasets:create": "POST api-dataset-list",
    "datasets:to_add_to": "GET api-dataset-list",
    "datasets:detail": "GET api-dataset-detail, GET api-dataset-versions, GET api-dataset-tags",
    "datasets:edit": "PATCH api-dataset-detail",
    "datasets:upload": "POST api-dataset-versions",
    "datasets:version": "GET api-dataset-version, GET api-dataset-preview, GET api-dataset-lineage",
    "datasets:split": "GET api-dataset-split, POST api-dataset-split",
    "datasets:tag": "POST api-dataset-tags",
    "datasets:drop_tag": "DELETE api-dataset-tag",
    "datasets:share": "POST api-dataset-readers",
    "datasets:stop_sharing": "DELETE api-dataset-reader",
    "datasets:compare": "GET api-dataset-comparison",
    "datasets:file": "GET api-dataset-file",
    # The catalog.
    "catalog:list": "GET api-capability-list",
    "catalog:create": "POST api-capability-list",
    "catalog:detail": "GET api-capability-detail, GET api-version-list",
    "catalog:edit": "PATCH api-capability-detail",
    "catalog:publish": "POST api-capability-publish",
    "catalog:withdraw": "POST api-capability-withdraw",
    "catalog:deprecate": "POST api-capability-deprecate",
    "catalog:compare": "GET api-capability-comparison",
    "catalog:compose": "POST api-version-composite",
    "catalog:upload": "POST api-version-list",
    "catalog:version": "GET api-version-detail, GET api-version-parsing",
    "catalog:version_state": "GET api-version-detail",
    "catalog:package": "POST api-version-package",
    "catalog:quantise": "POST api-version-int8",
    "catalog:deprecate_version": "POST api-version-deprecate",
    "catalog:keep_version": "DELETE api-version-deprecate",
    "catalog:retire": "POST api-version-retire",
    "catalog:parsing": "GET api-version-parsing, PUT api-version-parsing",
    "catalog:parsing_preview": "POST api-version-parsing-preview",
    "catalog:file": "GET api-version-files",
    # Deployments.
    "instances:list": "GET api-deployment-list",
    "instances:of_version": "GET api-deployment-list",
    "instances:deploy": "POST api-deployment-list",
    "instances:traffic": "GET api-traffic, PUT api-traffic",
    "instances:shadow": "PUT api-shadow",
    "instances:detail": "GET api-deployment-detail, GET api-deployment-log",
    "instances:state": "GET api-deployment-detail",
    "instances:stop": "POST api-deployment-stop",
    "instances:start": "POST api-deployment-start",
    "instances:restart": "POST api-deployment-restart",
    "instances:scale": "POST api-deployment-scale",
    "instances:place": "POST api-deployment-place",
    "instances:key": "POST api-deployment-key",
    # Calls.
    "calls:list": "GET api-call-list, GET api-call-look",
    "calls:detail": "GET api-call-detail",
    "calls:unmask": "POST api-call-unmask",
    "calls:request": "GET api-call-bodies",
    "calls:response": "GET api-call-bodies",
    "calls:export-new": "POST api-call-export-list",
    "calls:export": "GET api-call-export-detail",
    "calls:export-cancel": "POST api-call-export-cancel",
    "calls:retention": "GET api-retention, PUT api-retention",
    "calls:feedback": "POST api-feedback-list",
    # Workspaces and what runs there.
    "workbench:workspaces": "GET api-workspace-list",
    "workbench:new_workspace": "POST api-workspace-list",
    "workbench:calls_notebook": "POST api-workspace-notebook-of-calls",
    "workbench:workspace": "GET api-workspace-detail, GET api-workspace-list-snapshots",
    "workbench:run": "POST api-workspace-run",
    "workbench:register_files": "POST api-workspace-register",
    "workbench:state": "GET api-workspace-detail",
    "workbench:facts": "GET api-workspace-detail",
    "workbench:start": "POST api-workspace-start",
    "workbench:stop": "POST api-workspace-stop",
    "workbench:archive": "POST api-workspace-archive",
    "workbench:restore": "POST api-workspace-restore",
    "workbench:renew": "POST api-workspace-renew",
    "workbench:notebooks": "GET api-workspace-notebooks",
    "workbench:notebook": "GET api-workspace-notebook-content",
    "workbench:restore_snapshot": "POST api-workspace-restore-snapshot",
    "workbench:settings": "PATCH api-workspace-detail",
    "workbench:clone": "POST api-workspace-clone",
    "workbench:save_environment": "POST api-workspace-environment",
    "workbench:environments": "GET api-environment-list",
    "workbench:new_environment": "POST api-environment-list",
    "workbench:environment": "GET api-environment-detail",
    "workbench:environment_state": "GET api-environment-detail",
    "workbench:environment_log": "GET api-environment-log",
    "workbench:retry_environment": "POST api-environment-retry",
    "workbench:recordings": "GET api-recording-list",
    "workbench:recording": "GET api-recording-detail",
    "workbench:recording_file": "GET api-recording-cast",
    "workbench:recording_rules": "GET api-recording-rule-list, POST api-recording-rule-list",
    "workbench:remove_recording_rule": "DELETE api-recording-rule-detail",
    "workbench:sweeps": "GET api-sweep-list",
    "workbench:new_sweep": "POST api-sweep-list",
    "workbench:sweep": "GET api-sweep-detail, GET api-sweep-trials",
    "workbench:cancel_sweep": "POST api-sweep-cancel",
    "workbench:models_to_refine": "GET api-version-list",
    "workbench:recipes": "GET api-recipe-list",
    "workbench:publish_recipe": "POST api-recipe-list",
    "workbench:recipe": "GET api-recipe-detail, GET api-recipe-runs, POST api-recipe-run",
    "workbench:register": "POST api-registration-list",
    "workbench:retry_registration": "POST api-registration-retry",
    # Evaluations: a report's content has every figure and row that its pages and files show.
    "evaluation:list": "GET evaluation-list",
    "evaluation:start": "GET suite-list, POST evaluation-list",
    "evaluation:run": "GET evaluation-detail",
    "evaluation:cancel": "POST evaluation-cancel",
    "evaluation:score": "GET report-score",
    "evaluation:claim": "POST claim-list, POST claim-withdraw",
    "evaluation:compare": "GET report-content",
    "evaluation:report": "GET report-detail, GET report-content",
    "evaluation:report-pdf": "GET report-content",
    "evaluation:report-json": "GET report-content",
    "evaluation:report-html": "GET report-content",
    "evaluation:rows": "GET report-content",
    "evaluation:suites": "GET suite-list, POST suite-list",
    # Releases.
    "releases:inbox": "GET release-list",
    "releases:list": "GET release-list",
    "releases:open": "GET release-check, POST release-list",
    "releases:policy": "GET release-policy-list, POST release-policy-list",
    "releases:withdraw-policy": "POST release-policy-withdraw",
    "releases:team-policy": "GET release-policy-list, POST release-policy-list",
    "releases:preview-metric": "POST release-policy-preview",
    "releases:detail": "GET release-detail, GET release-conclusions",
    "releases:conclude": (
        "POST release-conclusions, POST release-agree-to-conclude, POST release-withdraw-conclusion"
    ),
    "releases:emergency": "GET bypass-list, POST bypass-list",
    "releases:settle-bypass": "POST bypass-agree, POST bypass-withdraw",
    "releases:history": "GET release-history",
    "releases:run-again": "POST rerun-list",
    "releases:rerun": "GET rerun-detail",
    "releases:replays": "GET replay-list",
    "releases:replay": "GET replay-detail, GET replay-calls",
    "releases:answer-replay": "POST replay-consent, POST replay-object-, POST replay-ask-again",
    "releases:dossier": "POST release-dossier",
    "releases:findings": "GET finding-list",
    "releases:raise-finding": "POST release-findings",
    "releases:close-finding": "POST release-close-finding",
    "releases:sign": "POST release-sign, POST release-reject",
    "releases:steer": (
        "POST release-start, POST release-promote, POST release-pause, POST release-resume, "
        "POST release-roll-back"
    ),
    # A/B experiments.
    "experiments:list": "GET experiment-list",
    "experiments:new": "POST experiment-list",
    "experiments:check": "POST experiment-needed",
    "experiments:detail": "GET experiment-detail",
    "experiments:edit": "PUT experiment-detail",
    "experiments:steer": (
        "POST experiment-start, POST experiment-pause, POST experiment-end, DELETE experiment-detail"
    ),
    # Annotation.
    "annotation:list": "GET annotation-project-list",
    "annotation:feedback": "GET feedback-receipt-list",
    "annotation:ask-again": "POST feedback-receipt-ask",
    "annotation:capabilities": "GET api-capability-list",
    "annotation:create": "POST annotation-project-list",
    "annotation:detail": "GET annotation-project-detail, GET annotation-project-rules",
    "annotation:add-rule": "POST annotation-project-rules",
    "annotation:preview-rule": "POST annotation-project-preview-rule",
    "annotation:switch-rule": "POST annotation-project-switch-rule",
    "annotation:notebook": "POST annotation-project-notebook",
    "annotation:label": "POST annotation-project-claim",
    "annotation:submit": "POST annotation-list",
    "annotation:ahead": "POST annotation-project-ahead",
    "annotation:let-go": "POST annotation-task-release",
    "annotation:heartbeat": "POST annotation-task-heartbeat",
    "annotation:undo": "POST annotation-task-undo",
    "annotation:labels": "POST annotation-project-labels",
    "annotation:settings": "GET annotation-project-detail, PATCH annotation-project-detail",
    "annotation:status": "POST annotation-project-set-status",
    "annotation:transfers": "GET annotation-project-transfers, POST annotation-project-transfers",
    "annotation:transfer-file": "GET annotation-project-transfer-file",
    "annotation:queue": "POST annotation-project-queue",
    "annotation:adjudicate": "GET annotation-task-list",
    "annotation:quality": "GET annotation-project-quality",
    "annotation:accept": "POST annotation-project-accept",
    "annotation:export": "POST annotation-project-export",
    "annotation:bulks": "GET annotation-project-bulks",
    "annotation:retrain": "POST annotation-project-retrain",
    "annotation:retraining-rule": "GET retraining-rule-detail, PUT retraining-rule-detail",
    "annotation:review": "GET annotation-task-detail, POST annotation-task-review, POST annotation-task-ask",
}

ALONE = {
    "landing": "sends a person to the page of their role",
    "login": "a person's door; a program brings its token",
    "logout": "ends a browser's session; a token is revoked",
    "openid_connect_login": "a browser's way to the organisation's own door",
    "openid_connect_callback": "a browser's way back from there",
    "accounts:accept_invitation": "the link of a letter, opened by somebody who has no account yet",
    "accounts:administration": "leads to the pages of administration; /healthz tells which parts are alive",
    "store:look": "cards or a table, as one's browser shows them",
    "store:preparation": "a card that goes when the samples are there; a program finds them in the list of jobs",
    "catalog:card_preview": "how the text in the form will look",
    "catalog:compose_picture": "a drawing of the form as it is filled in",
    "annotation:preview": "how a project would look, as its form is filled in",
    "workbench:terminal": "a terminal in the browser, over a websocket",
    "workbench:enter": "lets this browser in at the workspace's own address, which takes tokens, too",
    "workbench:enter_mlflow": "lets this browser in at MLflow's own address, which takes tokens, too",
    "workbench:mlflow": "MLflow's own pages, in a frame; its REST takes tokens",
    "workbench:experiments": "MLflow's own REST tells a program of experiments",
    "workbench:tracked_run": "MLflow's own REST tells a program of a run",
    "workbench:job_metrics": "MLflow's own REST tells a program of metrics",
    "healthz": "is for programs as it is",
    "package": "is for programs as it is",
}


def named(patterns: list[Any], space: str = "") -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Every address as its name with those of its namespaces, its view, and its first part."""
    for entry in patterns:
        if isinstance(entry, URLPattern):
            yield f"{space}{entry.name}", entry.callback, str(entry.pattern)
        elif isinstance(entry, URLResolver) and str(entry.pattern) != "admin/":
            below = f"{space}{entry.namespace}:" if entry.namespace else space
            for name, view, _part in named(entry.url_patterns, below):
                yield name, view, str(entry.pattern)


def views(*, of_rest: bool) -> dict[str, Callable[..., Any]]:
    return {
        name: view for name, view, part in named(get_resolver().url_patterns) if (part == "api/") is of_rest
    }


PAGES, REST = views(of_rest=False), views(of_rest=True)


def methods_of_page(view: Any) -> set[str]:
    """The methods that a page lets through; both where none of its decorators says."""
    while view is not None:
        asked = inspect.getclosurevars(view).nonlocals if inspect.isfunction(view) else {}
        if "request_method_list" in asked:
            return set(asked["request_method_list"]) - {"HEAD"}
        view = getattr(view, "__wrapped__", None)
    return {"GET", "POST"}


def methods_of_rest(view: Any) -> set[str]:
    if hasattr(view, "actions"):
        return {method.upper() for method in view.actions}
    return {method.upper() for method in view.cls.http_method_names if hasattr(view.cls, method)}


def calls(page: str) -> list[tuple[str, str]]:
    """[(method, name of an address of REST)]."""
    return [
        (method, name) for method, _space, name in (c.partition(" ") for c in COUNTERPARTS[page].split(", "))
    ]


def test_every_page_stands_here_and_no_other():
    assert set(PAGES) == set(COUNTERPARTS) | set(ALONE)
    assert not set(COUNTERPARTS) & set(ALONE)


@pytest.mark.parametrize("page", COUNTERPARTS)
def test_its_counterpart_takes_that_method_and_a_page_that_changes_something_has_one_that_does(page):
    for method, name in calls(page):
        assert method in methods_of_rest(REST[name]), name

    if methods_of_page(PAGES[page]) == {"POST"}:
        assert {method for method, _name in calls(page)} & WRITING


def test_what_pages_let_through_is_read_from_their_decorators():
    """Else the test above would be content with a page that changes something and a counterpart that does not."""
    known = [page for page, view in PAGES.items() if methods_of_page(view) != {"GET", "POST"}]

    assert len(known) > 200
    assert methods_of_page(PAGES["jobs:cancel"]) == {"POST"}
    assert methods_of_page(PAGES["jobs:detail"]) == {"GET"}
