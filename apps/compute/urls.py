"""Pages of jobs and of the machines that run them."""

from django.urls import path

from apps.compute import views

app_name = "jobs"
urlpatterns = [
    path("jobs/", views.job_list, name="list"),
    path("jobs/new/", views.new, name="new"),
    path("jobs/data/", views.data, name="data"),
    path("jobs/<int:pk>/", views.detail, name="detail"),
    path("jobs/<int:pk>/state/", views.state, name="state"),
    path("jobs/<int:pk>/usage/", views.usage, name="usage"),
    path("jobs/<int:pk>/cancel/", views.cancel, name="cancel"),
    path("jobs/<int:pk>/retry/", views.retry, name="retry"),
    path("jobs/<int:pk>/log/", views.log, name="log"),
    path("jobs/<int:pk>/outputs/<path:path>", views.output, name="output"),
    path("nodes/", views.node_list, name="nodes"),
    path("nodes/<int:pk>/drain/", views.drain, name="drain"),
    path("nodes/<int:pk>/resume/", views.resume, name="resume"),
    path("nodes/<int:pk>/labels/", views.labels, name="labels"),
    path("nodes/<int:pk>/remove/", views.remove_node, name="remove_node"),
    path("administration/compute/", views.machine, name="machine"),
    path("administration/network/", views.network, name="network"),
    path("administration/network/<int:pk>/enabled/", views.set_host_enabled, name="set_host_enabled"),
    path("administration/network/<int:pk>/remove/", views.remove_host, name="remove_host"),
]
