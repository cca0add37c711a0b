from rest_framework.routers import SimpleRouter

from ai_usage.api import alerts

router = SimpleRouter()
router.register("alerts/rules", alerts.Rules, basename="alert-rule")
router.register("alerts", alerts.Alerts, basename="alert")

urlpatterns = router.urls
