"""Pages of requests and notifications."""

from django.urls import path

from apps.requests import deputy_views, views, webhook_views

app_name = "requests"
urlpatterns = [
    path("requests/", views.inbox, name="inbox"),
    path("requests/export.csv", views.export, name="export"),
    path("requests/<int:pk>/", views.detail, name="detail"),
    path("requests/<int:pk>/decide/", views.decide, name="decide"),
    path("requests/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("requests/<int:pk>/comment/", views.comment, name="comment"),
    path("requests/deputies/", deputy_views.deputies, name="deputies"),
    path("requests/deputies/<int:pk>/end/", deputy_views.end, name="end-deputy"),
    path("webhooks/", webhook_views.list_webhooks, name="webhooks"),
    path("webhooks/<int:pk>/", webhook_views.show_webhook, name="webhook"),
    path("webhooks/<int:pk>/<str:verb>/", webhook_views.webhook_action, name="webhook-action"),
    path("webhooks/<int:pk>/messages/<int:delivery>/", webhook_views.redeliver, name="webhook-redeliver"),
    path("profile/mail/", views.mail_choices, name="mail"),
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/bell/", views.bell, name="bell"),
    path("notifications/read/", views.mark_read, name="mark_read"),
    path("notifications/<int:pk>/", views.open_notification, name="open_notification"),
]
