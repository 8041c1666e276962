"""The store's pages."""

from django.urls import path

from apps.store.views import batches, browse, capability, copies, demands, quality, subscriptions, trial

app_name = "store"

urlpatterns = [
    path("store/", browse.list_capabilities, name="list"),
    path("store/-/look/", browse.look, name="look"),
    path("store/-/preparation/", browse.preparation, name="preparation"),
    path("store/<slug:slug>/", capability.overview, name="capability"),
    path("store/<slug:slug>/try/", trial.try_it, name="try"),
    path("store/<slug:slug>/try/batch/", batches.batch, name="batch"),
    path("store/<slug:slug>/try/batch/template.csv", batches.batch_template, name="batch-template"),
    path("store/<slug:slug>/try/batch/<int:pk>/answers.csv", batches.batch_answers, name="batch-answers"),
    path("store/<slug:slug>/try/why/", trial.why, name="why"),
    path("store/<slug:slug>/try/feedback/", trial.feedback, name="feedback"),
    path("store/<slug:slug>/api/", capability.api, name="api"),
    path("store/<slug:slug>/versions/", capability.versions, name="versions"),
    path("store/<slug:slug>/quality/", quality.show_quality, name="quality"),
    path("store/<slug:slug>/reviews/", quality.reviews, name="reviews"),
    path("store/<slug:slug>/reviews/<int:pk>/<str:verb>/", quality.review_action, name="review-action"),
    path("store/<slug:slug>/follow/<str:what>/<str:verb>/", capability.follow, name="follow"),
    path("store/<slug:slug>/reuse/", copies.reuse, name="reuse"),
    path("store/<slug:slug>/copies/<int:pk>/<str:verb>/", copies.copy_action, name="copy-action"),
    path("store/<slug:slug>/usage/", capability.usage, name="usage"),
    path("store/<slug:slug>/callers.csv", capability.callers_csv, name="callers-csv"),
    path("store/<slug:slug>/retire/", capability.retire, name="retire"),
    path("store/<slug:slug>/usage.csv", capability.usage_csv, name="usage-csv"),
    path("store/<slug:slug>/subscribe/", subscriptions.subscribe, name="subscribe"),
    path("store/<slug:slug>/plans/", capability.plans, name="plans"),
    path("store/<slug:slug>/plans/trusted/", capability.trust_teams, name="plans-trusted"),
    path("store/<slug:slug>/plans/<int:pk>/<str:verb>/", capability.move_plan, name="plan-move"),
    path("demands/", demands.list_demands, name="demands"),
    path("demands/<int:pk>/", demands.show_demand, name="demand"),
    path("demands/<int:pk>/<str:verb>/", demands.demand_action, name="demand-action"),
    path("subscriptions/", subscriptions.list_subscriptions, name="subscriptions"),
    path("subscriptions/<int:pk>/", subscriptions.detail, name="subscription"),
    path("subscriptions/<int:pk>/what-if/", subscriptions.what_if, name="subscription-what-if"),
    path("subscriptions/<int:pk>/usage.csv", subscriptions.usage_csv, name="subscription-csv"),
    path("subscriptions/<int:pk>/keys/", subscriptions.issue, name="key-issue"),
    path("subscriptions/<int:pk>/keys/<int:key>/rotate/", subscriptions.rotate, name="key-rotate"),
    path("subscriptions/<int:pk>/keys/<int:key>/revoke/", subscriptions.revoke, name="key-revoke"),
    path("subscriptions/<int:pk>/change/", subscriptions.change, name="subscription-change"),
    path("subscriptions/<int:pk>/suspend/", subscriptions.suspend, name="subscription-suspend"),
    path("subscriptions/<int:pk>/resume/", subscriptions.resume, name="subscription-resume"),
    path("subscriptions/<int:pk>/cancel/", subscriptions.cancel, name="subscription-cancel"),
]
