from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "apps.gateway"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.gateway.services import announce
        from apps.gateway.testkeys import make_test_key
        from apps.instances import routes, testkeys

        routes.on_change(announce)
        testkeys.register(make_test_key)
